"""The node that runs steps: each starts the moment its last dependency ends, and is durable by itself.

LangGraph runs nodes in supersteps, in which every level waits for its slowest node. So a step is not a node but a
`langgraph.func.task` that waits for its dependencies' futures. Replay matches tasks by the order of their calls and by
name, never by arguments: the order is that of `steps.in_order`, which depends on the steps alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphDrained, GraphInterrupt
from langgraph.runtime import get_runtime

from agents.agent import Agent
from agents.assignment import Assignment, escaped, put_into
from agents.errors import AgentError, ConfigurationError
from agents.runtime import Attempts, Effects, Outcome, Retry, SyncAsyncRunnable, is_cancelled, no_usage, sum_usage
from graphs.engine.budget import take_over, within_budget
from graphs.engine.chat_stream import begin_call, end_call, inside
from graphs.engine.durability import check_storage
from graphs.engine.open_calls import Window
from graphs.engine.progress import CALLERS_LIMIT, place, report
from graphs.engine.recorded import notices_of, task_id_of
from graphs.engine.state import Problem, problem, recovered
from graphs.engine.step_records import AtWork, completed, failure, gathered, items_of, missing_agent
from graphs.engine.steps import (
    OnFailure,
    Step,
    StepRecord,
    context_of,
    data_of,
    fill_task,
    in_order,
    in_words,
    may_start,
    new_record,
    quoted,
    read_plan,
    reason_to_skip,
)

EXECUTE = "execute"
"""The name of the node that runs steps."""

_REPORTED = ("agent", "status", "error", "attempts", "answered_by", "started", "ended", "usage", "dependencies")


class Execute(SyncAsyncRunnable[Any, dict[str, Any]]):
    """Runs the steps of `state["plan"]` that have no result in `state["steps"]` yet.

    Args:
        agents: The team, by name.
        assignment: State -> what the run is asked to do; each step's assignment is made from it.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        *,
        assignment: Callable[[Any], Assignment],
        on_failure: OnFailure,
        max_parallel: int | None,
        retry: Retry | None,
    ) -> None:
        if on_failure not in get_args(OnFailure):
            raise ConfigurationError(f"on_failure must be one of {', '.join(get_args(OnFailure))}, not {on_failure!r}")
        if max_parallel is not None and max_parallel < 1:
            raise ConfigurationError(f"max_parallel must be at least 1 or None, not {max_parallel}")
        self.agents = agents
        self.assignment = assignment
        self.on_failure = on_failure
        self.max_parallel = max_parallel
        self.retry = retry or Retry()

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> dict[str, Any]:
        """Return the records of all steps, and what they add to `errors` and `usage`."""
        began = time.monotonic()
        take_over(config, place(config), value.get("usage"), value.get("seconds", 0.0))
        steps, _ = read_plan(value["plan"])
        finished: dict[str, StepRecord] = {
            name: record for name, record in value.get("steps", {}).items() if record["status"] == "completed"
        }
        limits = (self.max_parallel, config.get("configurable", {}).get(CALLERS_LIMIT))
        slots = effects.slots(min((limit for limit in limits if limit), default=None))
        run = StepRun(self, effects, slots, finished, self.assignment(value), config)
        try:
            await run.open_all([step for step in in_order(steps) if step.id not in finished])
        except BaseException:
            run.abandoned = True  # after Ctrl-C the threads of waiting steps live on; they must not start anything
            raise
        new = run.results()
        return {
            "steps": {step.id: (finished | new)[step.id] for step in steps},
            "errors": [error for record in new.values() for error in record["problems"]],
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
        assignment: Assignment,
        config: RunnableConfig,
    ) -> None:
        self.node = node
        self.effects = effects
        self.slots = slots
        self.finished = finished
        self.base = assignment
        self.config = config
        self.ran: dict[str, str] = {}
        """The tasks whose body ran in this process, with LangGraph's id of each."""
        self.earlier = AtWork()
        """The working time of what had finished before this process took the run over."""
        self._lock = threading.Lock()
        self.calls: dict[str, str] = {}
        """By step, the tool call as which chat front ends show it."""
        self.futures: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        """By task, a future that is done when its result is stored, or there is none."""
        self.notices = notices_of(config)
        self.control = get_runtime().control
        """By which the caller asks that nothing new begins."""
        self.failed: str | None = None
        """The first step that failed, under `on_failure="stop"`."""
        self.abandoned = False

    async def open_all(self, steps: Sequence[Step]) -> None:
        """Call every step's task, at most `WINDOW` open at once, and wait until all are done."""
        calls = Window(self.effects)
        for step in steps:
            self.futures[step.id] = self._call(step.id, partial(self.step, step), step.as_dict())
            await calls.add(self.futures[step.id])
        await calls.close()

    def _call(self, name: str, work: Callable[[], Coroutine[Any, Any, StepRecord]], shown: Any) -> Any:
        """Call a task; the body does not run again for what had finished before the run was resumed."""

        async def body() -> StepRecord:
            self.ran[name] = task_id_of(get_config())
            if self.notices:
                self.notices.watch(self.ran[name])
            return await work()

        self.stored[name] = self.effects.signal()
        future = self.effects.task(name, body, shown)
        future.add_done_callback(partial(self._ended, name))
        return future

    def _ended(self, name: str, future: Any) -> None:
        settled = partial(_set, self.stored[name])
        if future.cancelled() or future.exception():
            settled()
            return
        if self.notices and name in self.ran:
            self.notices.when_stored(self.ran[name], settled)
        else:
            settled()
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
        started: float | None = None

        def begin() -> None:
            nonlocal started
            if started is None:
                started = time.time()
                report("step", step=step.id, agent=step.agent, status="running")
                self.calls[step.id] = begin_call(self.config, step.agent, step.id, {"task": in_words(step)})

        if reason is not None:
            record = new_record(step, "skipped", error=f"Step {step.id!r} was skipped: {reason}")
        elif step.for_each:
            record = await self._for_each(step, settled, begin)
        else:
            record = await self._attempt(step, context_of(step, settled), data_of(step, settled), begin)
        if started is not None:
            record = {**record, "started": started, "ended": time.time()}
            text = record["error"] or record["result"] or ""
            end_call(self.config, step.agent, self.calls[step.id], text, failed=bool(record["error"]))
        report("step", **{key: record[key] for key in _REPORTED}, step=step.id)  # type: ignore[literal-required]
        return record

    async def _settled(self, step: Step) -> dict[str, StepRecord]:
        """Return the records of the dependencies, once there are enough of them."""
        settled = {name: self.finished[name] for name in step.dependencies if name in self.finished}
        pending = {self.stored[name]: name for name in step.dependencies if name not in settled}
        if may_start(step, settled):
            return settled
        async for signal in self.effects.as_completed(pending):
            future = self.futures[name := pending[signal]]
            if future.cancelled() or future.exception():
                raise GraphInterrupt(())  # a dependency waits for a person; this step starts again after it
            settled[name] = future.result()
            if may_start(step, settled):
                break
        return settled

    async def _attempt(
        self, step: Step, context: Mapping[str, str], data: Mapping[str, Any], begin: Callable[[], None]
    ) -> StepRecord:
        """Give a step to its agent, and after that has failed for good to its fallback."""
        attempts, usage = 0, no_usage()
        problems: list[Problem] = []
        async with self.slots:
            if self.abandoned or is_cancelled(self.config):
                raise GraphInterrupt(())
            if self.control is not None and self.control.drain_requested:
                raise GraphDrained(self.control.drain_reason or "shutdown")
            if self.failed is not None:
                stopped = f"Step {step.id!r} was skipped: the run was stopped when {self.failed!r} failed"
                return new_record(step, "skipped", error=stopped)
            check_storage(self.config)
            begin()
            assignment = self._assignment(step, context, data)
            for name in filter(None, (step.agent, step.fallback)):
                agent = self.node.agents.get(name)
                if agent is None:  # the run was begun by other code
                    problems.append(missing_agent(step, name, self.node.agents))
                    continue
                outcome = await self._outcome(step, agent, assignment)
                attempts += outcome.attempts
                usage = sum_usage([usage, agent.booked(outcome.usage)])
                if outcome.error is None:
                    problems += recovered(step.id, outcome.faults)
                    return completed(step, name, outcome.reply, attempts, usage, problems)
                problems.append(failure(step, name, outcome))
        error = problems[-1]["message"]
        return new_record(step, "failed", error=error, attempts=attempts, usage=usage, problems=problems)

    def _assignment(self, step: Step, context: Mapping[str, str], data: Mapping[str, Any]) -> Assignment:
        """Return a step's assignment: that of the run, with the step's task and what it depends on."""
        return {
            **self.base,
            "task": fill_task(step, context, self.base["task"]),
            "template": self._template(step),
            "context": {**self.base.get("context", {}), **context},
            "data": {**self.base.get("data", {}), **data},
        }

    def _template(self, step: Step) -> str:
        """Return a step's template; in a nested run `{request}` is that run's task, with what it quotes itself."""
        request = self.base.get("request")
        if request is not None and request.text == self.base["task"]:
            return step.task
        return put_into(step.task, "request", self.base.get("template") or escaped(self.base["task"]))

    async def _outcome(self, step: Step, agent: Agent, assignment: Assignment) -> Outcome:
        def again(attempt: int, error: Exception, pause: float) -> None:
            message = problem(step.id, error)["message"]
            report("retry", step=step.id, agent=agent.name, attempt=attempt, wait=pause, error=message)

        work = Attempts(
            within_budget(agent, self.config), step.retry or self.node.retry, timeout=step.timeout, on_retry=again
        )
        return await self.effects.invoke(work, assignment, inside(get_config(), agent))

    async def _for_each(self, step: Step, settled: Mapping[str, StepRecord], begin: Callable[[], None]) -> StepRecord:
        """Run a step once per item of a list, all at once; each item is a task, so durable by itself."""
        listed = settled[step.for_each or ""]
        try:
            items = items_of(listed)
        except AgentError as error:
            why = problem(step.id, AgentError(f"Step {step.id!r} failed: {error}"))
            return new_record(step, "failed", error=why["message"], problems=[why])
        calls = Window(self.effects)
        tasks: list[Any] = []
        # The list itself is not context of its items, unless the task quotes it.
        shared = [name for name in step.dependencies if name != listed["id"] or name in quoted(step)]
        context = {name: text for name, text in context_of(step, settled).items() if name in shared}
        data = {name: value for name, value in data_of(step, settled).items() if name in shared}
        for number, item in enumerate(items, 1):
            text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            work = partial(self._item, step, {**context, "item": text}, {**data, "item": item}, begin)
            tasks.append(self._call(f"{step.id}[{number}]", work, {"item": item}))
            await calls.add(tasks[-1])
        await calls.close()
        for number in range(1, len(tasks) + 1):
            await self.effects.first([self.stored[f"{step.id}[{number}]"]])
        return gathered(step, _results(tasks))

    async def _item(
        self, step: Step, context: Mapping[str, str], data: Mapping[str, Any], begin: Callable[[], None]
    ) -> StepRecord:
        started = time.time()
        record = await self._attempt(step, context, data, begin)
        return {**record, "started": started, "ended": time.time()}


def _set(signal: Any) -> None:
    if not signal.done():
        signal.set_result(None)


def _results(calls: Collection[Any]) -> list[Any]:
    """Return the results of calls that have ended, or raise all that was asked in them."""
    errors = [error for call in calls if (error := call.exception())]
    for error in errors:
        if not isinstance(error, GraphInterrupt):
            raise error
    if errors:
        asked = {question.id: question for error in errors for question in error.args[0]}
        raise GraphInterrupt(tuple(asked.values()))
    return [call.result() for call in calls]
