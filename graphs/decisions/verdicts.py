"""Reviews: deterministic checks first, then a reviewer's typed verdict, criterion by criterion."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator, model_validator
from typing_extensions import TypedDict

from agents import Agent, Answer, Assignment, ConfigurationError, Decision, DecisionError, quote
from agents.checks import Check, Guardrails
from agents.decisions import AGAIN, Paragraph, Short, read_object
from agents.runtime import Effects, SyncAsyncRunnable, clean, clean_data, extended
from agents.settings import settings
from agents.usage import Tally, Usage, add_usage, no_usage
from graphs.decisions import prompts
from graphs.engine import ASKS

Reviewer = Callable[[str, str, dict[str, str]], object]
"""Your own review: (task, work, context) -> `{"acceptable", "evidence", "feedback"}` or a verdict by criteria."""

CHECKS = "checks"
"""The author of a verdict without a model, and the criterion that all checks are passed."""

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
    """Changes to make; empty if acceptable."""
    by: str
    """`checks`, or the reviewer's name."""
    usage: Usage


class Reviewed(Verdict):
    """A verdict, with the number of the work it is about (0 for the first) and the share of criteria met."""

    revision: int
    score: float


class Best(TypedDict):
    """The best work so far."""

    text: str
    message_id: str | None
    """The id of the chat message that shows the text, if there is one."""
    score: float
    revision: int


class Finding(BaseModel):
    """The judgement of one criterion."""

    evidence: Short
    met: bool

    @model_validator(mode="after")
    def _has_evidence(self) -> Self:
        if self.met and not self.evidence.strip():
            raise ValueError("a criterion is met only with evidence for it")
        return self


class CheckWork(SyncAsyncRunnable[Assignment, Verdict]):
    """Judges the result in `context["result"]` by functions alone, without a model."""

    books = CHECKS

    def __init__(self, checks: Sequence[Check]) -> None:
        self.guardrails = Guardrails(checks)
        self.has_any = bool(checks)

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Verdict:
        """Return the verdict of the checks on one result; without checks it is acceptable."""
        failed = await self.guardrails.wrong_in_answer(effects, value["context"]["result"], None, value)
        judged: list[Judged] = [{"criterion": CHECKS, "met": False, "evidence": wrong} for wrong in failed]
        passed: Judged = {"criterion": CHECKS, "met": True, "evidence": "passed"}
        return _verdict(judged or [passed], "\n".join(failed), CHECKS, no_usage())


class Review(SyncAsyncRunnable[Assignment, Verdict]):
    """Judges the result in `context["result"]` of a task: the checks, and only if they pass the reviewer.

    The reviewer may be a chat model (its instructions are kept), or an agent with tools, a Runnable or a
    function that gives `{"criteria": [{"criterion", "met", "evidence"}], "feedback"}` or
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
        review: Reviewer | None = None,
    ) -> None:
        if review is not None:
            if reviewer is not None or not callable(review):
                raise ConfigurationError("review= takes a function, and excludes reviewer=, which takes an agent")
            reviewer = Agent(
                "reviewer", function=lambda task, context: review(task, context["result"], _around(context))
            )
        self.reviewer = reviewer
        self.agents = [reviewer] if reviewer else []
        self.criteria = {f"criterion_{number}": criterion for number, criterion in enumerate(criteria, 1)}
        """The criteria by the names under which a model judges them."""
        self.checks = CheckWork(checks)
        self.name: str = reviewer.name if reviewer else "reviewer"
        self.books = self.name
        own = reviewer.model if reviewer else None
        self.decision = Decision(verdict_form(self.criteria), model=own or model, name="verdict", whole=True)
        instructions = reviewer.instructions if reviewer else ""
        listed = "\n".join(f"{number}. {criterion}" for number, criterion in enumerate(criteria, 1))
        form = ", ".join(f'"{name}": {{"evidence": …, "met": …}}' for name in self.criteria)
        rules = prompts.REVIEW.format(criteria=listed)
        self.system = SystemMessage(f"{instructions}\n\n{rules}".strip())
        self.rules = f"{rules}\n\n{prompts.REVIEW_FORM.format(form=form)}"

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Verdict:
        checked = await self.checks.run(effects, value, config)
        if not checked["acceptable"]:
            return checked
        verdict = await self._judge(effects, value, config)
        return {**verdict, "criteria": [*(checked["criteria"] if self.checks.has_any else []), *verdict["criteria"]]}

    async def _judge(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Verdict:
        if self.reviewer is None or (self.reviewer.is_chat_model and not self.reviewer.tools):
            decided = await effects.invoke(self.decision, [self.system, HumanMessage(_case(value))], config)
            return self._read(decided["value"], decided["usage"])
        tally = Tally(settings().prices)
        with tally:
            silent = extended(config, callbacks=[tally], tags=[TAG_NOSTREAM])
            return await self._ask(effects, self.reviewer, value, silent)

    async def _ask(self, effects: Effects, reviewer: Agent, value: Assignment, config: RunnableConfig) -> Verdict:
        """Ask an agent with tools, a Runnable or a function; all but functions get a second attempt."""
        task = f"{self.rules}\n\n{_case(value)}"
        asked: Assignment = value if reviewer.function else {"task": task}
        answer = await effects.invoke(reviewer, asked, config)
        if answer["status"] == ASKS:
            raise DecisionError(f"Reviewer {self.name!r} asked the user instead of judging: {answer['text']}")
        try:
            return self._read(_data(answer), answer["usage"])
        except DecisionError as error:
            if reviewer.function:
                raise
            mistake = AGAIN.format(mistake=error)
        again: Assignment = {"task": f"{task}\n\n{quote('You answered', answer['text'])}\n\n{mistake}"}
        second = await effects.invoke(reviewer, again, config)
        return self._read(_data(second), add_usage(answer["usage"], second["usage"]))

    def _read(self, data: object, usage: Usage) -> Verdict:
        """Turn a reviewer's reply into a verdict; its criteria are either all of those asked for, or its own.

        Raises:
            DecisionError: It is not a verdict, or it leaves out criteria that the reviewer was asked for.
        """
        try:
            verdict = VerdictReply.model_validate(data)
        except ValidationError as error:
            raise DecisionError(f"Reviewer {self.name!r} gave no typed verdict: {error.errors()[0]['msg']}") from error
        judged = [
            Judged(criterion=self.criteria.get(name, name), met=met, evidence=evidence)
            for name, met, evidence in ((item.criterion, item.met, item.evidence) for item in verdict.findings())
        ]
        missing = [text for text in self.criteria.values() if text not in {item["criterion"] for item in judged}]
        if missing and len(missing) < len(self.criteria):
            raise DecisionError(f"Reviewer {self.name!r} did not judge {missing[0]!r}")
        return _verdict(judged, verdict.feedback, self.name, usage)


def _around(context: dict[str, str]) -> dict[str, str]:
    return {label: text for label, text in context.items() if label != "result"}


def _case(value: Assignment) -> str:
    """Return a task and its result for a reviewer; all of it is quoted, because it is data to them."""
    parts = [quote("Task", value["task"]), *(quote(*labelled) for labelled in _around(value["context"]).items())]
    return "\n\n".join([*parts, quote("The work", value["context"]["result"])])


def _data(answer: Answer) -> object:
    return answer["data"] if answer["data"] is not None else read_object(answer["text"])


class NamedFinding(Finding):
    """The judgement of a criterion that the reviewer names itself."""

    criterion: str


class VerdictReply(BaseModel):
    """A verdict as functions and Runnables return it, and as models are asked for it."""

    criteria: list[NamedFinding] = Field(default_factory=list)
    acceptable: bool | None = None
    evidence: str = ""
    feedback: str = ""

    @field_validator("criteria", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        """Read `{name: {"evidence", "met"}}` too, the form that models are asked for."""
        if not isinstance(value, dict):
            return value
        return [{"criterion": name, **item} if isinstance(item, dict) else item for name, item in value.items()]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        met = [finding.met for finding in self.findings()]
        if self.acceptable is not None and self.acceptable is not all(met):
            raise ValueError("'acceptable' contradicts the criteria")
        _needs_feedback(met, self.feedback)
        return self

    def findings(self) -> list[NamedFinding]:
        """Return the criteria; a verdict that is one word and its reason counts as one criterion."""
        if self.criteria:
            return self.criteria
        if self.acceptable is None:
            raise ValueError("a verdict needs 'criteria', or 'acceptable' with 'evidence'")
        evidence = self.evidence or ("" if self.acceptable else self.feedback)
        return [NamedFinding(criterion="acceptable", met=self.acceptable, evidence=evidence)]


def verdict_form(names: Iterable[str]) -> type[BaseModel]:
    """Return the form of a verdict on criteria of these names; each is a required field of its own."""
    fields: dict[str, Any] = dict.fromkeys(names, Finding)
    findings = create_model("Findings", **fields)

    class VerdictForm(BaseModel):
        criteria: findings  # type: ignore[valid-type]
        feedback: Paragraph

        @model_validator(mode="after")
        def _is_whole(self) -> Self:
            _needs_feedback([finding.met for finding in vars(self.criteria).values()], self.feedback)
            return self

    return VerdictForm


def _needs_feedback(met: Sequence[bool], feedback: str) -> None:
    if not all(met) and not feedback.strip():
        raise ValueError("a rejection needs feedback that says what to change")


def _verdict(judged: list[Judged], feedback: str, by: str, usage: Usage) -> Verdict:
    acceptable = bool(judged) and all(criterion["met"] for criterion in judged)
    feedback = "" if acceptable else clean(feedback)
    return {"acceptable": acceptable, "criteria": clean_data(judged), "feedback": feedback, "by": by, "usage": usage}
