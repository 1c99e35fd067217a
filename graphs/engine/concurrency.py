"""The caller's `max_concurrency`, for a whole run: one pool of slots for all work in it, nested graphs included.

Work takes a slot where an agent, a model or a node function begins, and a nested pattern gives the slot back around
which it runs: who waits for others holds none, so that no limit and no depth of nesting locks a run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime, get_runtime

from agents.runtime import Effects

RUN_SLOTS = "__slots"
"""Key of `configurable` with the slots of a run; checkpoints leave it out."""
_HELD_SLOT = "__slot"

T = TypeVar("T")


class Slots:
    """A semaphore for threads and event loops alike; it admits in the order of asking.

    Args:
        number: Work admitted at once.
        around: The slots of the run around this one; work takes one of each.
    """

    def __init__(self, number: int, around: Slots | None = None) -> None:
        self.around = around
        self._free = number
        self._waiting: deque[Any] = deque()
        self._lock = threading.Lock()

    async def take(self, effects: Effects) -> None:
        await self._take(effects)
        if self.around is not None:
            try:
                await self.around.take(effects)
            except BaseException:
                self._give()
                raise

    async def _take(self, effects: Effects) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            event = effects.event()
            self._waiting.append(event)
        try:
            await event.wait()  # set by the task that gives its slot to this one
        except BaseException:
            with self._lock:
                is_waiting = event in self._waiting
                if is_waiting:
                    self._waiting.remove(event)
            if not is_waiting:
                self._give()
            raise

    def give(self) -> None:
        if self.around is not None:
            self.around.give()
        self._give()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class HeldSlot:
    """A slot that some work holds."""

    def __init__(self, slots: Slots) -> None:
        self._slots: Slots | None = slots
        self._lock = threading.Lock()

    def give_back(self) -> None:
        with self._lock:
            slots, self._slots = self._slots, None
        if slots is not None:
            slots.give()


def at_work(effects: Effects, config: RunnableConfig) -> AbstractAsyncContextManager[RunnableConfig]:
    """Hold a slot of the run, if it has any, while some work is done with the config that this gives."""
    slots: Slots | None = config.get("configurable", {}).get(RUN_SLOTS)
    return nullcontext(config) if slots is None else _holding(slots, effects, config)


@asynccontextmanager
async def _holding(slots: Slots, effects: Effects, config: RunnableConfig) -> AsyncIterator[RunnableConfig]:
    await slots.take(effects)
    held = HeldSlot(slots)
    try:
        yield {**config, "configurable": {**config.get("configurable", {}), _HELD_SLOT: held}}
    finally:
        held.give_back()


def nested_slots(inherited: dict[str, Any], wanted: int | None) -> Slots | None:
    """Return the slots of a run that begins, and give back the slot of the work that runs it.

    Args:
        inherited: `configurable` of the work around it, if any.
        wanted: A limit for this run; in a user's own graph all patterns of one run share it.
    """
    held: HeldSlot | None = inherited.get(_HELD_SLOT)
    if held is not None:
        held.give_back()
    around: Slots | None = inherited.get(RUN_SLOTS)
    if not wanted:
        return around
    if around is None:
        return shared_in_run(RUN_SLOTS, lambda: Slots(wanted))
    return Slots(wanted, around)


_shared: WeakKeyDictionary[Callable[..., Any], dict[str, Any]] = WeakKeyDictionary()
_guard = threading.Lock()


def run_around() -> Callable[..., Any] | None:
    """Return the identity of the graph run in whose node this is called: its stream writer, one for each run."""
    try:
        writer = get_runtime().stream_writer
    except (RuntimeError, KeyError):
        return None
    return None if writer is Runtime().stream_writer else writer  # LangGraph's server calls graphs with a blank runtime


def shared_in_run(key: str, make: Callable[[], T]) -> T:
    """Return what all patterns in one run of a user's own graph share; outside of a run something of its own."""
    run = run_around()
    if run is None:
        return make()
    with _guard:
        things = _shared.setdefault(run, {})
        if key not in things:
            things[key] = make()
        thing: T = things[key]
        return thing
