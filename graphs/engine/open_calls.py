"""Limits how many calls are open at once, so that the cost of each stays the same however many there are."""

from __future__ import annotations

from asyncio import InvalidStateError
from concurrent import futures
from contextlib import suppress
from typing import Any

from agents.runtime import Effects

WINDOW = 1000
"""Steps that are open (waiting or working) at once. LangGraph looks at all open calls whenever one ends, so their
number decides the cost of a step: 10,000 opened at once took over a minute."""


class Window:
    """Keeps the number of open calls within `WINDOW`; waiting costs the same however many are open."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.open: set[Any] = set()
        self.ended = effects.signal()

    async def add(self, future: Any) -> None:
        """Count a call as open, and wait until there is room for another."""
        self.open.add(future)
        future.add_done_callback(self._end)
        await self._until_open(WINDOW - 1)

    async def close(self) -> None:
        """Wait until no call is open."""
        await self._until_open(0)

    def _end(self, future: Any) -> None:
        self.open.discard(future)
        with suppress(InvalidStateError, futures.InvalidStateError):  # another one ended at the same time
            self.ended.set_result(None)

    async def _until_open(self, most: int) -> None:
        while len(self.open) > most:
            self.ended = self.effects.signal()
            if len(self.open) > most:
                await self.effects.first([self.ended])
