"""A supervisor: work -> review -> (revise) work | accept | escalate, to a person, another agent, or the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.assignment import Assignment
from agents.runtime import Retry, named
from graphs.decisions import CRITERIA, Check, Review, Verdict, prompts
from graphs.drafts import Best, Reviewed, SupervisorState, saying
from graphs.engine import Box, Node, Pattern, PatternGraph, Problem, assignment, each, out_of_budget, problem
from graphs.errors import ConfigurationError
from graphs.people import BEST, AskPerson, Ruling


class Supervisor(Pattern):
    """Has an agent's work reviewed, sends it back with feedback, and escalates what does not get good.

    Args:
        worker: The agent whose work is reviewed, any pattern included.
        reviewer: Gives the typed verdict (see `graphs.decisions.verdicts.Review`); None for the default chat model.
        criteria: Sentences that must all be true of acceptable work.
        checks: Functions of the text that run before any model is asked; they return None or what to change.
        max_revisions: Times the work is sent back before it is escalated.
        escalate: `best`: return the best so far, status `escalated`. `human`: ask a person by an interrupt (needs a
            checkpointer). An agent: it takes over, with the best so far and the last feedback.
        model: For a reviewer that has none of its own.
        retry: For every call; None for three attempts.

    Raises:
        ConfigurationError: There is no criterion, `max_revisions` is negative, or `escalate` is something else.
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
        if max_revisions < 0 or not criteria or isinstance(criteria, str):
            raise ConfigurationError(
                "A supervisor needs max_revisions of 0 or more and a list of at least one criterion"
            )
        if not isinstance(escalate, Agent) and escalate not in ("best", "human"):
            raise ConfigurationError(f"escalate must be 'best', 'human' or an Agent, not {escalate!r}")
        self.worker = worker
        self.max_revisions = max_revisions
        self.escalation = escalate
        self.retry = retry
        self.reviewing = Review(reviewer, criteria=criteria, checks=checks, model=model)
        self.blank: dict[str, Any] = {
            "work": "",
            "work_id": None,
            "work_status": "",
            "reviews": [],
            "revisions": 0,
            "allowed": max_revisions,
            "best": None,
            "ruling": {},
        }

    def assign(self, state: SupervisorState) -> Assignment:
        """Give the worker the task, and when it is sent back its last version with the feedback."""
        task = assignment(state["messages"])
        feedback = state["ruling"].get("feedback") or (state["reviews"][-1]["feedback"] if state["reviews"] else "")
        if not feedback:
            return task
        context = {**task["context"], "feedback": feedback}
        if not state["work"]:
            return {**task, "context": context}
        revise = prompts.REVISE.format(task=task["task"])
        return {**task, "task": revise, "context": {**context, "your last version": state["work"]}}

    def take_work(self, state: SupervisorState, answer: Answer, *, node: str = "work") -> dict[str, Any]:
        """Keep the work; the same work again is not worth another review."""
        inside: list[Problem] = [{**one, "where": f"{node}/{one['where']}"} for one in answer["errors"]]  # type: ignore[typeddict-item]
        said = saying(state, answer["text"], answer.get("message_id"))
        update: dict[str, Any] = {
            "work": answer["text"],
            "work_id": said[-1].id,
            "work_status": answer["status"],
            "messages": said,
            "errors": inside,
            "ruling": {},
        }
        if answer["status"] == "needs_input":
            return {**update, "status": "needs_input", "stop_reason": inside[-1]["message"]}
        if not state["work"]:
            return update
        unchanged = "The work did not change after feedback" if _same(answer["text"], state["work"]) else None
        return {**update, "revisions": state["revisions"] + 1, "stop_reason": unchanged}

    def work_failed(self, state: SupervisorState, error: Exception) -> dict[str, Any]:
        """Leave it to the escalation."""
        told = problem("work", error)
        return {"stop_reason": f"{self.worker.name!r} failed: {told['message']}", "errors": [told]}

    def worked(self, state: SupervisorState) -> Literal["review", "escalate", "__end__"]:
        """Review the work, unless there is nothing new to review, or it is a question to the user."""
        if state["status"] == "needs_input":
            return "__end__"
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
            update["best"] = self._best(state, score)
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
        reason = f"The work was not reviewed: {told['message']}"
        return {"stop_reason": reason, "errors": [told], "best": state["best"] or self._best(state, 0.0)}

    def _best(self, state: SupervisorState, score: float) -> Best:
        return {
            "text": state["work"],
            "message_id": state.get("work_id"),
            "score": score,
            "revision": state["revisions"],
        }

    def reviewed(self, state: SupervisorState) -> Literal["accept", "work", "escalate"]:
        """Accept on a verdict only; send back while that can help."""
        if state["stop_reason"]:
            return "escalate"
        return "accept" if state["reviews"][-1]["acceptable"] else "work"

    def accept(self, state: SupervisorState) -> dict[str, Any]:
        """Answer with the accepted work; it stays partial where the worker could not do all of it."""
        said = saying(state, state["work"], state.get("work_id"))
        if state["work_status"] != "partial":
            return {"status": "completed", "messages": said}
        why = next(one["message"] for one in reversed(state["errors"]) if one["kind"] == "partial")
        return {"status": "partial", "stop_reason": why, "messages": said}

    def ask_person(self, state: SupervisorState) -> Assignment | None:
        """Put the case to a person, unless no more work could come of it."""
        return None if out_of_budget(state["errors"]) else self.ask_for_ruling(state)

    def ask_for_ruling(self, state: SupervisorState) -> Assignment:
        """Put the case to a person or another agent."""
        task = assignment(state["messages"])
        context = {**task["context"], "why it comes to you": state["stop_reason"] or ""}
        if state["best"]:
            context[BEST] = state["best"]["text"]
        if state["reviews"]:
            context["feedback"] = state["reviews"][-1]["feedback"]
        return {**task, "context": context}

    def give_best(self, state: SupervisorState) -> dict[str, Any]:
        """Answer with the best so far, if there is any."""
        if state["best"] is None:
            return {"status": "failed", "messages": saying(state, state["stop_reason"] or "")}
        status = "partial" if out_of_budget(state["errors"]) else "escalated"
        return {"status": status, "messages": saying(state, state["best"]["text"], state["best"].get("message_id"))}

    def take_over(self, state: SupervisorState, answer: Answer) -> dict[str, Any]:
        """Answer with what the agent made of it that the work was escalated to."""
        inside = [{**one, "where": f"escalate/{one['where']}"} for one in answer["errors"]]
        said = saying(state, answer["text"], answer.get("message_id"))
        return {"status": "escalated", "messages": said, "errors": inside}

    def taking_over_failed(self, state: SupervisorState, error: Exception) -> dict[str, Any]:
        """Return the best so far when the agent that should take over failed too, or no person can be asked."""
        return {**self.give_best(state), "errors": [problem("escalate", error)]}

    def take_ruling(self, state: SupervisorState, ruling: Ruling | None) -> dict[str, Any]:
        """End as a person ruled, or go back to work; where nobody was asked, with the best so far."""
        if ruling is None:
            return self.give_best(state)
        best = state["best"]
        if ruling["type"] == "retry":
            return {"ruling": ruling, "stop_reason": None, "allowed": state["revisions"] + 1 + self.max_revisions}
        if ruling["type"] == "abort":
            reason = f"A person stopped it. {state['stop_reason']}"
            said = saying(state, best["text"], best.get("message_id")) if best else saying(state, reason)
            return {"ruling": ruling, "status": "failed", "stop_reason": reason, "messages": said}
        if best is None or ruling["type"] == "edit":
            said = saying(state, ruling["text"])
        else:
            said = saying(state, best["text"], best.get("message_id"))
        return {"ruling": ruling, "status": "completed", "stop_reason": None, "messages": said}

    def ruled(self, state: SupervisorState) -> Literal["work", "__end__"]:
        """Work again only if a person asked for it."""
        return "work" if state["status"] == "running" else "__end__"

    def inside(self) -> dict[str, list[Box]]:
        """Draw the worker, the reviewer and who takes over."""
        others = {"review": self.reviewing.reviewer, "escalate": self.escalation}
        return {
            "work": each([self.worker]),
            **{at: each([one]) for at, one in others.items() if isinstance(one, Agent)},
        }

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
            aloud=self.worker,
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
        if self.escalation == "best":
            return Node(after=self.give_best)
        if not isinstance(self.escalation, Agent):
            return Node(self.ask_person, AskPerson(), self.take_ruling, failed=self.taking_over_failed)
        return Node(
            self.ask_for_ruling,
            self.escalation,
            self.take_over,
            failed=self.taking_over_failed,
            booked=self.escalation.booked,
            retry=self.retry,
            aloud=self.escalation,
        )


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
