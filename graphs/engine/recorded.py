"""Results are stored before anybody builds on them.

LangGraph releases a task's future before it stores the result. If a step begins in between and kills the process, its
finished dependency runs again on resume. So steps wait for the write, of which the run's saver gives notice here.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from agents.runtime import in_thread, sync_caller
from graphs.engine.langgraph_internals import saver_of_steps

Saver = BaseCheckpointSaver[Any]
T = TypeVar("T")


class Notices:
    """Calls back once the writes of a task are stored, or could not be."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], object] | None] = {}
        """By task, the callback; None for a watched task without a waiter yet."""
        self._stored: set[str] = set()
        self._lock = threading.Lock()

    def watch(self, task_id: str) -> None:
        """Remember a task, so that its write is noticed also before a waiter comes."""
        with self._lock:
            self._waiting[task_id] = None

    def when_stored(self, task_id: str, notice: Callable[[], object]) -> None:
        """Call a function once the writes of a watched task are stored; at once if they are."""
        with self._lock:
            if task_id not in self._stored:
                self._waiting[task_id] = notice
                return
            self._stored.discard(task_id)
        notice()

    def stored(self, task_id: str) -> None:
        """Give notice."""
        with self._lock:
            if task_id not in self._waiting:
                return
            notice = self._waiting.pop(task_id)
            if notice is None:
                self._stored.add(task_id)
        if notice is not None:
            notice()


_noticing: WeakKeyDictionary[Saver, Saver] = WeakKeyDictionary()


def noticing(saver: Saver) -> Saver:
    """Return a copy of a saver, on the same storage, with `notices` of what it has stored; the same one each time."""
    if hasattr(saver, "notices"):
        return saver
    if saver not in _noticing:
        _noticing[saver] = _with_notices(saver)
    return _noticing[saver]


def original(saver: object) -> Any:
    """Return the saver of which another one is a copy, on the same storage."""
    return getattr(saver, "original", saver)


def _with_notices(saver: Saver) -> Saver:
    own: Any = copy.copy(saver)
    own.notices = notices = Notices()
    own.original = saver

    @wraps(saver.put_writes)
    def put_writes(config: RunnableConfig, writes: Any, task_id: str, *path: str, **options: Any) -> None:
        try:
            saver.put_writes(config, writes, task_id, *path, **options)
        finally:
            notices.stored(task_id)

    @wraps(saver.aput_writes)
    async def aput_writes(config: RunnableConfig, writes: Any, task_id: str, *path: str, **options: Any) -> None:
        try:
            await saver.aput_writes(config, writes, task_id, *path, **options)
        finally:
            notices.stored(task_id)

    own.put_writes, own.aput_writes = put_writes, aput_writes
    return own  # type: ignore[no-any-return]


def needs_threads(saver: Saver) -> bool:
    """Return whether a sync caller waits for a run, and its saver may be for sync code, or belong to another loop."""
    return sync_caller.get() is not None and not (
        getattr(saver, "works_in_background", False) or type(saver) is InMemorySaver
    )


def in_threads(saver: Saver) -> Saver:
    """Return a copy of a saver, on the same storage, that async code calls as sync code does, in threads.

    Savers for sync code often have no async methods, and those for async code belong to a loop.
    """
    own: Any = copy.copy(saver)
    own.aget_tuple = _in_thread(saver.get_tuple)
    own.aput, own.aput_writes = _in_thread(saver.put), _in_thread(saver.put_writes)
    return own  # type: ignore[no-any-return]


def _in_thread(method: Callable[..., T]) -> Callable[..., Coroutine[object, None, T]]:
    @wraps(method)
    async def call(*arguments: object, **options: object) -> T:
        # Shielded: what is being stored is stored whole also when its run is cancelled.
        return await asyncio.shield(in_thread(method, *arguments, **options))

    return call


def notices_of(config: RunnableConfig) -> Notices | None:
    """Return the notices of a run's storage; None where results are stored only at its end, or not at all."""
    notices: Notices | None = getattr(saver_of_steps(config), "notices", None)
    return notices
