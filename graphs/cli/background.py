"""Signals of the command: the first asks the run to stop, the second ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from agents.tracing import flush
from graphs.show import BackgroundRun

KILLED = 1
"""Exit code after a second signal."""
interrupted = threading.Event()
"""A signal has asked this process to end."""


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
    if interrupted.is_set() or any(not one.daemon or one.name == BackgroundRun.NAME for one in others):
        flush()
        os._exit(code)
    sys.exit(code)
