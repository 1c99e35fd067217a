"""Write a Runnable once, call it from sync and from async code.

The logic is one coroutine that reaches the world only through an `Effects` object. `AsyncEffects` awaits.
`SyncEffects` does the same by blocking, so its coroutine never suspends and runs to its end within one `send`.
`BackgroundEffects` awaits on behalf of a sync caller: a whole graph works on one loop, and holds threads only for sync
code at work. None polls: whoever waits is woken by what it waits for, by a cancellation, or by the clock.
"""

from __future__ import annotations

import contextvars
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent import futures
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from agents.runtime.background import start, sync_caller
from agents.runtime.cancellation import cancellations_of
from agents.runtime.effects import (
    AnyRunnable,
    AsyncEffects,
    BackgroundEffects,
    CancellableEffects,
    Effects,
    In,
    Out,
    Wakeup,
)
from agents.runtime.run_config import whole

T = TypeVar("T")
_Async = Coroutine[Any, Any, T]
_ASYNC = AsyncEffects()


class SyncEffects(CancellableEffects):
    """For sync callers: coroutines that use it block, never suspend, and start nothing after a cancellation."""

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

    async def coroutine(self, function: Callable[..., _Async[T]], arguments: Mapping[str, object]) -> T:
        self.check()
        running = start(partial(function, **arguments)).future
        try:
            return self._result(running, None)
        except BaseException:
            running.cancel()
            raise

    async def sleep(self, seconds: float) -> None:
        await self.event().wait(seconds)

    def event(self) -> Wakeup:
        return _SyncEvent(self)

    async def within(self, seconds: float | None, work: _Async[T]) -> T:
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


def finish(coroutine: _Async[T]) -> T:
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

    works_in_background = True
    """Whether `ainvoke` finds by itself that it works for a sync caller."""

    @abstractmethod
    async def run(self, effects: Effects, value: In, config: RunnableConfig) -> Out:
        """Do the work; wait for nothing but `effects`."""

    def invoke(self, input: In, config: RunnableConfig | None = None, **kwargs: Any) -> Out:  # noqa: A002
        config = whole(config)
        return finish(self.run(SyncEffects(cancellations_of(config)), input, config))

    def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> _Async[Out]:  # noqa: A002
        config = whole(config)
        return self.run(effects_of(config), input, config)


def effects_of(config: RunnableConfig) -> Effects:
    """Return how async code waits: for itself, or for the sync caller in whose context it works."""
    return _ASYNC if sync_caller.get() is None else BackgroundEffects(cancellations_of(config))
