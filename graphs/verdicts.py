"""How work is judged: deterministic checks first, then a reviewer's typed verdict, criterion by criterion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from agents.agent import Agent
from agents.decisions import Decision, read_json
from agents.errors import DecisionError
from agents.once import IO, Once
from agents.prompts import Assignment, prompt, quote
from agents.usage import Usage, no_usage
from graphs import prompts

Check = Callable[[str], Any]
"""Judges a text without a model: returns None or True if it passes, else False or what to change."""

CRITERIA = ("It does what the task asks, completely.", "What it says is correct.")


class Judged(TypedDict):
    """One criterion of a verdict."""

    criterion: str
    met: bool
    evidence: str


class Verdict(TypedDict):
    """A review. It is acceptable if and only if every criterion is met."""

    acceptable: bool
    criteria: list[Judged]
    feedback: str
    """What to change; empty if acceptable."""
    by: str
    """`checks`, or the reviewer's name."""
    usage: Usage


class Finding(BaseModel):
    """A reviewer's word on one criterion."""

    evidence: str
    met: bool

    @model_validator(mode="after")
    def _has_evidence(self) -> Self:
        if self.met and not self.evidence.strip():
            raise ValueError("a criterion is met only with evidence for it")
        return self


class Review(Once[Assignment, Verdict]):
    """Judges the result in `context["result"]` of a task: the checks, and only if they pass the reviewer.

    The reviewer may be a chat model with a role (its instructions are kept), or an agent with tools, a function or a
    Runnable that returns `{"criteria": [{"criterion", "met", "evidence"}], "feedback"}` or
    `{"acceptable", "evidence", "feedback"}`.

    Raises:
        DecisionError: The reviewer gave no typed verdict. Free text never counts as one.
    """

    def __init__(
        self,
        reviewer: Agent | None,
        *,
        criteria: Sequence[str],
        checks: Sequence[Check],
        model: BaseChatModel | str | None,
    ) -> None:
        self.reviewer = reviewer
        self.criteria = list(criteria)
        self.checks = list(checks)
        self.name: str = reviewer.name if reviewer else "reviewer"
        own = reviewer.role.model if reviewer and reviewer.is_role else None
        self.decision = Decision(verdict_form(len(self.criteria)), model=own or model, name="verdict")
        instructions = reviewer.role.instructions if reviewer and reviewer.is_role else ""
        listed = "\n".join(f"{number}. {one}" for number, one in enumerate(self.criteria, 1))
        form = ", ".join(
            f'"criterion_{number}": {{"evidence": …, "met": …}}' for number in range(1, len(self.criteria) + 1)
        )
        self.system = f"{instructions}\n\n{prompts.REVIEW.format(criteria=listed, form=form)}".strip()

    async def run(self, io: IO, value: Assignment, config: RunnableConfig) -> Verdict:
        """Return the verdict on one result."""
        result = value["context"]["result"]
        failed = [wrong for check in self.checks if (wrong := await self._checked(io, check, result))]
        if failed:
            judged: list[Judged] = [{"criterion": "checks", "met": False, "evidence": wrong} for wrong in failed]
            return _verdict(judged, "\n".join(failed), "checks", no_usage())
        if self.reviewer is None or (self.reviewer.is_role and not self.reviewer.role.tools):
            decided = await io.invoke(self.decision, self._ask(value), config)
            found, usage = decided["value"], decided["usage"]
            said = found["criteria"].values()
            judged = [
                {"criterion": criterion, "met": one["met"], "evidence": one["evidence"]}
                for criterion, one in zip(self.criteria, said, strict=True)
            ]
            return _verdict(judged, found["feedback"], self.name, usage)
        return await self._from_agent(io, self.reviewer, value, config)

    async def _checked(self, io: IO, check: Check, result: str) -> str | None:
        said = await io.function(lambda: check(result), {})
        if said is None or said is True:
            return None
        return str(said) if said else f"The check {getattr(check, '__name__', 'check')!r} did not pass."

    def _ask(self, value: Assignment) -> list[BaseMessage]:
        context = {one: text for one, text in value["context"].items() if one != "result"}
        before = "\n\n".join(quote(one, text) for one, text in context.items())
        asked = prompts.REVIEW_WORK.format(
            task=quote("Task", value["task"]),
            context=f"{before}\n\n" if before else "",
            work=quote("The work", value["context"]["result"]),
        )
        return [SystemMessage(self.system), HumanMessage(asked)]

    async def _from_agent(self, io: IO, reviewer: Agent, value: Assignment, config: RunnableConfig) -> Verdict:
        asked: Assignment = {**value, "task": f"{self.system}\n\n{prompt({'task': value['task']})}"}
        answer = await io.invoke(reviewer, value if reviewer.function else asked, config)
        data = answer["data"] if answer["data"] is not None else read_json(answer["text"])
        try:
            given = GivenVerdict.model_validate(data)
        except ValidationError as error:
            raise DecisionError(f"Reviewer {self.name!r} gave no typed verdict: {error.errors()[0]['msg']}") from error
        return _verdict([_judged(one) for one in given.criteria], given.feedback, self.name, answer["usage"])


class GivenFinding(Finding):
    """A word on a criterion that the reviewer names itself."""

    criterion: str


class GivenVerdict(BaseModel):
    """A verdict as functions and Runnables return it."""

    criteria: list[GivenFinding] = Field(default_factory=list)
    acceptable: bool | None = None
    evidence: str = ""
    feedback: str = ""

    @model_validator(mode="before")
    @classmethod
    def _as_list(cls, given: Any) -> Any:
        """Read `{"criteria": {name: {"evidence", "met"}}}` too, the form that models are asked for."""
        if isinstance(given, dict) and isinstance(given.get("criteria"), dict):
            found = [{"criterion": name, **one} for name, one in given["criteria"].items() if isinstance(one, dict)]
            return {**given, "criteria": found}
        return given

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.criteria:
            if self.acceptable is None:
                raise ValueError("a verdict needs 'criteria', or 'acceptable' with 'evidence'")
            self.criteria = [
                GivenFinding(criterion="acceptable", met=self.acceptable, evidence=self.evidence or self.feedback)
            ]
        _needs_feedback([one.met for one in self.criteria], self.feedback)
        return self


def verdict_form(number: int) -> type[BaseModel]:
    """Return the form of a verdict on so many criteria: every one has its own field, so none can be left out."""
    fields: dict[str, Any] = {f"criterion_{one}": Finding for one in range(1, number + 1)}
    findings = create_model("Findings", **fields)

    class VerdictForm(BaseModel):
        criteria: findings  # type: ignore[valid-type]
        feedback: str

        @model_validator(mode="after")
        def _is_whole(self) -> Self:
            _needs_feedback([one.met for one in vars(self.criteria).values()], self.feedback)
            return self

    return VerdictForm


def _needs_feedback(met: Sequence[bool], feedback: str) -> None:
    if not all(met) and not feedback.strip():
        raise ValueError("a rejection needs feedback that says what to change")


def _judged(one: GivenFinding) -> Judged:
    return {"criterion": one.criterion, "met": one.met, "evidence": one.evidence}


def _verdict(judged: list[Judged], feedback: str, by: str, usage: Usage) -> Verdict:
    acceptable = bool(judged) and all(one["met"] for one in judged)
    told = "" if acceptable else feedback
    return {"acceptable": acceptable, "criteria": judged, "feedback": told, "by": by, "usage": usage}
