"""Cooperative cancellation: abandoned work may not start another model call, tool, attempt or step.

Python cannot stop threads, so a `Cancellation` travels among the callbacks of a run's config, is looked at before
anything starts, and wakes whatever waits. `cancel` is called when the caller is interrupted, leaves a stream, or runs
out of time. The library installs no signal handlers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from agents.runtime.run_config import extended, handlers_of


class WorkCancelledError(BaseException):
    """Nobody waits for this work.

    Like `asyncio.CancelledError` it is not an `Exception`: no handler of failures swallows, logs or retries it.
    """


class Cancellation(BaseCallbackHandler):
    """Cancels all work under the configs it holds.

    with_it = cancellation.holding(config)    # run anything with this config ...
    cancellation.cancel()                     # ... and cancel it from any thread, or from a signal handler
    """

    raise_error = True
    # Not inline: LangChain leaves coroutines unawaited when an inline handler raises in async code.
    run_inline = False
    ignore_chain = ignore_llm = ignore_retriever = True

    def __init__(self) -> None:
        self.cancelled = False
        self._wakers: dict[int, Callable[[], object]] = {}

    def cancel(self) -> None:
        """Cancel the work: it ends with `WorkCancelledError` before it starts anything else."""
        self.cancelled = True
        # No lock, for a signal handler may run while its thread holds any; list() of a dict view is atomic.
        for wake in list(self._wakers.values()):
            wake()

    def check(self) -> None:
        """Raise `WorkCancelledError` if the work is cancelled."""
        if self.cancelled:
            raise WorkCancelledError

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` on cancellation, from the thread that cancels, while the block runs."""
        self._wakers[id(wake)] = wake
        try:
            if self.cancelled:
                wake()
            yield
        finally:
            self._wakers.pop(id(wake), None)

    def on_chat_model_start(self, serialized: object, messages: object, **about: object) -> None:
        self.check()

    def on_tool_start(self, serialized: object, input_str: str, **about: object) -> None:
        self.check()

    def holding(self, config: RunnableConfig | None = None) -> RunnableConfig:
        """Return the config with this cancellation among its callbacks, which nested runs inherit."""
        return extended(config or {}, callbacks=[self])


def cancellations_of(config: RunnableConfig) -> list[Cancellation]:
    """Return all cancellations that hold the work of a config; one of them is enough to cancel it.

    They are read from the callbacks, which every run inherits; LangChain may restore an outer value of `configurable`.
    """
    return [handler for handler in handlers_of(config) if isinstance(handler, Cancellation)]


def is_cancelled(config: RunnableConfig) -> bool:
    """Return whether the work of a config is cancelled."""
    return any(cancellation.cancelled for cancellation in cancellations_of(config))
