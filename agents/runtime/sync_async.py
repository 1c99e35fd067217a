"""Write a Runnable once, call it from sync and from async code.

The logic is one coroutine that reaches the world only through an `Effects` object. `AsyncEffects` awaits.
`SyncEffects` does the same by blocking, so its coroutine never suspends and runs to its end within one `send`.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from concurrent import futures
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import cache, partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor
from langgraph import func

from agents.runtime.cancellation import Cancellation, cancellations_of

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")

LOOK = 0.1
"""Seconds between two looks at whether somebody still waits, while sync code waits itself."""

MOST_THREADS = 1000
"""Plain functions at work at once when called from async code; a thread starts only when none is idle."""

_starting = threading.Lock()


class Effects(Protocol):
    """Everything a coroutine of a `SyncAsyncRunnable` may wait for."""

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        """Call a Runnable."""
        ...

    def stream(self, runnable: Any, value: Any, config: RunnableConfig | None, **options: Any) -> AsyncIterator[Any]:
        """Stream from a Runnable; `options` go to its `stream` or `astream`."""
        ...

    async def function(self, function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
        """Call a plain function."""
        ...

    async def coroutine(self, function: Callable[..., Coroutine[Any, Any, T]], arguments: Mapping[str, Any]) -> T:
        """Call an async function."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a time."""
        ...

    async def first(self, pending: Collection[Any]) -> None:
        """Wait until one of some futures is done, without cancelling or raising anything."""
        ...

    def signal(self) -> Any:
        """Make a future for `first` to wait on, which somebody else sets."""
        ...

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        """Do some work, raising `TimeoutError` after so many seconds (None: no limit)."""
        ...

    def task(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]], shown: Any) -> Any:
        """Start work as a durable LangGraph task, `shown` as its input; return its future."""
        ...

    def slots(self, number: int | None) -> AbstractAsyncContextManager[Any]:
        """Give a semaphore that lets so many in at once (None: all)."""
        ...


class AsyncEffects:
    """`Effects` for async callers."""

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        return await runnable.ainvoke(value, config)

    def stream(self, runnable: Any, value: Any, config: RunnableConfig | None, **options: Any) -> AsyncIterator[Any]:
        chunks: AsyncIterator[Any] = runnable.astream(value, config, **options)
        return chunks

    async def function(self, function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
        call = partial(contextvars.copy_context().run, partial(function, **arguments))
        return await run_in_executor(_threads(), call)

    async def coroutine(self, function: Callable[..., Coroutine[Any, Any, T]], arguments: Mapping[str, Any]) -> T:
        return await function(**arguments)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def first(self, pending: Collection[asyncio.Future[Any]]) -> None:
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

    def signal(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(seconds):
            return await work

    def task(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]], shown: Any) -> Any:
        async def step(shown: Any) -> Any:
            return await work()

        task: Any = func.task(name=name)
        return task(step)(shown)

    def slots(self, number: int | None) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if number is None else asyncio.Semaphore(number)


class SyncEffects:
    """`Effects` for sync callers: its coroutines block, never suspend, and start nothing after a cancellation."""

    def __init__(self, cancellations: Collection[Cancellation] = ()) -> None:
        self.cancellations = cancellations

    def check(self) -> None:
        """Go on only if somebody still waits."""
        for one in self.cancellations:
            one.check()

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        self.check()
        return runnable.invoke(value, config)

    async def stream(
        self, runnable: Any, value: Any, config: RunnableConfig | None, **options: Any
    ) -> AsyncIterator[Any]:
        for chunk in runnable.stream(value, config, **options):
            yield chunk

    async def function(self, function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
        self.check()
        return function(**arguments)

    async def coroutine(self, function: Callable[..., Coroutine[Any, Any, T]], arguments: Mapping[str, Any]) -> T:
        self.check()
        running = asyncio.run_coroutine_threadsafe(function(**arguments), _event_loop())
        try:
            while not running.done():
                futures.wait([running], LOOK)
                self.check()
            return running.result()
        except BaseException:
            running.cancel()
            raise

    async def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, LOOK))  # noqa: ASYNC251 - blocking is what this class is for

    async def first(self, pending: Collection[futures.Future[Any]]) -> None:
        futures.wait(pending, return_when=futures.FIRST_COMPLETED)

    def signal(self) -> futures.Future[None]:
        return futures.Future()

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        return await work if seconds is None else _in_thread(seconds, work)

    def task(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]], shown: Any) -> Any:
        def step(shown: Any) -> Any:
            return finish(work())

        task: Any = func.task(name=name)
        return task(step)(shown)

    def slots(self, number: int | None) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if number is None else _Slots(number)


@cache
def _threads() -> futures.ThreadPoolExecutor:
    """Return the threads in which plain functions run for async callers; asyncio's own pool has as few as five."""
    return futures.ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="podium")


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run_for_good, args=(loop,), name="podium-async", daemon=True).start()
    return loop


def _run_for_good(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop; an interrupt or exit raised in one of its coroutines ends that coroutine only."""
    while True:
        with suppress(KeyboardInterrupt, SystemExit):
            loop.run_forever()


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the one event loop on which async functions run when they are called from sync code."""
    with _starting:
        return _background_loop()


class _Slots:
    """`threading.Semaphore` for `async with`."""

    def __init__(self, number: int) -> None:
        self._semaphore = threading.Semaphore(number)

    async def __aenter__(self) -> None:
        self._semaphore.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._semaphore.release()


def _in_thread(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Give up on blocking work after a time; its thread cannot be stopped, only left behind."""
    result: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            result.set_result(finish(work))
        except BaseException as error:  # handed to the thread that waits
            result.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="podium-attempt", daemon=True).start()
    return result.result(seconds)


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waited for something other than its Effects object")


def iterate(chunks: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an async iterator that never suspends."""

    async def next_chunk() -> T:
        return await anext(chunks)

    while True:
        try:
            yield finish(next_chunk())
        except StopAsyncIteration:
            return


class SyncAsyncRunnable(Runnable[In, Out]):
    """A Runnable whose `invoke` and `ainvoke` come from one coroutine, `run`."""

    @abstractmethod
    async def run(self, effects: Effects, value: In, config: RunnableConfig) -> Out:
        """Do the work; wait for nothing but `effects`."""

    def invoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:  # noqa: A002
        config = ensure_config(config)
        return finish(self.run(SyncEffects(cancellations_of(config)), input, config))

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:  # noqa: A002
        return await self.run(AsyncEffects(), input, ensure_config(config))
