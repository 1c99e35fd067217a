"""The node that runs steps: each starts the moment its last dependency ends, and is durable by itself.

LangGraph runs nodes in supersteps, in which every level waits for its slowest node; so a step is no node but a
`langgraph.func.task` that waits for its dependencies' futures. Replay matches tasks by the order of their calls and
by name, never by arguments: the order is that of `steps.in_order`, which depends on the steps alone.
"""

from __future__ import annotations

import json
import time
from asyncio import InvalidStateError
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt

from agents.agent import Agent, Answer
from agents.decisions import read_json
from agents.errors import AgentError, DecisionError
from agents.once import IO, Once
from agents.prompts import Assignment
from agents.retry import Attempts, Outcome, Retry
from agents.usage import Usage, no_usage, sum_usage
from graphs.events import report
from graphs.pattern import CALLERS_LIMIT
from graphs.state import Problem, problem, request
from graphs.steps import (
    OnFailure,
    Step,
    StepRecord,
    context_of,
    fill_task,
    in_order,
    may_start,
    new_record,
    read_plan,
    reason_to_skip,
)

WINDOW = 1000
"""Steps that are open (waiting or working) at once. LangGraph looks at all open calls whenever one ends, so their
number decides the cost of a step: 10,000 opened at once took over a minute."""


class Execute(Once[Any, dict[str, Any]]):
    """Runs the steps of `state["plan"]` that have no result in `state["steps"]` yet."""

    def __init__(
        self, agents: Mapping[str, Agent], *, on_failure: OnFailure, max_parallel: int | None, retry: Retry | None
    ) -> None:
        self.agents = agents
        self.on_failure = on_failure
        self.max_parallel = max_parallel
        self.retry = retry or Retry()

    async def run(self, io: IO, value: Any, config: RunnableConfig) -> dict[str, Any]:
        """Return the records of all steps, and what they add to `errors` and `usage`."""
        steps, _ = read_plan(value["plan"])
        finished: dict[str, StepRecord] = {
            one: record for one, record in value.get("steps", {}).items() if record["status"] == "completed"
        }
        limits = (self.max_parallel, config.get("configurable", {}).get(CALLERS_LIMIT))
        slots = io.slots(min((one for one in limits if one), default=None))
        run = StepRun(self, io, slots, finished, request(value["messages"]).text)
        await run.open_all([step for step in in_order(steps) if step.id not in finished])
        new = run.results()
        return {
            "steps": {step.id: (finished | new)[step.id] for step in steps},
            "errors": [one for record in new.values() for one in record["problems"]],
            "usage": sum_usage(record["usage"] for record in new.values()),
        }


class Window:
    """Keeps the number of open calls within `WINDOW`; waiting costs the same however many are open."""

    def __init__(self, io: IO) -> None:
        self.io = io
        self.open: set[Any] = set()
        self.ended = io.signal()

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
            self.ended = self.io.signal()
            if len(self.open) > most:
                await self.io.first([self.ended])


class StepRun:
    """One run of some steps."""

    def __init__(
        self,
        node: Execute,
        io: IO,
        slots: AbstractAsyncContextManager[Any],
        finished: Mapping[str, StepRecord],
        request_text: str,
    ) -> None:
        self.node = node
        self.io = io
        self.slots = slots
        self.finished = finished
        self.request = request_text
        self.futures: dict[str, Any] = {}
        self.failed: str | None = None
        """The first step that failed, under `on_failure="stop"`."""

    async def open_all(self, steps: Sequence[Step]) -> None:
        """Call every step's task, at most `WINDOW` open at once, and wait until all are done."""
        calls = Window(self.io)
        for step in steps:
            future = self.io.task(step.id, partial(self.step, step), step.as_dict())
            future.add_done_callback(self._note_failure)
            self.futures[step.id] = future
            await calls.add(future)
        await calls.close()

    def _note_failure(self, future: Any) -> None:
        if self.node.on_failure == "stop" and not future.cancelled() and not future.exception():
            record = future.result()
            if record["status"] == "failed":
                self.failed = self.failed or record["id"]

    def results(self) -> dict[str, StepRecord]:
        """Return the records of the steps, or raise everything that agents in them have asked people, together."""
        errors = [error for one in self.futures.values() if (error := one.exception())]
        for error in errors:
            if not isinstance(error, GraphInterrupt):
                raise error
        if errors:
            raise GraphInterrupt(tuple(asked for error in errors for asked in error.args[0]))
        return {one: future.result() for one, future in self.futures.items()}

    async def step(self, step: Step) -> StepRecord:
        """Wait for a step's dependencies, then run or skip it."""
        settled = await self._settled(step)
        reason = reason_to_skip(step, settled, self.node.on_failure)
        context = context_of(step, settled)
        started: float | None = None

        def begin() -> None:
            nonlocal started
            if started is None:
                started = time.time()
                report("step", step=step.id, agent=step.agent, status="running")

        if reason is None and step.for_each:
            record = await self._for_each(step, settled[step.for_each], context, begin)
        elif reason is None:
            record = await self._attempt(step, context, begin)
        else:
            record = new_record(step, "skipped", error=f"Step {step.id!r} was skipped: {reason}")
        if started is not None:
            record = {**record, "started": started, "ended": time.time()}
        report("step", **{key: record[key] for key in _REPORTED}, step=step.id)  # type: ignore[literal-required]
        return record

    async def _settled(self, step: Step) -> dict[str, StepRecord]:
        """Return the records of the dependencies, once there are enough of them."""
        settled = {one: self.finished[one] for one in step.dependencies if one in self.finished}
        pending = {self.futures[one]: one for one in step.dependencies if one not in settled}
        while True:
            for future in [one for one in pending if one.done()]:
                if future.cancelled() or future.exception():
                    raise GraphInterrupt(())  # a dependency waits for a person; this step starts anew after it
                settled[pending.pop(future)] = future.result()
            if may_start(step, settled):
                return settled
            await self.io.first(pending)

    async def _attempt(self, step: Step, context: Mapping[str, str], begin: Callable[[], None]) -> StepRecord:
        """Give a step to its agent, and after that has failed for good to its fallback."""
        assignment: Assignment = {
            "task": fill_task(step, context, self.request),
            "template": step.task,
            "context": dict(context),
            "request": self.request,
        }
        attempts, usage = 0, no_usage()
        problems: list[Problem] = []
        async with self.slots:
            if self.failed is not None:
                stopped = f"Step {step.id!r} was skipped: the run was stopped when {self.failed!r} failed"
                return new_record(step, "skipped", error=stopped)
            begin()
            for name in filter(None, (step.agent, step.fallback)):
                agent = self.node.agents[name]
                outcome = await self._outcome(step, agent, assignment)
                attempts += outcome.attempts
                usage = sum_usage([usage, agent.booked(outcome.usage)])
                if outcome.error is None:
                    return _completed(step, name, outcome.reply, attempts, usage, problems)
                problems.append(_failure(step, name, outcome))
        error = problems[-1]["message"]
        return new_record(step, "failed", error=error, attempts=attempts, usage=usage, problems=problems)

    async def _outcome(self, step: Step, agent: Agent, assignment: Assignment) -> Outcome:
        def again(attempt: int, error: Exception, pause: float) -> None:
            told = problem(step.id, error)["message"]
            report("retry", step=step.id, agent=agent.name, attempt=attempt, wait=pause, error=told)

        work = Attempts(agent, step.retry or self.node.retry, timeout=step.timeout, on_retry=again)
        return await self.io.invoke(work, assignment, None)

    async def _for_each(
        self, step: Step, listed: StepRecord, context: Mapping[str, str], begin: Callable[[], None]
    ) -> StepRecord:
        """Run a step once per item of a list, all at once; each item is a task, so durable by itself."""
        try:
            items = _items(listed)
        except AgentError as error:
            told = problem(step.id, AgentError(f"Step {step.id!r} failed: {error}"))
            return new_record(step, "failed", error=told["message"], problems=[told])
        calls = Window(self.io)
        tasks: list[Any] = []
        for number, item in enumerate(items, 1):
            one = {**context, "item": item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)}
            named = f"{step.id}[{number}]"
            tasks.append(self.io.task(named, partial(self._attempt, step, one, begin), {"item": item}))
            await calls.add(tasks[-1])
        await calls.close()
        return _gathered(step, [one.result() for one in tasks])


_REPORTED = ("agent", "status", "error", "attempts", "answered_by", "started", "ended", "usage", "dependencies")


def _completed(
    step: Step, name: str, answer: Answer, attempts: int, usage: Usage, problems: list[Problem]
) -> StepRecord:
    inside = [{**one, "where": f"{step.id}/{one['where']}"} for one in answer["errors"]]
    return new_record(
        step,
        "completed",
        result=answer["text"],
        data=answer["data"],
        attempts=attempts,
        answered_by=name,
        usage=usage,
        problems=[*problems, *inside],
    )


def _failure(step: Step, name: str, outcome: Outcome) -> Problem:
    assert outcome.error is not None  # noqa: S101 - for the type checker
    told = problem(step.id, outcome.error)
    times = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    return {**told, "message": f"Step {step.id!r} failed with agent {name!r}{times}: {told['message']}"}


def _items(listed: StepRecord) -> list[Any]:
    """Read the list that a `for_each` step runs over."""
    try:
        data = listed["data"] if listed["data"] is not None else read_json(listed["result"] or "")
    except DecisionError as error:
        raise AgentError(f"the result of {listed['id']!r} is no JSON list to run over: {error}") from error
    if isinstance(data, dict) and len(data) == 1:
        data = next(iter(data.values()))  # a list that was wrapped, as schemas of providers demand
    if not isinstance(data, list):
        raise AgentError(f"the result of {listed['id']!r} is no JSON list to run over, but {type(data).__name__}")
    return data


def _gathered(step: Step, parts: Sequence[StepRecord]) -> StepRecord:
    """Join the records of a step's items into one."""
    failed = [number for number, one in enumerate(parts, 1) if one["status"] != "completed"]
    results = [one["result"] if one["data"] is None else one["data"] for one in parts]
    numbers = ", ".join(map(str, failed))
    why = next((one["error"] for one in parts if one["status"] != "completed"), None)
    return new_record(
        step,
        "failed" if failed else "completed",
        result=json.dumps(results, ensure_ascii=False),
        data=results,
        error=f"Step {step.id!r} failed for item {numbers} of {len(parts)}: {why}" if failed else None,
        attempts=sum(one["attempts"] for one in parts),
        answered_by=step.agent,
        usage=sum_usage(one["usage"] for one in parts),
        problems=[one for part in parts for one in part["problems"]],
    )
