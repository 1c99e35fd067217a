"""Counts the lines that run, as a measure of time that is the same on every machine."""

import sys
from collections.abc import Callable
from typing import Any


def lines_run(work: Callable[[], object], *files: str) -> int:
    """Return how many lines of files, named by the ends of their paths, some work runs; each round of a loop counts."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return note if frame.f_code.co_filename.endswith(files) else None

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
