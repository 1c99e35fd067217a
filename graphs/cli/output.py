"""All that the command prints, with hidden characters visible and nothing read as markup."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.runtime import visible
from graphs.show import moves, one_line

_WIDE = 70
"""Columns of a terminal from which rows are printed on one line each."""
_LONGEST_MARKDOWN = 30_000
"""Characters of an answer that is rendered, which takes up to 30 µs for each."""
_LONGEST_CELL = 200
"""Characters of a cell where no terminal limits its width."""


def stdout() -> Console:
    """Return the console for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console for everything else."""
    return Console(stderr=True, highlight=False)


def say(console: Console, text: str, style: str = "", *, wrap: bool = False, end: str = "\n") -> None:
    """Print a text; with `wrap` a terminal breaks its lines between words."""
    console.print(Text(visible(text), style), soft_wrap=not (wrap and console.is_terminal), end=end)


def print_answer(console: Console, text: str) -> None:
    """Print an answer: rendered from Markdown in a terminal, else as it is."""
    if len(text) > _LONGEST_MARKDOWN or not moves(console):
        say(console, text)
        return
    console.print()
    console.print(Markdown(visible(text), hyperlinks=False))  # a link's address must be seen, not only its words


def print_table(
    console: Console, head: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = (), cut: str = ""
) -> None:
    """Print a table; in a narrow terminal each row as a block of lines, with the first cell as its title.

    Columns in `whole` are never cut or broken; `cut` is cut to the width of a terminal, elsewhere to a limit.
    """
    if console.is_terminal and console.width < _WIDE:
        for row in rows:
            say(console, one_line(row[0], _LONGEST_CELL), "bold")
            for title, cell in zip(head[1:], row[1:], strict=True):
                if cell:
                    line = Padding.indent(Text(one_line(f"{title}: {cell}", _LONGEST_CELL), overflow="ellipsis"), 2)
                    console.print(line, no_wrap=title == cut)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", expand=bool(cut) and console.is_terminal)
    for title in head:
        flexible = title == cut
        overflow = "ellipsis" if flexible else "fold"
        table.add_column(title, ratio=1 if flexible else None, no_wrap=flexible or title in whole, overflow=overflow)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(one_line(cell, _LONGEST_CELL)) for cell in row))
    if not console.is_terminal:
        console = Console(file=console.file, width=_LONGEST_CELL * (len(head) + 1), highlight=False)
    console.print(table)


def print_json(console: Console, value: object) -> None:
    """Print anything as JSON; it is all ASCII, so that nothing in it is hidden."""
    console.file.write(json.dumps(plain(value), indent=2) + "\n")
    console.file.flush()


def plain(value: object) -> Any:
    """Return data as plain JSON, messages as `{"role", "content"}`, a tool's with the id of its call."""
    if isinstance(value, BaseMessage):
        role = {"human": "user", "ai": "assistant"}.get(value.type, value.type)
        answers = {"tool_call_id": value.tool_call_id} if isinstance(value, ToolMessage) else {}
        return {"role": role, "content": value.text, **answers}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
