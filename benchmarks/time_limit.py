"""A time limit for one run of a benchmark: where it stands still, what all tasks, threads and connections wait for.

with time_limit("podium, router"): ...
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import isasyncgen, iscoroutine, isgenerator
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 180.0
GRACE = 30.0
"""Seconds after which the process ends even if no Python code can run."""
TCP_STATES = {1: "established", 2: "SYN sent", 3: "SYN received", 6: "time wait", 8: "close wait", 10: "listening"}
_SUSPENDED = {"cr": iscoroutine, "gi": isgenerator, "ag": isasyncgen}


@contextmanager
def time_limit(what: str, seconds: float = SECONDS) -> Iterator[None]:
    """End the process with status 1 if the block takes longer, and print what everything in it waits for."""
    timer = threading.Timer(seconds, _end, [what, seconds])
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def _end(what: str, seconds: float) -> None:
    with suppress(Exception):
        print(f"\nSTANDS STILL: {what}, for {seconds:g} s", file=sys.stderr)
        print(*waiting_tasks(), *connections(), "threads:", sep="\n", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(1)


def waiting_tasks() -> list[str]:
    """Return the chains of awaits of all open asyncio tasks, outermost first; how many have each, and an example."""
    tasks = [item for item in gc.get_objects() if isinstance(item, asyncio.Task) and not item.done()]
    names: dict[str, list[str]] = {}
    for task in tasks:
        names.setdefault("\n".join(f"    {place}" for place in chain(task.get_coro())), []).append(task.get_name())
    return [f"{len(alike)} tasks, as {alike[0]!r}:\n{places}" for places, alike in names.items()]


def chain(awaited: Any) -> list[str]:
    """Return where a coroutine waits, and what it waits for, down to a future."""
    places: list[str] = []
    while awaited is not None and not asyncio.isfuture(awaited):
        kind = _kind(awaited)
        if kind is None:  # what `__anext__` and `__await__` return, which has no attribute for what is inside
            inner = [item for item in gc.get_referents(awaited) if _kind(item) or asyncio.isfuture(item)]
            awaited = inner[0] if inner else None
            continue
        frame: FrameType | None = getattr(awaited, f"{kind}_frame")
        if frame is not None:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return [*places, repr(awaited)[:300]]


def _kind(awaited: object) -> str | None:
    return next((kind for kind, is_kind in _SUSPENDED.items() if is_kind(awaited)), None)


def connections() -> list[str]:
    """Return how many TCP connections of this machine are in each state, and with bytes that nobody has read."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    states = Counter(
        f"{TCP_STATES.get(int(row[3], 16), row[3])}{'' if row[4].endswith(':00000000') else ', unread'}" for row in rows
    )
    return [f"{number} connections: {state}" for state, number in states.items()]
