"""Which runs are at work: a lock per run that ends with its process, however that ends.

All are bytes of one file beside the runs. Where files cannot be locked, nothing is, and runs count as stopped.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.errors import StorageError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_PATIENCE = 1.0
"""Seconds to try: another process may only be looking."""
_PAUSE = 0.02


@contextmanager
def at_work(runs: Path | None, name: str) -> Iterator[None]:
    """Hold a run's lock; None: runs that are stored in no file are not locked.

    Raises:
        StorageError: Another process is at work on the run.
    """
    if runs is None or fcntl is None:
        yield
        return
    file = os.open(_beside(runs), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(file, name)
        yield
    finally:
        os.close(file)


def _lock(file: int, name: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not _try(file, name):
        if time.monotonic() > until:
            raise StorageError(f"Another process is at work on the run {name}")
        time.sleep(_PAUSE)


def is_at_work(runs: Path | None, name: str) -> bool:
    """Tell whether another process is at work on a run."""
    if runs is None or fcntl is None or not _beside(runs).exists():
        return False
    file = os.open(_beside(runs), os.O_RDWR)
    try:
        return not _try(file, name)
    finally:
        os.close(file)


def _try(file: int, name: str) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, zlib.crc32(name.encode()))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _beside(runs: Path) -> Path:
    return runs.with_name(f"{runs.name}-at-work")
