"""The whole: triage -> one agent | plan -> review -> (feedback) agent | plan | escalate -> answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.assignment import Assignment, History
from agents.checks import Check
from agents.conversion import AnyAgent
from agents.decisions import Decided, Decision
from agents.runtime import Effects, Retry, SyncAsyncRunnable
from graphs.decisions import Delegate, Reviewer, prompts, question_of, triage_examples, triage_form
from graphs.engine import (
    Box,
    Conclusion,
    Node,
    PatternGraph,
    StepRecord,
    describe,
    each,
    problem,
    problems_inside,
    team_of,
)
from graphs.errors import ConfigurationError
from graphs.planner import Planner
from graphs.supervisor import Supervisor, SupervisorState

FINAL_CRITERIA = ("It answers everything that the request asks for.", "It is directly usable by the person who asked.")


class OrchestratorState(SupervisorState):
    """The supervisor's state, the triage, and the record of the plan if there was one."""

    triage: dict[str, Any]
    """`{"small", "agent", "reason"}`."""
    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]
    abandoned: list[StepRecord]


class Orchestrator(Supervisor[OrchestratorState]):
    """Gives a small request to one agent, plans a large one, and reviews the answer before it goes out.

    It is a `Supervisor` whose worker is one agent of the team or a `Planner`.

    Args:
        agents: The team. The model chooses by names, descriptions and examples.
        planner: Plans large requests; None for a `Planner` of the same team and model.
        model: Sorts, plans, writes and reviews; None for the default chat model.
        reviewer, review, checks, escalate, history, retry: As in `Supervisor`.
        criteria: Criteria of the final answer.
        max_revisions: Times a rejected answer is sent back: first to the agent that wrote it, then to a new plan.
        review_steps: Review each step of a plan too, with one revision. It costs a call a step or more, and is worth
            it where a wrong step spoils all that follows.
        baseline: Answer with a single agent that has all tools of the team, to see what orchestration adds and costs.

    Raises:
        ConfigurationError: As `Planner` and `Supervisor` do; or `review_steps` comes with a planner of your own.
    """

    name = "orchestrator"

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        planner: Planner | None = None,
        model: BaseChatModel | str | None = None,
        reviewer: AnyAgent | None = None,
        review: Reviewer | None = None,
        criteria: Sequence[str] = FINAL_CRITERIA,
        checks: Sequence[Check] = (),
        max_revisions: int = 1,
        review_steps: bool = False,
        escalate: Literal["best", "human"] | AnyAgent = "best",
        baseline: bool = False,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        if planner is not None and review_steps:
            raise ConfigurationError("review_steps is for the planner made here; give yours agents that are supervised")
        self.agents = team_of(agents)
        team = list(self.agents.values())
        if review_steps:
            options: dict[str, Any] = {"reviewer": reviewer, "model": model, "retry": retry, "max_revisions": 1}
            team = [_supervised(agent, **options) for agent in team]
        self.planner = planner or Planner(team, model=model, retry=retry)
        self.baseline = baseline
        tools = {tool.name: tool for agent in team for tool in agent.tools}
        assistant = Agent("assistant", instructions=prompts.BASELINE, model=model, tools=list(tools.values()))
        super().__init__(
            assistant if baseline else self.planner.as_agent("planner"),
            reviewer=reviewer,
            review=review,
            criteria=criteria,
            checks=checks,
            max_revisions=max_revisions,
            escalate=escalate,
            model=model,
            history=history,
            retry=retry,
        )
        self.sorting = Decision(triage_form(list(self.agents)), model=model, name="triage")
        members = list(self.agents.values())
        self.system = SystemMessage(prompts.TRIAGE.format(team=describe(members), examples=triage_examples(members)))

    def ask_for_triage(self, state: OrchestratorState) -> list[BaseMessage]:
        """Give the model the request."""
        return [self.system, question_of(self.assignment(state))]

    def take_triage(self, state: OrchestratorState, decided: Decided) -> dict[str, Any]:
        """Record which agent gets the request, if one can answer it alone."""
        return {"triage": decided["value"]}

    def triage_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Plan a request that could not be sorted."""
        failure = problem("triage", error)
        return {"triage": {"small": False, "agent": "", "reason": failure["message"]}, "errors": [failure]}

    def sorted(self, state: OrchestratorState) -> Literal["agent", "plan"]:
        """Give a small request to one agent of the team."""
        triage = state["triage"]
        return "agent" if triage["small"] and triage["agent"] in self.agents else "plan"

    def delegate(self, state: OrchestratorState) -> dict[str, Any]:
        """Give the request, or its answer and what is wrong with it, to the agent that triage chose."""
        return {"agent": state["triage"]["agent"], "assignment": self.assign(state)}

    def take_delegated(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Keep the agent's answer as the current work."""
        return self.worked_by(state, answer, node="agent")

    def delegate_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Record it; the request will be planned instead."""
        return {"errors": [problem("agent", error)]}

    def delegated(self, state: OrchestratorState) -> Literal["review", "plan", "escalate"]:
        """Review the agent's answer; plan the request if there is none."""
        if not state["work"]:
            return "plan"
        return "escalate" if state["stop_reason"] else "review"

    def ask_planner(self, state: OrchestratorState) -> dict[str, Any]:
        """Give the planner the request; after a review also the last answer, its faults, and the finished steps."""
        done = {name: record for name, record in state["steps"].items() if record["status"] == "completed"}
        finished = {"plan": [step for step in state["plan"] if step["id"] in done], "steps": done} if done else {}
        return {"assignment": self.assign(state), **finished}

    def take_planned(self, state: OrchestratorState, planned: dict[str, Any]) -> dict[str, Any]:
        """Keep the planner's answer as the current work, and its record."""
        record = {key: planned[key] for key in ("plan", "steps", "abandoned", "worked")}
        if planned["status"] == "failed":
            errors = problems_inside(planned["errors"], "plan")
            return {**record, "stop_reason": f"The plan failed: {planned['stop_reason']}", "errors": errors}
        answer = self.worker.answer(planned, planned["usage"])
        if answer["status"] != "needs_input":  # the final review judges the result of steps that were not accepted
            failed = any(step["status"] == "failed" for step in planned["steps"].values())
            lacking = failed or any(error["kind"] == "partial" for error in planned["errors"])
            answer = {**answer, "status": "partial" if lacking else "completed"}
        return {**record, **self.worked_by(state, answer, node="plan")}

    def reviewed_answer(self, state: OrchestratorState) -> Literal["answer", "agent", "plan", "escalate"]:
        """Send a rejected answer back to its agent once, before anything is planned."""
        after = self.reviewed(state)
        if after != "work":
            return after
        return "agent" if self.sorted(state) == "agent" and not state["plan"] and state["revisions"] == 0 else "plan"

    def take_alone(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Keep what a single agent answered."""
        return self.worked_by(state, answer, node="assistant")

    def conclude(self, state: OrchestratorState) -> Conclusion:  # type: ignore[override]
        """Answer with the accepted work; the baseline's is not reviewed."""
        if self.baseline and state["work"]:
            shown = {"text": state["work"], "message_id": state["work_id"]}
            return {**shown, "status": "completed", "stop_reason": None}  # type: ignore[typeddict-item]
        if self.baseline:
            return {"text": state["stop_reason"] or "", "status": "failed", "stop_reason": state["stop_reason"]}
        return super().conclude(state)

    def inside(self) -> dict[str, list[Box]]:
        """Draw the agents, and the planner with its own."""
        others = {**super().inside(), "agent": each(self.agents.values()), "plan": [Box(self.worker)]}
        return {"assistant": [Box(self.worker)]} if self.baseline else others

    def build(self) -> PatternGraph[OrchestratorState]:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, OrchestratorState)
        graph.add_rule("answer", self.answer)
        graph.add_edge("answer", END)
        if self.baseline:
            graph.add_node("assistant", Node(self.assign, self.worker, self.take_alone, failed=self.work_failed))
            graph.add_edge(START, "assistant")
            graph.add_edge("assistant", "answer")
            return graph
        sorting = Node(self.ask_for_triage, self.sorting, self.take_triage, failed=self.triage_failed)
        graph.add_node("triage", sorting)
        delegate = Node(self.delegate, Delegate(self.agents), self.take_delegated, failed=self.delegate_failed)
        graph.add_node("agent", delegate)
        graph.add_node("plan", Node(self.ask_planner, _Plan(self.worker), self.take_planned, failed=self.work_failed))
        graph.add_node("review", Node(self.submit, self.reviewing, self.take_verdict, failed=self.review_failed))
        self.add_escalation(graph)
        graph.add_edge(START, "triage")
        graph.add_conditional_edges("triage", self.sorted)
        graph.add_conditional_edges("agent", self.delegated)
        graph.add_conditional_edges("plan", self.worked)
        graph.add_conditional_edges("review", self.reviewed_answer)
        graph.add_conditional_edges("escalate", self.escalated, {"work": "plan", "answer": "answer"})
        return graph


class _Plan(SyncAsyncRunnable[dict[str, Any], dict[str, Any]]):
    """Runs the planner's graph and returns its whole state, which the orchestrator's record takes over."""

    def __init__(self, planner: Agent) -> None:
        self.speaker: Agent | None = planner
        self.graph: Any = planner.runnable

    async def run(self, effects: Effects, value: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        assignment: Assignment = value["assignment"]
        messages = [HumanMessage(assignment["task"])]
        state: dict[str, Any] = await effects.invoke(self.graph, {"messages": messages, **value}, config)
        return state


def _supervised(agent: Agent, **options: Any) -> Agent:
    """Have an agent's work reviewed, under the agent's own name."""
    return Supervisor(agent, **options).as_agent(agent.name, agent.description, examples=agent.examples)
