"""A checkpointer for sync and async graphs alike, over any of LangGraph's blocking savers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agents.errors import StorageError

T = TypeVar("T")

_PARTS = {"id": str, "ts": str, "channel_values": dict, "channel_versions": dict, "versions_seen": dict}
"""What every checkpoint has."""
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, ArithmeticError)
"""What savers raise over contents: an unknown serialization, broken MessagePack, a part that is missing."""

_THREADS = (
    "SELECT thread_id, MIN(checkpoint_id), MAX(checkpoint_id) FROM checkpoints"
    " WHERE checkpoint_ns = '' GROUP BY thread_id ORDER BY 3 DESC"
)


class Storage(BaseCheckpointSaver[str]):
    """A checkpointer over a blocking saver, for sync and async graphs alike; its faults are `StorageError`s.

    Async callers wait for a thread of its own, so that neither their event loop nor work in other threads holds up a
    write, and a cancelled caller leaves none half done.
    """

    def __init__(
        self,
        saver: BaseCheckpointSaver[str],
        *,
        where: str,
        explain: Callable[[Exception], StorageError | None],
        query: Callable[[str], Sequence[Any]],
    ) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver
        self._where = where
        self._explain = explain
        self._query = query
        self._thread = ThreadPoolExecutor(1, "podium-storage")
        self.failed: dict[str, StorageError] = {}
        """By thread id, why its last write failed."""

    def close(self) -> None:
        """Wait for the last write."""
        self._thread.shutdown()

    def threads(self) -> list[tuple[str, str, str]]:
        """Return the ids of all threads, each with its first and last checkpoint's, the latest first."""
        return [(one, first, last) for one, first, last in self._read(lambda: self._query(_THREADS))]

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a thread's last checkpoint, or the one that is named."""

        def named() -> CheckpointTuple | None:
            found = self._saver.get_tuple(config)
            return None if found is None else whole(found)

        return self._read(named)

    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        """Return checkpoints, the latest first; all are read at once, so that others may write meanwhile."""
        return iter(self._read(lambda: [whole(one) for one in self._saver.list(config, **options)]))

    def put(self, config: RunnableConfig, *given: Any) -> RunnableConfig:
        """Keep a checkpoint."""
        return self._write(self._saver.put, config, *given)

    def put_writes(self, config: RunnableConfig, *given: Any, **options: Any) -> None:
        """Keep what a task has written: all of it or nothing."""
        self._write(self._saver.put_writes, config, *given, **options)

    def delete_thread(self, thread_id: str) -> None:
        """Forget a run."""
        self._do(self._saver.delete_thread, thread_id)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Count the versions of a channel as the saver does."""
        return self._read(lambda: self._saver.get_next_version(current, channel))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a thread's last checkpoint, or the one that is named."""
        return await self._later(self.get_tuple, config)

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        """Return checkpoints, the latest first."""
        for one in await self._later(self.list, config, **options):
            yield one

    async def aput(self, *given: Any) -> RunnableConfig:
        """Keep a checkpoint."""
        return await self._later(self.put, *given)

    async def aput_writes(self, *given: Any, **options: Any) -> None:
        """Keep what a task has written: all of it or nothing."""
        await self._later(self.put_writes, *given, **options)

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a run."""
        await self._later(self.delete_thread, thread_id)

    def _write(self, work: Callable[..., T], config: RunnableConfig, *given: Any, **options: Any) -> T:
        thread_id = str(config["configurable"]["thread_id"])
        try:
            written = self._do(work, config, *given, **options)
        except StorageError as error:
            self.failed[thread_id] = error
            raise
        self.failed.pop(thread_id, None)
        return written

    def _read(self, work: Callable[[], T]) -> T:
        """Read what is stored; what goes wrong in making sense of it is the contents' fault."""
        try:
            return self._do(work)
        except _NONSENSE as error:
            told = " ".join(str(error).split())
            raise StorageError(
                f"{self._where} holds a run that cannot be read, perhaps of another release: {told}"
            ) from error

    def _do(self, work: Callable[..., T], *given: Any, **options: Any) -> T:
        try:
            return work(*given, **options)
        except Exception as error:
            if (explained := self._explain(error)) is None:
                raise
            raise explained from error

    async def _later(self, work: Callable[..., T], *given: Any, **options: Any) -> T:
        loop = asyncio.get_running_loop()
        # Shielded: a write that waits in the queue must not be dropped because its run was cancelled.
        return await asyncio.shield(loop.run_in_executor(self._thread, partial(work, *given, **options)))


def strict() -> JsonPlusSerializer:
    """Return LangGraph's serializer, bound to construct nothing but messages and plain types of its own safe list."""
    return JsonPlusSerializer(allowed_msgpack_modules=None)


def whole(read: CheckpointTuple) -> CheckpointTuple:
    """Return a checkpoint that has all its parts.

    LangGraph's serializer gives None for a message that it cannot make out, and plain data for other types.

    Raises:
        ValueError: It is damaged.
    """
    checkpoint: Any = read.checkpoint
    if missing := [part for part, kind in _PARTS.items() if not isinstance(checkpoint.get(part), kind)]:
        raise ValueError(f"a checkpoint without {missing[0]}")
    written = [value for _, channel, value in read.pending_writes or () if channel == "messages"]
    for messages in (checkpoint["channel_values"].get("messages"), *written):
        if isinstance(messages, list) and None in messages:
            raise ValueError("a message that is none")
    return read
