"""Steps that begin while their plan is being written.

stream -> a step is whole, sound on the steps before it -> record it -> begin it -> ... -> the graph checks the whole

Rule for a plan that turns out flawed, or breaks off: steps that have begun were sound by themselves, so they end and
keep their results; no other begins; the model corrects the plan with them as done.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Literal, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from agents import Decided, Decision, DecisionError
from agents.models import VisibleText
from agents.runtime import AttemptOutcome, Attempts, Effects
from agents.usage import Usage, named, no_usage, sum_usage
from graphs.decisions import prompts
from graphs.decisions.plans import briefly, plan_text
from graphs.engine import Execute, Node, Plan, Problem, Step, StepRun, Update, Worked, problem, recovered, within_budget

S = TypeVar("S", bound=Mapping[str, Any])

_LIST = re.compile(r'"steps"\s*:\s*\[')
_DECODER = json.JSONDecoder()
_LONGEST = 20_000
"""Characters of one step, or before the first, that are read: with each piece all of them are read again."""


class StepReader:
    """Finds the steps that are whole in the text of a plan so far."""

    def __init__(self) -> None:
        self._visible = VisibleText()
        self._is_in_list = False
        self._text = ""

    def feed(self, piece: str) -> list[object]:
        """Return the JSON of the steps that are whole now that another piece has come."""
        if len(self._text) > _LONGEST:
            return []
        self._text += self._visible.see(piece)
        if not self._is_in_list:
            if (begin := _LIST.search(self._text)) is None:
                return []
            self._is_in_list, self._text = True, self._text[begin.end() :]
        steps: list[object] = []
        with suppress(ValueError, RecursionError):  # the next step is not whole, or nested without end
            while True:
                step, end = _DECODER.raw_decode(self._text.lstrip(" \t\r\n,"))
                self._text = self._text.lstrip(" \t\r\n,")[end:]
                steps.append(step)
        return steps


class StreamedPlan(Node[S, Decided]):
    """The node that plans: asks as every node does or, where steps may begin at once, while the plan is written.

    Each step is stored as a call of its own before it begins, and so is the end of the plan: a run that was killed in
    between and is resumed begins with the steps that it had, and asks the model only for the rest.

    Args:
        no_plan: (state, problem) -> update, where no plan was written.
        execute: Runs the steps that begin early.
        may_begin: Whether steps may begin before the plan is whole.
        flaws: Flaws of the steps so far; the next step begins only without any.
    """

    def __init__(
        self,
        ask: Callable[[S], list[BaseMessage]],
        decide: Decision,
        take: Callable[[S, Decided], Update],
        no_plan: Callable[[S, Problem], Update],
        *,
        execute: Execute,
        may_begin: Callable[[S], bool],
        flaws: Callable[[S, Plan], list[str]],
    ) -> None:
        super().__init__(ask, decide, take, failed=lambda state, error: no_plan(state, problem("plan", error)))
        self.messages, self.decide, self.no_plan = ask, decide, no_plan
        self.execute, self.may_begin, self.flaws = execute, may_begin, flaws

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Update:
        """Return the update of the state, with the records of the steps if any began."""
        is_timed = within_budget(self.decide, config) is not self.decide
        if is_timed or not self.may_begin(value) or not await self.decide.streams(effects):
            return await super().run(effects, value, config)
        started, began = time.time(), time.monotonic()
        run = StepRun(self.execute, effects, value, config)
        plan = PlanInWriting(self, effects, value, config, run)
        try:
            update, end = await plan.follow()
        except BaseException:
            run.work.abandoned = True
            raise
        records = run.results()
        if records:
            listed = dict.fromkeys(step["id"] for step in update["plan"] if step["id"] in records)
            update = {**update, "steps": {name: records[name] for name in listed}}
        usage = named(end["usage"], self.decide.name)
        worked: Worked = {"node": "plan", "agent": self.decide.name, "started": started, "ended": end["written"]}
        problems = [why for record in records.values() for why in record["problems"]]
        return {
            **update,
            "usage": sum_usage([usage, *(record["usage"] for record in records.values())]),
            "errors": [*end["faults"], *update.get("errors", ()), *problems],
            "worked": [worked],
            "seconds": time.monotonic() - began + run.tasks.earlier.seconds,
        }


class Written(TypedDict):
    """A stored part of a plan in writing: a step that may begin, or the end, with the whole plan or the failure."""

    status: Literal["step", "plan", "broken"]
    step: dict[str, Any]
    plan: list[dict[str, Any]]
    problem: Problem | None
    faults: list[Problem]
    """Faults while it was written, which have passed."""
    written: float
    """Seconds since the epoch."""
    usage: Usage


class PlanInWriting(Generic[S]):
    """One plan while it is written, and its steps that have begun."""

    def __init__(self, node: StreamedPlan[S], effects: Effects, state: S, config: RunnableConfig, run: StepRun) -> None:
        self.node = node
        self.effects = effects
        self.state = state
        self.config = config
        self.run = run
        self.begun: list[Step] = []
        self._count = 0
        self._before: set[str] = set()
        """The steps that had begun before the reply that is being read."""
        self._reader = StepReader()
        self._may_begin = True

    async def follow(self) -> tuple[Update, Written]:
        """Begin steps as they are written; return the update, and the end of the plan, once all of them have ended."""
        while (end := self._stored()) is not None and end["status"] == "step":
            self._begin(Step(**end["step"]))
        if end is None:
            end = await self._asked()
        await self.run.close()
        if end["problem"] is not None:
            steps = self.run.results() if self.begun else {}
            kept = {**self.state, "plan": [step.as_dict() for step in self.begun], "steps": steps}
            return self.node.no_plan(cast(S, kept), end["problem"]), end
        decided: Decided = {"value": {"steps": end["plan"]}, "mistakes": [], "usage": end["usage"]}
        return {**self.node.take(self.state, decided), "has_begun": bool(self.begun)}, end

    def _begin(self, step: Step) -> None:
        self.begun.append(step)
        self.run.open([step])

    def _stored(self) -> Written | None:
        """Return the next step of the plan or its end, if it is stored."""
        self._count += 1
        stored: Any = self.run.tasks.stored(f"plan#{self._count}")
        return cast(Written | None, stored)

    async def _store(self, written: Written) -> Written:
        async def work() -> Any:
            return written

        await self.effects.first([self.run.tasks.call(f"plan#{self._count}", work, None)])
        return written

    async def _asked(self) -> Written:
        """Ask for the plan, or for the rest of it where the steps of a resumed run have begun, and store its end."""
        messages = self.node.messages(self.state)
        if self.begun:
            begun = plan_text([step.as_dict() for step in self.begun])
            messages += [AIMessage(begun), HumanMessage(prompts.REST_OF_PLAN)]
        work = Attempts(self.node.decide.heard_by(self._hear), self.node.retry)
        outcome = await self.effects.invoke(work, messages, self.config)
        return await self._store(self._end(outcome))

    def _end(self, outcome: AttemptOutcome) -> Written:
        faults = recovered("plan", outcome.faults)
        if outcome.error is not None:
            return _written("broken", outcome.usage, problem=problem("plan", outcome.error))
        begun = {step.id: briefly(step.as_dict()) for step in self.begun}
        new = [step for step in outcome.reply["value"]["steps"] if step["id"] not in self._before]
        others = [step for step in new if begun.get(step["id"]) != briefly(step)]
        return _written("plan", outcome.usage, plan=[*begun.values(), *others], faults=faults)

    async def _hear(self, piece: str, is_first: bool) -> None:
        """Begin the steps that are whole with this piece; after the first unsound step none begins."""
        if is_first:
            self._reader, self._before = StepReader(), {step.id for step in self.begun}
        for item in self._reader.feed(piece):
            step = self._sound(item) if self._may_begin else None
            if step is None:
                self._may_begin = False
            elif step not in self.begun:
                await self._store(_written("step", no_usage(), step=step.as_dict()))
                self._begin(step)
                self._stored()

    def _sound(self, item: object) -> Step | None:
        """Return a step if it has begun or may begin: of the form, and without a flaw on the steps before it."""
        try:
            step = Step(**self.node.decide.form.read({"steps": [item]})["steps"][0])
        except DecisionError:
            return None
        if step.id in self._before:
            return next(other for other in self.begun if other.id == step.id)
        plan = [other.as_dict() for other in (*self.begun, step)]
        return None if self.node.flaws(self.state, plan) else step


def _written(status: Literal["step", "plan", "broken"], usage: Usage, **fields: object) -> Written:
    blank: dict[str, object] = {"step": {}, "plan": [], "problem": None, "faults": []}
    return cast(Written, {**blank, "status": status, "written": time.time(), "usage": usage, **fields})
