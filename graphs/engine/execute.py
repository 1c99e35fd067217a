"""The node that runs steps: each starts the moment its last dependency ends, and is durable by itself.

LangGraph runs nodes in supersteps, in which every level waits for its slowest node; so a step is no node but a
`langgraph.func.task` that waits for its dependencies' futures. Replay matches tasks by the order of their calls and
by name, never by arguments: the order is that of `steps.in_order`, which depends on the steps alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, get_args

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt

from agents.agent import Agent
from agents.assignment import Assignment, fill
from agents.errors import AgentError, ConfigurationError
from agents.runtime import Attempts, Effects, Outcome, Retry, SyncAsyncRunnable, is_cancelled, no_usage, sum_usage
from graphs.engine.budget import take_over
from graphs.engine.chat_stream import begin_call, end_call
from graphs.engine.durability import check_storage
from graphs.engine.open_calls import Window
from graphs.engine.pattern import CALLERS_LIMIT
from graphs.engine.progress import place, report
from graphs.engine.state import Problem, problem, request
from graphs.engine.step_records import AtWork, completed, failure, gathered, items_of
from graphs.engine.steps import (
    OnFailure,
    Step,
    StepRecord,
    context_of,
    fill_task,
    in_order,
    may_start,
    new_record,
    quoted,
    read_plan,
    reason_to_skip,
)

EXECUTE = "execute"
"""The name of the node that runs steps."""


class Execute(SyncAsyncRunnable[Any, dict[str, Any]]):
    """Runs the steps of `state["plan"]` that have no result in `state["steps"]` yet."""

    def __init__(
        self, agents: Mapping[str, Agent], *, on_failure: OnFailure, max_parallel: int | None, retry: Retry | None
    ) -> None:
        if on_failure not in get_args(OnFailure):
            raise ConfigurationError(f"on_failure must be one of {', '.join(get_args(OnFailure))}, not {on_failure!r}")
        if max_parallel is not None and max_parallel < 1:
            raise ConfigurationError(f"max_parallel must be at least 1 or None, not {max_parallel}")
        self.agents = agents
        self.on_failure = on_failure
        self.max_parallel = max_parallel
        self.retry = retry or Retry()

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> dict[str, Any]:
        """Return the records of all steps, and what they add to `errors` and `usage`."""
        began = time.monotonic()
        take_over(config, place(config), value.get("usage"), value.get("seconds", 0.0))
        steps, _ = read_plan(value["plan"])
        finished: dict[str, StepRecord] = {
            one: record for one, record in value.get("steps", {}).items() if record["status"] == "completed"
        }
        limits = (self.max_parallel, config.get("configurable", {}).get(CALLERS_LIMIT))
        slots = effects.slots(min((one for one in limits if one), default=None))
        run = StepRun(self, effects, slots, finished, request(value["messages"]), config)
        try:
            await run.open_all([step for step in in_order(steps) if step.id not in finished])
        except BaseException:
            run.is_cancelled = True  # after Ctrl-C the threads of waiting steps live on; they must not start anything
            raise
        new = run.results()
        return {
            "steps": {step.id: (finished | new)[step.id] for step in steps},
            "errors": [one for record in new.values() for one in record["problems"]],
            "usage": sum_usage(record["usage"] for record in new.values()),
            "seconds": time.monotonic() - began + run.earlier.seconds,
        }


class StepRun:
    """One run of some steps."""

    def __init__(
        self,
        node: Execute,
        effects: Effects,
        slots: AbstractAsyncContextManager[Any],
        finished: Mapping[str, StepRecord],
        message: HumanMessage,
        config: RunnableConfig,
    ) -> None:
        self.node = node
        self.effects = effects
        self.slots = slots
        self.finished = finished
        self.request = message
        self.config = config
        self.ran: set[str] = set()
        """The tasks whose body ran in this process."""
        self.earlier = AtWork()
        """The time of what had finished before this process took the run over."""
        self._lock = threading.Lock()
        self.calls: dict[str, str] = {}
        """The steps that have begun, as chat front ends are shown them."""
        self.futures: dict[str, Any] = {}
        self.failed: str | None = None
        """The first step that failed, under `on_failure="stop"`."""
        self.is_cancelled = False

    async def open_all(self, steps: Sequence[Step]) -> None:
        """Call every step's task, at most `WINDOW` open at once, and wait until all are done."""
        calls = Window(self.effects)
        for step in steps:
            self.futures[step.id] = self._call(step.id, partial(self.step, step), step.as_dict())
            await calls.add(self.futures[step.id])
        await calls.close()

    def _call(self, name: str, work: Callable[[], Coroutine[Any, Any, StepRecord]], shown: Any) -> Any:
        """Call a task; the body is not run again for what had finished before the run was resumed."""

        async def body() -> StepRecord:
            self.ran.add(name)
            return await work()

        future = self.effects.task(name, body, shown)
        future.add_done_callback(partial(self._ended, name))
        return future

    def _ended(self, name: str, future: Any) -> None:
        if future.cancelled() or future.exception():
            return
        record: StepRecord = future.result()
        if name not in self.ran:
            with self._lock:
                seconds = self.earlier.add(record)
            take_over(self.config, f"{place(self.config)}|{name}", record["usage"], seconds)
        if self.node.on_failure == "stop" and record["status"] == "failed":
            self.failed = self.failed or record["id"]

    def results(self) -> dict[str, StepRecord]:
        """Return the records of the steps, or raise everything that agents in them have asked people, together."""
        return dict(zip(self.futures, _results(self.futures.values()), strict=True))

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
                self.calls[step.id] = begin_call(self.config, step.agent, step.id, {"task": _in_words(step)})

        if reason is None and step.for_each:
            record = await self._for_each(step, settled[step.for_each], context, begin)
        elif reason is None:
            record = await self._attempt(step, context, begin)
        else:
            record = new_record(step, "skipped", error=f"Step {step.id!r} was skipped: {reason}")
        if started is not None:
            record = {**record, "started": started, "ended": time.time()}
            told = record["error"] or record["result"] or ""
            end_call(self.config, step.agent, self.calls[step.id], told, failed=bool(record["error"]))
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
            await self.effects.first(pending)

    async def _attempt(self, step: Step, context: Mapping[str, str], begin: Callable[[], None]) -> StepRecord:
        """Give a step to its agent, and after that has failed for good to its fallback."""
        assignment: Assignment = {
            "task": fill_task(step, context, self.request.text),
            "template": step.task,
            "context": dict(context),
            "request": self.request,
        }
        attempts, usage = 0, no_usage()
        problems: list[Problem] = []
        async with self.slots:
            if self.is_cancelled or is_cancelled(self.config):
                raise GraphInterrupt(())
            if self.failed is not None:
                stopped = f"Step {step.id!r} was skipped: the run was stopped when {self.failed!r} failed"
                return new_record(step, "skipped", error=stopped)
            check_storage(self.config)
            begin()
            for name in filter(None, (step.agent, step.fallback)):
                agent = self.node.agents[name]
                outcome = await self._outcome(step, agent, assignment)
                attempts += outcome.attempts
                usage = sum_usage([usage, agent.booked(outcome.usage)])
                if outcome.error is None:
                    return completed(step, name, outcome.reply, attempts, usage, problems)
                problems.append(failure(step, name, outcome))
        error = problems[-1]["message"]
        return new_record(step, "failed", error=error, attempts=attempts, usage=usage, problems=problems)

    async def _outcome(self, step: Step, agent: Agent, assignment: Assignment) -> Outcome:
        def again(attempt: int, error: Exception, pause: float) -> None:
            told = problem(step.id, error)["message"]
            report("retry", step=step.id, agent=agent.name, attempt=attempt, wait=pause, error=told)

        work = Attempts(agent, step.retry or self.node.retry, timeout=step.timeout, on_retry=again)
        return await self.effects.invoke(work, assignment, None)

    async def _for_each(
        self, step: Step, listed: StepRecord, context: Mapping[str, str], begin: Callable[[], None]
    ) -> StepRecord:
        """Run a step once per item of a list, all at once; each item is a task, so durable by itself."""
        try:
            items = items_of(listed)
        except AgentError as error:
            told = problem(step.id, AgentError(f"Step {step.id!r} failed: {error}"))
            return new_record(step, "failed", error=told["message"], problems=[told])
        calls = Window(self.effects)
        tasks: list[Any] = []
        # The list itself is no context of its items, unless the task quotes it.
        shared = {name: text for name, text in context.items() if name != listed["id"] or name in quoted(step)}
        for number, item in enumerate(items, 1):
            one = {**shared, "item": item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)}
            named = f"{step.id}[{number}]"
            tasks.append(self._call(named, partial(self._item, step, one, begin), {"item": item}))
            await calls.add(tasks[-1])
        await calls.close()
        return gathered(step, _results(tasks))

    async def _item(self, step: Step, context: Mapping[str, str], begin: Callable[[], None]) -> StepRecord:
        started = time.time()
        record = await self._attempt(step, context, begin)
        return {**record, "started": started, "ended": time.time()}


def _in_words(step: Step) -> str:
    """Return a step's task with the names of what it quotes in place of placeholders, for people."""
    return fill(step.task, {"request": "the request", **{name: name for name in step.dependencies}})


_REPORTED = ("agent", "status", "error", "attempts", "answered_by", "started", "ended", "usage", "dependencies")


def _results(calls: Collection[Any]) -> list[Any]:
    """Return the results of calls that have ended, or raise all that was asked in them."""
    errors = [error for one in calls if (error := one.exception())]
    for error in errors:
        if not isinstance(error, GraphInterrupt):
            raise error
    if errors:
        asked = {one.id: one for error in errors for one in error.args[0]}  # nested graphs tell a question twice
        raise GraphInterrupt(tuple(asked.values()))
    return [one.result() for one in calls]
