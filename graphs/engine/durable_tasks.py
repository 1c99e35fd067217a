"""Durable calls: tasks whose results are stored before anybody builds on them, so many open at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from contextvars import copy_context
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt

from agents.runtime import Effects, WorkCancelledError
from graphs.engine.budget import take_over
from graphs.engine.langgraph_internals import Calls, place_in_run
from graphs.engine.step_records import AtWork
from graphs.engine.steps import StepRecord

WINDOW = 1000
"""Steps at work at once: their number decides how much memory a run takes."""

Pending = asyncio.Future[Any]


class Tasks:
    """The durable calls of one run of steps, each with a name of its own, by which it is found again after a resume.

    Args:
        config: That of the node in which they are called.
        ended: Gets each record, also those of tasks that had ended before the run was resumed.
    """

    def __init__(self, config: RunnableConfig, ended: Callable[[StepRecord], None]) -> None:
        self.config = config
        self.ended = ended
        self.earlier = AtWork()
        """The working time of what had finished before this process took the run over."""
        self._calls = Calls(config)
        self._context = copy_context()

    def announce(self, name: str, shown: Callable[[], object]) -> None:
        """List a call that will be made in the `tasks` stream, with its input, if anybody listens."""
        if self._calls.are_shown:
            self._calls.announce(get_config(), name, shown())

    def stored(self, name: str) -> StepRecord | None:
        """Return the result of a call that had ended before a resume; else the call is still to be made."""
        is_stored = self._calls.announce(get_config(), name, None)
        return self.call(name, None, None).result() if is_stored else None

    def call(self, name: str, work: Callable[[], Coroutine[Any, Any, StepRecord]] | None, shown: object) -> Pending:
        """Call a task; the future is done when its result is stored. What had finished before a resume is not done."""
        future, was_stored = self._calls.call(get_config(), name, work, shown)
        if was_stored:
            record: StepRecord = future.result()
            seconds = self.earlier.add(record)
            take_over(self.config, f"{place_in_run(self.config)}|{name}", record["usage"], seconds)
            self.ended(record)
        else:
            future.add_done_callback(self._note, context=self._context)
        return future

    def _note(self, future: Pending) -> None:
        if not future.cancelled() and not future.exception():
            self.ended(future.result())


def results_of(calls: Collection[Pending]) -> list[StepRecord]:
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
    """Begins calls, at most `WINDOW` of them at once; tells `ended` of each before others take its place."""

    def __init__(self, effects: Effects, ended: Callable[[Pending], None] = lambda call: None) -> None:
        self.effects = effects
        self.ended = ended
        self._context = copy_context()  # one for all callbacks
        self._ready: deque[Callable[[], Pending]] = deque()
        self._open = 0
        self._error: Exception | None = None
        self._ended = asyncio.get_running_loop().create_future()

    def add(self, begin: Callable[[], Pending]) -> None:
        self._ready.append(begin)
        self._fill()

    async def close(self) -> None:
        """Wait until all calls have ended; after a cancellation for those that are open, so that results are stored."""
        try:
            await self._until_ended(self.effects)
        except BaseException as error:
            self._ready.clear()
            if isinstance(error, WorkCancelledError):
                await self._until_ended(Effects())
            raise
        if self._error is not None:
            raise self._error

    async def _until_ended(self, effects: Effects) -> None:
        while self._open or self._ready:
            self._ended = asyncio.get_running_loop().create_future()
            await effects.first([self._ended])

    def _fill(self, ended: Pending | None = None) -> None:
        try:
            if ended is not None:
                self._open -= 1
                self.ended(ended)
            while self._ready and self._open < WINDOW:
                call = self._ready.popleft()()
                self._open += 1
                call.add_done_callback(self._fill, context=self._context)
        except Exception as error:  # callbacks pass no errors on, and the run would stand still
            self._ready.clear()
            self._error = error
        if not self._open and not self._ended.done():
            self._ended.set_result(None)
