"""Durable calls: LangGraph tasks whose results are stored before anybody builds on them, so many open at once."""

from __future__ import annotations

from asyncio import AbstractEventLoop, InvalidStateError
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt

from agents.runtime import Effects
from graphs.engine.budget import take_over
from graphs.engine.langgraph_internals import task_id_of
from graphs.engine.progress import place_in_run
from graphs.engine.recorded import notices_of
from graphs.engine.step_records import AtWork
from graphs.engine.steps import StepRecord

WINDOW = 1000
"""Steps that are open (waiting or working) at once: their number decides how much memory a run takes."""

StartStep = Callable[[], Coroutine[object, None, StepRecord]]


class Tasks:
    """The durable calls of one run of steps, by name.

    Replay matches tasks by the order of their calls and by name, never by arguments: call them in one fixed order.

    Args:
        effects: How to wait.
        config: That of the node in which they are called.
        ended: Gets each record, also those of tasks that had ended before the run was resumed.
    """

    def __init__(self, effects: Effects, config: RunnableConfig, ended: Callable[[StepRecord], None]) -> None:
        self.effects = effects
        self.config = config
        self.ended = ended
        self.earlier = AtWork()
        """The working time of what had finished before this process took the run over."""
        self._ran: dict[str, str] = {}
        """The tasks whose body ran in this process, with LangGraph's id of each."""
        self._stored: dict[str, object] = {}
        """By task, a future that is done when its result is stored, or there is none."""
        self._notices = notices_of(config)

    def call(self, name: str, work: StartStep, shown: object) -> Any:
        """Call a task and return its future; the body does not run for what had finished before a resume."""

        async def body(shown: object) -> StepRecord:
            self._ran[name] = task_id_of(get_config())
            if self._notices:
                self._notices.watch(self._ran[name])
            return await work()

        self._stored[name] = self.effects.signal()
        future = self.effects.task(name, body, shown)
        future.add_done_callback(partial(self._end, name))
        return future

    def when_stored(self, name: str) -> object:
        """Return a future that is done when the result of a task is stored, or there is none."""
        return self._stored[name]

    async def results(self, calls: Iterable[tuple[str, object]]) -> list[StepRecord]:
        """Return the records of some calls, by name, once they are stored."""
        named = dict(calls)
        for name in named:
            await self.effects.first([self._stored[name]])
        return results_of(named.values())

    def _end(self, name: str, future: Any) -> None:
        stored = self._stored[name]
        if future.cancelled() or future.exception():
            _set(stored)
            return
        if self._notices and name in self._ran:
            self._notices.when_stored(self._ran[name], partial(_set_soon, future.get_loop(), stored))
        else:
            _set(stored)
        record: StepRecord = future.result()
        if name not in self._ran:
            seconds = self.earlier.add(record)
            take_over(self.config, f"{place_in_run(self.config)}|{name}", record["usage"], seconds)
        self.ended(record)


def results_of(calls: Collection[Any]) -> list[StepRecord]:
    """Return the results of calls that have ended, or raise everything that was asked in them, together."""
    errors = [error for call in calls if (error := call.exception())]
    for error in errors:
        if not isinstance(error, GraphInterrupt):
            raise error
    if errors:
        asked = {question.id: question for error in errors for question in error.args[0]}
        raise GraphInterrupt(tuple(asked.values()))
    return [call.result() for call in calls]


class Window:
    """Keeps the number of open calls within `WINDOW`; waiting costs the same however many are open."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.open: set[object] = set()
        self.ended = effects.signal()

    async def add(self, future: Any) -> None:
        """Count a call as open, and wait until there is room for another."""
        self.open.add(future)
        future.add_done_callback(self._end)
        await self._until_open(WINDOW - 1)

    async def close(self) -> None:
        """Wait until no call is open."""
        await self._until_open(0)

    def _end(self, future: object) -> None:
        self.open.discard(future)
        _set(self.ended)  # or another one ended at the same time

    async def _until_open(self, most: int) -> None:
        while len(self.open) > most:
            self.ended = self.effects.signal()
            if len(self.open) > most:
                await self.effects.first([self.ended])


def _set_soon(loop: AbstractEventLoop, signal: Any) -> None:
    """Set a signal from any thread: savers for sync code write in threads."""
    with suppress(RuntimeError):  # the loop has been closed, with all that waited on it
        loop.call_soon_threadsafe(_set, signal)


def _set(signal: Any) -> None:
    with suppress(InvalidStateError):  # it is set already
        signal.set_result(None)
