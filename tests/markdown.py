"""Reads the pages of the documentation: their code blocks, links, headings, tables and drawings."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
_PARSER = MarkdownIt("commonmark").enable("table")

Edges = set[tuple[str, str, bool]]
"""Source, target, and whether the edge is conditional (drawn dotted)."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str
    line: int
    """The line of the page at which it begins."""


@dataclass(frozen=True)
class Table:
    """A table, with the last heading before it; cells are their Markdown."""

    heading: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Page:
    """A Markdown file, or the Markdown cells of a notebook."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """The path in the project."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def tokens(self) -> list[Token]:
        """The parsed page."""
        return _PARSER.parse(self.text)

    @property
    def blocks(self) -> list[Block]:
        """The fenced blocks."""
        fences = [token for token in self.tokens if token.type == "fence"]
        return [Block(fence.info.strip(), fence.content, (fence.map or [0])[0] + 1) for fence in fences]

    @property
    def inline(self) -> Iterator[Token]:
        """The parsed texts of the page."""
        for token in self.tokens:
            yield from token.children or () if token.type == "inline" else [token]

    @property
    def code_spans(self) -> list[str]:
        """The pieces of code within texts."""
        return [token.content for token in self.inline if token.type == "code_inline"]

    @property
    def links(self) -> list[str]:
        """The targets of links and pictures, HTML included."""
        links = [str(token.attrGet("href") or token.attrGet("src") or "") for token in self.inline if token.attrs]
        html = _Html()
        html.feed("".join(token.content for token in self.inline if token.type.startswith("html")))
        return [link for link in links if link] + html.links

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings, as code hosts make them."""
        slugs: list[str] = []
        for heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
        return set(slugs)

    @property
    def headings(self) -> list[str]:
        """The texts of the headings."""
        opened = (after for before, after in pairwise(self.tokens) if before.type == "heading_open")
        return ["".join(child.content for child in token.children or ()) for token in opened]

    @property
    def tables(self) -> list[Table]:
        """The tables."""
        found: list[Table] = []
        heading, rows = "", [[""]]
        for before, token in pairwise(self.tokens):
            if before.type == "heading_open":
                heading = token.content
            elif token.type == "table_open":
                rows = []
            elif token.type == "tr_open":
                rows.append([])
            elif before.type in ("th_open", "td_open"):
                rows[-1].append(token.content)
            elif token.type == "table_close":
                found.append(Table(heading, rows[0], rows[1:]))
        return found


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value]


def page(name: str) -> Page:
    """Return a Markdown file by its path in the project."""
    return Page(ROOT / name, (ROOT / name).read_text())


def pages() -> list[Page]:
    """Return every page of the project."""
    markdown = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    notebooks = [file for file in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in file.parts]
    read = [Page(path, path.read_text()) for path in sorted(markdown)]
    return read + [Page(path, _cells(path)) for path in sorted(notebooks)]


def _cells(notebook: Path) -> str:
    cells = json.loads(notebook.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def edges(mermaid: str) -> Edges:
    """Read the edges of a drawing, chains (`a --> b -.-> c`) and groups (`a & b`) included."""
    found: Edges = set()
    for line in mermaid.splitlines()[1:]:
        parts = re.split(r"\s+(-->|-\.->)\s+", line.strip(" ;"))
        names, arrows = parts[::2], parts[1::2]
        for (sources, targets), arrow in zip(pairwise(names), arrows, strict=True):
            ends = [(source, target) for source in sources.split(" & ") for target in targets.split(" & ")]
            found |= {(source, target, arrow == "-.->") for source, target in ends}
    return found
