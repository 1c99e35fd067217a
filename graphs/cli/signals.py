"""Ctrl-C and SIGTERM end the command at any moment with exit code 3, without a traceback."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from graphs.cli.exit_codes import PARTIAL

SIGNALS = (signal.SIGINT, signal.SIGTERM)

interrupted = threading.Event()
"""A signal has asked this process to end."""

_SHOW_CURSOR = "\x1b[?25h"


def catch_signals() -> None:
    """End the process on a signal; whatever is stored is safe, and child processes end with their standard input."""
    for number in SIGNALS:
        signal.signal(number, end)


def end(*_: object) -> None:
    """End the process at once."""
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    os.write(2, f"{cursor}\npodium: interrupted\n".encode())
    os._exit(PARTIAL)


def note_signal(*_: object) -> None:
    """Only note the first signal in `interrupted`, so that a run can show what was finished."""
    if interrupted.is_set():
        end()
    interrupted.set()


def raise_interrupt(*_: object) -> None:
    """Raise KeyboardInterrupt on the first signal, so that a person can leave a question for later."""
    note_signal()
    raise KeyboardInterrupt


@contextmanager
def signals_to(handler: Callable[..., None]) -> Iterator[None]:
    """Have signals handled otherwise until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def leave(code: int) -> NoReturn:
    """End the process; at once after a signal, or when threads are left that it would wait for."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader has gone, or the disk is full
        os._exit(code or 1)
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if interrupted.is_set() or any(not thread.daemon for thread in others):
        if tracing := sys.modules.get("agents.tracing"):
            tracing.flush()
        os._exit(code)
    sys.exit(code)
