"""A web page as text that a model can read: headings, lists, rows of tables; no scripts, no styles."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin

import justhtml

_WITHOUT_TEXT = frozenset({"iframe", "noembed", "noframes", "noscript", "script", "style", "template"})
_PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "p", "pre", "table", "title"})
# fmt: off
_BLOCKS = _PARAGRAPHS | {
    "address", "article", "aside", "body", "br", "caption", "dd", "details", "dialog", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option",
    "section", "summary", "tr", "ul",
}
# fmt: on
_MARKS = {"li": "- ", "td": " | ", "th": " | "} | {f"h{level}": "#" * level + " " for level in range(1, 7)}


class Page(NamedTuple):
    """What a web server sent."""

    url: str
    kind: str
    """The media type in lower case, for instance `text/html`."""
    charset: str | None
    content: bytes


def page_text(page: Page, *, links: bool = False) -> str:
    """Return a page as text a model can read: title, headings, lists and rows of tables, each on its line."""
    if page.kind not in ("text/html", "application/xhtml+xml"):
        try:
            return page.content.decode(page.charset or "utf-8", errors="replace")
        except (LookupError, ValueError):  # not every name a server gives is an encoding
            return page.content.decode(errors="replace")
    text = _Text(page.url, links=links)
    for event in justhtml.stream(page.content, encoding=page.charset):
        match event:
            case ("start", (str(tag), dict(attributes))):
                text.start(tag, attributes)
            case ("end", str(tag)):
                text.end(tag)
            case ("text", str(words)):
                text.write(words)
    lines = "\n".join(line.rstrip() for line in "".join(text.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


class _Text:
    """Text written from the tags of a page, one after the other: no tree, so no depth that could be too deep."""

    def __init__(self, url: str, *, links: bool) -> None:
        self.pieces: list[str] = []
        self.url = url
        self.links = links
        self.target = ""
        self.without_text = 0
        self.preformatted = 0

    def start(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.without_text += tag in _WITHOUT_TEXT
        self.preformatted += tag == "pre"
        if tag in _BLOCKS:
            self.pieces.append("\n\n" if tag in _PARAGRAPHS else "\n")
        if mark := _MARKS.get(tag):
            self.write(mark)
        if tag == "a" and self.links:
            self.target = attributes.get("href") or ""

    def end(self, tag: str) -> None:
        self.without_text = max(0, self.without_text - (tag in _WITHOUT_TEXT))
        self.preformatted = max(0, self.preformatted - (tag == "pre"))
        if tag == "a" and self.target:
            self._link(self.target)
            self.target = ""
        if tag in _BLOCKS:
            self.pieces.append("\n\n" if tag in _PARAGRAPHS else "\n")

    def write(self, text: str) -> None:
        if self.without_text:
            return
        if not self.preformatted:
            text = re.sub(r"\s+", " ", text)
            if not self.pieces or self.pieces[-1][-1].isspace():
                text = text.lstrip()
        if text:
            self.pieces.append(text)

    def _link(self, target: str) -> None:
        try:
            address = urljoin(self.url, target.strip())
        except ValueError:
            return
        if address.startswith(("http://", "https://")) and not target.startswith("#"):
            self.pieces.append(f" <{address}>")
