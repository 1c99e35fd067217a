"""A checkpointer for sync and async graphs alike, over any of LangGraph's blocking savers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from agents.errors import ConfigurationError, StorageError
from graphs.engine import ThreadLock, WhenBusy
from graphs.engine import langgraph_internals as internals
from graphs.storage.locks import Locks

T = TypeVar("T")
Keep = Literal["turns", "all"]
"""Part of a thread that is kept: its last turn with all checkpoints, or those of all turns."""

_OBJECTS = ("channel_values", "channel_versions", "versions_seen", "metadata")
_PARTS = {"id": str, "ts": str, **dict.fromkeys(_OBJECTS, dict)}
"""Parts of every checkpoint."""
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, ArithmeticError, RecursionError)
"""Errors of savers over contents: an unknown serialization, broken MessagePack, a missing part."""


def _later(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the async form of a method, whose work is done in the storage's thread."""

    async def method(self: Storage, *arguments: object, **options: object) -> Any:
        work = partial(getattr(self, name), *arguments, **options)
        # Shielded: a write that waits in the queue must not be dropped because its run was cancelled.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    return method


class Storage(BaseCheckpointSaver[str]):
    """A checkpointer over a blocking saver, for sync and async graphs alike; its faults are `StorageError`s.

    Async calls run in one thread of the storage, so that neither the event loop nor work in other threads delays a
    write, and a cancelled caller leaves none half done.

    Args:
        saver: A blocking saver that can prune threads.
        where: The database, for messages.
        explain: Turns the database's own errors into `StorageError`s; returns None for others.
        query: Runs a SELECT statement.
        compact: Gives the space of what was deleted back to the system; None where the database does that by itself.
        locks: Locks threads against other processes.
        keep: `"turns"` drops earlier turns' checkpoints when a new turn begins; their messages stay in the thread.
        when_busy: Whether a run on a thread at work waits or raises `ThreadBusyError`.
    """

    works_in_background = True
    """Whether its async methods work on any event loop."""

    def __init__(
        self,
        saver: BaseCheckpointSaver[str],
        *,
        where: str,
        explain: Callable[[Exception], StorageError | None],
        query: Callable[[str], Sequence[Any]],
        compact: Callable[[], object] | None = None,
        locks: Locks,
        keep: Keep,
        when_busy: WhenBusy,
    ) -> None:
        if keep not in get_args(Keep):
            raise ConfigurationError(f"keep is 'turns' or 'all', not {keep!r}")
        super().__init__(serde=saver.serde)
        self._saver = saver
        self._where = where
        self._explain = explain
        self._query = query
        self._compact = compact
        self._locks = locks
        self._keep = keep
        self._when_busy = when_busy
        self._thread = ThreadPoolExecutor(1, "podium-storage")
        self.failed: dict[str, StorageError] = {}
        """Reasons why the last write of a thread failed, by thread id."""

    def close(self) -> None:
        """Wait for the last write."""
        self._thread.shutdown()
        self._locks.close()

    def lock_thread(self, thread_id: str, when_busy: WhenBusy | None = None) -> ThreadLock:
        """Return the lock of a thread, a sync and async context manager; it ends with its process or connection."""
        take = partial(self._take, thread_id)
        return ThreadLock((self._locks.place, thread_id), when_busy or self._when_busy, take)

    def _take(self, thread_id: str) -> Callable[[], None] | None:
        release = self._do(self._locks.take, thread_id)
        if release is not None:
            self.failed.pop(thread_id, None)  # of an earlier run
        return release

    def is_locked(self, thread_id: str) -> bool:
        """Tell whether a run, of this process or another, is at work on a thread."""
        release = self._do(self._locks.take, thread_id)
        if release is not None:
            release()
        return release is None

    def threads(self) -> list[tuple[str, str, str]]:
        """Return the ids of all threads, each with those of its first and last checkpoint, the latest first."""
        return [tuple(row) for row in self._read(lambda: self._query(internals.THREADS))]

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a thread's last checkpoint, or the one that the config names."""

        def read() -> CheckpointTuple | None:
            checkpoint = self._saver.get_tuple(config)
            return None if checkpoint is None else check_parts(checkpoint)

        if checkpoint := self._read(read):
            internals.count_from(checkpoint)
        return checkpoint

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        """Return checkpoints, the latest first; all are read at once, so that other runs may write meanwhile."""
        return iter(self._read(lambda: [check_parts(item) for item in self._saver.list(config, **options)]))

    def put(self, config: RunnableConfig, *arguments: Any) -> RunnableConfig:
        """Store a checkpoint; the first one of a turn replaces those of earlier turns."""
        stored = self._write(self._saver.put, config, *arguments)
        if self._keep == "turns" and internals.begins_turn(config, arguments[1]):
            self._write(self._prune, config)
        return stored

    def put_writes(self, config: RunnableConfig, *arguments: object, **options: object) -> None:
        self._write(self._saver.put_writes, config, *arguments, **options)

    def delete_thread(self, thread_id: str) -> None:
        self._do(self._saver.delete_thread, thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Reduce threads to their last checkpoint (`keep_latest`), or delete them (`delete`).

        Threads with a DeltaChannel, whose state is spread over earlier checkpoints, are not reduced.
        """
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
            else:
                self._do(self._prune, {"configurable": {"thread_id": thread_id}})

    def compact(self) -> None:
        if self._compact is not None:
            self._do(self._compact)

    def get_next_version(self, current: str | None, channel: None) -> str:
        return self._read(lambda: self._saver.get_next_version(current, channel))

    aget_tuple, aput, aput_writes, adelete_thread, aprune, _alisted = map(
        _later, ("get_tuple", "put", "put_writes", "delete_thread", "prune", "list")
    )

    async def alist(self, config: RunnableConfig | None, **options: object) -> AsyncIterator[CheckpointTuple]:
        for checkpoint in await self._alisted(config, **options):
            yield checkpoint

    def _prune(self, config: RunnableConfig) -> None:
        try:
            self._saver.prune([str(config["configurable"]["thread_id"])])
        except NotImplementedError:  # a DeltaChannel needs the earlier checkpoints
            return

    def _write(self, work: Callable[..., T], config: RunnableConfig, *arguments: object, **options: object) -> T:
        thread_id = str(config["configurable"]["thread_id"])
        try:
            self._locks.check(thread_id)
            written = self._do(work, config, *arguments, **options)
        except StorageError as error:
            self.failed[thread_id] = error
            raise
        self.failed.pop(thread_id, None)
        return written

    def _read(self, work: Callable[[], T]) -> T:
        """Read from the database; contents that cannot be understood are its fault."""
        try:
            return self._do(work)
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise StorageError(
                f"{self._where} holds a run that cannot be read, perhaps of another release: {reason}"
            ) from error

    def _do(self, work: Callable[..., T], *arguments: object, **options: object) -> T:
        try:
            return work(*arguments, **options)
        except Exception as error:
            if (explained := self._explain(error)) is None:
                raise
            raise explained from error


def check_parts(stored: CheckpointTuple) -> CheckpointTuple:
    """Return a checkpoint that has all its parts.

    LangGraph's serializer gives None for a message that it cannot read, and plain data for other types.

    Raises:
        ValueError: It is damaged.
    """
    checkpoint: Any = {**stored.checkpoint, "metadata": stored.metadata}
    if missing := [part for part, kind in _PARTS.items() if not isinstance(checkpoint.get(part), kind)]:
        raise ValueError(f"a checkpoint without {missing[0]}")
    datetime.fromisoformat(checkpoint["ts"])
    internals.open_interrupts(stored)
    written = [value for _, channel, value in stored.pending_writes or () if channel == "messages"]
    for messages in (checkpoint["channel_values"].get("messages"), *written):
        if isinstance(messages, list) and None in messages:
            raise ValueError("a message that cannot be read")
    return stored
