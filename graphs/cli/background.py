"""A run in a thread of its own, so that nothing an agent does delays the screen or a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from typing import Any, NoReturn

from agents.tracing import flush
from graphs.show import MODES, Event

KILLED = 1
"""Exit code after a second signal."""
_TICK = 0.1
"""Seconds between two pictures; also the longest a signal waits."""
_FAREWELL = 0.3
"""Seconds that an interrupted run has to put things away."""

interrupted = threading.Event()
"""A signal has asked this process to end."""


class Background:
    """A run at work; `events` ends with None or with the exception that ended the run."""

    NAME = "podium-run"

    def __init__(self, graph: Any, given: Any, config: Any = None, context: Any = None) -> None:
        # Not a SimpleQueue: a signal at the end of its time-out can make it wait for ever.
        self.events: Queue[Event | BaseException | None] = Queue()
        self._cancel: Callable[[], object] = lambda: None
        self._work = self._stream(graph, given, config, {} if context is None else {"context": context})
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work), name=self.NAME, daemon=True)
        self._thread.start()

    async def _stream(self, graph: Any, given: Any, config: Any, options: dict[str, Any]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        loop.set_exception_handler(lambda loop, context: None)  # what is left behind by a cancelled run is no news
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            async for event in graph.astream(given, config, stream_mode=list(MODES), subgraphs=True, **options):
                self.events.put(event)
        except asyncio.CancelledError:
            self.events.put(KeyboardInterrupt())
        except Exception as error:
            self.events.put(error)
        else:
            self.events.put(None)

    def batches(self) -> Iterator[list[Event]]:
        """Yield what has happened since the last batch, every tick; raise what ended the run.

        Raises:
            KeyboardInterrupt: A signal asked to stop.
        """
        while True:
            batch: list[Event] = []
            until = time.monotonic() + _TICK
            while (left := until - time.monotonic()) > 0:
                try:
                    event = self.events.get(timeout=left)
                except Empty:
                    break
                if event is None or isinstance(event, BaseException):
                    yield batch
                    if event is None:
                        return
                    raise event
                batch.append(event)
            yield batch
            if interrupted.is_set():
                raise KeyboardInterrupt

    def close(self) -> None:
        """End the run, if it goes on, as far as that is possible without waiting for it."""
        with suppress(RuntimeError):  # its loop is closed already
            self._cancel()
        self._thread.join(_FAREWELL)


@contextmanager
def noting_signals() -> Iterator[None]:
    """Only note SIGINT (Ctrl-C) and SIGTERM in `interrupted`; a second signal ends the process at once."""

    def note(*_: object) -> None:
        if interrupted.is_set():
            os._exit(KILLED)
        interrupted.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def leave(code: int) -> NoReturn:
    """End the process; without any delay after a signal, or when threads are at work for a run that was given up."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more, or the disk is full
        os._exit(code or KILLED)
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    if interrupted.is_set() or any(not one.daemon or one.name == Background.NAME for one in others):
        flush()
        os._exit(code)
    sys.exit(code)
