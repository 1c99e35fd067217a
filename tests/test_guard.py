"""A guard before `answer` sees every answer of every pattern, and can replace it."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from graphs.engine import PatternGraph

PASSED = {"acceptable": True, "evidence": "It is fine."}
TRIAGE = {"reason": "small", "small": True, "agent": "ann"}
ann = Agent("ann", "Knows.", function=lambda task: "the secret")


def reply(*plan: Any) -> ScriptedModel:
    return ScriptedModel([{"steps": [{"id": name, "agent": "ann", "task": name} for name in "ab"[: len(plan)]]}, *plan])


def accept(*_: Any) -> Any:
    return PASSED


def reject(*_: Any) -> Any:
    return {"acceptable": False, "feedback": "Again."}


PATTERNS: dict[str, Any] = {
    "workflow": Workflow([Step("a", "ann", "x")], agents=[ann]),
    "plan of one step": Planner([ann], model=reply("a")),
    "plan of two steps": Planner([ann], model=reply("the secret", "")),
    "router": Router([ann], classifier=lambda text: "ann", model=False),
    "router of several": Router(
        [ann, Agent("bob", function=lambda task: "hm")],
        classifier=lambda text: ["ann", "bob"],
        model=ScriptedModel("the secret"),
        multiple=True,
    ),
    "accepted work": Supervisor(ann, review=accept),
    "escalated work": Supervisor(ann, review=reject),
    "network": Network([ann]),
    "round robin": Network([ann], turns="round_robin", max_turns=1),
    "orchestrator": Orchestrator([ann], model=ScriptedModel([TRIAGE]), review=accept),
}


def guarded(pattern: Any) -> Any:
    def guard(state: Any) -> dict[str, Any]:
        end = pattern.ending(state)
        if "secret" not in end["text"]:
            return {}
        refusal = AIMessage("No.", id=end.get("message_id"))
        return {"status": "failed", "stop_reason": f"guarded: {end['status']}", "messages": [refusal]}

    graph: PatternGraph[Any] = pattern.build()
    return graph.put_before("answer", "guard", guard).compile()


@pytest.mark.parametrize("name", PATTERNS)
def test_every_answer_passes_the_guard(name: str) -> None:
    result = guarded(PATTERNS[name]).invoke({"messages": "hi"})
    assert [message.text for message in result["messages"]] == ["hi", "No."]
    assert (result["status"], result["stop_reason"].startswith("guarded: ")) == ("failed", True)


def test_an_answer_that_the_guard_lets_pass_stays_as_it_is() -> None:
    result = guarded(Workflow([Step("a", "bob", "x")], agents=[Agent("bob", function=str.upper)])).invoke(
        {"messages": "hi"}
    )
    assert (result["status"], result["messages"][-1].text) == ("completed", "X")
