"""Runs in a SQLite file: finished work survives a killed process.

    with sqlite("runs.sqlite") as storage:
        graph = planner.compile(checkpointer=storage)
        graph.invoke({"messages": "..."}, {"configurable": {"thread_id": "monday"}})  # or await graph.ainvoke(...)
        graph.invoke(None, {"configurable": {"thread_id": "monday"}})   # goes on where a killed process stopped

Reading constructs only plain JSON and LangChain messages, even from a manipulated file.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from agents.errors import StorageError
from graphs.engine import WhenBusy
from graphs.engine import langgraph_internals as internals
from graphs.storage.checkpointer import Keep, Storage
from graphs.storage.locks import FileLocks
from graphs.storage.serializer import CompressingSerializer

PATH_VARIABLE = "PODIUM_RUNS"
"""Environment variable with the SQLite file to use instead of the default one."""

SCHEMA = 1
"""Version of what Podium writes into a SQLite file; raise it when releases cannot read each other's files."""

BUSY_SECONDS = 30.0
"""Seconds to wait for another process that is writing."""

_WAL_PAGES = 32
"""Pages of 4 kB that the write-ahead log holds before they go into the file."""
_REASONS = {
    "SQLITE_NOTADB": "is not a SQLite database",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_BUSY": "has been locked by another process for more than {wait:g} seconds",
    "SQLITE_FULL": "could not be written: the disk is full; what was stored before is safe, and the run can be resumed",
    "SQLITE_READONLY": "may not be written",
    "SQLITE_CANTOPEN": "cannot be opened; name a file in a folder that may be written",
    "SQLITE_IOERR": "could not be read or written: the disk failed",
}
"""Explanations of SQLite's errors, by the beginning of their names."""


def default_path() -> Path:
    """Return the SQLite file that `PODIUM_RUNS` names, else the one among the user's data."""
    named = os.environ.get(PATH_VARIABLE)
    return Path(named) if named else user_data_path("podium") / "runs.sqlite"


@contextmanager
def sqlite(
    path: Path | str | None = None, *, keep: Keep = "turns", when_busy: WhenBusy = "wait", wait: float = BUSY_SECONDS
) -> Iterator[Storage]:
    """Open a SQLite file, or create it, for any number of runs, threads and processes at once.

    Args:
        path: None for `default_path()`.
        keep: `"turns"` drops the checkpoints of a thread's earlier turns when a new turn begins; `"all"` keeps them.
        when_busy: Whether a run on a thread at work waits for it, or raises `ThreadBusyError`.
        wait: Seconds to wait for another process that is writing.

    Raises:
        StorageError: The file cannot be opened or is not Podium's; while it is open, it cannot be read or written.
    """
    file = default_path() if path is None else Path(path)
    explain = partial(_explain, file, wait)
    try:
        connection = _connect(file, wait)
    except (OSError, sqlite3.Error) as error:
        raise explain(error) or error from error
    with closing(connection):
        saver = internals.sqlite_saver(connection, CompressingSerializer(allowed_msgpack_modules=None))
        locks = FileLocks(file)
        query = partial(_query, saver)
        storage = Storage(
            saver,
            where=str(file),
            explain=explain,
            query=query,
            compact=partial(query, "VACUUM"),
            locks=locks,
            keep=keep,
            when_busy=when_busy,
        )
        try:
            _prepare(saver, file, wait)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise explain(error) or error from error
        with closing(storage):
            yield storage


def make_private(file: Path) -> None:
    """Restrict a file to its owner; a file of another user stays as it is."""
    if os.name == "posix" and file.exists() and file.stat().st_uid == os.geteuid():
        file.chmod(0o600)


def _query(saver: Any, statement: str) -> Sequence[Any]:
    with saver.cursor(transaction=False) as cursor:
        rows: Sequence[object] = cursor.execute(statement).fetchall()
        return rows


def _connect(file: Path, wait: float) -> sqlite3.Connection:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    for suffix in ("", "-wal", "-shm"):
        make_private(file.with_name(f"{file.name}{suffix}"))
    return sqlite3.connect(file, timeout=wait, check_same_thread=False)


def _prepare(saver: Any, file: Path, wait: float) -> None:
    """Create missing tables; refuse those of another schema."""
    connection: sqlite3.Connection = saver.conn
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 0")
    exist = internals.sqlite_tables_exist(connection)
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        raise StorageError(f"{file} was written by a newer Podium (schema {schema}, this one knows {SCHEMA}); upgrade")
    if schema == SCHEMA and exist:
        internals.skip_sqlite_setup(saver)
        return
    if exist is None:
        raise StorageError(f"{file} was written by an older release, whose runs cannot be resumed; use another file")
    internals.make_sqlite_tables(saver, wait)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _explain(file: Path, wait: float, error: Exception) -> StorageError | None:
    """Explain in one sentence what is wrong with a file; None for a fault that is not the file's."""
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        reason = next((text.format(wait=wait) for start, text in _REASONS.items() if name.startswith(start)), None)
        return StorageError(f"{file} {reason or f'cannot be used: {error}'}")
    if isinstance(error, UnicodeDecodeError):  # in the definition of a table, when the file is opened
        return StorageError(f"{file} is damaged")
    if isinstance(error, OSError):
        return StorageError(f"{file} cannot be opened: {error.strerror or error}")
    return None
