"""Which runs are at work: a lock per run that ends with its process, however that ends.

For runs in a SQLite file it is a byte of a file beside it, for runs in Postgres an advisory lock of a connection of its
own. Where files cannot be locked, nothing is, and runs count as stopped.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.errors import StorageError
from graphs.storage.databases import connected

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_PATIENCE = 1.0
"""Seconds to try: another process may only be looking."""
_PAUSE = 0.02
_MINE = "SELECT pg_try_advisory_lock(hashtext('podium run'), hashtext(%s)) AS mine"


@contextmanager
def at_work(runs: Path | str, name: str) -> Iterator[None]:
    """Hold the lock of a run that is stored in a file or at a Postgres address.

    Raises:
        StorageError: Another process is at work on the run, or Postgres cannot be reached.
    """
    with _locker(runs, name) as locked:
        until = time.monotonic() + _PATIENCE
        while not locked():
            if time.monotonic() > until:
                raise StorageError(f"Another process is at work on the run {name}")
            time.sleep(_PAUSE)
        yield


def is_at_work(runs: Path | str, name: str) -> bool:
    """Tell whether another process is at work on a run."""
    if isinstance(runs, Path) and not _beside(runs).exists():
        return False
    with _locker(runs, name) as locked:
        return not locked()


@contextmanager
def _locker(runs: Path | str, name: str) -> Iterator[Callable[[], bool]]:
    """Yield what takes a run's lock if it is free; it is given back in the end."""
    if isinstance(runs, str):
        with connected(runs) as connection:
            yield lambda: bool(connection.execute(_MINE, (name,)).fetchone()["mine"])
    elif fcntl is None:
        yield lambda: True
    else:
        file = os.open(_beside(runs), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield lambda: _try(file, name)
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
    """Return the file with the locks: the same by whatever symbolic link the runs are reached."""
    file = runs.resolve()
    return file.with_name(f"{file.name}-at-work")
