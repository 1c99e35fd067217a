"""Write a Runnable once, call it from sync and from async code.

The logic is one coroutine that reaches the world only through an `Effects` object. `AsyncEffects` awaits.
`SyncEffects` does the same by blocking, so its coroutine never suspends and runs to its end within one `send`.
Neither polls: whoever waits is woken by what it waits for, by a cancellation, or by the clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from concurrent import futures
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext, suppress
from functools import cache, partial
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langgraph import func

from agents.runtime.cancellation import Cancellation, cancellations_of
from agents.runtime.run_config import whole

AnyRunnable = Runnable[Any, Any]

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")

MAX_THREADS = 1000
"""Plain functions at work at once when called from async code; a thread starts only when none is idle."""


class Effects:
    """Everything a coroutine of a `SyncAsyncRunnable` may wait for: by awaiting, as here, or as `SyncEffects` does."""

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        """Call a Runnable."""
        return await runnable.ainvoke(value, config)

    def stream(
        self, runnable: AnyRunnable, value: object, config: RunnableConfig | None, **options: object
    ) -> AsyncIterator[Any]:
        """Stream from a Runnable; `options` go to its `stream` or `astream`."""
        chunks: AsyncIterator[object] = runnable.astream(value, config, **options)
        return chunks

    async def function(self, function: Callable[..., T], arguments: Mapping[str, object]) -> T:
        """Call a plain function."""
        call = partial(contextvars.copy_context().run, partial(function, **arguments))
        return await run_in_executor(_threads(), call)

    async def coroutine(
        self, function: Callable[..., Coroutine[object, None, T]], arguments: Mapping[str, object]
    ) -> T:
        """Call an async function."""
        return await function(**arguments)

    async def sleep(self, seconds: float) -> None:
        """Wait for a time."""
        await asyncio.sleep(seconds)

    def event(self) -> Wakeup:
        """Return an event that any thread may set."""
        return Wakeup()

    def signal(self) -> Any:
        """Return a future for `first` and `as_completed`, which only code of the same kind of caller may set."""
        return asyncio.get_running_loop().create_future()

    async def first(self, pending: Collection[Any]) -> None:
        """Wait until one of some futures is done; no future is cancelled, no error raised."""
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

    async def as_completed(self, pending: Collection[Any]) -> AsyncIterator[object]:
        """Yield the futures as they end; each is registered once, however many there are."""
        ended: asyncio.Queue[object] = asyncio.Queue()
        for future in pending:
            future.add_done_callback(ended.put_nowait)
        for _ in pending:
            yield await ended.get()

    async def within(self, seconds: float | None, work: Coroutine[object, None, T]) -> T:
        """Do some work, raising `TimeoutError` after so many seconds (None: no limit)."""
        if seconds is None:
            return await work
        async with asyncio.timeout(seconds):
            return await work

    def task(self, name: str, work: Callable[[], Coroutine[object, None, object]], shown: object) -> Any:
        """Start work as a durable LangGraph task, `shown` as its input; return its future."""

        async def step(shown: object) -> object:
            return await work()

        task: Any = func.task(name=name)
        return task(step)(shown)

    def slots(self, number: int | None) -> AbstractAsyncContextManager[object]:
        """Return a semaphore that admits so many at once (None: all)."""
        return nullcontext() if number is None else asyncio.Semaphore(number)


AsyncEffects = Effects


class Wakeup:
    """Wakes one waiting coroutine; any thread may set it, also before anybody waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the coroutine, now or when it waits next."""
        with suppress(RuntimeError):  # the loop has been closed, with all that waited on it
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until the event is set, or for some seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


class SyncEffects(Effects):
    """For sync callers: coroutines that use it block, never suspend, and start nothing after a cancellation."""

    def __init__(self, cancellations: Collection[Cancellation] = ()) -> None:
        self.cancellations = cancellations

    def check(self) -> None:
        """Raise `WorkCancelledError` if the work is cancelled."""
        for cancellation in self.cancellations:
            cancellation.check()

    async def invoke(self, runnable: Runnable[In, Out], value: In, config: RunnableConfig | None) -> Out:
        self.check()
        return runnable.invoke(value, config)

    async def stream(
        self, runnable: AnyRunnable, value: object, config: RunnableConfig | None, **options: object
    ) -> AsyncIterator[object]:
        for chunk in runnable.stream(value, config, **options):
            yield chunk

    async def function(self, function: Callable[..., T], arguments: Mapping[str, object]) -> T:
        self.check()
        return function(**arguments)

    async def coroutine(
        self, function: Callable[..., Coroutine[object, None, T]], arguments: Mapping[str, object]
    ) -> T:
        self.check()
        level = _level.get()

        async def call() -> T:
            _level.set(level + 1)
            return await function(**arguments)

        with _starting:
            loop = _background_loop(level)
        running = asyncio.run_coroutine_threadsafe(call(), loop)
        try:
            return self._result(running, None)
        except BaseException:
            running.cancel()
            raise

    async def sleep(self, seconds: float) -> None:
        await self.event().wait(seconds)

    def event(self) -> Wakeup:
        return _SyncEvent(self)

    def signal(self) -> futures.Future[None]:
        return futures.Future()

    async def first(self, pending: Collection[Any]) -> None:
        futures.wait(pending, return_when=futures.FIRST_COMPLETED)

    async def as_completed(self, pending: Collection[Any]) -> AsyncIterator[object]:
        ended: deque[object] = deque()
        event = _SyncEvent(self)
        for future in pending:
            future.add_done_callback(ended.append)
            future.add_done_callback(lambda future: event.set())
        for _ in pending:
            while not ended:
                event.block()
            yield ended.popleft()

    async def within(self, seconds: float | None, work: Coroutine[object, None, T]) -> T:
        """Block for so long at most; the thread that does the work cannot be stopped, only left behind."""
        if seconds is None:
            return await work
        result: futures.Future[T] = futures.Future()

        def run() -> None:
            try:
                result.set_result(finish(work))
            except BaseException as error:  # handed to the thread that waits
                result.set_exception(error)

        threading.Thread(target=contextvars.copy_context().run, args=(run,), name="podium-attempt", daemon=True).start()
        return self._result(result, seconds)

    def task(self, name: str, work: Callable[[], Coroutine[object, None, object]], shown: object) -> object:
        def step(shown: object) -> object:
            return finish(work())

        task: Any = func.task(name=name)
        return task(step)(shown)

    def slots(self, number: int | None) -> AbstractAsyncContextManager[object]:
        return nullcontext() if number is None else _Slots(number)

    def _result(self, future: futures.Future[T], seconds: float | None) -> T:
        event = _SyncEvent(self)
        future.add_done_callback(lambda future: event.set())
        if not event.block(seconds):
            raise TimeoutError
        return future.result()


class _SyncEvent(Wakeup):
    """A plain lock: unlike those of queues and conditions, it may be released by a signal handler at any moment."""

    def __init__(self, effects: SyncEffects) -> None:
        self._effects = effects
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        with suppress(RuntimeError):  # it is set already
            self._lock.release()

    def block(self, seconds: float | None = None) -> bool:
        """Block until the event is set; return False after so many seconds. A cancellation ends the waiting."""
        with ExitStack() as waking:
            for cancellation in self._effects.cancellations:
                waking.enter_context(cancellation.waking(self.set))
            was_set = self._lock.acquire(timeout=-1 if seconds is None else seconds)
        self._effects.check()
        return was_set

    async def wait(self, seconds: float | None = None) -> None:
        self.block(seconds)


class _Slots(threading.Semaphore):
    async def __aenter__(self) -> None:
        self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


@cache
def _threads() -> futures.ThreadPoolExecutor:
    """Return the threads in which plain functions run for async callers; asyncio's own pool has as few as five."""
    return futures.ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="podium")


_level: contextvars.ContextVar[int] = contextvars.ContextVar("podium_level", default=0)
"""How many background loops the code runs on top of. A coroutine on one that calls sync code blocks that loop until the
code returns, so the coroutines of that code run on the next one."""


@cache
def _background_loop(level: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def run() -> None:
        while True:  # an interrupt or exit raised in a coroutine ends that coroutine only
            with suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()

    threading.Thread(target=run, name=f"podium-async-{level}", daemon=True).start()
    return loop


_starting = threading.Lock()

if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
    os.register_at_fork(after_in_child=_background_loop.cache_clear)


def finish(coroutine: Coroutine[object, None, T]) -> T:
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
        config = whole(config)
        return finish(self.run(SyncEffects(cancellations_of(config)), input, config))

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Out:  # noqa: A002
        return await self.run(AsyncEffects(), input, whole(config))
