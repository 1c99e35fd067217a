"""A supervisor: work -> review -> (revise) work | accept | escalate, to a person, another agent, or the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START
from langgraph.types import interrupt

from agents.agent import Agent, Answer
from agents.once import IO, Once
from agents.prompts import Assignment
from agents.retry import Retry
from agents.usage import Usage, named, no_usage
from graphs import prompts
from graphs.errors import ConfigurationError
from graphs.pattern import Node, Pattern, PatternGraph
from graphs.state import Envelope, assignment, problem
from graphs.verdicts import CRITERIA, Check, Review, Verdict

PEOPLE_MAY = ("accept", "edit", "retry", "abort")
BEST = "the best version so far"


class Reviewed(Verdict):
    """A verdict, with the number of the work it is about (0 for the first) and the share of criteria met."""

    revision: int
    score: float


class Best(TypedDict):
    """The best work so far."""

    text: str
    score: float
    revision: int


class Ruling(TypedDict, total=False):
    """What became of work that was not accepted."""

    type: str
    """`accept`, `edit`, `retry`, `abort` or `answer` (by another agent)."""
    text: str
    feedback: str
    usage: Usage


class SupervisorState(Envelope, total=False):
    """The envelope, the work in hand, and what was said of it."""

    work: str
    reviews: list[Reviewed]
    revisions: int
    """Times the work was sent back in this run."""
    allowed: int
    """Revisions allowed; a person who asks for a retry allows more."""
    best: Best | None
    ruling: Ruling


class Supervisor(Pattern):
    """Has an agent's work reviewed, sends it back with feedback, and escalates what does not get good.

    Args:
        reviewer: Gives the typed verdict (see `graphs.verdicts.Review`); None for the default chat model.
        criteria: Sentences that must all be true of acceptable work.
        checks: Functions of the text that run before any model is asked; they return None or what to change.
        max_revisions: Times the work is sent back before it is escalated.
        escalate: `best`: return the best so far, status `escalated`. `human`: ask a person by an interrupt (needs a
            checkpointer). An agent: it takes over, with the best so far and the last feedback.
        model: For a reviewer that has none of its own.
    """

    name = "supervisor"

    def __init__(
        self,
        worker: Agent,
        *,
        reviewer: Agent | None = None,
        criteria: Sequence[str] = CRITERIA,
        checks: Sequence[Check] = (),
        max_revisions: int = 3,
        escalate: Literal["best", "human"] | Agent = "best",
        model: BaseChatModel | str | None = None,
        retry: Retry | None = None,
    ) -> None:
        if max_revisions < 0 or not criteria:
            raise ConfigurationError("A supervisor needs max_revisions of 0 or more and at least one criterion")
        if not isinstance(escalate, Agent) and escalate not in ("best", "human"):
            raise ConfigurationError(f"escalate must be 'best', 'human' or an Agent, not {escalate!r}")
        self.worker = worker
        self.max_revisions = max_revisions
        self.escalation = escalate
        self.retry = retry
        self.reviewing = Review(reviewer, criteria=criteria, checks=checks, model=model)
        self.blank = {
            "work": "",
            "reviews": [],
            "revisions": 0,
            "allowed": max_revisions,
            "best": None,
            "ruling": {},
        }

    def assign(self, state: SupervisorState) -> Assignment:
        """Give the worker the task, and when it is sent back its last version with the feedback."""
        task = assignment(state["messages"])
        if not state["reviews"]:
            return task
        feedback = state["ruling"].get("feedback") or state["reviews"][-1]["feedback"]
        context = {**task["context"], "your last version": state["work"], "feedback": feedback}
        return {**task, "task": prompts.REVISE.format(task=task["task"]), "context": context}

    def take_work(self, state: SupervisorState, answer: Answer) -> dict[str, Any]:
        """Keep the work; the same work again is not worth another review."""
        update: dict[str, Any] = {"work": answer["text"], "errors": answer["errors"], "ruling": {}}
        if state["reviews"]:
            update["revisions"] = state["revisions"] + 1
            if _same(answer["text"], state["work"]):
                update["stop_reason"] = "The work did not change after feedback"
        return update

    def work_failed(self, state: SupervisorState, error: Exception) -> dict[str, Any]:
        """Leave it to the escalation."""
        told = problem("work", error)
        return {"stop_reason": f"{self.worker.name!r} failed: {told['message']}", "errors": [told]}

    def worked(self, state: SupervisorState) -> Literal["review", "escalate"]:
        """Review the work, unless there is nothing new to review."""
        return "escalate" if state["stop_reason"] else "review"

    def submit(self, state: SupervisorState) -> Assignment:
        """Show the reviewer the task and the present work, no earlier verdict."""
        task = assignment(state["messages"])
        return {**task, "context": {**task["context"], "result": state["work"]}}

    def take_verdict(self, state: SupervisorState, verdict: Verdict) -> dict[str, Any]:
        """Record the review and keep the best work so far."""
        criteria = verdict["criteria"]
        score = sum(one["met"] for one in criteria) / len(criteria)
        review: Reviewed = {**verdict, "revision": state["revisions"], "score": score}
        update: dict[str, Any] = {"reviews": [*state["reviews"], review]}
        if state["best"] is None or score >= state["best"]["score"]:
            update["best"] = {"text": state["work"], "score": score, "revision": state["revisions"]}
        if not verdict["acceptable"]:
            update["stop_reason"] = self._reason_to_stop(state, verdict)
        return update

    def _reason_to_stop(self, state: SupervisorState, verdict: Verdict) -> str | None:
        if state["reviews"] and _same(verdict["feedback"], state["reviews"][-1]["feedback"]):
            return f"The same feedback was given twice: {verdict['feedback']}"
        if state["revisions"] >= state["allowed"]:
            return f"Not accepted after {state['revisions']} revisions: {verdict['feedback']}"
        return None

    def review_failed(self, state: SupervisorState, error: Exception) -> dict[str, Any]:
        """Neither accept nor reject what nobody has judged."""
        told = problem("review", error)
        update: dict[str, Any] = {"stop_reason": f"The work was not reviewed: {told['message']}", "errors": [told]}
        return update if state["best"] else {**update, "best": {"text": state["work"], "score": 0.0, "revision": 0}}

    def reviewed(self, state: SupervisorState) -> Literal["accept", "work", "escalate"]:
        """Accept on a verdict only; send back while that can help."""
        if state["stop_reason"]:
            return "escalate"
        return "accept" if state["reviews"][-1]["acceptable"] else "work"

    def accept(self, state: SupervisorState) -> dict[str, Any]:
        """Answer with the accepted work."""
        return {"status": "completed", "messages": [AIMessage(state["work"])]}

    def ask_for_ruling(self, state: SupervisorState) -> Assignment | None:
        """Put the case to a person or another agent; there is nothing to ask where the best so far will do."""
        if self.escalation == "best":
            return None
        task = assignment(state["messages"])
        context = {**task["context"], "why it comes to you": state["stop_reason"] or ""}
        if state["best"]:
            context[BEST] = state["best"]["text"]
        if state["reviews"]:
            context["feedback"] = state["reviews"][-1]["feedback"]
        return {**task, "context": context}

    def take_ruling(self, state: SupervisorState, ruling: Ruling | Answer | None) -> dict[str, Any]:
        """End as was ruled, or go back to work."""
        best = state["best"]
        if ruling is None:
            status = "escalated" if best else "failed"
            return {"status": status, "messages": [AIMessage(best["text"] if best else state["stop_reason"] or "")]}
        if "data" in ruling:
            return {"status": "escalated", "messages": [AIMessage(ruling["text"])], "errors": ruling["errors"]}  # type: ignore[typeddict-item]
        kind = ruling["type"]
        if kind == "retry":
            return {"ruling": ruling, "stop_reason": None, "allowed": state["revisions"] + 1 + self.max_revisions}
        if kind == "abort":
            reason = f"A person stopped it. {state['stop_reason']}"
            text = best["text"] if best else reason
            return {"ruling": ruling, "status": "failed", "stop_reason": reason, "messages": [AIMessage(text)]}
        text = ruling["text"] if kind == "edit" else (best or {"text": ""})["text"]
        return {"ruling": ruling, "status": "completed", "stop_reason": None, "messages": [AIMessage(text)]}

    def ruling_failed(self, state: SupervisorState, error: Exception) -> dict[str, Any]:
        """Return the best so far when the agent that should take over failed too."""
        return {**self.take_ruling(state, None), "errors": [problem("escalate", error)]}

    def ruled(self, state: SupervisorState) -> Literal["work", "__end__"]:
        """Work again only if a person asked for it."""
        return "work" if state["status"] == "running" else "__end__"

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, SupervisorState)
        graph.add_node("work", self._working())
        graph.add_node("review", self._reviewing())
        graph.add_node("accept", Node(after=self.accept))
        graph.add_node("escalate", self._escalating())
        graph.add_edge(START, "work")
        graph.add_conditional_edges("work", self.worked)
        graph.add_conditional_edges("review", self.reviewed)
        graph.add_edge("accept", END)
        graph.add_conditional_edges("escalate", self.ruled)
        return graph

    def _working(self) -> Node:
        return Node(
            self.assign,
            self.worker,
            self.take_work,
            failed=self.work_failed,
            booked=self.worker.booked,
            retry=self.retry,
            blank=self.blank,
        )

    def _reviewing(self) -> Node:
        return Node(
            self.submit,
            self.reviewing,
            self.take_verdict,
            failed=self.review_failed,
            booked=lambda usage: named(usage, self.reviewing.name),
            retry=self.retry,
        )

    def _escalating(self) -> Node:
        agent = self.escalation if isinstance(self.escalation, Agent) else None
        return Node(
            self.ask_for_ruling,
            agent or AskPerson(),
            self.take_ruling,
            failed=self.ruling_failed,
            booked=agent.booked if agent else lambda usage: usage,
            retry=self.retry,
        )


class AskPerson(Once[Assignment, Ruling]):
    """Interrupts the run with the case, and asks again until the answer can be used.

    Resume with `{"type": "accept"}`, `{"type": "edit", "text": …}`, `{"type": "retry", "feedback": …}` or
    `{"type": "abort"}`.
    """

    async def run(self, io: IO, value: Assignment, config: RunnableConfig) -> Ruling:
        """Return what the person ruled."""
        case = {"question": "Accept this work?", "task": value["task"], **value["context"]}
        may = [one for one in PEOPLE_MAY if one != "accept" or BEST in value["context"]]
        note = None
        while True:
            said = interrupt({**case, "answers": may, **({"note": note} if note else {})})
            ruling: Any = {"type": said} if isinstance(said, str) else said
            note = _unusable(ruling, may)
            if note is None:
                usable: Any = {**ruling, "usage": no_usage()}
                return cast(Ruling, usable)


def _unusable(ruling: Any, may: Sequence[str]) -> str | None:
    kind = ruling.get("type") if isinstance(ruling, dict) else None
    if kind not in may:
        return f"Answer with a 'type' of {', '.join(may)}."
    needed = {"edit": "text", "retry": "feedback"}.get(str(kind))
    if needed and not str(ruling.get(needed) or "").strip():
        return f"An answer of type {kind!r} needs {needed!r}."
    return None


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
