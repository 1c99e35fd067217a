"""The work of one step: an attempt of its agent, then of its fallback; for each item of a list, round after round."""

import hashlib
import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from time import time
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.config import get_config, get_stream_writer
from langgraph.errors import GraphDrained, GraphInterrupt
from langgraph.runtime import get_runtime
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from agents import Agent, AgentError, Answer, Assignment, DecisionError, Retry
from agents.assignment import escaped, put_into
from agents.decisions import Form, read_json
from agents.runtime import AttemptOutcome, Attempts, Effects, SyncAsyncRunnable, call, is_cancelled
from agents.usage import Usage, named, sum_usage
from graphs.engine.budget import within_budget
from graphs.engine.chat_stream import inside
from graphs.engine.concurrency import at_work
from graphs.engine.durable_tasks import Pending, Tasks, Window, results_of
from graphs.engine.langgraph_internals import CACHE, namespace_of, parts_of
from graphs.engine.savers import check_storage
from graphs.engine.state import Problem, problem, recovered
from graphs.engine.step_inputs import StepInputs, inputs_of, value_of
from graphs.engine.step_records import completed, failed, failure, gathered, items_of, last_of, missing_agent
from graphs.engine.steps import LAST_ROUND, Step, StepRecord, Until, fill_task, holds, new_record, quoted

_Work = Coroutine[object, None, StepRecord]
Begin = Callable[[], None]
"""Called when the first agent of a step begins."""


@dataclass(eq=False)
class StepWork:
    """Does the work of steps in one run of them."""

    effects: Effects
    agents: Mapping[str, Agent]
    """The team, by name."""
    retry: Retry
    """For steps that have none of their own."""
    steps: Mapping[str, Step]
    """All steps of the run, by id."""
    base: Assignment
    """The assignment of the run."""
    slots: AbstractAsyncContextManager[object]
    """Admits so many attempts at once."""
    tasks: Tasks
    """The durable calls of the run."""
    failed: str | None = None
    """The failed step because of which nothing new begins, under `on_failure="stop"`."""
    abandoned: bool = False
    needed: set[str] = field(default_factory=set)
    """Ids of steps whose results others need."""

    def __post_init__(self) -> None:
        self.config = self.tasks.config
        self.control = get_runtime().control
        """Control by which the caller asks that nothing new begins."""

    def do(self, step: Step, settled: Mapping[str, StepRecord], begin: Begin) -> _Work:
        inputs = inputs_of(step, settled, self.steps)
        if step.for_each:
            return self._for_each(step, settled[step.for_each], inputs, begin)
        return self._item(step, step.id, inputs, begin)

    async def _for_each(self, step: Step, listed: StepRecord, inputs: StepInputs, begin: Begin) -> StepRecord:
        """Run a step once per item of a list, all at once; each item is a task, so durable by itself."""
        try:
            items = items_of(listed, step.max_items)
        except AgentError as error:
            return failed(step, error)
        objects = inputs.data.get(listed["id"])
        if isinstance(objects, BaseModel):  # a form around the list, as `items_of` reads it too
            objects = next(iter(dict(objects).values()))
        calls: dict[int, Pending] = {}
        window = Window(self.effects)
        # The list itself is not context of its items, unless the task quotes it.
        inputs = inputs if listed["id"] in quoted(step) else inputs.without(listed["id"])

        def begin_item(number: int, item: object) -> Pending:
            name = f"{step.id}[{number + 1}]"
            text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            own = inputs.with_("item", text, objects[number] if isinstance(objects, list) else item)
            work = partial(self._timed, self._item, step, name, own, begin)
            calls[number] = self.tasks.call(name, work, {"item": item})
            return calls[number]

        for number, item in enumerate(items):
            window.add(partial(begin_item, number, item))
        await window.close()
        return gathered(step, results_of([calls[number] for number in range(len(items))]))

    async def _timed(self, work: Callable[..., Any], *arguments: object) -> StepRecord:
        started = time()
        record: StepRecord = await work(*arguments)
        return {**record, "started": started, "ended": time()}

    def _item(self, step: Step, name: str, inputs: StepInputs, begin: Begin) -> _Work:
        if step.until is None:
            return self._attempt(step, inputs, begin)
        return self._rounds(step, step.until, name, inputs, begin)

    async def _rounds(self, step: Step, until: Until, name: str, inputs: StepInputs, begin: Begin) -> StepRecord:
        """Do the work until its result fits; each round is a task, so durable by itself."""
        rounds: list[StepRecord] = []
        inputs = inputs.with_(LAST_ROUND, "(none yet)", None) if LAST_ROUND in quoted(step) else inputs
        while len(rounds) < step.max_rounds:
            place = f"{name}({len(rounds) + 1})"
            work = partial(self._timed, self._attempt, step, inputs, begin)
            pending = self.tasks.call(place, work, {"round": len(rounds) + 1})
            await self.effects.first([pending])
            rounds += results_of([pending])
            last = rounds[-1]
            if last["status"] != "completed":
                return last_of(step, rounds)
            value, text = value_of(step, last, is_item=True), last["result"] or ""
            try:
                result = text if value is None else value
                if holds(until, text) if isinstance(until, Mapping) else await call(self.effects, until, result):
                    return last_of(step, rounds)
            except Exception as error:
                return last_of(step, rounds, failed(step, error))
            inputs = inputs.with_(LAST_ROUND, text, value)
        return last_of(step, rounds, failed(step, AgentError(f"not done in {step.max_rounds} rounds")))

    async def _attempt(self, step: Step, inputs: StepInputs, begin: Begin) -> StepRecord:
        """Give a step to its agent, and after that has failed for good to its fallback."""
        async with self.slots, at_work(self.effects, get_config()) as held:
            if (stopped := self._reason_to_stop(step)) is not None:
                return new_record(step, "skipped", error=stopped)
            begin()
            assignment = self._assignment(step, inputs)
            cache = self.config.get("configurable", {}).get(CACHE)
            cached = Cached(step, assignment, cache) if step.cache and cache is not None else None
            if cached and (hit := await cached.get(self.effects)):
                return new_record(step, "completed", **hit)
            attempts, spent, problems = 0, list[Usage](), list[Problem]()
            for name in (step.agent, step.fallback) if step.fallback else (step.agent,):
                agent = self.agents.get(name)
                if agent is None:  # the run was begun by other code
                    problems.append(missing_agent(step, name, self.agents))
                    continue
                outcome = await self._outcome(step, agent, assignment, held)
                attempts += outcome.attempts
                spent.append(named(outcome.usage, agent.name))
                if outcome.error is None:
                    problems += recovered(step.id, outcome.faults)
                    record = completed(step, name, outcome.reply, attempts, sum_usage(spent), problems)
                    if cached and outcome.reply["status"] == "completed":
                        await cached.set(self.effects, record)
                    return record
                times = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
                problems.append(failure(step, outcome.error, f" with agent {name!r}{times}"))
        error = problems[-1]["message"]
        return new_record(step, "failed", error=error, attempts=attempts, usage=sum_usage(spent), problems=problems)

    def _reason_to_stop(self, step: Step) -> str | None:
        """Return why a step may not begin; raise where the whole run has stopped."""
        if self.abandoned or is_cancelled(self.config):
            raise GraphInterrupt(())
        if self.control is not None and self.control.drain_requested:
            raise GraphDrained(self.control.drain_reason or "shutdown")
        if self.failed is not None:
            return f"Step {step.id!r} was skipped: the run was stopped when {self.failed!r} failed"
        check_storage(self.config)
        return None

    def _assignment(self, step: Step, inputs: StepInputs) -> Assignment:
        """Return a step's assignment: that of the run, with the step's task and what it depends on."""
        assignment: Assignment = {
            **self.base,
            "task": fill_task(step, inputs.context, self.base["task"]),
            "template": self._template(step),
            "intermediate": step.id in self.needed,
        }
        if inputs.context:
            assignment["context"] = {**self.base.get("context", {}), **inputs.context}
            assignment["data"] = {**self.base.get("data", {}), **inputs.data}
            assignment["figures"] = {**self.base.get("figures", {}), **inputs.figures}
        return assignment

    def _template(self, step: Step) -> str:
        """Return a step's template; in a nested run `{request}` is that run's task, with what it quotes itself."""
        request = self.base.get("request")
        if request is not None and request.text == self.base["task"]:
            return step.task
        return put_into(step.task, "request", self.base.get("template") or escaped(self.base["task"]))

    def _outcome(
        self, step: Step, agent: Agent, assignment: Assignment, held: RunnableConfig
    ) -> Coroutine[Any, Any, AttemptOutcome]:
        def again(attempt: int, error: Exception, pause: float) -> None:
            message = problem(step.id, error)["message"]
            report("retry", step=step.id, agent=agent.name, attempt=attempt, wait=pause, error=message)

        asked: Runnable[Any, Any] = Returning(agent, step.returns) if step.returns else agent
        limited, retry = within_budget(asked, self.config), step.retry or self.retry
        work = Attempts(limited, retry, timeout=step.timeout, on_retry=again)
        return self.effects.invoke(work, assignment, inside(held, agent))


_KEPT = ("result", "data", "figures", "answered_by")
"""Keys of a record that the cache keeps: those not particular to one run."""


class Cached:
    """The place of a step's result in LangGraph's cache: equal assignments of one step and agent have the same."""

    def __init__(self, step: Step, assignment: Assignment, cache: BaseCache[dict[str, object]]) -> None:
        assert step.cache is not None  # noqa: S101 - for the type checker
        asked = {**assignment, "request": _content(assignment.get("request"))}
        asked["conversation"] = [(message.type, _content(message)) for message in assignment.get("conversation", ())]
        # Read back from JSON, because pickle, the policy's default, writes equal values of one object differently.
        key: str | bytes = step.cache.key_func(json.loads(json.dumps(to_jsonable_python(asked))))
        text = key.encode() if isinstance(key, str) else key
        self.key = (("podium", step.id, step.agent), hashlib.sha256(text).hexdigest())
        self.ttl = step.cache.ttl
        self.cache = cache

    async def get(self, effects: Effects) -> dict[str, Any] | None:
        stored: dict[Any, dict[str, Any]] = await effects.function(self.cache.get, [self.key])
        return stored.get(self.key)

    async def set(self, effects: Effects, record: StepRecord) -> None:
        kept = {key: value for key, value in record.items() if key in _KEPT}
        await effects.function(self.cache.set, {self.key: (kept, self.ttl)})


def report(event: str, **fields: object) -> None:
    """Stream one event on LangGraph's `custom` stream: `{"event", "path", "time", ...}`.

    `path` names nodes and steps, as `execute/draft/work`.
    """
    path = "/".join(part.split(":")[0] for part in parts_of(namespace_of(get_config())))
    get_stream_writer()({"event": event, "path": path, "time": time(), **fields})


def _content(message: BaseMessage | None) -> object:
    return message.content if message else ""


class Returning(SyncAsyncRunnable[Assignment, Answer]):
    """An agent whose answers have a form: a chat model without one is asked for it, and every answer is validated.

    Raises:
        DecisionError: An answer is not of the form; the message says where.
    """

    def __init__(self, agent: Agent, form: type[BaseModel]) -> None:
        is_asked = agent.takes_tools and agent.response_format is None
        self.agent = agent.returning(form) if is_asked else agent
        self.form = Form(form)

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        answer = await effects.invoke(self.agent, value, config)
        if answer["status"] == "needs_input":
            return answer
        try:
            data = answer["data"] if answer["data"] is not None else read_json(answer["text"])
            return {**answer, "data": self.form.read(data)}
        except DecisionError as error:
            raise DecisionError(f"the result is not a {self.form.name}: {error}") from error
