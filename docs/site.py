"""Collects the pages of the documentation in build/docs, where zensical makes a site of them (`make docs`).

README.md becomes the first page, notebooks become pages with their outputs, links follow, and a link to a file that is
not a page becomes its name. A Mermaid drawing becomes the picture of the `graph` that the examples before it make:
pages need no service to draw it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graphs.show import draw_graph

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "docs"
_BLOCK = re.compile(r"^```(python|mermaid)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def pages() -> dict[str, Path]:
    """Return the sources of the site's pages and pictures, by their place in it."""
    found = {"index.md": ROOT / "README.md"}
    found |= {f"{name.lower()}.md": ROOT / f"{name}.md" for name in ("AGENTS", "CHANGELOG", "CONTRIBUTING", "SECURITY")}
    found["for_assistants.md"] = found.pop("agents.md")
    for file in sorted((ROOT / "docs").rglob("*")):
        if file.suffix in (".css", ".md", ".png", ".svg", ".toml"):
            found[file.relative_to(ROOT / "docs").as_posix()] = file
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return found | {f"notebooks/{file.stem}.md": file for file in notebooks}


def collect() -> None:
    """Write all pages."""
    shutil.rmtree(PLACE, ignore_errors=True)
    found = pages()
    places = {source: place for place, source in found.items()}
    for place, source in found.items():
        target = PLACE / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            text = _notebook(source) if source.suffix == ".ipynb" else source.read_text(encoding="utf-8")
            text = _LINK.sub(lambda link, source=source, place=place: _link(link, source, place, places), text)
            if "```mermaid" in text:
                text = _with_pictures(text)
            target.write_text(text.replace("](docs/pictures/", "](pictures/"), encoding="utf-8")
        else:
            shutil.copy(source, target)


def _link(link: re.Match[str], source: Path, place: str, places: dict[Path, str]) -> str:
    text, address = link[1], urlsplit(link[2])
    if address.scheme or not address.path:
        return link[0]
    target = places.get((source.parent / address.path).resolve())
    if target is None:
        return text
    up = "../" * place.count("/")
    return f"[{text}]({up}{target}{f'#{address.fragment}' if address.fragment else ''})"


def _with_pictures(text: str) -> str:
    scope: dict[str, object] = {"__name__": "example"}

    def picture(block: re.Match[str]) -> str:
        if block[1] == "mermaid":
            return _html(draw_graph(scope["graph"]))
        if "```mermaid" in text[block.end() :]:
            with redirect_stdout(StringIO()):
                exec(compile(block[2], "example", "exec", dont_inherit=True), scope)  # noqa: S102 - our own examples
        return block[0]

    return _BLOCK.sub(picture, text)


def _html(html: str) -> str:
    lines = re.sub(r"\n\s*\n", "\n", html)  # a blank line would end the HTML of a page
    return f'<div class="output">\n{lines}\n</div>'


def _notebook(file: Path) -> str:
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(output) for output in cell.get("outputs", ())]
    return "\n\n".join(parts)


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data", {"text/plain": output.get("text", "")})
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            return _html("".join(data[kind]))
    return f"```text\n{''.join(data['text/plain'])}\n```"


if __name__ == "__main__":
    collect()
