"""A run on an event loop in the background, so that nothing an agent does delays what shows it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from typing import Any

from agents.runtime import start_in_background
from graphs.show.live_state import MODES, Change, LiveState, RunEvent

_TICK = 0.1
"""Seconds between two pictures; also the longest that a wish to stop waits."""
_FAREWELL = 0.3
"""Seconds that a stopped run has to put things away."""

_Events = Queue[tuple[RunEvent, float] | None]
"""The events of a run with their times; None when it ends."""


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
    with _running(lambda: graph.astream(value, config, **options)) as (run, events):
        for batch in _batches(events):
            show([change for event, when in batch if (change := state.apply(event, when))])
            if stop():
                raise KeyboardInterrupt
        try:
            run.result()
        except CancelledError as error:
            raise KeyboardInterrupt from error


@contextmanager
def _running(run: Callable[[], AsyncIterator[Any]]) -> Iterator[tuple[Future[None], _Events]]:
    """Start a run, and give its future and events; at the end it is cancelled, if it goes on, and not waited for."""
    # Not a SimpleQueue: a signal at the end of its time-out can make it wait forever.
    events: _Events = Queue()
    left, ended = threading.Event(), threading.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def take() -> None:
        tasks.extend(filter(None, [asyncio.current_task()]))
        try:
            if not left.is_set():  # by an interrupt that came while the run was starting
                async for event in run():
                    events.put((event, time.time()))
        finally:
            ended.set()
            events.put(None)

    try:
        yield start_in_background(take).future, events
    finally:
        left.set()
        for task in () if ended.is_set() else tasks:
            task.get_loop().call_soon_threadsafe(task.cancel)
        ended.wait(_FAREWELL)


def _batches(events: _Events) -> Iterator[list[tuple[RunEvent, float]]]:
    """Yield every tick what has come, until the run ends."""
    ended = False
    while not ended:
        batch: list[tuple[RunEvent, float]] = []
        until = time.monotonic() + _TICK
        while not ended and (wait := until - time.monotonic()) > 0:
            with suppress(Empty):
                event = events.get(timeout=wait)
                ended = event is None
                batch += [event] if event else []
        yield batch
