"""Write a Runnable once, call it from sync and from async code.

The logic is one coroutine that reaches the world only through an `Effects` object: `Effects` awaits for an async
caller, `BackgroundEffects` on a loop in the background while a sync caller waits. Threads are held only by sync code at
work. Nothing polls: a waiting task is woken by what it waits for, by a cancellation, or by the clock.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig

from agents.runtime.background import iterate_in_background, run_in_background, sync_caller
from agents.runtime.cancellation import cancellations_of
from agents.runtime.effects import BackgroundEffects, Effects, In, Out
from agents.runtime.run_config import current, whole

_ASYNC = Effects()


class SyncAsyncRunnable(Runnable[In, Out]):
    """A Runnable whose `invoke` and `ainvoke` come from one coroutine, `run`."""

    works_in_background = True
    """Whether `ainvoke` finds by itself that it works for a sync caller."""

    @abstractmethod
    async def run(self, effects: Effects, value: In, config: RunnableConfig) -> Out:
        """Do the work; wait for nothing but `effects`."""

    def invoke(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Out:  # noqa: A002
        return run_in_background(partial(self.ainvoke, input, config))

    def ainvoke(
        self,
        input: In,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, Out]:
        config = whole(config)
        return self.run(effects_of(config), input, config)


class OwnRun(SyncAsyncRunnable[In, Out]):
    """Calls `run` as a run of its own, whose config the Runnables that it calls inherit."""

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Out:  # noqa: A002
        config = whole(config)
        if is_watched(config):
            return await self._acall_with_config(super().ainvoke, input, config)
        with current(config):
            return await super().ainvoke(input, config)


class SyncAsyncStream(SyncAsyncRunnable[In, Out]):
    """A Runnable whose `stream` and `astream` come from one async generator, `chunks`."""

    @abstractmethod
    def chunks(self, effects: Effects, value: In, config: RunnableConfig) -> AsyncIterator[Any]:
        """Do the work and yield its pieces; wait for nothing but `effects`."""

    def stream(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Iterator[Any]:  # noqa: A002
        return iterate_in_background(partial(self.astream, input, config))

    async def astream(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> AsyncIterator[Any]:  # noqa: A002
        config = whole(config)
        async for chunk in self.chunks(effects_of(config), input, config):
            yield chunk


def effects_of(config: RunnableConfig) -> Effects:
    """Return how async code waits: for itself, or for the sync caller in whose context it works."""
    return _ASYNC if sync_caller.get() is None else BackgroundEffects(cancellations_of(config))


def is_watched(config: RunnableConfig) -> bool:
    """Return whether any callback listens to runs; if none does, a run would cost a third of a step."""
    manager = config.get("callbacks")
    return not isinstance(manager, BaseCallbackManager) or any(not handler.ignore_chain for handler in manager.handlers)
