"""An orchestrator: triage -> one agent -> check | plan -> review -> (feedback) agent | plan | escalate -> answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.graph import START

from agents import Agent, Answer, AnyAgent, Decided, Decision, Retry
from agents.assignment import History
from agents.checks import Check, as_requested
from graphs.decisions import plans, prompts, triaging, verdicts
from graphs.engine import Node, PatternGraph, StepRecord, problem, problems_inside, team_of
from graphs.errors import ConfigurationError
from graphs.planner import Planner
from graphs.supervisor import Supervisor, SupervisorState

ALONE, SEVERAL = "one agent can answer it alone", "it needs several agents"
"""The reasons of triage in the record. The model is not asked for one: it would cost a weak model seconds."""

FINAL_CRITERIA = ("It answers everything that the request asks for.", "It is directly usable by the person who asked.")
FINAL_CHECKS: tuple[Check, ...] = (as_requested,)


class OrchestratorState(SupervisorState):
    """The supervisor's state, what was chosen, and the record of the plan if there was one."""

    triage: triaging.Triage
    chosen: list[triaging.Chosen]
    """The work on the answer in its order: mostly one piece, more where an agent failed or an answer was rejected."""
    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]
    abandoned: list[StepRecord]


class Orchestrator(Supervisor[OrchestratorState]):
    """Gives a request that one agent can answer to that agent, plans others, and judges the answer before it goes out.

    It is a `Supervisor` whose worker is one agent of the team or a `Planner`. The answer of a single agent goes through
    the checks, which cost no call; a planned one is reviewed by a model too.

    Args:
        agents: The team. The model chooses by names, descriptions and examples.
        planner: Plans large requests; None for a `Planner` of the same team and model.
        model: Sorts, plans, writes and reviews; None for the default chat model.
        reviewer, review: As in `Supervisor`. Where you pass one of them, or criteria, single agents are reviewed too.
        criteria: Criteria of the final answer; None for `FINAL_CRITERIA`.
        checks: As in `Supervisor`; by default what the request itself states (see `agents.as_requested`).
        escalate, history, retry: As in `Supervisor`.
        max_revisions: Times a rejected answer is sent back: first to the agent that wrote it, then to a new plan.
        review_steps: Review each step of a plan too, with one revision. It costs a call a step or more, and is worth
            it where a wrong step spoils all that follows.
        baseline: Answer with a single agent that has all tools of the team, to see what orchestration adds and costs.

    Raises:
        ConfigurationError: As in `Planner` and `Supervisor`, or `review_steps` comes with a planner of your own.
    """

    name = "orchestrator"
    state_schema: type[Any] = OrchestratorState
    record_schema: type[Any] = OrchestratorState

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        planner: Planner | None = None,
        model: BaseChatModel | str | None = None,
        reviewer: AnyAgent | None = None,
        review: verdicts.Reviewer | None = None,
        criteria: Sequence[str] | None = None,
        checks: Sequence[Check] = FINAL_CHECKS,
        max_revisions: int = 1,
        review_steps: bool = False,
        escalate: Literal["best", "human"] | AnyAgent = "best",
        baseline: bool = False,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        _check_planner(planner, review_steps)
        self.agents = team_of(agents)
        options = {"reviewer": reviewer, "model": model, "retry": retry}
        team = [_supervised(agent, **options) if review_steps else agent for agent in self.agents.values()]
        self.planner = planner if planner is not None else Planner(team, model=model, retry=retry)
        self.baseline = baseline
        super().__init__(
            _assistant(team, model) if baseline else self.planner.as_agent("planner"),
            reviewer=reviewer,
            review=review,
            criteria=FINAL_CRITERIA if criteria is None else criteria,
            checks=checks,
            max_revisions=max_revisions,
            escalate=escalate,
            model=model,
            history=history,
            retry=retry,
        )
        self.checking = verdicts.CheckWork(checks)
        self.reviews_all = any(option is not None for option in (reviewer, review, criteria))
        self.sorting = Decision(triaging.triage_form(list(self.agents)), model=model, name="triage")
        self.system = SystemMessage(triaging.triage_prompt(list(self.agents.values())))

    def ask_for_triage(self, state: OrchestratorState) -> list[BaseMessage]:
        """Give the model the request."""
        return [self.system, prompts.question_of(self.assignment(state))]

    def take_triage(self, state: OrchestratorState, decided: Decided) -> dict[str, Any]:
        """Record which agent gets the request, if one can answer it alone."""
        small = decided["value"]["small"]
        agent = triaging.able_to_read(self.agents, decided["value"]["agent"], self.assignment(state)["task"])
        return {"triage": {"small": small, "agent": agent, "reason": ALONE if small else SEVERAL}}

    def triage_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Plan a request that could not be sorted."""
        failure = problem("triage", error)
        reason = f"it could not be sorted: {failure['message']}"
        return {"triage": {"small": False, "agent": "", "reason": reason}, "errors": [failure]}

    def sorted(self, state: OrchestratorState) -> Literal["agent", "plan"]:
        """Give a small request to one agent of the team."""
        return "agent" if state["triage"]["small"] else "plan"

    def delegate(self, state: OrchestratorState) -> dict[str, Any]:
        """Give the request, or its answer and what is wrong with it, to the agent that is to write it."""
        return {"agent": self._author(state), "assignment": self.assign(state)}

    def take_delegated(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Keep the agent's answer as the current work."""
        return self._chosen(state, "one agent", self._author(state), answer, "agent")

    def delegate_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        """Record it; the request will be planned instead."""
        return {"errors": [problem("agent", error)]}

    def delegated(self, state: OrchestratorState) -> Literal["check", "review", "plan", "escalate"]:
        """Judge the agent's answer; plan the request if the agent failed."""
        if not state["work"]:
            return "plan"
        if state["stop_reason"]:
            return "escalate"
        return "review" if self.reviews_all or state["plan"] else "check"

    def _author(self, state: OrchestratorState) -> str:
        """Return the agent that wrote the answer, or may write it; empty if several did."""
        if not state["plan"]:
            return state["triage"]["agent"] if state["triage"]["small"] else ""
        last = plans.final_step(state["plan"])
        return last["agent"] if last and last["agent"] in self.agents else ""

    def _chosen(
        self,
        state: OrchestratorState,
        shape: Literal["one agent", "plan", "baseline"],
        agent: str,
        answer: Answer,
        node: str,
    ) -> dict[str, Any]:
        """Record who answered, and keep the answer as the current work."""
        reason = state["triage"]["reason"] if shape != "baseline" else "asked for"
        if state["reviews"]:
            reason = f"sent back: {state['feedback'] or state['reviews'][-1]['feedback']}"
        elif shape == "plan" and state["triage"]["small"]:
            reason = f"{state['triage']['agent']} failed"
        record: triaging.Chosen = {"shape": shape, "agent": agent, "reason": reason, "usage": answer["usage"]}
        return {"chosen": [*state["chosen"], record], **self.take_work(state, answer, node=node)}

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
        return {**record, **self._chosen(state, "plan", self.worker.name, answer, "plan")}

    def reviewed_answer(self, state: OrchestratorState) -> Literal["answer", "agent", "plan", "escalate"]:
        """Send a rejected answer back to the agent that wrote it once, before anything is planned.

        A planned answer goes back to the agent of its last step for what a check found, which is a matter of wording;
        what a reviewer misses in it is planned.
        """
        after = self.reviewed(state)
        if after != "work":
            return after
        is_wording = not state["plan"] or state["reviews"][-1]["by"] == verdicts.CHECKS
        return "agent" if self._author(state) and is_wording and state["revisions"] == 0 else "plan"

    def take_alone(self, state: OrchestratorState, answer: Answer) -> dict[str, Any]:
        """Answer with what a single agent answered; it is not reviewed."""
        return {"status": "completed", **self._chosen(state, "baseline", "assistant", answer, "assistant")}

    def alone_failed(self, state: OrchestratorState, error: Exception) -> dict[str, Any]:
        failed = self.work_failed(state, error)
        return {**failed, **self._ending(state, "failed", failed["stop_reason"])}

    def lacking(self, state: Mapping[str, Any], pending: Sequence[str]) -> list[str]:
        """Return the agent that got a stored request, if it is gone."""
        triage = state.get("triage") or {"small": False}
        is_due = triage["small"] and not {"agent", "review"}.isdisjoint(pending)
        gone = is_due and triage["agent"] not in self.agents
        return [f"the request went to agent {triage['agent']!r}"] if gone else []

    def build(self) -> PatternGraph[OrchestratorState]:
        graph = PatternGraph(self, self.state_schema)
        if self.baseline:
            graph.add_node("assistant", Node(self.assign, self.worker, self.take_alone, failed=self.alone_failed))
            graph.add_edge(START, "assistant")
            graph.add_edge("assistant", "answer")
            return graph
        sorting = Node(self.ask_for_triage, self.sorting, self.take_triage, failed=self.triage_failed)
        graph.add_node("triage", sorting)
        delegate = Node(self.delegate, triaging.Delegate(self.agents), self.take_delegated, failed=self.delegate_failed)
        graph.add_node("agent", delegate)
        planning = triaging.RunPlan(self.worker)
        graph.add_node("plan", Node(self.ask_planner, planning, self.take_planned, failed=self.work_failed))
        graph.add_node("check", Node(self.submit, self.checking, self.take_verdict, failed=self.review_failed))
        graph.add_node("review", Node(self.submit, self.reviewing, self.take_verdict, failed=self.review_failed))
        self.add_escalation(graph)
        graph.add_edge(START, "triage")
        graph.add_conditional_edges("triage", self.sorted)
        graph.add_conditional_edges("agent", self.delegated)
        graph.add_conditional_edges("plan", self.worked)
        graph.add_conditional_edges("check", self.reviewed_answer)
        graph.add_conditional_edges("review", self.reviewed_answer)
        graph.add_conditional_edges("escalate", self.escalated, {"work": "plan", "answer": "answer"})
        return graph


def _check_planner(planner: object, review_steps: bool) -> None:
    if not isinstance(planner, Planner | None):
        raise ConfigurationError(f"planner must be a Planner, not {planner!r:.80}")
    if planner is not None and review_steps:
        raise ConfigurationError("review_steps= excludes planner=; put your planner's agents into supervisors")


def _assistant(team: Sequence[Agent], model: BaseChatModel | str | None) -> Agent:
    tools = {tool.name: tool for agent in team for tool in agent.tools}
    return Agent("assistant", instructions=prompts.BASELINE, model=model, tools=list(tools.values()))


def _supervised(agent: Agent, **options: Any) -> Agent:
    """Have an agent's work reviewed and revised once, under the agent's own name."""
    return Supervisor(agent, max_revisions=1, **options).as_agent(
        agent.name, agent.description, examples=agent.examples
    )
