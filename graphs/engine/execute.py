"""The node that runs steps: each starts the moment its last dependency ends, and is durable by itself.

LangGraph runs nodes in supersteps, in which every level waits for its slowest node. So a step is not a node but a task
call, made when its dependencies have ended; until then it costs no more than its place in a dict.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt

from agents import Agent, Assignment, ConfigurationError, Retry
from agents.arguments import check_limits
from agents.runtime import Effects, SyncAsyncRunnable, WorkCancelledError, is_cancelled
from agents.usage import sum_usage
from graphs.engine.budget import take_over
from graphs.engine.chat_stream import begin_call, end_call
from graphs.engine.drawing import Box, each, each_step
from graphs.engine.durable_tasks import Pending, Tasks, Window, results_of
from graphs.engine.langgraph_internals import place_in_run
from graphs.engine.node import Update
from graphs.engine.step_work import StepWork, report
from graphs.engine.steps import OnFailure, Step, StepRecord, in_words, may_start, new_record, read_plan, reason_to_skip

EXECUTE = "execute"
"""The name of the node that runs steps."""

_REPORTED = ("agent", "status", "error", "attempts", "answered_by", "started", "ended", "usage", "dependencies")


class Execute(SyncAsyncRunnable[Any, Update]):
    """Runs the steps of `state["plan"]` that have no result in `state["steps"]` yet.

    Args:
        agents: The team, by name.
        assignment: State -> what the run is asked to do; each step's assignment is made from it.
        steps: Those that the code defines; they take the place of stored ones with the same id.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        assignment: Callable[[Any], Assignment],
        *,
        on_failure: OnFailure,
        max_parallel: int | None,
        retry: Retry | None,
        steps: Sequence[Step] = (),
    ) -> None:
        if on_failure not in get_args(OnFailure):
            raise ConfigurationError(f"on_failure must be one of {', '.join(get_args(OnFailure))}, not {on_failure!r}")
        if max_parallel is not None:
            check_limits(1, max_parallel=max_parallel)
        self.agents = agents
        self.assignment = assignment
        self.on_failure = on_failure
        self.max_parallel = max_parallel
        self.retry = retry or Retry()
        self.steps = steps

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Update:
        """Return the records of all steps, and what they add to `errors` and `usage`."""
        began = time.monotonic()
        run = StepRun(self, effects, value, config)
        steps = {step.id: step for step in (*read_plan(value["plan"])[0], *self.steps)}  # the code's have the last word
        finished = run.finished
        try:
            run.open([step for name, step in steps.items() if name not in finished])
            await run.close()
        except BaseException:
            run.work.abandoned = True  # after Ctrl-C the threads of waiting steps live on; they must not start anything
            raise
        new = run.results()
        records = {**finished, **new}
        return {
            "steps": {name: records[name] for name in steps},
            "errors": [error for record in new.values() for error in record["problems"]],
            "usage": sum_usage(record["usage"] for record in new.values()),
            "seconds": time.monotonic() - began + run.tasks.earlier.seconds,
        }

    def boxes(self, name: str) -> list[Box]:
        """Return what a drawing shows in place of the node: the steps, or the team where they are yet to be planned."""
        return each_step(self.steps, self.agents) if self.steps else each([*self.agents.values()])


class StepRun:
    """One run of some steps, none open yet: each waits for its dependencies, is skipped or done, and reported."""

    def __init__(self, node: Execute, effects: Effects, state: Any, config: RunnableConfig) -> None:
        take_over(config, place_in_run(config), state.get("usage"), state.get("seconds", 0.0))
        records: Mapping[str, StepRecord] = state.get("steps") or {}
        is_final = bool(state.get("has_begun"))  # they belong to this plan, not to one before it
        finished = {name: record for name, record in records.items() if is_final or record["status"] == "completed"}
        self.finished = finished
        self.on_failure = node.on_failure
        self.config = config
        self.tasks = Tasks(config, self.ended)
        self.steps = {step.id: step for step in node.steps}
        slots = nullcontext() if node.max_parallel is None else asyncio.Semaphore(node.max_parallel)
        self.work = StepWork(effects, node.agents, node.retry, self.steps, node.assignment(state), slots, self.tasks)
        self._order: list[str] = []
        self._settled = dict(finished)
        self._missing: dict[str, int] = {}
        """Number of dependencies that have not ended, by step that has not begun."""
        self._answered: set[str] = set()
        """Steps of which a dependency has completed."""
        self._dependents: dict[str, list[Step]] = {}
        self._futures: dict[str, Pending] = {}
        self._window = Window(effects, self._go_on)
        for record in finished.values():
            self.ended(record)

    def open(self, steps: Sequence[Step]) -> None:
        """Begin each step as soon as its dependencies have ended, at most `WINDOW` at once."""
        self.steps.update({step.id: step for step in steps})
        self.work.needed.update(name for step in steps for name in step.dependencies)
        for step in steps:
            self._order.append(step.id)
            awaited = {name for name in step.dependencies if name not in self._settled}
            self._missing[step.id] = len(awaited)
            if any(_has_completed(self._settled[name]) for name in {*step.dependencies} - awaited):
                self._answered.add(step.id)
            for name in awaited:
                self._dependents.setdefault(name, []).append(step)
            self.tasks.announce(step.id, step.as_dict)
        for step in steps:
            self._begin_if_ready(step)

    async def close(self) -> None:
        await self._window.close()

    def _begin_if_ready(self, step: Step) -> None:
        missing = self._missing.get(step.id)
        if missing is not None and may_start(step, self._settled, missing, step.id in self._answered):
            del self._missing[step.id]
            settled = {name: self._settled[name] for name in step.dependencies if name in self._settled}
            self._window.add(partial(self._begin, step, settled))

    def _begin(self, step: Step, settled: Mapping[str, StepRecord]) -> Pending:
        shown = {"agent": step.agent, "task": step.task}
        self._futures[step.id] = self.tasks.call(step.id, partial(self.step, step, settled), shown)
        return self._futures[step.id]

    def _go_on(self, future: Pending) -> None:
        """Begin the steps that have waited for this one; where it asks a person, they begin after the answer."""
        if not future.cancelled() and not future.exception():
            record: StepRecord = future.result()
            self._settled[record["id"]] = record
            for step in self._dependents.pop(record["id"], ()):
                if step.id in self._missing:
                    self._missing[step.id] -= 1
                    if _has_completed(record):
                        self._answered.add(step.id)
                    self._begin_if_ready(step)

    def ended(self, record: StepRecord) -> None:
        """Note whether a record ends the run."""
        if self.on_failure == "stop" and record["status"] == "failed":
            self.work.failed = self.work.failed or record["id"]

    def results(self) -> dict[str, StepRecord]:
        """Return the records of the steps, or raise everything that agents in them have asked people, together.

        Raises:
            WorkCancelledError: The work was cancelled before all steps had begun.
        """
        try:
            called = [self._futures[name] for name in self._order if name in self._futures]
            return dict(zip(self._order, results_of(called), strict=True))
        except GraphInterrupt as asked:
            if not asked.args[0] and is_cancelled(self.config):
                raise WorkCancelledError from None
            raise

    async def step(self, step: Step, settled: Mapping[str, StepRecord]) -> StepRecord:
        beginning = _Beginning(step, self.config)
        if (reason := reason_to_skip(step, settled, self.on_failure)) is not None:
            record = new_record(step, "skipped", error=f"Step {step.id!r} was skipped: {reason}")
        else:
            record = await self.work.do(step, settled, beginning)
        if beginning.time is not None:
            record = {**record, "started": beginning.time, "ended": time.time()}
            text = record["error"] or record["result"] or ""
            end_call(self.config, step.agent, beginning.call, text, failed=bool(record["error"]))
        report("step", **{key: record[key] for key in _REPORTED}, step=step.id)  # type: ignore[literal-required]
        return record


def _has_completed(record: StepRecord) -> bool:
    return record["status"] == "completed"


class _Beginning:
    """The beginning of a step, reported by its first call."""

    __slots__ = ("call", "config", "step", "time")  # a closure would keep twice as much while the step is open

    def __init__(self, step: Step, config: RunnableConfig) -> None:
        self.step = step
        self.config = config
        self.time: float | None = None
        self.call = ""  # the id of the call as which the step is shown

    def __call__(self) -> None:
        if self.time is None:
            step, self.time = self.step, time.time()
            report("step", step=step.id, agent=step.agent, status="running")
            self.call = begin_call(self.config, step.agent, step.id, {"task": in_words(step)})
