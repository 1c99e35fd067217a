"""Runs in a Postgres database, shared by any number of machines; works through a pooler such as PgBouncer too.

with postgres("postgresql://user:password@host:5432/database") as storage:
    graph = planner.compile(checkpointer=storage)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString

from agents.errors import StorageError
from agents.runtime import install_hint
from graphs.engine import WhenBusy
from graphs.engine import langgraph_internals as internals
from graphs.storage.checkpointer import Keep, Storage
from graphs.storage.locks import AdvisoryLocks
from graphs.storage.serializer import strict

if TYPE_CHECKING:
    from psycopg import Connection as AnyConnection
    from psycopg_pool import ConnectionPool

    Connection = AnyConnection[dict[str, Any]]
    Pool = ConnectionPool[Connection]

LOCK_SECONDS = 30.0
"""Seconds to wait for the server, and for another process that changes the tables."""

_PAUSE = 0.05
"""Seconds between two attempts to be the process that changes the tables."""
_MIGRATION = "podium tables"
"""Name of the lock on changes of the tables; not a thread's id in practice."""
_NOT_A_URI = "This is not a Postgres address; one looks like postgresql://user:password@host:5432/database"


@contextmanager
def postgres(
    uri: str, *, keep: Keep = "turns", when_busy: WhenBusy = "wait", wait: float = LOCK_SECONDS
) -> Iterator[Storage]:
    """Open a Postgres database, and create or migrate its tables. Needs the extra `postgres`.

    Args:
        uri: As `postgresql://user:password@host:5432/database`; it never appears in errors.
        keep: `"turns"` drops the checkpoints of a thread's earlier turns when a new turn begins; `"all"` keeps them.
        when_busy: Whether a run on a thread at work waits for it, or raises `ThreadBusyError`.
        wait: Seconds to wait for the server, and for another process that changes the tables.

    Raises:
        StorageError: The extra is missing, or the server cannot be reached or used.
    """
    _check_uri(uri)
    from langgraph.checkpoint.postgres import PostgresSaver

    locks = AdvisoryLocks(uri, partial(_connect, uri, wait, autocommit=False))
    with connected(uri, wait=wait) as connection:
        _migrate(PostgresSaver(connection), locks, wait)
    with connection_pool(uri, wait=wait) as pool:
        saver = PostgresSaver(pool, serde=strict())
        query = partial(_query, pool)
        storage = Storage(
            saver, where="Postgres", explain=_explain, query=query, locks=locks, keep=keep, when_busy=when_busy
        )
        with closing(storage):
            yield storage


def connection_pool(uri: str, *, wait: float = LOCK_SECONDS) -> Pool:
    """Return a pool of connections that commit each statement, to be opened; those that were lost are replaced."""
    from psycopg_pool import ConnectionPool

    check = ConnectionPool.check_connection
    return ConnectionPool(uri, kwargs=_options(), min_size=1, max_size=2, timeout=wait, check=check, open=False)


@contextmanager
def connected(uri: str, *, pool: Pool | None = None, wait: float = LOCK_SECONDS) -> Iterator[Connection]:
    """Yield a connection to the database, of its own or of a pool.

    Raises:
        StorageError: The extra is missing, the server cannot be reached, or refuses a statement.
    """
    _check_uri(uri)
    from psycopg import Error

    try:
        with _connect(uri, wait) if pool is None else pool.connection() as connection:
            yield connection
    except (Error, TimeoutError) as error:
        raise _explain(error) or error from error


def _check_uri(uri: str) -> None:
    try:
        from langgraph.checkpoint import postgres as _  # noqa: F401 - all of the extra or nothing
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise StorageError(f"Runs in Postgres need an extra: {install_hint('postgres')}") from error
    try:
        conninfo_to_dict(uri)
    except Error:
        raise StorageError(_NOT_A_URI) from None  # the error quotes the address, and with it the password


def _connect(uri: str, wait: float, **options: object) -> Connection:
    from psycopg import Connection

    return Connection.connect(uri, connect_timeout=max(2, round(wait)), **{**_options(), **options})


def _options() -> dict[str, Any]:
    from psycopg.rows import dict_row

    # Without prepared statements, which poolers that assign sessions by transaction lose.
    return {"autocommit": True, "prepare_threshold": None, "row_factory": dict_row}


def _explain(error: Exception) -> StorageError | None:
    from psycopg import Error

    if isinstance(error, Error | TimeoutError):
        diagnosis = getattr(error, "diag", None)  # what else the server says quotes what was to be stored
        reason = getattr(diagnosis, "message_primary", None) or str(error)
        return StorageError(f"Postgres cannot be used: {' '.join(reason.split())}")
    return None


def _query(pool: Pool, statement: LiteralString) -> list[tuple[object, ...]]:
    with pool.connection() as connection:
        return [tuple(row.values()) for row in connection.execute(statement).fetchall()]


def _migrate(saver: Any, locks: AdvisoryLocks, wait: float) -> None:
    """Bring the tables up to date; of several processes one at a time."""
    encoding = saver.conn.execute("SHOW server_encoding").fetchone()["server_encoding"]
    if encoding not in ("UTF8", b"UTF8"):
        raise StorageError("The database must have the encoding UTF8: in others, texts and ids do not come back whole")
    existing, wanted = internals.postgres_schema(saver.conn)
    if existing < wanted:
        until = time.monotonic() + wait
        # Asked again and again: who waits in the server holds a snapshot, for which in turn building an index waits.
        while (release := locks.take(_MIGRATION)) is None:
            if time.monotonic() > until:
                raise StorageError(f"Another process has been changing the tables for more than {wait:g} seconds")
            time.sleep(_PAUSE)
        try:
            saver.setup()
        finally:
            release()
    elif existing > wanted:
        raise StorageError("The tables are those of a newer langgraph-checkpoint-postgres; upgrade it")
