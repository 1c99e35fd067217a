"""Markdown of models as HTML that can do nothing by itself: no raw HTML, no images, links to web addresses only."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import TYPE_CHECKING

from agents.runtime import reads_foreign_text, visible

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LONGEST = 30_000
"""Characters; a longer text is shown as it was written, because the parser needs up to 30 µs for each."""


@reads_foreign_text()
def html_of(markdown: str) -> str:
    """Return Markdown as HTML; a text that is too long stays as it is."""
    markdown = visible(markdown)
    if len(markdown) > _LONGEST:
        return f"<pre>{escape(markdown)}</pre>"
    html: str = _parser().render(markdown)
    return html


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
