"""Marks that the coordinator waits for an assignment: files that workers on its machine poll while they work."""

from __future__ import annotations

import os
import platform
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from typing_extensions import TypedDict


class Mark(TypedDict):
    """A file that exists as long as the coordinator waits."""

    folder: str
    """Which folder of which machine, as `_folder` writes it."""
    file: str


@cache
def _folder() -> str:
    """Return what tells the folder of this process's marks from all others: containers may share a machine's name."""
    folder = os.stat(tempfile.gettempdir())
    return f"{platform.node()} {uuid.getnode()} {folder.st_dev} {folder.st_ino}"


@contextmanager
def waiting() -> Iterator[Mark]:
    """Keep a mark until the end of the block."""
    number, file = tempfile.mkstemp(prefix="podium-waits-")
    os.close(number)
    try:
        yield {"folder": _folder(), "file": file}
    finally:
        with suppress(FileNotFoundError):
            os.unlink(file)


def is_awaited(mark: Mark) -> bool:
    """Return whether the coordinator still waits; True where its folder cannot be seen."""
    return mark["folder"] != _folder() or Path(mark["file"]).exists()
