"""HTML that is escaped by construction: whatever is not made by `tag` is text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_VOID = ("meta",)


class Html(str):
    """A text that is HTML already; only `tag`, `escaped` and `style` make it."""

    __slots__ = ()


def escaped(value: Any) -> Html:
    """Return a value as HTML: HTML as it is, None as nothing, everything else as text without control characters."""
    if isinstance(value, Html):
        return value
    text = "" if value is None else str(value).encode("utf-8", "replace").decode()
    return Html(html.escape(_CONTROL.sub("", text)))


def tag(element: str, /, *content: Any, **attributes: Any) -> Html:
    """Return an element; attributes are written `class_` and `aria_label`, and left out where they are None."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{joined(content)}</{element}>")


def joined(parts: Iterable[Any]) -> Html:
    """Return several pieces as one."""
    return Html("".join(map(escaped, parts)))


def style(text: str) -> Html:
    """Return a style sheet of our own; no text of others may be in it."""
    return Html(f"<style>{text}</style>")


def said(text: Any) -> Html:
    """Return a text of models or people, with its line ends; nothing if there is none."""
    return tag("p", text, class_="said") if text not in (None, "") else Html()


def section(title: str, *content: Any) -> Html:
    """Return a part of the page, with a heading that the page's contents lead to."""
    name = title.lower().replace(" ", "-")
    heading = tag("h2", title, id=f"{name}-heading")
    return tag("section", heading, *content, id=name, aria_labelledby=f"{name}-heading")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """Return a table whose rows become cards on narrow screens; columns in which every cell is empty are left out."""
    listed = [list(row) for row in rows]
    if not listed:
        return Html()
    kept = [place for place in range(len(head)) if any(row[place] not in ("", None) for row in listed)]
    titles = [tag("th", head[place], scope="col", role="columnheader") for place in kept]
    lines = [
        tag("tr", *(tag("td", row[place], role="cell", data_label=head[place]) for place in kept), role="row")
        for row in listed
    ]
    top = tag("thead", tag("tr", *titles, role="row"), role="rowgroup")
    return tag("table", top, tag("tbody", *lines, role="rowgroup"), class_="stack", role="table")


def fields(named: Mapping[str, Any]) -> Html:
    """Return named values, those that are empty left out; mappings and lists in them are indented."""
    told = [
        part
        for name, value in named.items()
        if value not in (None, "", [], {}, ())
        for part in (tag("dt", name.replace("_", " ")), tag("dd", tree(value)))
    ]
    return tag("dl", *told, class_="fields") if told else Html()


def tree(value: Any) -> Html:
    """Return plain JSON so that people can read it."""
    if isinstance(value, Mapping):
        return fields({str(key): one for key, one in value.items()})
    if isinstance(value, list | tuple):
        return tag("ul", *(tag("li", tree(one)) for one in value))
    return value if isinstance(value, Html) else said(value)
