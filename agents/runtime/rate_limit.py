"""One gate per model and process: after a 429 all calls of the model wait as its server asked, then go on at a pace.

enter -> call -> passed | refused
"""

import math
import random
import threading
import time
from bisect import insort
from collections import deque
from dataclasses import dataclass
from itertools import count
from operator import attrgetter

from agents.runtime.effects import Effects, Wakeup
from agents.runtime.per_model import per_model

PACE_WINDOW = 1.0
"""Seconds, at least, over which the calls that a server accepted are counted to estimate its rate."""

MAX_STARTS = 1000
"""Starts of calls that are remembered for that."""

SLOWER, FASTER = 2.0, 0.97
"""Factors for the time between two calls: after a refusal in spite of the pace, and after each call that passed."""

MIN_INTERVAL = 0.01
"""Seconds between two calls below which calls are not paced."""

JITTER = 1.1
"""Waits are longer by up to this factor, so that processes that were refused together do not come back together."""

MISSED = 0.5
"""Seconds after which a call has missed its turn."""

_tickets = count()


@dataclass(eq=False)
class _Place:
    """A place in the line."""

    ticket: int
    wakeup: Wakeup


class RateLimit:
    """The gate of one model; calls enter in the order in which they came, those that were refused before new ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opens = -math.inf
        """Clock time from which the next call may start."""
        self._closed = -math.inf
        """Clock time of the last refusal."""
        self._passed = -math.inf
        """Clock time at which a call last passed."""
        self._interval = 0.0
        """Seconds between the starts of two calls; 0: no pace."""
        self._starts: deque[float] = deque(maxlen=MAX_STARTS)
        self._line: list[_Place] = []

    async def enter(self, effects: Effects, ticket: int) -> float:
        """Wait for a call's turn; return the clock time of its start.

        Nobody polls: the first in the line sleeps until the gate opens, and wakes the next one as it enters. The first
        of each other event loop wakes a little later, and passes those who missed their turn: their loop is blocked.
        """
        with self._lock:
            if not self._line and self._wait() <= 0:
                return self._start()
            mine = _Place(ticket, effects.event())
            insort(self._line, mine, key=attrgetter("ticket"))
        try:
            while True:
                with self._lock:
                    wait = self._wait_of(mine)
                    if wait is not None and wait <= 0:
                        for late in self._line[: self._line.index(mine)]:
                            late.ticket = new_ticket()
                        self._line.sort(key=attrgetter("ticket"))
                        return self._start()
                await mine.wakeup.wait(wait)
        finally:
            with self._lock:
                self._line.remove(mine)
                for place in {place.wakeup.loop: place for place in reversed(self._line)}.values():
                    place.wakeup.set()

    def wait(self) -> float:
        """Return the seconds until the gate opens."""
        with self._lock:
            return max(self._wait(), 0.0)

    def passed(self) -> None:
        """Go on a little faster."""
        with self._lock:
            self._passed = time.monotonic()
            self._interval *= FASTER
            if self._interval < MIN_INTERVAL:
                self._interval = 0.0

    def refused(self, started: float, wait: float) -> bool:
        """Close the gate for some seconds after a call was refused; return whether others have passed since it started.

        The pace after that is the rate of the calls that the server accepted, and half of the last pace if that was
        refused too.
        """
        with self._lock:
            now = time.monotonic()
            if started in self._starts:
                self._starts.remove(started)
            window = max(wait, PACE_WINDOW)
            accepted = sum(start > now - window for start in self._starts)
            if self._interval and started > self._closed:
                self._interval = min(self._interval * SLOWER, window)
            else:
                self._interval = window / max(accepted, 1)
            self._opens = max(self._opens, now + wait * random.uniform(1.0, JITTER))  # noqa: S311
            self._closed = now
            return self._passed > started

    def _wait_of(self, mine: _Place) -> float | None:
        """Return the seconds until a place may enter; None if another of its loop is before it."""
        first = next(place for place in self._line if place.wakeup.loop is mine.wakeup.loop)
        if first is not mine:
            return None
        return self._wait() + (0 if mine is self._line[0] else MISSED)

    def _wait(self) -> float:
        return self._opens - time.monotonic()

    def _start(self) -> float:
        now = time.monotonic()
        self._starts.append(now)
        self._opens = max(self._opens, now + self._interval * random.uniform(1.0, JITTER))  # noqa: S311
        return now


def new_ticket() -> int:
    """Return a place in a line, which a call keeps when it has to come back."""
    return next(_tickets)


rate_limit_of = per_model(RateLimit)
"""Return the gate of a chat model."""
