"""Locks of threads against other processes: files beside a SQLite file, advisory locks in Postgres.

A lock ends with the process that holds it, or with its connection.
"""

import hashlib
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, LiteralString

from agents.errors import StorageError

Release = Callable[[], None]

_TAKE = "SELECT pg_try_advisory_lock({}) AS done, set_config('idle_in_transaction_session_timeout', '0', true)"
_RELEASE = "SELECT pg_advisory_unlock({}) AS done"


class Locks:
    """The locks of a storage; those of files need no check, and end with their runs."""

    place: Hashable
    """The same for all storages of one database in this process, as far as that can be seen."""

    def take(self, thread_id: str) -> Release | None:
        """Take the lock of a thread; return what releases it, or None if it is taken."""
        raise NotImplementedError

    def check(self, thread_id: str) -> None:
        """Raise a `StorageError` if the lock of a thread was taken and then lost."""

    def close(self) -> None:
        """Release all locks."""


class FileLocks(Locks):
    """One file per locked thread, in a folder beside the SQLite file."""

    def __init__(self, file: Path) -> None:
        resolved = file.resolve()  # the same through every symbolic link
        self.place = str(resolved)
        self._folder = resolved.with_name(f"{resolved.name}-locks")

    def take(self, thread_id: str) -> Release | None:
        from filelock import FileLock, Timeout

        self._folder.mkdir(mode=0o700, exist_ok=True)
        file = self._folder / hashlib.sha256(thread_id.encode(errors="surrogatepass")).hexdigest()
        lock = FileLock(file, timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return None

        def release() -> None:
            with suppress(OSError):  # Windows keeps open files
                file.unlink()  # while it is locked: a process that waits for it notices and makes a new one
            lock.release()

        return release


class AdvisoryLocks(Locks):
    """Postgres advisory locks, all on one connection, in a transaction that stays open while there are any.

    The transaction keeps the connection its session where a pooler such as PgBouncer assigns them by transaction.

    Args:
        uri: The database's address.
        connect: Opens a connection that begins a transaction with its first statement.
    """

    def __init__(self, uri: str, connect: Callable[[], Any]) -> None:
        self.place = uri
        self._connect = connect
        self._connection: Any = None
        self._held: set[str] = set()
        self._lost: set[str] = set()
        self._guard = threading.Lock()

    def take(self, thread_id: str) -> Release | None:
        with self._guard:
            if thread_id in self._held:
                return None
            if self._connection is None or not self._is_alive():
                self._lost |= self._held
                self._connection = self._connect()
            taken = self._ask(_TAKE, thread_id)
            if taken:
                self._held.add(thread_id)
                self._lost.discard(thread_id)
            self._end_transaction()
        return (lambda: self._release(thread_id)) if taken else None

    def check(self, thread_id: str) -> None:
        with self._guard:
            if thread_id in self._held and not self._is_alive():
                self._lost |= self._held
            if thread_id in self._lost:
                raise StorageError(
                    f"The connection with the lock of thread {thread_id!r} was lost, so another process may have taken"
                    " the run over; resume it"
                )

    def close(self) -> None:
        with self._guard:
            if self._connection is not None:
                self._connection.close()

    def _release(self, thread_id: str) -> None:
        with self._guard:
            self._held.discard(thread_id)
            if thread_id not in self._lost and self._is_alive():
                self._ask(_RELEASE, thread_id)
                self._end_transaction()
            self._lost.discard(thread_id)

    def _ask(self, statement: LiteralString, thread_id: str) -> bool:
        from psycopg.sql import SQL

        digest = hashlib.sha256(b"podium " + thread_id.encode(errors="surrogatepass")).digest()
        # The number is in the statement: one with parameters keeps its snapshot as long as the transaction is open,
        # and building an index waits for all snapshots.
        numbered = SQL(statement).format(int.from_bytes(digest[:8], signed=True))
        return bool(self._connection.execute(numbered).fetchone()["done"])

    def _end_transaction(self) -> None:
        if not self._held:
            self._connection.commit()

    def _is_alive(self) -> bool:
        """Tell whether the connection is open; asks the socket, not the server."""
        from psycopg import OperationalError

        try:
            for _ in range(2):  # the first reads the server's last words, the second the end of the connection
                self._connection.pgconn.consume_input()
        except OperationalError:
            self._connection.close()
        return not self._connection.closed
