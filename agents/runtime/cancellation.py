"""Ends work in threads whose caller has given it up: it may begin no model call, tool, attempt or step any more.

Python cannot stop threads. So a mark goes with the config of the work, is set when nobody waits for it any longer
(Ctrl-C, a time-out, a stream that is left), and is looked at before anything begins.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp

T = TypeVar("T")

_END: Any = object()


# Ending what was given up is no fault, but LangChain logs every error of a callback as a warning.
logging.getLogger("langchain_core.callbacks.manager").addFilter(
    lambda record: "Error in Cancellation" not in record.getMessage()
)


class WorkCancelledError(GraphBubbleUp):
    """Nobody waits for this work any more; it is neither a failure nor a result."""


class Cancellation(BaseCallbackHandler):
    """Holds the work beneath a config until it is given up."""

    raise_error = True
    # Not inline: LangChain leaves coroutines unawaited when an inline handler raises in async code.
    run_inline = False
    ignore_chain = ignore_llm = ignore_retriever = True

    def __init__(self) -> None:
        self.cancelled = False

    def check(self) -> None:
        """Let something begin.

        Raises:
            WorkCancelledError: Nobody waits for the work any more.
        """
        if self.cancelled:
            raise WorkCancelledError

    def on_chat_model_start(self, serialized: Any, messages: Any, **about: Any) -> None:
        """Let a model call begin."""
        self.check()

    def on_tool_start(self, serialized: Any, input_str: str, **about: Any) -> None:
        """Let a tool begin."""
        self.check()

    def holding(self, config: RunnableConfig) -> RunnableConfig:
        """Return a config for the work that this cancellation holds."""
        return merge_configs(config, {"callbacks": [self]})

    def until_left(self, chunks: Iterator[T]) -> Generator[T]:
        """Yield the chunks of work; let go when they end otherwise than by themselves."""
        try:
            while True:
                with self._noticing_signals():
                    chunk = next(chunks, _END)
                if chunk is _END:
                    return
                yield chunk
        except BaseException:
            self.cancelled = True
            raise
        finally:
            if isinstance(chunks, Generator):
                chunks.close()

    @contextmanager
    def _noticing_signals(self) -> Iterator[None]:
        """Let go as soon as the handler of a signal raises, as that of Ctrl-C does.

        LangGraph waits for its threads before it passes the exception on: by then they must know.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        known = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        handlers = {one: handler for one, handler in known.items() if callable(handler)}

        def handle(number: int, frame: Any) -> None:
            try:
                handlers[signal.Signals(number)](number, frame)
            except BaseException:
                self.cancelled = True  # no lock: the thread that it interrupts may hold any
                raise

        for one in handlers:
            signal.signal(one, handle)
        try:
            yield
        finally:
            for one, handler in handlers.items():
                if signal.getsignal(one) is handle:
                    signal.signal(one, handler)


def cancellations_of(config: RunnableConfig) -> list[Cancellation]:
    """Return all cancellations that hold the work of a config; it is given up when one of them is let go.

    They are known by the callbacks, which every run inherits; LangChain may put back an outer value of `configurable`.
    """
    callbacks = config.get("callbacks") or []
    handlers = callbacks if isinstance(callbacks, list) else callbacks.handlers
    return [one for one in handlers if isinstance(one, Cancellation)]


def is_cancelled(config: RunnableConfig) -> bool:
    """Tell whether nobody waits for the work of a config any more."""
    return any(one.cancelled for one in cancellations_of(config))
