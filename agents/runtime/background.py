"""Async work for sync callers, on event loops in threads of their own.

A caller waits without polling. When it is interrupted, or leaves a stream, the work is cancelled, and what is under way
ends before the interrupt is passed on; a second interrupt leaves that behind.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent import futures
from contextlib import aclosing, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Generic, NamedTuple, TypeVar, cast

from langchain_core.runnables.config import run_in_executor

from agents.runtime.cancellation import Cancellation

T = TypeVar("T")

MAX_THREADS = 1000
"""Plain functions at work at once when called from async code; a thread starts only when none is idle."""

_level: ContextVar[int] = ContextVar("podium_level", default=0)
"""Number of background loops that the code runs on top of.

Code on one that calls sync code blocks that loop, or a thread of it, until the code returns; so the coroutines and
functions of that code run on the next one.
"""


@dataclass
class SyncCaller:
    """The sync code that waits for the async work in whose context it is."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    """Cancels the work, because the caller was interrupted or has left."""
    thread: int = field(default_factory=threading.get_ident)


sync_caller: ContextVar[SyncCaller | None] = ContextVar("podium_sync_caller", default=None)
"""The sync caller that async code works for; None for an async caller."""


async def in_thread(function: Callable[..., T], /, *arguments: object, **options: object) -> T:
    """Call a plain function in a thread; of those that asyncio itself starts, there are as few as five."""
    call = partial(copy_context().run, partial(function, *arguments, **options))
    return await run_in_executor(_threads(_level.get()), call)


def start_in_background(
    work: Callable[[], Coroutine[object, None, T]], caller: SyncCaller | None = None
) -> BackgroundWork[T]:
    """Start async work on an event loop in a thread of its own, in the context of the code that calls this."""
    level = _level.get()
    with _starting:
        if (loop := _loop(level)) is _get_running_loop():  # called back without the context of what runs on it
            level += 1
            loop = _loop(level)

    async def call() -> T:
        _level.set(level + 1)
        sync_caller.set(caller)
        return await work()

    return BackgroundWork(loop, asyncio.run_coroutine_threadsafe(call(), loop))


class BackgroundWork(NamedTuple, Generic[T]):
    """Async work under way."""

    loop: asyncio.AbstractEventLoop
    future: futures.Future[T]

    def end(self, caller: SyncCaller, wake: Callable[[], object] = lambda: None) -> None:
        """Cancel the work for its caller, wake it, and wait until what is under way ends."""
        caller.cancellation.cancel()
        wake()
        # A stream that was left may be collected in the thread of any loop, or at exit, when none works any more.
        if self.loop is not _get_running_loop() and not sys.is_finalizing():
            futures.wait([self.future])


def run_in_background(work: Callable[[], Coroutine[object, None, T]]) -> T:
    """Do async work for sync code, and return its result."""
    caller, running = SyncCaller(), None
    try:
        running = start_in_background(work, caller)
        return running.future.result()
    except BaseException:
        caller.cancellation.cancel()  # also of work whose start was interrupted
        if running is not None:
            running.end(caller)
        raise


def iterate_in_background(chunks: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """Iterate over an async generator for sync code; it goes on only when the next chunk is asked for."""
    caller, asked = SyncCaller(), asyncio.Event()
    ready: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
    has_left = False

    async def produce() -> None:
        async with aclosing(cast(AsyncGenerator[T], chunks())) as source:
            async for chunk in source:
                ready.put((chunk,))
                await asked.wait()
                asked.clear()
                if has_left:
                    return

    running = start_in_background(produce, caller)
    running.future.add_done_callback(lambda future: ready.put(None))
    try:
        while (item := ready.get()) is not None:
            yield item[0]
            running.loop.call_soon_threadsafe(asked.set)
        running.future.result()
    except BaseException:
        has_left = True
        running.end(caller, lambda: running.loop.call_soon_threadsafe(asked.set))
        raise


@cache
def _threads(level: int) -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(MAX_THREADS, thread_name_prefix=f"podium-{level}")


@cache
def _loop(level: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_threads(level + 1))  # for plain functions that are nodes

    def run() -> None:
        while True:  # an interrupt or exit raised in a coroutine ends that coroutine only
            with suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()

    threading.Thread(target=run, name=f"podium-async-{level}", daemon=True).start()
    return loop


_starting = threading.Lock()


def _forget() -> None:
    global _starting
    _starting = threading.Lock()
    _threads.cache_clear()
    _loop.cache_clear()


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_forget)
