"""The whole: triage -> one agent | plan with supervised steps -> review -> answer | (again) plan | escalate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START
from pydantic import BaseModel, WithJsonSchema

from agents.agent import Agent, Answer
from agents.decisions import Decided, Decision
from agents.once import IO, Once
from agents.prompts import Assignment, prompt
from agents.retry import Retry
from agents.usage import named
from graphs import prompts
from graphs.pattern import Node, PatternGraph, by_name, describe
from graphs.planner import Planner
from graphs.state import assignment, problem
from graphs.steps import StepRecord
from graphs.supervisor import Supervisor, SupervisorState
from graphs.verdicts import CRITERIA, Check

FINAL_CRITERIA = ("It answers everything that the request asks for.", "It is directly usable by the person who asked.")


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
        supervised: Review each step of a plan too, with `step_revisions`; False: only the final answer.
        criteria: Of the final answer.
        max_revisions: New plans after the final review has rejected the answer.
        baseline: Answer with a single agent and nothing else, to see what orchestration adds and costs.
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
        steps = [self._supervised(one, reviewer, model, step_revisions, retry) for one in team] if supervised else team
        self.planner = Planner(steps, model=model, retry=retry, **planning)
        self.baseline = Agent("assistant", instructions=prompts.BASELINE, model=model) if baseline else None
        super().__init__(
            self.planner.as_agent("planner"),
            reviewer=reviewer,
            criteria=criteria,
            checks=checks,
            max_revisions=max_revisions,
            escalate=escalate,
            model=model,
            retry=retry,
        )
        self.sorting = Decision(triage_form(list(self.agents)), model=model, name="triage")
        self.system = SystemMessage(prompts.TRIAGE.format(team=describe(team), examples=_examples(team)))

    def _supervised(
        self,
        agent: Agent,
        reviewer: Agent | None,
        model: BaseChatModel | str | None,
        revisions: int,
        retry: Retry | None,
    ) -> Agent:
        careful = Supervisor(
            agent, reviewer=reviewer, criteria=CRITERIA, max_revisions=revisions, model=model, retry=retry
        )
        return careful.as_agent(agent.name, agent.description, examples=agent.examples)

    def ask_for_triage(self, state: OrchestratorState) -> list[BaseMessage]:
        """Put the conversation to the model."""
        return [self.system, *state["messages"]]

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

    def ask_planner(self, state: OrchestratorState) -> dict[str, Any]:
        """Give the planner the conversation; after a review with the last answer and what was wrong with it."""
        messages = list(state["messages"])
        return {"messages": messages if not state["reviews"] else [HumanMessage(prompt(self.assign(state)))]}

    def take_planned(self, state: OrchestratorState, planned: dict[str, Any]) -> dict[str, Any]:
        """Keep the planner's answer as the work in hand, and its record."""
        record = {key: planned[key] for key in ("plan", "steps", "abandoned")}
        if planned["status"] == "failed":
            reason = f"The plan failed: {planned['stop_reason']}"
            return {**record, "stop_reason": reason, "errors": planned["errors"]}
        answer: Any = {"text": planned["messages"][-1].text, "errors": planned["errors"]}
        return {**record, **self.take_work(state, answer)}

    def accept(self, state: OrchestratorState) -> dict[str, Any]:  # type: ignore[override]
        """Answer with the accepted work; it stays partial where steps of the plan failed."""
        failed = [one for one in state["steps"].values() if one["status"] == "failed"]
        if not failed:
            return super().accept(state)
        return {**super().accept(state), "status": "partial", "stop_reason": failed[0]["error"]}

    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, OrchestratorState)
        if self.baseline:
            graph.add_node("assistant", self._alone(self.baseline))
            graph.add_edge(START, "assistant")
            graph.add_edge("assistant", END)
            return graph
        graph.add_node("triage", self._sorting())
        graph.add_node("agent", self._delegating())
        graph.add_node(
            "plan", Node(self.ask_planner, self.planner.compile(), self.take_planned, failed=self.work_failed)
        )
        graph.add_node("review", self._reviewing())
        graph.add_node("answer", Node(after=self.accept))
        graph.add_node("escalate", self._escalating())
        graph.add_edge(START, "triage")
        graph.add_conditional_edges("triage", self.sorted)
        graph.add_conditional_edges("agent", self.worked)
        graph.add_conditional_edges("plan", self.worked)
        graph.add_conditional_edges(
            "review", self.reviewed, {"accept": "answer", "work": "plan", "escalate": "escalate"}
        )
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
            blank={**self.blank, "triage": {}, "plan": [], "steps": {}, "abandoned": []},
        )

    def _delegating(self) -> Node:
        return Node(self.delegate, Delegate(self.agents), self.take_work, failed=self.work_failed, retry=self.retry)

    def _alone(self, agent: Agent) -> Node:
        def answered(state: OrchestratorState, answer: Answer) -> dict[str, Any]:
            return {"status": "completed", "messages": [AIMessage(answer["text"])]}

        def failed(state: OrchestratorState, error: Exception) -> dict[str, Any]:
            told = problem("assistant", error)
            text = told["message"]
            return {"status": "failed", "stop_reason": text, "errors": [told], "messages": [AIMessage(text)]}

        return Node(
            lambda state: assignment(state["messages"]),
            agent,
            answered,
            failed=failed,
            booked=agent.booked,
            retry=self.retry,
            blank={**self.blank, "triage": {}, "plan": [], "steps": {}, "abandoned": []},
        )


class Delegate(Once[dict[str, Any], Answer]):
    """Calls the agent that is named in its input."""

    def __init__(self, agents: dict[str, Agent]) -> None:
        self.agents = agents

    async def run(self, io: IO, value: dict[str, Any], config: RunnableConfig) -> Answer:
        """Return that agent's answer, booked on its name."""
        agent = self.agents[value["agent"]]
        given: Assignment = value["assignment"]
        answer = await io.invoke(agent, given, config)
        return {**answer, "usage": agent.booked(answer["usage"])}


def triage_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of the triage."""

    class Triage(BaseModel):
        reason: str
        small: bool
        agent: Annotated[str, WithJsonSchema({"type": "string", "enum": list(names)})]

    return Triage


def _examples(team: Sequence[Agent]) -> str:
    """Make examples: what one agent is right for is small; what needs two of them is not."""
    able = [one for one in team if one.examples]
    shown = [(one.examples[0], True, one.name) for one in able[:3]]
    if len(able) > 1:
        shown.append((f"{able[0].examples[-1]} Then: {able[-1].examples[-1]}", False, able[0].name))
    return "".join(
        prompts.TRIAGE_EXAMPLE.format(request=asked, small=str(small).lower(), agent=name)
        for asked, small, name in shown
    )
