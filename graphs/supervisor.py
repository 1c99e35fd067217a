"""A supervisor: work -> review -> (feedback) work | escalate -> answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.graph import START
from typing_extensions import TypeVar

from agents import Agent, Answer, AnyAgent, Assignment, Retry, agent_of
from agents.arguments import check_limits, is_list_of
from agents.assignment import History, check_history
from agents.checks import Check, sent_back
from graphs.decisions import verdicts
from graphs.engine import (
    ASKS,
    RUNNING,
    Conclusion,
    Node,
    Pattern,
    PatternGraph,
    PatternState,
    Update,
    closing,
    out_of_budget,
    problem,
    problems_inside,
)
from graphs.errors import ConfigurationError
from graphs.people import AskPerson, HumanDecision, Question, work_question


class SupervisorState(PatternState):
    """The shared state, the current work, and its reviews."""

    work: str
    work_id: str | None
    """The id of the message that shows the work; it stands in the thread as a draft while it is reviewed."""
    work_status: str
    """`completed`; of a worker that is itself a pattern also `partial`, `escalated` or `needs_input`."""
    reviews: list[verdicts.Reviewed]
    revisions: int
    """Times the work was revised in this run."""
    allowed: int
    """Revisions allowed; a person who rejects with feedback allows more."""
    best: verdicts.Best | None
    feedback: str
    """Changes that a person wants."""
    ruling: str
    """A person's decision: `approve`, `edit` or `reject`; empty without a question."""


SupervisorT = TypeVar("SupervisorT", bound=SupervisorState, default=SupervisorState)


class Supervisor(Pattern[SupervisorT]):
    """Has work reviewed and revised until it is accepted.

    Args:
        worker: Does the work.
        reviewer: Judges it: a chat model with instructions, or an agent with a typed verdict (see
            `graphs.decisions.Review`); None for `model`.
        review: Your own review in place of reviewer and criteria: (task, work, context) -> a verdict, sync or async.
        criteria: Sentences that must all be true of acceptable work.
        checks: Functions of the text that run before any model is asked; they return None or what to change.
        max_revisions: Times the work is sent back before it is escalated.
        escalate: `best`: return the best so far, status `escalated`. `human`: ask a person by an interrupt (needs a
            checkpointer). An agent: it takes over, with the best so far and the last feedback.
        model: For a reviewer that has none of its own; None for the default chat model.
        history, retry: As in `Workflow`.

    Raises:
        ConfigurationError: The criteria are empty, `max_revisions` is negative, or `escalate` is something else.
    """

    name = "supervisor"
    state_schema: type[Any] = SupervisorState
    record_schema: type[Any] = SupervisorState

    def __init__(
        self,
        worker: AnyAgent,
        *,
        reviewer: AnyAgent | None = None,
        review: verdicts.Reviewer | None = None,
        criteria: Sequence[str] = verdicts.CRITERIA,
        checks: Sequence[Check] = (),
        max_revisions: int = 3,
        escalate: Literal["best", "human"] | AnyAgent = "best",
        model: BaseChatModel | str | None = None,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        check_limits(0, max_revisions=max_revisions)
        if not criteria or not is_list_of(str, criteria):
            raise ConfigurationError(f"criteria must be a list of texts, at least one, not {criteria!r:.80}")
        if isinstance(escalate, str) and escalate not in ("best", "human"):
            raise ConfigurationError(f"escalate must be 'best', 'human' or an agent, not {escalate!r}")
        self.worker = agent_of(worker)
        self.max_revisions = max_revisions
        self.escalation: str | Agent = escalate if isinstance(escalate, str) else agent_of(escalate)
        self.history, self.retry = check_history(history), retry
        by = agent_of(reviewer) if reviewer is not None else None
        self.reviewing = verdicts.Review(by, criteria=criteria, checks=checks, model=model, review=review)

    def opening(self) -> Mapping[str, object]:
        return {"allowed": self.max_revisions}

    def assign(self, state: SupervisorT) -> Assignment:
        feedback = state["feedback"] or (state["reviews"][-1]["feedback"] if state["reviews"] else "")
        task = self.assignment(state)
        return sent_back(task, state["work"], [feedback]) if feedback else task

    def _with(self, state: SupervisorT, context: Mapping[str, str]) -> Assignment:
        task = self.assignment(state)
        return {**task, "context": {**task.get("context", {}), **context}}

    def take_work(self, state: SupervisorState, answer: Answer, *, node: str = "work") -> Update:
        """Keep the work that a node gave; unchanged work is not worth another review."""
        messages = self._showing(state, answer["text"], answer.get("message_id"))
        errors = problems_inside(answer["errors"], node)
        work = {"work": answer["text"], "work_id": messages[-1].id, "work_status": answer["status"], "feedback": ""}
        update: Update = {**work, "messages": messages, "errors": errors}
        if answer["status"] == ASKS:
            return {**update, "status": ASKS, "stop_reason": errors[-1]["message"]}
        if not state["work"]:
            return update
        update["revisions"] = state["revisions"] + 1
        if not _same(answer["text"], state["work"]):
            return {**update, "stop_reason": None}
        unchanged = "The work did not change after feedback"
        return {**update, "stop_reason": errors[-1]["message"] if out_of_budget(errors) else unchanged}

    def work_failed(self, state: SupervisorState, error: Exception) -> Update:
        """Escalate: nothing new can be reviewed."""
        failure = problem("work", error)
        return {"stop_reason": f"{self.worker.name!r} failed: {failure['message']}", "errors": [failure]}

    def worked(self, state: SupervisorState) -> Literal["review", "escalate"]:
        return "escalate" if state["stop_reason"] else "review"

    def submit(self, state: SupervisorT) -> Assignment:
        return self._with(state, {"result": state["work"]})

    def take_verdict(self, state: SupervisorState, verdict: verdicts.Verdict) -> Update:
        """Record the review and keep the best work so far."""
        criteria = verdict["criteria"]
        score = sum(judged["met"] for judged in criteria) / len(criteria)
        review: verdicts.Reviewed = {**verdict, "revision": state["revisions"], "score": score}
        update: Update = {"reviews": [*state["reviews"], review]}
        if state["best"] is None or score >= state["best"]["score"]:
            update["best"] = self._best(state, score)
        if not verdict["acceptable"]:
            update["stop_reason"] = self._reason_to_stop(state, verdict)
        return update

    def _reason_to_stop(self, state: SupervisorState, verdict: verdicts.Verdict) -> str | None:
        """Return why another revision is of no use; a check, unlike a reviewer, may say the same sentence twice."""
        last = state["reviews"][-1] if state["reviews"] else None
        if last and verdict["by"] != "checks" and _same(verdict["feedback"], last["feedback"]):
            return f"The same feedback came twice: {verdict['feedback']}"
        if state["revisions"] >= state["allowed"]:
            return f"Not accepted after {state['revisions']} revisions: {verdict['feedback']}"
        return None

    def review_failed(self, state: SupervisorState, error: Exception) -> Update:
        """Escalate: a failed review is neither acceptance nor rejection."""
        failure = problem("review", error)
        reason = f"The work was not reviewed: {failure['message']}"
        return {"stop_reason": reason, "errors": [failure], "best": state["best"] or self._best(state, 0.0)}

    def _best(self, state: SupervisorState, score: float) -> verdicts.Best:
        return {"text": state["work"], "message_id": state["work_id"], "score": score, "revision": state["revisions"]}

    def reviewed(self, state: SupervisorState) -> Literal["answer", "work", "escalate"]:
        """Accept on a verdict only; send back while that can help."""
        if state["stop_reason"]:
            return "escalate"
        return "answer" if state["reviews"][-1]["acceptable"] else "work"

    def ask_agent(self, state: SupervisorT) -> Assignment:
        return self._with(state, self._case(state))

    def _case(self, state: SupervisorState) -> dict[str, str]:
        case = {"reason_for_escalation": state["stop_reason"] or ""}
        if state["best"]:
            case["best_version"] = state["best"]["text"]
        if state["reviews"]:
            case["feedback"] = state["reviews"][-1]["feedback"]
        return case

    def take_over(self, state: SupervisorState, answer: Answer) -> Update:
        messages = self._showing(state, answer["text"], answer.get("message_id"))
        errors = problems_inside(answer["errors"], "escalate")
        ending = {"status": ASKS, "stop_reason": errors[-1]["message"]} if answer["status"] == ASKS else {}
        return {"status": "escalated", "messages": messages, "errors": errors, **ending}

    def ask_person(self, state: SupervisorT) -> Question | None:
        """Give the case to a person, unless the budget is used up."""
        if out_of_budget(state["errors"]):
            return None
        best = state["best"]["text"] if state["best"] else ""
        return work_question(best, {"task": self.assignment(state)["task"], **self._case(state)})

    def take_ruling(self, state: SupervisorState, decision: HumanDecision | None) -> Update:
        """End as a person decided, or go back to work with their feedback."""
        if decision is None:
            return self.give_best(state)
        update: Update = {"ruling": decision["type"]}
        if decision["type"] == "reject" and decision["message"]:
            allowed = state["revisions"] + 1 + self.max_revisions
            return {**update, "feedback": decision["message"], "stop_reason": None, "allowed": allowed}
        if decision["type"] == "reject":
            return {**update, **self._ending(state, "failed", f"A person stopped it. {state['stop_reason']}")}
        if decision["type"] == "edit":
            messages = self._showing(state, str(decision["args"]["text"]))
            return {**update, "status": "completed", "stop_reason": None, "messages": messages}
        return {**update, **self._ending(state, "completed", None)}

    def give_best(self, state: SupervisorState) -> Update:
        """Answer with the best so far, if there is any."""
        if state["best"] is None:
            return self._ending(state, "failed", state["stop_reason"])
        return self._ending(state, "partial" if out_of_budget(state["errors"]) else "escalated", state["stop_reason"])

    def _ending(self, state: SupervisorState, status: str, reason: str | None) -> Update:
        text, message_id = (best["text"], best["message_id"]) if (best := state["best"]) else (reason or "", None)
        return {"status": status, "stop_reason": reason, "messages": self._showing(state, text, message_id)}

    def escalation_failed(self, state: SupervisorState, error: Exception) -> Update:
        """Return the best so far when the agent that should take over failed too, or no person can be asked."""
        return {**self.give_best(state), "errors": [problem("escalate", error)]}

    def escalated(self, state: SupervisorState) -> Literal["work", "answer"]:
        """Work again only if a person asked for it."""
        return "work" if state["status"] == RUNNING else "answer"

    def conclude(self, state: SupervisorState) -> Conclusion:
        """Answer with the accepted work; it stays partial where the worker could not do all of it."""
        status, reason = "completed", None
        if not state["reviews"] or not state["reviews"][-1]["acceptable"]:
            status = RUNNING
        elif state["work_status"] == "partial":
            status = "partial"
            reason = next(error["message"] for error in reversed(state["errors"]) if error["kind"] == "partial")
        return {"text": state["work"], "message_id": state["work_id"], "status": status, "stop_reason": reason}

    def _showing(self, state: SupervisorState, text: str, message_id: str | None = None) -> list[BaseMessage]:
        """Return the messages that make a text the answer so far, in place of an earlier draft."""
        draft = state["work_id"]
        others = [message for message in state["messages"] if message.id != draft]
        answer = closing(others, text, message_id)
        is_stale = draft != answer.id and len(others) < len(state["messages"])
        return [*([RemoveMessage(draft)] if draft and is_stale else []), answer]

    def build(self) -> PatternGraph[SupervisorT]:
        graph: PatternGraph[SupervisorT] = PatternGraph(self, self.state_schema)
        graph.add_node("work", Node(self.assign, self.worker, self.take_work, failed=self.work_failed))
        graph.add_node("review", Node(self.submit, self.reviewing, self.take_verdict, failed=self.review_failed))
        self.add_escalation(graph)
        graph.add_edge(START, "work")
        graph.add_conditional_edges("work", self.worked)
        graph.add_conditional_edges("review", self.reviewed)
        graph.add_conditional_edges("escalate", self.escalated)
        return graph

    def add_escalation(self, graph: PatternGraph[SupervisorT]) -> None:
        """Add the node that handles work which was not accepted."""
        failed = self.escalation_failed
        if isinstance(self.escalation, Agent):
            graph.add_node("escalate", Node(self.ask_agent, self.escalation, self.take_over, failed=failed))
        elif self.escalation == "human":
            graph.add_node("escalate", Node(self.ask_person, AskPerson(), self.take_ruling, failed=failed))
        else:
            graph.add_rule("escalate", self.give_best)


def _same(text: str, other: str) -> bool:
    return text.split() == other.split()
