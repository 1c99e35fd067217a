"""Event loops in threads of their own, for work that may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, Self, TypeVar, cast

T = TypeVar("T")
_FAREWELL = 3.0
"""Seconds that cancelled work has to end; a function that blocks cannot be ended."""

_Work = Callable[[], Coroutine[object, None, T]]


class OwnLoops:
    """Runs coroutines in threads with an event loop each, so that blocking code does not delay the caller's loop."""

    def __init__(self, size: int) -> None:
        self._threads = ThreadPoolExecutor(size, "podium-run")
        self._local = threading.local()
        self._runners: list[asyncio.Runner] = []

    async def run(self, work: _Work[T]) -> T:
        """Await work in one of the threads; on cancellation it is cancelled there, and has a moment to end."""
        job = _Job(work)
        ended = asyncio.get_running_loop().run_in_executor(self._threads, job.run, self._runner)
        try:
            return cast(T, await asyncio.shield(ended))
        except asyncio.CancelledError:
            job.cancel()
            await asyncio.wait([ended], timeout=_FAREWELL)
            raise

    def _runner(self) -> asyncio.Runner:
        if not hasattr(self._local, "runner"):
            self._local.runner = asyncio.Runner()
            self._runners.append(self._local.runner)
        runner: asyncio.Runner = self._local.runner
        return runner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False)
        for runner in self._runners:  # each in a thread without a loop at work; functions that were cut off may block
            closing = threading.Thread(target=runner.close, daemon=True)
            closing.start()
            closing.join(_FAREWELL)


class _Job(Generic[T]):
    def __init__(self, work: _Work[T]) -> None:
        self._work = work
        self._cancel: Callable[[], object] = lambda: None
        self._is_cancelled = False

    def run(self, runner: Callable[[], asyncio.Runner]) -> T | None:
        with suppress(asyncio.CancelledError):
            return runner().run(self._cancellable())
        return None

    def cancel(self) -> None:
        self._is_cancelled = True
        with suppress(RuntimeError):  # its loop is closed already
            self._cancel()

    async def _cancellable(self) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
        if self._is_cancelled:
            raise asyncio.CancelledError
        return await self._work()
