"""Web pages as Markdown that a model can read: decoded as browsers do, without scripts, styles and hidden text."""

import codecs
import re
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urljoin

import webencodings  # type: ignore[import-untyped]
from justhtml import JustHTML, Text

from agents.runtime import reads_foreign_text

MAX_HTML = 300_000
"""Bytes of a page that are parsed, without its scripts and styles; hostile ones of this size take seconds."""

_NOT_TEXT = frozenset(
    {"iframe", "img", "math", "noembed", "noframes", "noscript", "object", "script", "style", "svg", "template"}
)
_RENAMED = {"title": "p", "caption": "p", "tr": "p", "dt": "p", "dd": "p", "legend": "p", "summary": "p", "option": "p"}
_RENAMED |= {"button": "p", "head": "div", "table": "div", "tbody": "div", "thead": "div", "tfoot": "div"}
"""Tags that Markdown would leave out or keep as HTML, by what stands for them: rows of tables become lines."""
_INVISIBLE = re.compile(r"display:none|visibility:hidden|opacity:0(?![.\d])|font-size:0(?![.\d])")
_SCRIPT = re.compile(rb"<(script|style)\b")
_META = re.compile(rb"<meta\s[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w-]{1,40})", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


class Page(NamedTuple):
    """A web server's reply."""

    url: str
    kind: str
    """The media type in lower case, for instance `text/html`."""
    charset: str | None
    content: bytes


def page_text(page: Page, *, links: bool = False) -> str:
    """Return a page as text: of HTML its title and Markdown, with the addresses of links if wanted."""
    if page.kind not in ("text/html", "application/xhtml+xml"):
        return _decoded(page.content, page.charset)
    root = JustHTML(_decoded(_shortened(page.content), page.charset, html=True), sanitize=False).root
    waiting: list[Any] = [root]
    while waiting:  # no recursion: pages may be nested deeply
        node = waiting.pop()
        node.children[:] = [child for child in node.children if _is_visible(child)]
        for child in node.children:
            if child.name == "a":
                _rewrite_link(child, page.url if links else None)
            elif child.name in ("td", "th"):
                child.append_child(Text(" | "))
            child.name = _RENAMED.get(child.name, child.name)
            if child.name[0] != "#" and child.children:
                waiting.append(child)
    return unescape(_ESCAPE.sub(r"\1", root.to_markdown())).strip()


@reads_foreign_text(lambda shorten, text: shorten(text.encode()))
def _shortened(content: bytes) -> bytes:
    """Cut scripts and styles out, in one pass, and then the end of a page that is still too long."""
    lower = content.lower()
    kept, start = bytearray(), 0
    for opened in _SCRIPT.finditer(lower):
        if opened.start() >= start:
            closed = lower.find(b"</" + opened[1], opened.end())
            if closed < 0:
                break
            kept += content[start : opened.start()]
            start = closed
    return bytes(kept + content[start:])[:MAX_HTML]


def _decoded(content: bytes, label: str | None, *, html: bool = False) -> str:
    """Decode as browsers do: by a byte order mark, the server's label, the page's own; else UTF-8 or windows-1252."""
    encoding = webencodings.lookup(label) if label else None
    if encoding is None and html and (meta := _META.search(content[:1024])):
        encoding = webencodings.lookup(meta[1].decode())
        if encoding is not None and encoding.name.startswith("utf-16"):  # which could not have been read until here
            encoding = webencodings.UTF8
    if encoding is None:
        try:  # incremental, because a page that was cut may end within a character
            return codecs.getincrementaldecoder("utf-8-sig")().decode(content)
        except UnicodeDecodeError:
            encoding = webencodings.lookup("windows-1252")
    return str(webencodings.decode(content, encoding)[0])


def _is_visible(node: Any) -> bool:
    if node.name in _NOT_TEXT or node.name[0] == "!":
        return False
    attributes = getattr(node, "attrs", None) or {}
    style = "".join((attributes.get("style") or "")[:500].lower().split())
    hidden = "hidden" in attributes or attributes.get("aria-hidden") == "true" or _INVISIBLE.search(style)
    return not hidden


def _rewrite_link(node: Any, base: str | None) -> None:
    """Make a link's address whole; without a base, or a web address, only its text is left."""
    target = (node.attrs.get("href") or "").strip()
    try:
        address = urljoin(base, target) if base and target and target[0] != "#" else ""
    except ValueError:
        address = ""
    if address.startswith(("http://", "https://")):
        node.attrs["href"] = address
    else:
        node.name = "span"
