"""A run on an event loop in the background, so that nothing an agent does delays what shows it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

from agents.runtime import start_in_background
from graphs.show.live_state import MODES, Change, LiveState, RunEvent

_TICK = 0.1
"""Seconds between two pictures; also the longest that a wish to stop waits."""
_FAREWELL = 0.3
"""Seconds that a stopped run has to put things away."""


class _Events:
    def __init__(self) -> None:
        # Not a SimpleQueue: a signal at the end of its time-out can make it wait forever.
        self.queue: Queue[tuple[RunEvent, float] | None] = Queue()
        self._left, self._ended = threading.Event(), threading.Event()
        self._cancel: Callable[[], object] = lambda: None

    async def take(self, run: Callable[[], AsyncIterator[Any]]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
        try:
            if not self._left.is_set():  # by an interrupt that came while the run was starting
                async for event in run():
                    self.queue.put((event, time.time()))
        finally:
            self._ended.set()
            self.queue.put(None)

    def batches(self) -> Iterator[list[tuple[RunEvent, float]]]:
        """Yield every tick what has come, until the run ends."""
        ended = False
        while not ended:
            batch: list[tuple[RunEvent, float]] = []
            until = time.monotonic() + _TICK
            while not ended and (left := until - time.monotonic()) > 0:
                with suppress(Empty):
                    event = self.queue.get(timeout=left)
                    ended = event is None
                    batch += [event] if event else []
            yield batch

    def leave(self) -> None:
        """End the run, if it goes on, as far as that is possible without waiting for it."""
        self._left.set()
        if not self._ended.is_set():
            self._cancel()
            self._ended.wait(_FAREWELL)


def follow(
    graph: Any,
    value: Any,
    config: Mapping[str, object] | None,
    context: object,
    *,
    state: LiveState,
    show: Callable[[list[Change]], object],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run a graph as its `astream` does, apply its events to a state, and show every tick what has changed.

    Raises:
        KeyboardInterrupt: `stop` says so, or the run was cancelled.
        Exception: Whatever ended the run.
    """
    options = {"stream_mode": list(MODES), "subgraphs": True, **({} if context is None else {"context": context})}
    events = _Events()
    try:
        run = start_in_background(lambda: events.take(lambda: graph.astream(value, config, **options))).future
        for batch in events.batches():
            changes = [state.apply(event, when) for event, when in batch]
            show([change for change in changes if change])
            if stop():
                raise KeyboardInterrupt
        run.result()
    except CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        events.leave()
