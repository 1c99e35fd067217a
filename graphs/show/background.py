"""A run on an event loop in the background, so that nothing an agent does delays what shows it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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


class BackgroundRun:
    """A run that begins when it is followed, so that an interrupt between the two leaves nothing at work.

    Args:
        graph: Any compiled graph.
        value: Its input, None to go on, or a `Command` with answers.
        config: As for `graph.astream`.
        context: The run's settings, as for `graph.astream`.
    """

    def __init__(
        self, graph: Any, value: Any, config: Mapping[str, object] | None = None, context: object = None
    ) -> None:
        # Not a SimpleQueue: a signal at the end of its time-out can make it wait for ever.
        self._events: Queue[tuple[RunEvent, float] | None] = Queue()
        self._cancel: Callable[[], object] = lambda: None
        self._closed, self._ended = threading.Event(), threading.Event()
        options = {"stream_mode": list(MODES), "subgraphs": True, **({} if context is None else {"context": context})}
        self._open: Callable[[], Any] = lambda: graph.astream(value, config, **options)

    async def _stream(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
        try:
            if not self._closed.is_set():  # by an interrupt that came while the run was starting
                async for event in self._open():
                    self._events.put((event, time.time()))
        finally:
            self._ended.set()

    def follow(
        self, state: LiveState, show: Callable[[list[Change]], object], *, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Apply the run's events to a state, and show what has changed every tick, until the run ends.

        Raises:
            KeyboardInterrupt: `stop` says so, or the run was cancelled.
            Exception: Whatever ended the run.
        """
        run = start_in_background(self._stream).future
        run.add_done_callback(lambda run: self._events.put(None))
        for batch in self._batches():
            changes = [state.apply(event, when) for event, when in batch]
            show([change for change in changes if change])
            if stop():
                raise KeyboardInterrupt
        try:
            run.result()
        except CancelledError as error:
            raise KeyboardInterrupt from error

    def _batches(self) -> Iterator[list[tuple[RunEvent, float]]]:
        ended = False
        while not ended:
            batch: list[tuple[RunEvent, float]] = []
            until = time.monotonic() + _TICK
            while not ended and (left := until - time.monotonic()) > 0:
                with suppress(Empty):
                    event = self._events.get(timeout=left)
                    ended = event is None
                    batch += [event] if event else []
            yield batch

    def close(self) -> None:
        """End the run, if it goes on, as far as that is possible without waiting for it."""
        self._closed.set()
        if not self._ended.is_set():
            self._cancel()
            self._ended.wait(_FAREWELL)
