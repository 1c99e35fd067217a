"""Where runs are kept: a SQLite file or a Postgres database, so that a killed process costs nothing that was done.

    with sqlite("runs.sqlite") as saver:                                # or postgres("postgresql://...")
        graph = planner.compile(checkpointer=saver)
        graph.invoke({"messages": "..."}, {"configurable": {"thread_id": "monday"}})  # or await graph.ainvoke(...)
        graph.invoke(None, {"configurable": {"thread_id": "monday"}})   # goes on where a killed process stopped

What is read back is plain JSON and LangChain messages, whatever a file holds: no other type is ever constructed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from platformdirs import user_data_path

from agents.errors import StorageError
from graphs.storage.checkpointer import Storage, strict

PATH_VARIABLE = "PODIUM_RUNS"
"""Environment variable with the SQLite file to use instead of the default one."""

SCHEMA = 1
"""Of what Podium writes into a SQLite file; raise it when an earlier release could not read it, or this one earlier."""

WAIT = 30.0
"""Seconds to wait for another process that is writing, or for a Postgres server, before giving up."""

_COLUMNS = {
    "checkpoints": {"thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type", "checkpoint"},
    "writes": {"thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value"},
}
_PAUSE = 0.01
"""Seconds between two attempts to make the tables."""
_SAID = {
    "SQLITE_NOTADB": "is no SQLite database",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_BUSY": "has been locked by another process for more than {wait:g} seconds",
    "SQLITE_FULL": "could not be written: the disk is full; what was kept before is safe, and the run can be resumed",
    "SQLITE_READONLY": "may not be written",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_IOERR": "could not be read or written: the disk failed",
}
"""What to say of SQLite's errors, by the beginning of their names."""
_NO_URI = "That is no Postgres address; one looks like postgresql://user:password@host:5432/database"


class _WholeWrites(SqliteSaver):
    """Takes back a transaction that fails half-way; the base class would commit the half."""

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """Give a cursor of one transaction."""
        with self.lock:
            self.setup()
            with closing(self.conn.cursor()) as cursor:
                try:
                    yield cursor
                    if transaction:
                        self.conn.commit()
                except BaseException:
                    self.conn.rollback()
                    raise


def default_path() -> Path:
    """Return the SQLite file that `PODIUM_RUNS` names, else the one among the user's data."""
    named = os.environ.get(PATH_VARIABLE)
    return Path(named) if named else user_data_path("podium") / "runs.sqlite"


@contextmanager
def sqlite(path: Path | str | None = None, *, wait: float = WAIT) -> Iterator[Storage]:
    """Open a SQLite file, made if there is none, for any number of runs, threads and processes at once.

    Args:
        path: None for `default_path()`.
        wait: Seconds to wait for another process that is writing.

    Raises:
        StorageError: It cannot be opened or is not Podium's; while it is open, it cannot be read or written.
    """
    file = default_path() if path is None else Path(path)
    explain = partial(_explain_sqlite, file, wait)
    try:
        connection = _connect(file, wait)
    except (OSError, sqlite3.Error) as error:
        raise explain(error) or error from error
    with closing(connection):
        saver = _WholeWrites(connection, serde=strict())
        storage = Storage(saver, where=str(file), explain=explain, query=partial(_query_sqlite, saver))
        try:
            _prepare(saver, file, wait)
        except sqlite3.Error as error:
            raise explain(error) or error from error
        except UnicodeDecodeError as error:  # in the definition of a table
            raise StorageError(f"{file} is damaged") from error
        with closing(storage):
            yield storage


def _query_sqlite(saver: SqliteSaver, statement: str) -> Sequence[Any]:
    with saver.cursor(transaction=False) as cursor:
        return cursor.execute(statement).fetchall()


def _connect(file: Path, wait: float) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # requests and answers are nobody else's business
    return sqlite3.connect(file, timeout=wait, check_same_thread=False)


def _prepare(saver: SqliteSaver, file: Path, wait: float) -> None:
    """Make the tables if there are none; refuse those of another schema."""
    connection = saver.conn
    found = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in _COLUMNS}
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        raise StorageError(f"{file} was written by a newer Podium (schema {schema}, this one knows {SCHEMA}); upgrade")
    if schema == SCHEMA and all(found.values()):
        saver.is_setup = True
        return
    if any(columns and not columns >= _COLUMNS[name] for name, columns in found.items()):
        raise StorageError(f"{file} was written by an older release, whose runs cannot be resumed; use another file")
    _make_tables(saver, wait)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _make_tables(saver: SqliteSaver, wait: float) -> None:
    """Make the tables; SQLite does not wait for others by itself when it turns to write-ahead logging."""
    until = time.monotonic() + wait
    while True:
        try:
            return saver.setup()
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(_PAUSE)


def _explain_sqlite(file: Path, wait: float, error: Exception) -> StorageError | None:
    """Say in one sentence what is wrong with a file; None for a fault that is not the file's."""
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        known = next((text.format(wait=wait) for start, text in _SAID.items() if name.startswith(start)), None)
        return StorageError(f"{file} {known or f'cannot be used: {error}'}")
    if isinstance(error, OSError):
        return StorageError(f"{file} cannot be opened: {error.strerror or error}")
    return None


@contextmanager
def postgres(uri: str, *, wait: float = WAIT) -> Iterator[Storage]:
    """Open a Postgres database; its tables are made or brought up to date. Needs `pip install -e '.[postgres]'`.

    Args:
        uri: As `postgresql://user:password@host:5432/database`; it never appears in errors.
        wait: Seconds to wait for the server, and for another process that changes the tables.

    Raises:
        StorageError: The extra is missing, or the server cannot be reached or used.
    """
    with connected(uri, wait=wait) as connection:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg_pool import ConnectionPool

        _migrate(PostgresSaver(connection), wait)
    check = ConnectionPool.check_connection
    options = _postgres_options()
    pool: Any = ConnectionPool(uri, kwargs=options, min_size=1, max_size=2, timeout=wait, check=check, open=False)
    with pool:
        saver = PostgresSaver(pool, serde=strict())
        query = partial(_query_postgres, pool)
        storage = Storage(saver, where="Postgres", explain=_explain_postgres, query=query)
        with closing(storage):
            yield storage


@contextmanager
def connected(uri: str, *, wait: float = WAIT) -> Iterator[Any]:
    """Open one connection to Postgres.

    Raises:
        StorageError: The extra is missing, or the server cannot be reached or used.
    """
    try:
        from langgraph.checkpoint import postgres as _  # noqa: F401 - all of the extra or nothing
        from psycopg import Connection, Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise StorageError("Runs in Postgres need an extra: pip install -e '.[postgres]'") from error
    try:
        conninfo_to_dict(uri)
    except Error:
        raise StorageError(_NO_URI) from None  # the error quotes the address, and with it the password
    try:
        with Connection.connect(uri, connect_timeout=max(2, round(wait)), **_postgres_options()) as connection:
            yield connection
    except Error as error:
        raise _explain_postgres(error) or error from error


def _postgres_options() -> dict[str, Any]:
    from psycopg.rows import dict_row

    return {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}


def _explain_postgres(error: Exception) -> StorageError | None:
    from psycopg import Error

    if isinstance(error, Error | TimeoutError):
        diagnosis = getattr(error, "diag", None)  # what else the server says quotes what was to be stored
        said = getattr(diagnosis, "message_primary", None) or str(error)
        return StorageError(f"Postgres cannot be used: {' '.join(said.split())}")
    return None


def _query_postgres(pool: Any, statement: str) -> Sequence[Any]:
    with pool.connection() as connection:
        return [tuple(row.values()) for row in connection.execute(statement).fetchall()]


def _migrate(saver: Any, wait: float) -> None:
    """Bring the tables up to date; of several processes one at a time."""
    encoding = saver.conn.execute("SHOW server_encoding").fetchone()["server_encoding"]
    if encoding not in ("UTF8", b"UTF8"):
        raise StorageError("The database must have the encoding UTF8: in others, texts and ids do not come back whole")
    until = time.monotonic() + wait
    lock = "SELECT pg_try_advisory_lock(hashtext('podium')) AS mine"
    # Asked again and again: who waits in the server holds a snapshot, for which in turn building an index waits.
    while not saver.conn.execute(lock).fetchone()["mine"]:
        if time.monotonic() > until:
            raise StorageError(f"Another process has been changing the tables for more than {wait:g} seconds")
        time.sleep(_PAUSE)
    saver.setup()  # the lock ends with the connection
    newest = saver.conn.execute("SELECT MAX(v) AS v FROM checkpoint_migrations").fetchone()["v"]
    if newest >= len(saver.MIGRATIONS):
        raise StorageError("The tables were made by a newer langgraph-checkpoint-postgres; upgrade it")
