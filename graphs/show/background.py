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
    # Not a SimpleQueue: a signal at the end of its time-out can make it wait for ever.
    events: Queue[tuple[RunEvent, float] | None] = Queue()
    left, ended = threading.Event(), threading.Event()
    cancels: list[Callable[[], object]] = []

    async def stream() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        cancels.append(lambda: loop.call_soon_threadsafe(task.cancel) if task else None)
        try:
            if not left.is_set():  # by an interrupt that came while the run was starting
                async for event in graph.astream(value, config, **options):
                    events.put((event, time.time()))
        finally:
            ended.set()

    try:
        run = start_in_background(stream).future
        run.add_done_callback(lambda run: events.put(None))
        for batch in _batches(events):
            changes = [state.apply(event, when) for event, when in batch]
            show([change for change in changes if change])
            if stop():
                raise KeyboardInterrupt
        run.result()
    except CancelledError as error:
        raise KeyboardInterrupt from error
    finally:  # a run that goes on is ended, as far as that is possible without waiting for it
        left.set()
        if not ended.is_set():
            for cancel in cancels:
                cancel()
            ended.wait(_FAREWELL)


def _batches(events: Queue[tuple[RunEvent, float] | None]) -> Iterator[list[tuple[RunEvent, float]]]:
    ended = False
    while not ended:
        batch: list[tuple[RunEvent, float]] = []
        until = time.monotonic() + _TICK
        while not ended and (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                event = events.get(timeout=left)
                ended = event is None
                batch += [event] if event else []
        yield batch
