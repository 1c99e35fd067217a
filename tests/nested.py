"""Patterns inside patterns: a maker of each, a model that decides for all, and agents that do well or ill."""

import re
from collections.abc import Callable
from typing import Any

from agents import Agent, Retry
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from tests import roles

ASK = {"messages": "the request"}
AT_ONCE = Retry(wait=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}
MET = {"evidence": "It is there.", "met": True}
UNMET = {"evidence": "It is not there.", "met": False}
ACCEPTED = {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""}
REJECTED = {"criteria": {"criterion_1": UNMET, "criterion_2": MET}, "feedback": "Better."}


def plan(name: str) -> Any:
    return {"steps": [{"id": "one", "agent": name, "task": "do it", "dependencies": []}]}


def chosen(name: str) -> Any:
    return {"reason": "it fits", "candidates": [{"agent": name, "confidence": 0.9}]}


def sorted_out(name: str) -> Any:
    return {"reason": "it is large", "small": False, "agent": name}


def team_model() -> ScriptedModel:
    """Script every decision for a team of one agent, `inner` or `leaf`, and the words of `leaf` itself."""
    rules: dict[str, Any] = {"You are LEAF": "the answer", roles.REVIEWER: ACCEPTED}
    for name in ("inner", "leaf"):
        for role, decide in {roles.PLANNER: plan, roles.ROUTER: chosen, roles.TRIAGE: sorted_out}.items():
            rules[f"{re.escape(role)}(.|\n)*- {name}:"] = decide(name)
    return ScriptedModel(rules)


def network(agent: Agent, model: Any) -> Pattern:
    return Network([agent], retry=AT_ONCE)


def orchestrator(agent: Agent, model: Any) -> Pattern:
    return Orchestrator([agent], model=model, retry=AT_ONCE)


def planner(agent: Agent, model: Any) -> Pattern:
    return Planner([agent], model=model, retry=AT_ONCE)


def router(agent: Agent, model: Any) -> Pattern:
    return Router([agent], model=model, retry=AT_ONCE)


def supervisor(agent: Agent, model: Any) -> Pattern:
    return Supervisor(agent, model=model, retry=AT_ONCE)


def workflow(agent: Agent, model: Any) -> Pattern:
    return Workflow([Step("one", agent.name, "do it")], agents=[agent], retry=AT_ONCE)


Make = Callable[[Agent, Any], Pattern]
PATTERNS: list[Make] = [network, orchestrator, planner, router, supervisor, workflow]
WAY: dict[Make, str] = {
    network: "inner",
    orchestrator: "plan/execute/one",
    planner: "execute/one",
    router: "inner",
    supervisor: "work",
    workflow: "execute/one",
}
"""Where in each pattern its agent works."""
FIRST: dict[Make, str] = {
    network: "leaf",
    orchestrator: "triage",
    planner: "plan",
    router: "classify",
    supervisor: "work",
    workflow: "check",
}
"""The first node of each pattern."""


def leaf(model: Any) -> Agent:
    return Agent("leaf", "Answers.", instructions="You are LEAF.", model=model)


def nested(outer: Make, inner: Make, agent: Agent, model: Any) -> Pattern:
    return outer(inner(agent, model).as_agent("inner", "Does it."), model)


def fail(task: str) -> str:
    raise ValueError("ill")


ILL = Agent("ill", function=fail)
WELL = Agent("well", function=lambda task: "well")
PARTIAL = Workflow([Step("a", "well", "x"), Step("b", "ill", "y")], agents=[WELL, ILL], retry=AT_ONCE)
GOOD = {"acceptable": True, "evidence": "It is there."}


def accept(task: str, work: str, context: dict[str, str]) -> Any:
    return GOOD


def reject(task: str, work: str, context: dict[str, str]) -> Any:
    return {"acceptable": False, "feedback": "No."}


ESCALATED = Supervisor(WELL, review=reject)
ASKING = Router([WELL], classifier=lambda text: [], model=False)
FAILED = Workflow([Step("b", "ill", "y")], agents=[ILL], retry=AT_ONCE)
