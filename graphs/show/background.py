"""A run in a thread and an event loop of its own, so that nothing an agent does delays what shows it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

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

    NAME = "podium-run"
    """The name of its thread."""

    def __init__(
        self, graph: Any, value: Any, config: Mapping[str, object] | None = None, context: object = None
    ) -> None:
        # Not a SimpleQueue: a signal at the end of its time-out can make it wait for ever.
        self._events: Queue[tuple[RunEvent, float] | BaseException | None] = Queue()
        self._cancel: Callable[[], object] = lambda: None
        self._thread = threading.Thread()
        self._closed = threading.Event()
        options = {"stream_mode": list(MODES), "subgraphs": True, **({} if context is None else {"context": context})}
        self._open: Callable[[], Any] = lambda: graph.astream(value, config, **options)

    async def _stream(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda loop, context: None)  # remains of a cancelled run are not worth a message
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
        if self._closed.is_set():  # an interrupt came while the thread was starting
            return
        try:
            async for event in self._open():
                self._events.put((event, time.time()))
        except asyncio.CancelledError:
            self._events.put(KeyboardInterrupt())
        except Exception as error:
            self._events.put(error)
        else:
            self._events.put(None)

    def follow(
        self, state: LiveState, show: Callable[[list[Change]], object], *, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Apply the run's events to a state, and show what has changed every tick, until the run ends.

        Raises:
            KeyboardInterrupt: `stop` says so, or the run was cancelled.
            Exception: Whatever ended the run.
        """
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=lambda: run(asyncio.run, self._stream()), name=self.NAME, daemon=True)
        self._thread.start()
        for batch, ending in self._batches():
            changes = [state.apply(event, when) for event, when in batch]
            show([change for change in changes if change])
            if ending or stop():
                raise ending or KeyboardInterrupt

    def _batches(self) -> Iterator[tuple[list[tuple[RunEvent, float]], BaseException | None]]:
        ended = False
        while not ended:
            batch: list[tuple[RunEvent, float]] = []
            ending: BaseException | None = None
            until = time.monotonic() + _TICK
            while not ended and (left := until - time.monotonic()) > 0:
                with suppress(Empty):
                    event = self._events.get(timeout=left)
                    if isinstance(event, tuple):
                        batch.append(event)
                    else:
                        ended, ending = True, event
            yield batch, ending

    def close(self) -> None:
        """End the run, if it goes on, as far as that is possible without waiting for it."""
        self._closed.set()
        with suppress(RuntimeError):  # its loop is closed already
            self._cancel()
        with suppress(RuntimeError):  # an interrupt came before it had started
            self._thread.join(_FAREWELL)
