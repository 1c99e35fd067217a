"""A Runnable that callbacks see as a run of its own, where any of them listens to runs."""

from __future__ import annotations

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig

from agents.runtime.effects import In, Out
from agents.runtime.run_config import current, whole
from agents.runtime.sync_async import SyncAsyncRunnable


class OwnRun(SyncAsyncRunnable[In, Out]):
    """Calls `run` as a run of its own, whose config the Runnables that it calls inherit."""

    async def ainvoke(self, input: In, config: RunnableConfig | None = None, **kwargs: object) -> Out:  # noqa: A002
        config = whole(config)
        if _is_watched(config):
            return await self._acall_with_config(super().ainvoke, input, config)
        with current(config):
            return await super().ainvoke(input, config)


def _is_watched(config: RunnableConfig) -> bool:
    """Return whether any callback listens to runs; if none does, a run would cost a third of a step."""
    manager = config.get("callbacks")
    return not isinstance(manager, BaseCallbackManager) or any(not handler.ignore_chain for handler in manager.handlers)
