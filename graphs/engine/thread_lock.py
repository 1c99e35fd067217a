"""One run, one worker: a lock per thread of a checkpointer, held while a run works on that thread.

    lock, config = thread_lock(saver, config)
    with lock:
        graph.invoke(input, config)

In one process, runs that wait take turns in the order in which they came. The storages of graphs.storage lock their
threads against other processes and machines too. Patterns in a user's own graph take the lock while they work; those
of one run share it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from itertools import takewhile
from typing import Literal, Protocol, Self, get_args, runtime_checkable

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.checkpoint.base import BaseCheckpointSaver

from agents.runtime import sync_caller
from graphs.engine.concurrency import run_around
from graphs.engine.langgraph_internals import CHECKPOINTER, is_nested
from graphs.engine.savers import original
from graphs.errors import ConfigurationError, StorageError, ThreadBusyError

WhenBusy = Literal["wait", "refuse"]
"""Behaviour of a run while another one works on its thread."""

HELD = "__held_threads"
"""Key of the config's `configurable` with the threads that a run has locked; checkpoints leave it out."""

_PATIENCE = 0.5
"""Seconds to try before refusing: another process may only be looking, or a stream of the same code is being closed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2
"""Seconds between two attempts."""

_Release = Callable[[], None]
_Take = Callable[[], _Release | None]
LockKey = tuple[Hashable, str]
"""A checkpointer's identity in this process, and the id of a thread."""

_lines: dict[LockKey, _Line] = {}
"""The lines of this process by thread."""
_guard = threading.Lock()


@runtime_checkable
class LocksThreads(Protocol):
    """A checkpointer that locks its threads against other processes, and remembers which runs it could not write."""

    failed: dict[str, StorageError]
    """Reasons why the last write of a thread failed, by thread id."""

    def lock_thread(self, thread_id: str, when_busy: WhenBusy | None = None) -> ThreadLock: ...


class _Line(list["ThreadLock"]):
    """The locks of one thread: the first has it, with others of its run; the rest waits."""

    release: _Release | None = None
    """Releases the lock against other processes, which those in front share; the last of them to leave calls it."""

    def in_front(self, lock: ThreadLock) -> bool:
        return bool(self) and (self[0] is lock or (lock.run is not None and self[0].run is lock.run))


class ThreadLock(AbstractContextManager["ThreadLock"], AbstractAsyncContextManager["ThreadLock"]):
    """The lock of one thread, as a sync or an async context manager, to be used once.

    Args:
        key: Which thread of which checkpointer.
        when_busy: Wait for the run that has the lock, or raise `ThreadBusyError`.
        take: Takes the lock against other processes; returns what releases it, or None if another process has it.
    """

    run: object | None = None
    """The run of a user's own graph in which this is taken; its locks are held together."""

    def __init__(self, key: LockKey, when_busy: WhenBusy = "wait", take: _Take | None = None) -> None:
        if when_busy not in get_args(WhenBusy):
            raise ConfigurationError(f"when_busy is 'wait' or 'refuse', not {when_busy!r}")
        self.key = key
        self._when_busy = when_busy
        self._take = take
        self._until = 0.0
        self._owner: tuple[int, asyncio.Task[object] | None] = (0, None)

    def __enter__(self) -> Self:
        self._owner = (threading.get_ident(), None)
        try:
            for pause in self._pauses():
                if self._is_first() and self._take_outside():
                    break
                time.sleep(pause)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        caller = sync_caller.get()
        self._owner = (caller.thread, None) if caller else (threading.get_ident(), asyncio.current_task())
        try:
            for pause in self._pauses():
                if caller:
                    caller.cancellation.check()
                if self._is_first() and (self._take is None or await asyncio.to_thread(self._take_outside)):
                    break
                await asyncio.sleep(pause)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._take is None:
            self._leave()
        else:
            await asyncio.shield(asyncio.to_thread(self._leave))

    def mark(self, config: RunnableConfig) -> RunnableConfig:
        """Return a run's config that says that the lock is held, so that the run does not take it again."""
        configurable = config.get("configurable", {})
        return {**config, "configurable": {**configurable, HELD: (*configurable.get(HELD, ()), self.key)}}

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds before each further attempt; with `when_busy="refuse"` there are few.

        Raises:
            ThreadBusyError: Another process has the lock and keeps it.
        """
        self._until = time.monotonic() + _PATIENCE
        pause = _FIRST_PAUSE
        while self._when_busy == "wait" or time.monotonic() < self._until:
            yield pause
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise ThreadBusyError(f"Another process is at work on thread {self.key[1]!r}")

    def _is_first(self) -> bool:
        """Stand in line, and tell whether it is this lock's turn.

        Raises:
            ThreadBusyError: Another run of this process has the thread, and this one may not or cannot wait for it.
        """
        with _guard:
            line = _lines.setdefault(self.key, _Line())
            if self not in line:
                together = takewhile(lambda lock: self.run is not None and lock.run is self.run, line)
                line.insert(place if (place := len([*together])) else len(line), self)
            if line.in_front(self):
                return True
            first = line[0]
        (thread, task), (own_thread, own_task) = first._owner, self._owner
        if thread == own_thread and (own_task is None or own_task is task):
            if own_task is not None and time.monotonic() < self._until:
                return False  # its reader may have left that stream without closing it, which asyncio does then
            raise ThreadBusyError(
                f"Thread {self.key[1]!r} is busy with a run of the same code; finish or close that first"
            )
        if self._when_busy == "refuse":
            raise ThreadBusyError(f"Another run is at work on thread {self.key[1]!r}")
        return False

    def _take_outside(self) -> bool:
        if self._take is None or ((line := _lines.get(self.key)) is not None and line.release is not None):
            return True
        release = self._take()
        with _guard:
            line = _lines.get(self.key)
            if line is not None and self in line and line.release is None:
                line.release, release = release, None
            is_held = line is not None and line.release is not None
        if release is not None:  # the caller was cancelled meanwhile, or another lock of this run was quicker
            release()
        return is_held

    def _leave(self) -> None:
        with _guard:
            line = _lines.get(self.key, _Line())
            was_in_front, release = line.in_front(self), None
            if self in line:
                line.remove(self)
            if was_in_front and not line.in_front(self):
                release, line.release = line.release, None
            if not line:
                _lines.pop(self.key, None)
        if release is not None:
            release()


def thread_lock(saver: object, config: RunnableConfig) -> tuple[ThreadLock | nullcontext[None], RunnableConfig]:
    """Return the lock that a run takes before it works on its thread, and its config that says so.

    A run without thread or checkpointer and a graph within a pattern or a run whose caller has the lock take none. In
    a user's own graph, which has no lock, all patterns at work in one run share one.

    Args:
        saver: The graph's checkpointer; in a graph of the user's own, the config has that of the run.
        config: `configurable` has the `thread_id`, and may have `when_busy`; else the storage's counts, else `wait`.

    Raises:
        ThreadBusyError: The run that starts this one works on the same thread.
    """
    configurable = config.get("configurable", {})
    thread_id = configurable.get("thread_id")
    if is_nested(config):
        saver = configurable.get(CHECKPOINTER)
    saver = original(saver)
    if not isinstance(saver, BaseCheckpointSaver):
        return nullcontext(), config
    if thread_id is None:
        if is_nested(config):
            return nullcontext(), config
        raise ConfigurationError(
            'The graph has a checkpointer: name the thread of the run, {"configurable": {"thread_id": "…"}}'
        )
    chosen: WhenBusy | None = configurable.get("when_busy")
    if isinstance(saver, LocksThreads):
        lock = saver.lock_thread(str(thread_id), chosen)
    else:
        lock = ThreadLock((id(saver), str(thread_id)), chosen or "wait")
    if lock.key in configurable.get(HELD, ()):
        return nullcontext(), config
    if is_nested(config):
        lock.run = run_around()
        return (lock, lock.mark(config)) if lock.run is not None else (nullcontext(), config)
    around = var_child_runnable_config.get() or {}
    if lock.key in around.get("configurable", {}).get(HELD, ()):
        raise ThreadBusyError(
            f"A run on thread {thread_id!r} starts another on the same thread; give it a thread_id of its own, or none"
        )
    return lock, lock.mark(config)
