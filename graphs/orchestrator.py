"""The whole: triage -> one agent | plan with supervised steps -> review -> answer | (again) plan | escalate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.assignment import messages_of
from agents.decisions import Decided, Decision
from agents.runtime import Retry, named
from graphs.decisions import Check, Delegate, prompts, triage_examples, triage_form
from graphs.drafts import SupervisorState
from graphs.engine import (
    Box,
    Node,
    PatternGraph,
    StepRecord,
    assignment,
    by_name,
    closing,
    describe,
    each,
    problem,
    question,
)
from graphs.planner import Planner
from graphs.supervisor import Supervisor

FINAL_CRITERIA = ("It answers everything that the request asks for.", "It is directly usable by the person who asked.")

NO_PLAN: dict[str, Any] = {"triage": {}, "plan": [], "steps": {}, "abandoned": []}


class OrchestratorState(SupervisorState, total=False):
    """The supervisor's state, how the request was sorted, and the record of the plan if there was one."""

    triage: dict[str, Any]
    """`{"small", "agent", "reason"}`."""
    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]
    abandoned: list[StepRecord]


class Orchestrator(Supervisor):
    """Gives a small request to one agent, plans a large one, and reviews the answer before it goes out.

    It is a `Supervisor` whose worker is one agent of the team or a `Planner` of supervised agents.

    Args:
        agents, model: As in `Planner`; the model also sorts and reviews.
        reviewer, checks, escalate, retry: As in `Supervisor`; the reviewer judges the steps too.
        supervised: Review each step of a plan too, with `step_revisions`; False: only the final answer.
        criteria: Of the final answer.
        step_revisions: Times a step is sent back.
        max_revisions: New plans after the final review has rejected the answer.
        baseline: Answer with a single agent and nothing else, to see what orchestration adds and costs.
        planning: Whatever else `Planner` takes: `approval`, `max_steps`, …

    Raises:
        ConfigurationError: As `Planner` and `Supervisor` do.
    """

    name = "orchestrator"

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        model: BaseChatModel | str | None = None,
        reviewer: Agent | None = None,
        criteria: Sequence[str] = FINAL_CRITERIA,
        checks: Sequence[Check] = (),
        supervised: bool = True,
        step_revisions: int = 1,
        max_revisions: int = 1,
        escalate: Literal["best", "human"] | Agent = "best",
        baseline: bool = False,
        retry: Retry | None = None,
        **planning: Any,
    ) -> None:
        self.agents = by_name(agents)
        team = list(self.agents.values())
        reviewing = {"reviewer": reviewer, "max_revisions": step_revisions, "model": model, "retry": retry}
        workers = [_supervised(one, **reviewing) for one in team] if supervised else team
        self.planner = Planner(workers, model=model, retry=retry, **planning)
        self.baseline = baseline
        assistant = Agent("assistant", instructions=prompts.BASELINE, model=model)
        super().__init__(
            assistant if baseline else self.planner.as_agent("planner"),
            reviewer=reviewer,
            criteria=criteria,
            checks=checks,
            max_revisions=max_revisions,
            escalate=escalate,
            model=model,
            retry=retry,
        )
        self.sorting = Decision(triage_form(list(self.agents)), model=model, name="triage")
        self.system = SystemMessage(prompts.TRIAGE.format(team=describe(team), examples=triage_examples(team)))

    def ask_for_triage(self, state: OrchestratorState) -> list[BaseMessage]:
        """Put the conversation to the model."""
        return [self.system, question(state["messages"])]

    def take_triage(self, state: OrchestratorState, decided: Decided) -> dict[str, Any]:
        """Record who gets the request."""
        return {"triage": decided["value"]}

    def triage_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Plan what could not be sorted."""
        told = problem("triage", error)
        return {"triage": {"small": False, "agent": "", "reason": told["message"]}, "errors": [told]}

    def sorted(self, state: OrchestratorState) -> Literal["agent", "plan"]:
        """Give a small request to one agent of the team."""
        triage = state["triage"]
        return "agent" if triage["small"] and triage["agent"] in self.agents else "plan"

    def delegate(self, state: OrchestratorState) -> dict[str, Any]:
        """Hand the request to the agent that triage chose."""
        return {"agent": state["triage"]["agent"], "assignment": assignment(state["messages"])}

    def take_delegated(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Keep the agent's answer as the work in hand."""
        return self.take_work(state, answer, node="agent")

    def delegate_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Note it; the request will be planned instead."""
        return {"errors": [problem("agent", error)]}

    def delegated(self, state: OrchestratorState) -> Literal["review", "plan", "__end__"]:
        """Review the agent's answer; plan the request if there is none."""
        if state["status"] == "needs_input":
            return "__end__"
        return "review" if state["work"] else "plan"

    def ask_planner(self, state: OrchestratorState) -> dict[str, Any]:
        """Give the planner the conversation; after a review with the last answer and what was wrong with it."""
        sent_back = state["reviews"] or state["ruling"]
        return {"messages": messages_of(self.assign(state)) if sent_back else list(state["messages"])}

    def take_planned(self, state: OrchestratorState, planned: dict[str, Any]) -> dict[str, Any]:
        """Keep the planner's answer as the work in hand, and its record."""
        record = {key: planned[key] for key in ("plan", "steps", "abandoned", "worked")}
        if planned["status"] == "failed":
            inside = [{**one, "where": f"plan/{one['where']}"} for one in planned["errors"]]
            return {**record, "stop_reason": f"The plan failed: {planned['stop_reason']}", "errors": inside}
        answer = self.worker.answer(planned, planned["usage"])
        if answer["status"] != "needs_input":  # the final review judges what came of steps that nobody accepted
            failed = any(one["status"] == "failed" for one in planned["steps"].values())
            lacking = failed or any(one["kind"] == "partial" for one in planned["errors"])
            answer = {**answer, "status": "partial" if lacking else "completed"}
        return {**record, **self.take_work(state, answer, node="plan")}

    def take_alone(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Answer with what a single agent said."""
        said = closing(state["messages"], answer["text"], answer.get("message_id"))
        return {"status": "completed", "messages": [said]}

    def alone_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """End without an answer."""
        update = self.work_failed(state, error)
        failed: Any = {**state, **update}
        return {**update, **self.give_best(failed)}

    def inside(self) -> dict[str, list[Box]]:
        """Draw the agents, and the planner with its own."""
        others = {**super().inside(), "agent": each(self.agents.values()), "plan": [Box(self.worker)]}
        return {"assistant": [Box(self.worker)]} if self.baseline else others

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, OrchestratorState)
        if self.baseline:
            graph.add_node("assistant", self._alone())
            graph.add_edge(START, "assistant")
            graph.add_edge("assistant", END)
            return graph
        graph.add_node("triage", self._sorting())
        graph.add_node("agent", self._delegating())
        graph.add_node("plan", self._planning())
        graph.add_node("review", self._reviewing())
        graph.add_node("answer", Node(after=self.accept))
        graph.add_node("escalate", self._escalating())
        graph.add_edge(START, "triage")
        graph.add_conditional_edges("triage", self.sorted)
        graph.add_conditional_edges("agent", self.delegated)
        graph.add_conditional_edges("plan", self.worked)
        verdicts: dict[Hashable, str] = {"accept": "answer", "work": "plan", "escalate": "escalate"}
        graph.add_conditional_edges("review", self.reviewed, verdicts)
        graph.add_edge("answer", END)
        graph.add_conditional_edges("escalate", self.ruled, {"work": "plan", "__end__": END})
        return graph

    def _sorting(self) -> Node:
        return Node(
            self.ask_for_triage,
            self.sorting,
            self.take_triage,
            failed=self.triage_failed,
            booked=lambda usage: named(usage, "triage"),
            retry=self.retry,
            blank={**self.blank, **NO_PLAN},
        )

    def _delegating(self) -> Node:
        return Node(
            self.delegate,
            Delegate(self.agents),
            self.take_delegated,
            failed=self.delegate_failed,
            retry=self.retry,
        )

    def _planning(self) -> Node:
        plan = self.worker.runnable
        return Node(self.ask_planner, plan, self.take_planned, failed=self.work_failed, aloud=self.worker)

    def _alone(self) -> Node:
        return Node(
            self.assign,
            self.worker,
            self.take_alone,
            failed=self.alone_failed,
            booked=self.worker.booked,
            retry=self.retry,
            aloud=self.worker,
            blank={**self.blank, **NO_PLAN},
        )


def _supervised(agent: Agent, **reviewing: Any) -> Agent:
    """Have an agent's work reviewed, under the agent's own name."""
    return Supervisor(agent, **reviewing).as_agent(agent.name, agent.description, examples=agent.examples)
