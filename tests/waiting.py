"""Waiting for something that must come, however busy the machine is."""

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds after which something hangs."""


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "It does not come"
        time.sleep(0.01)
