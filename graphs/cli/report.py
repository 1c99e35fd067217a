"""`podium show RUN --html`: a stored run as a page in a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from agents.errors import ConfigurationError
from graphs.show import is_page, page
from graphs.storage import State

STDOUT = "-"
"""In place of a file's name: to standard output."""

AsHtml = Annotated[
    list[str] | None,
    Parameter(
        "--html",
        help="Write it as a web page to a file, RUN.html in this folder if none is named; - prints the page.",
        negative="",
        show_default=False,
        consume_multiple=(0, 1),
        allow_leading_hyphen=True,
    ),
]

_HEAD = 2_000
"""Characters of a file from which it is told what it is."""
_NOT_IN_NAMES = re.compile(r"[^\w.\-]+")


def as_result(state: State) -> dict[str, Any]:
    """Return a stored run as its graph's result would be, as far as it has come."""
    values = state["values"]
    finished = {one["id"]: one for one in state["finished"] if one.get("ended")}
    known: Any = {**state}
    return {**known, **values, "status": state["status"], "steps": {**(values.get("steps") or {}), **finished}}


def write(state: State, named: Sequence[str]) -> None:
    """Write the page, and say where; another page of ours is replaced, another file never.

    Raises:
        ConfigurationError: There is another file of that name.
    """
    report = page(as_result(state))
    if list(named) == [STDOUT]:
        sys.stdout.buffer.write(report.encode())
        return
    path = Path(named[0] if named else f"{_NOT_IN_NAMES.sub('_', state['thread_id'])}.html")
    if str(path).startswith("-"):
        raise ConfigurationError(f"{str(path)!r} is no name for a file; put other options before --html")
    if path.is_file() and not _is_ours(path):
        raise ConfigurationError(f"There is a file {path} already that is no such page; name another file")
    path.write_text(report, encoding="utf-8")
    sys.stdout.write(f"written to {path.resolve()}\n")


def _is_ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return is_page(file.read(_HEAD))
