"""Markup for pages, notebooks and pictures: this folder's templates, whose values are escaped, and Markdown of models.

Markdown can do nothing by itself: no raw HTML, no images, links to web addresses only.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import TYPE_CHECKING

from agents.runtime import reads_foreign_text, visible
from graphs.show.run_summary import text
from graphs.show.wording import cut, duration, look, signed

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt

_GENERATOR = '<meta name="generator" content="Podium">'
_LONGEST = 30_000
"""Characters of Markdown; a longer text is shown as it was written, because the parser needs up to 30 µs for each."""


def render(template: str, **values: object) -> str:
    """Return what one of this folder's templates makes of values."""
    return _environment().get_template(template).render(values)


def is_page(text: str) -> bool:
    """Tell whether a text is a page from these templates."""
    return _GENERATOR in text


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def safe(value: object) -> str:
        return value if isinstance(value, Markup) else visible(text(value))

    environment = Environment(
        loader=PackageLoader("graphs.show", ""),
        autoescape=True,
        finalize=safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(cut=cut, duration=duration, signed=signed, look=look, generator=_GENERATOR)
    return environment


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
