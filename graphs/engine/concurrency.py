"""The caller's `max_concurrency`, for a whole run: one pool of slots for all work in it, nested graphs included.

Work takes a slot where an agent, a model or a node function begins, and a nested pattern gives the slot back around
which it runs: who waits for others holds none, so that no limit and no depth of nesting locks a run.
"""

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext, suppress
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
    """A semaphore for threads and event loops alike, for so much work at once; it admits in the order of asking."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[Any] = deque()
        self._lock = threading.Lock()

    async def take(self, effects: Effects) -> None:
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
                self.give()
            raise

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


Held = deque[ExitStack]
"""What gives back the slots that some work holds, until that is done."""


def _give_back(held: Held) -> None:
    with suppress(IndexError):  # done before: a deque's pop is atomic
        held.pop().close()


def at_work(effects: Effects, config: RunnableConfig) -> AbstractAsyncContextManager[RunnableConfig]:
    """Hold a slot of the run, if it has any, while some work is done with the config that this gives."""
    slots: Sequence[Slots] | None = config.get("configurable", {}).get(RUN_SLOTS)
    return nullcontext(config) if slots is None else _holding(slots, effects, config)


@asynccontextmanager
async def _holding(slots: Sequence[Slots], effects: Effects, config: RunnableConfig) -> AsyncIterator[RunnableConfig]:
    with ExitStack() as taken:
        for pool in slots:
            await pool.take(effects)
            taken.callback(pool.give)
        held: Held = deque([taken.pop_all()])
    try:
        yield {**config, "configurable": {**config.get("configurable", {}), _HELD_SLOT: held}}
    finally:
        _give_back(held)


def nested_slots(inherited: dict[str, Any], wanted: int | None) -> Sequence[Slots] | None:
    """Return the slots of a run that begins, and give back the slot of the work that runs it.

    Work takes one of each: of the run that it belongs to, and of those around that.

    Args:
        inherited: `configurable` of the work around it, if any.
        wanted: A limit for this run; in a user's own graph all patterns of one run share it.
    """
    if held := inherited.get(_HELD_SLOT):
        _give_back(held)
    around: Sequence[Slots] | None = inherited.get(RUN_SLOTS)
    if not wanted:
        return around
    return shared_in_run(RUN_SLOTS, lambda: (Slots(wanted),)) if around is None else (Slots(wanted), *around)


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
