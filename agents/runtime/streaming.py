"""Stream from a Runnable that is written once for sync and async code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig

from agents.runtime.cancellation import cancellations_of
from agents.runtime.effects import Effects, In, Out
from agents.runtime.run_config import whole
from agents.runtime.sync_async import SyncAsyncRunnable, SyncEffects, effects_of, iterate


class SyncAsyncStream(SyncAsyncRunnable[In, Out]):
    """A Runnable whose `stream` and `astream` come from one async generator, `chunks`."""

    @abstractmethod
    def chunks(self, effects: Effects, value: In, config: RunnableConfig) -> AsyncIterator[Any]:
        """Do the work and yield its pieces; wait for nothing but `effects`."""

    def stream(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Iterator[Any]:  # noqa: A002
        """Yield the pieces."""
        config = whole(config)
        return iterate(self.chunks(SyncEffects(cancellations_of(config)), input, config))

    async def astream(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> AsyncIterator[Any]:  # noqa: A002
        """Yield the pieces."""
        config = whole(config)
        async for chunk in self.chunks(effects_of(config), input, config):
            yield chunk
