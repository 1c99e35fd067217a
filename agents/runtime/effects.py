"""Waiting, as coroutines do it: on their caller's event loop, or in the background for a sync caller."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Generator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar, cast

from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langgraph.graph.state import CompiledStateGraph

from agents.runtime.background import in_thread, sync_caller
from agents.runtime.cancellation import Cancellation
from agents.runtime.per_model import innermost

AnyRunnable = Runnable[Any, Any]

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")
_Async = Coroutine[Any, Any, T]


class Effects:
    """The calls that a coroutine of a `SyncAsyncRunnable` may await; `BackgroundEffects` for a sync caller."""

    # Not `async def` where another coroutine does it all: each layer of a step costs time, and memory while it is open.
    def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> _Async[Out]:
        return runnable.ainvoke(value, config)

    def stream(
        self, runnable: AnyRunnable, value: object, config: RunnableConfig | None, **options: object
    ) -> AsyncIterator[Any]:
        """Stream from a Runnable; `options` go to its `stream` or `astream`."""
        chunks: AsyncIterator[object] = runnable.astream(value, config, **options)
        return chunks

    def function(self, function: Callable[..., T], /, *arguments: object, **options: object) -> _Async[T]:
        return in_thread(function, *arguments, **options)

    def coroutine(self, function: Callable[..., _Async[T]], /, *arguments: object, **options: object) -> _Async[T]:
        return function(*arguments, **options)

    def sleep(self, seconds: float) -> Awaitable[None]:
        return self.until(asyncio.sleep(seconds))

    def event(self) -> Wakeup:
        """Return an event that any thread may set."""
        return Wakeup(self)

    async def first(self, pending: Collection[Any]) -> None:
        """Wait until one of some futures is done; no future is cancelled, no error raised."""
        await self.until(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))

    def until(self, work: Awaitable[T]) -> Awaitable[T]:
        """Wait for something; in the background a cancellation ends the waiting."""
        return work


class Wakeup:
    """Wakes one waiting coroutine; any thread may set it, also before anybody waits."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the coroutine, now or when it waits next."""
        with suppress(RuntimeError):  # the loop has been closed, with all that waited on it
            self.loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until the event is set, or for some seconds."""
        with suppress(TimeoutError):
            await self._effects.until(asyncio.wait_for(self._event.wait(), seconds))
        self._event.clear()


class BackgroundEffects(Effects):
    """For async code that works on a background loop while a sync caller waits.

    What is not ours, and what is sync, is called as sync code calls it, in a thread while it works. After a
    cancellation nothing is started, and what waits is woken; sync code that is at work ends first.
    """

    def __init__(self, cancellations: Collection[Cancellation] = ()) -> None:
        self.cancellations = cancellations

    def check(self) -> None:
        for cancellation in self.cancellations:
            cancellation.check()

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        self.check()
        if getattr(runnable, "works_in_background", False):
            return await runnable.ainvoke(value, config)
        if is_async_only(runnable):
            return await self.coroutine(runnable.ainvoke, value, config)
        return await in_thread(runnable.invoke, value, config)

    async def stream(
        self, runnable: AnyRunnable, value: object, config: RunnableConfig | None, **options: object
    ) -> AsyncIterator[object]:
        if is_async_only(runnable):
            async for chunk in super().stream(runnable, value, config, **options):
                yield chunk
            return
        chunks = cast(Generator[object], runnable.stream(value, config, **options))
        end = object()
        try:
            while (chunk := await self.function(next, chunks, end)) is not end:
                yield chunk
        finally:
            with suppress(ValueError):  # it still works on a chunk that nobody waits for, and closes itself after that
                await in_thread(chunks.close)

    async def function(self, function: Callable[..., T], /, *arguments: object, **options: object) -> T:
        self.check()
        return await super().function(function, *arguments, **options)

    async def coroutine(self, function: Callable[..., _Async[T]], /, *arguments: object, **options: object) -> T:
        self.check()
        token = sync_caller.set(None)
        try:
            return await self.until(function(*arguments, **options))
        finally:
            sync_caller.reset(token)

    async def until(self, work: Awaitable[T]) -> T:
        loop, task, is_waiting = asyncio.get_running_loop(), asyncio.current_task(), True

        def end() -> None:
            if is_waiting and task is not None:
                task.cancel()

        with ExitStack() as waking:
            for cancellation in self.cancellations:
                waking.enter_context(cancellation.waking(partial(loop.call_soon_threadsafe, end)))
            try:
                return await work
            except asyncio.CancelledError:
                self.check()
                raise
            finally:
                is_waiting = False


async def call(effects: Effects, function: Callable[..., Any], /, *arguments: object, **options: object) -> Any:
    """Call a user's function, sync or async."""
    result = await (effects.coroutine if is_async(function) else effects.function)(function, *arguments, **options)
    if inspect.isasyncgen(result):
        return await effects.coroutine(_collected, result)
    # A lambda may return the coroutine of an async function, which cannot be seen before it is called.
    return await effects.coroutine(lambda: result) if inspect.iscoroutine(result) else result


async def _collected(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


def is_async(function: Callable[..., object]) -> bool:
    """Tell whether a function, or an object with `__call__`, is async."""
    method = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(method)


def is_async_only(runnable: object) -> bool:
    """Tell whether a user's graph or chain has an async function without a sync one."""
    inner = innermost(runnable)
    if isinstance(inner, RunnableSequence):
        return any(map(is_async_only, inner.steps))
    if isinstance(inner, CompiledStateGraph):
        routes = [branch.path for branches in inner.builder.branches.values() for branch in branches.values()]
        return any(map(is_async_only, [*routes, *(node.runnable for node in inner.builder.nodes.values())]))
    return getattr(inner, "func", None) is None and getattr(inner, "afunc", None) is not None
