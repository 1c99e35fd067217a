"""A graph of each pattern for the tests of what is shown, with a text that must be escaped."""

from typing import Any

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow

NASTY = "<script>alert(1)</script>"


UPPER = Agent("upper", "Writes in capitals.", function=str.upper)


PLAN = {"steps": [{"id": "one", "task": f"one {NASTY}", "agent": "upper", "dependencies": []}]}


STEPS = [Step("one", "upper", "one {request}"), Step("two", "upper", "{one}", ["one"])]


def accepting(context: dict[str, str]) -> dict[str, Any]:
    return {"acceptable": "A" in context["result"], "evidence": "it is so", "feedback": f"No A in it {NASTY}"}


PATTERNS: dict[str, Pattern] = {
    "planner": Planner([UPPER], model=ScriptedModel(Reply(data=PLAN))),
    "workflow": Workflow(STEPS, agents=[UPPER]),
    "router": Router([UPPER], classifier=lambda text: "upper", model=False),
    "supervisor": Supervisor(UPPER, reviewer=Agent("judge", function=accepting)),
    "network": Network([UPPER, Agent("lower", function=lambda task: {"to": "upper", "task": task, "reason": NASTY})]),
    "orchestrator": Orchestrator([UPPER], model=ScriptedModel()),
}


def bundle(shown: Any) -> dict[str, str]:
    found: dict[str, str] = shown._repr_mimebundle_()
    return found
