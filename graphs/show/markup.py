"""Markup for pages, notebooks and pictures: this folder's templates, whose values are escaped, and Markdown of models.

Markdown can do nothing by itself: no raw HTML, no images, links to web addresses only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from agents.runtime import visible
from graphs.show.run_summary import text
from graphs.show.wording import cut, duration, look, signed

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt

PALETTE: Mapping[str, tuple[str, str]] = {
    "ink": ("#1d2630", "#e7ebef"),
    "soft": ("#55616e", "#a8b3be"),
    "line": ("#d9dfe5", "#343e48"),
    "edge": ("#7d8996", "#73808d"),
    "accent": ("#1b6ca8", "#82bdec"),
    "done": ("#1b6ca8", "#82bdec"),
    "done-fill": ("#d9eaf7", "#1d3547"),
    "failed": ("#a63c0f", "#f4a27c"),
    "failed-fill": ("#fbe1d4", "#472618"),
    "back": ("#7a5900", "#e8c766"),
    "back-fill": ("#fbeec4", "#413510"),
    "stopped": ("#6a4590", "#c9a8e8"),
    "stopped-fill": ("#ece1f5", "#36264a"),
    "none": ("#616c78", "#a3adb8"),
    "none-fill": ("#eef0f3", "#272e36"),
}
"""Colours by name, on light and on dark ground; distinct in every kind of colour blindness. A page overrides those of
pictures by the classes of their shapes."""

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
    environment.globals.update(cut=cut, duration=duration, signed=signed, look=look)
    environment.globals.update(palette=PALETTE, generator=_GENERATOR)
    return environment


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
