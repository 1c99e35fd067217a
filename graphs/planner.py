"""A planner: plan -> check -> (mend) plan | approve -> execute -> assess -> (replan) plan | synthesize."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.assignment import Assignment, quote
from agents.decisions import Decided, Decision
from agents.runtime import Retry, named
from agents.settings import settings
from graphs.decisions import Synthesis, briefly, examples_of, plan_form, prompts, replan_text, told_of
from graphs.engine import (
    Box,
    Envelope,
    Execute,
    Node,
    OnFailure,
    Pattern,
    PatternGraph,
    Step,
    StepRecord,
    by_name,
    closing,
    describe,
    each,
    findings,
    known,
    problem,
    question,
    request,
)
from graphs.errors import BudgetError, ConfigurationError
from graphs.people import Approval, AskApproval, Proposal
from graphs.workflow import conclusion, judge, under_names


class PlannerState(Envelope, total=False):
    """The envelope, the plan, and what became of its steps."""

    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]
    abandoned: list[StepRecord]
    """Steps that failed and were replaced by a new plan."""
    approved: list[dict[str, Any]]
    """The plan that may run."""
    approval: bool
    """Whether a person is asked before a plan runs."""
    feedback: str
    """Why a person rejected the plan."""
    flaws: list[str]
    """What is wrong with the plan, to be mended by the model."""
    plan_attempts: int
    """Plans written since the last one that could be run."""
    replans: int


class Planner(Pattern):
    """Plans a request, gives the steps to a team, and answers from their results.

    Args:
        agents: The team; a plan goes by their names, descriptions and examples.
        model: Plans and writes the final answer; None for the default chat model.
        default_agent: Name of the agent that gets the whole request when no sound plan was written; None for the
            first of the team.
        synthesizer: Agent that writes the final answer; None for one made of `model`.
        approval: Have a person approve, edit or reject every plan before it runs (needs a checkpointer); see
            `graphs.people.approval`. A run's `Settings.approval` also asks for it.
        max_steps: Steps that a plan may have.
        max_plan_attempts: Plans written before the request goes to the default agent.
        max_replans: New plans for the rest after steps have failed.
        on_failure, max_parallel, retry: As in `Workflow`.

    Raises:
        ConfigurationError: The team is empty, a name is taken twice or unknown, or a limit makes no sense.
    """

    name = "planner"
    synthesizes = True

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        model: BaseChatModel | str | None = None,
        default_agent: str | None = None,
        synthesizer: Agent | None = None,
        approval: bool = False,
        max_steps: int = 10,
        max_plan_attempts: int = 3,
        max_replans: int = 1,
        on_failure: OnFailure = "skip",
        max_parallel: int | None = None,
        retry: Retry | None = None,
    ) -> None:
        if max_steps < 1 or max_plan_attempts < 1 or max_replans < 0:
            raise ConfigurationError("max_steps and max_plan_attempts must be 1 or more, max_replans 0 or more")
        self.agents = by_name(agents)
        self.default = known(default_agent or next(iter(self.agents)), self.agents, role="default agent")
        self.max_steps = max_steps
        self.max_plan_attempts = max_plan_attempts
        self.max_replans = max_replans
        self.retry = retry
        self.approval = AskApproval(self.agents, max_steps)
        self.wanted = approval
        self.decide = Decision(plan_form(list(self.agents)), model=model, name="plan")
        self.synthesizer = synthesizer or Agent("synthesizer", instructions=prompts.SYNTHESIZE, model=model)
        self.execute = Execute(self.agents, on_failure=on_failure, max_parallel=max_parallel, retry=retry)
        self.system = prompts.PLAN.format(
            team=describe(self.agents.values()), max_steps=max_steps, examples=examples_of(list(self.agents.values()))
        )

    def ask_for_plan(self, state: PlannerState) -> list[BaseMessage]:
        """Put the conversation to the model, with what was wrong with its last plan or how that went."""
        messages: list[BaseMessage] = [SystemMessage(self.system), question(state["messages"])]
        if state["steps"]:
            messages.append(HumanMessage(replan_text(state["steps"])))
        told: list[str] = []
        if state["feedback"]:
            told.append(prompts.REJECTED.format(feedback=quote("Feedback", state["feedback"])))
        if state["flaws"]:
            told.append(prompts.MEND_PLAN.format(flaws="\n".join(f"- {flaw}" for flaw in state["flaws"])))
        if told:
            plan = json.dumps({"steps": [briefly(step) for step in state["plan"]]}, ensure_ascii=False)
            messages += [AIMessage(plan), HumanMessage("\n\n".join(told))]
        return messages

    def take_plan(self, state: PlannerState, decided: Decided) -> dict[str, Any]:
        """Keep the steps that are done, and put the new ones behind them."""
        done = {one: record for one, record in state["steps"].items() if record["status"] == "completed"}
        kept = [step for step in state["plan"] if step["id"] in done]
        new = [Step(**step).as_dict() for step in decided["value"]["steps"] if step["id"] not in done]
        update = {"plan": kept + new, "plan_attempts": state["plan_attempts"] + 1, "flaws": []}
        if done and not new:
            update["stop_reason"] = judge(state["steps"], None)[1]
        return update

    def plan_failed(self, state: PlannerState, error: Exception) -> dict[str, Any]:
        """Go on without a plan of the model's."""
        told = problem("plan", error)
        return {**self._without_plan(state, told["message"]), "errors": [told]}

    def check(self, state: PlannerState) -> dict[str, Any]:
        """Find what is wrong with the plan; when it has been mended too often, do without."""
        # Kept in the state: who resumes the run with an answer need not know what it was started with.
        wanted = state["approval"] or self.wanted or settings().approval
        return {"approval": wanted, **self._checked(state)}

    def _checked(self, state: PlannerState) -> dict[str, Any]:
        if state["stop_reason"]:
            return {}
        flaws = findings(state["plan"], self.agents, most=self.max_steps)
        if flaws and state["plan_attempts"] >= self.max_plan_attempts:
            errors = [{"where": "check", "kind": "InvalidPlanError", "message": flaw} for flaw in flaws]
            return {
                **self._without_plan(state, f"no sound plan in {self.max_plan_attempts} attempts"),
                "errors": errors,
            }
        return {"flaws": flaws}

    def _without_plan(self, state: PlannerState, reason: str) -> dict[str, Any]:
        """Keep what is done; if nothing is, give the whole request to the default agent."""
        done = {one for one, record in state["steps"].items() if record["status"] == "completed"}
        if done:
            kept = [step for step in state["plan"] if step["id"] in done]
            return {"plan": kept, "flaws": [], "stop_reason": f"The rest could not be planned: {reason}"}
        asked = request(state["messages"]).text.replace("{", "{{").replace("}", "}}") or "Answer."
        step = Step("answer", self.default.name, asked).as_dict()
        told = f"The request went to {self.default.name!r} as a whole: {reason}"
        return {"plan": [step], "flaws": [], "stop_reason": told}

    def ask_for_approval(self, state: PlannerState) -> Proposal:
        """Show a person the plan, and what has changed in it since they approved one."""
        done = [one for one, record in state["steps"].items() if record["status"] == "completed"]
        return {"plan": state["plan"], "approved": state["approved"], "wanted": state["approval"], "done": done}

    def take_approval(self, state: PlannerState, approval: Approval) -> dict[str, Any]:
        """Run what was approved as it stands, or plan again with the person's feedback."""
        if approval["type"] == "reject":
            return {"feedback": approval["message"], "plan_attempts": 0, "stop_reason": None}
        return {"plan": approval["plan"], "approved": approval["plan"], "feedback": ""}

    def approved(self, state: PlannerState) -> Literal["plan", "execute"]:
        """Run the plan, unless a person rejected it."""
        return "plan" if state["feedback"] else "execute"

    def checked(self, state: PlannerState) -> Literal["plan", "approve"]:
        """Let the model mend a flawed plan."""
        return "plan" if state["flaws"] else "approve"

    def assess(self, state: PlannerState) -> dict[str, Any]:
        """Judge how the steps went; where there is nothing to put together, answer at once."""
        steps = state["steps"]
        status, reason = judge(steps, state["stop_reason"])
        if self._may_replan(state):
            failed = [one for one in steps.values() if one["status"] == "failed"]
            return {
                "replans": state["replans"] + 1,
                "plan_attempts": 0,
                "abandoned": [*state["abandoned"], *failed],
            }
        verdict = {"status": status, "stop_reason": reason}
        if self._needs_synthesis(state):
            return verdict
        return {**verdict, "messages": [conclusion(state["messages"], steps, reason)]}

    def _needs_synthesis(self, state: PlannerState) -> bool:
        done = [one for one in state["steps"].values() if one["status"] == "completed"]
        whole_plan = len(state["steps"]) == 1 and not state["abandoned"]
        return bool(done) and not whole_plan

    def _may_replan(self, state: PlannerState) -> bool:
        failed = [one for one in state["steps"].values() if one["status"] == "failed"]
        broke = any(told["kind"] == BudgetError.__name__ for one in failed for told in one["problems"])
        return bool(failed) and not broke and not state["stop_reason"] and state["replans"] < self.max_replans

    def assessed(self, state: PlannerState) -> Literal["plan", "synthesize", "__end__"]:
        """Plan the rest again after failures, or go on to the answer unless it is there already."""
        if state["status"] == "running":
            return "plan"
        return "synthesize" if self._needs_synthesis(state) else "__end__"

    def ask_for_answer(self, state: PlannerState) -> Assignment:
        """Give the synthesizer the request and every result, or why there is none."""
        is_cancelled = state["abandoned"] if state["stop_reason"] else []
        return {
            "task": prompts.SYNTHESIZE_TASK,
            "context": {one["id"]: told_of(one) for one in [*is_cancelled, *state["steps"].values()]},
            "request": request(state["messages"]),
        }

    def take_answer(self, state: PlannerState, answer: Answer) -> dict[str, Any]:
        """Answer the user."""
        return {"messages": [closing(state["messages"], answer["text"], answer.get("message_id"))]}

    def answer_failed(self, state: PlannerState, error: Exception) -> dict[str, Any]:
        """Answer with all the results as they are."""
        told = problem("synthesize", error)
        reason = state["stop_reason"] or f"The results could not be put together: {told['message']}"
        said = closing(state["messages"], under_names(state["steps"].values()))
        return {"messages": [said], "status": "partial", "stop_reason": reason, "errors": [told]}

    def inside(self) -> dict[str, list[Box]]:
        """Draw the agents."""
        return {"execute": each(self.agents.values()), "synthesize": each([self.synthesizer])}

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, PlannerState)
        graph.add_node("plan", self._planning())
        graph.add_node("check", Node(after=self.check))
        graph.add_node("approve", Node(self.ask_for_approval, self.approval, self.take_approval))
        graph.add_node("execute", self.execute)
        graph.add_node("assess", Node(after=self.assess))
        graph.add_node("synthesize", self._synthesis())
        graph.add_edge(START, "plan")
        graph.add_edge("plan", "check")
        graph.add_conditional_edges("check", self.checked)
        graph.add_conditional_edges("approve", self.approved)
        graph.add_edge("execute", "assess")
        graph.add_conditional_edges("assess", self.assessed)
        graph.add_edge("synthesize", END)
        return graph

    def _planning(self) -> Node:
        return Node(
            self.ask_for_plan,
            self.decide,
            self.take_plan,
            failed=self.plan_failed,
            booked=lambda usage: named(usage, "planner"),
            retry=self.retry,
            blank=BLANK,
        )

    def _synthesis(self) -> Node:
        return Node(
            self.ask_for_answer,
            Synthesis(self.synthesizer),
            self.take_answer,
            failed=self.answer_failed,
            booked=self.synthesizer.booked,
            retry=self.retry,
            aloud=self.synthesizer,
        )


BLANK: dict[str, Any] = {
    "plan": [],
    "steps": {},
    "abandoned": [],
    "approved": [],
    "approval": False,
    "feedback": "",
    "flaws": [],
    "plan_attempts": 0,
    "replans": 0,
}
