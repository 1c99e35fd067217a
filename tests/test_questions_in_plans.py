"""A question inside a pattern is not a result: the run ends with it, and nothing builds on it."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Planner, Router, Step, Supervisor, Workflow

THREAD: Any = {"configurable": {"thread_id": "1"}}
NOBODY = {"reason": "unclear", "candidates": [{"agent": "none", "confidence": 0.9}]}
BILLING = {"reason": "clear", "candidates": [{"agent": "billing", "confidence": 0.9}]}
PLAN = {
    "steps": [
        {"id": "ask", "agent": "desk", "task": "Find out what it is about.", "dependencies": []},
        {"id": "publish", "agent": "press", "task": "Publish it.", "dependencies": ["ask"]},
    ]
}


def desk(*rankings: Any) -> Agent:
    billing = Agent("billing", "Bills.", function=lambda task: "About a bill.")
    return Router([billing], model=ScriptedModel(list(rankings))).as_agent("desk")


def test_dependents_do_not_work_on_a_question_and_the_user_sees_it(call: Any) -> None:
    published: list[str] = []
    press = Agent("press", function=lambda task: published.append(task) or "Published.")  # type: ignore[func-returns-value]
    steps = [Step("ask", "desk", "{request}"), Step("publish", "press", "Publish {ask}", ["ask"])]
    state = call(Workflow(steps, agents=[desk(NOBODY), press]).compile(), {"messages": "It is wrong."})
    assert (state["status"], published) == ("needs_input", [])
    assert "Do you mean one of these?" in state["messages"][-1].text
    assert state["steps"]["publish"]["status"] == "skipped"


def test_the_answer_goes_on_as_the_next_message(call: Any) -> None:
    press = Agent("press", function=lambda context: f"Published: {context['ask']}")
    model = ScriptedModel([PLAN, PLAN, "It is out."])
    graph = Planner([desk(NOBODY, BILLING), press], model=model).compile(InMemorySaver())
    assert call(graph, {"messages": "It is wrong."}, THREAD)["status"] == "needs_input"
    state = call(graph, {"messages": "The bill."}, THREAD)
    assert (state["status"], state["steps"]["publish"]["result"]) == ("completed", "Published: About a bill.")


def test_an_item_that_asks_ends_the_run_with_the_question(call: Any) -> None:
    items = Agent("items", function=lambda task: ["a", "b"])
    each = Step("each", "desk", "{item}", ["items"], for_each="items")
    state = call(
        Workflow(
            [Step("items", "items", "List."), each], agents=[items, desk(BILLING, NOBODY)], max_parallel=1
        ).compile(),
        {"messages": "x"},
    )
    assert (state["status"], state["steps"]["each"]["status"]) == ("needs_input", "needs_input")


PRESS = Agent("press", "Publishes.", function=lambda task: "Published.")
APART = {"steps": [{**step, "agent": "press", "dependencies": []} for step in PLAN["steps"]]}


def both(text: str) -> list[str]:
    return ["desk", "press"]


@pytest.mark.parametrize("place", ["synthesizer", "several", "escalation", "discussion"])
def test_nobody_works_on_a_question_wherever_an_agent_asks_it(place: str, call: Any) -> None:
    asks, model = desk(NOBODY), ScriptedModel([APART] if place == "synthesizer" else [])
    patterns: dict[str, Any] = {
        "synthesizer": lambda: Planner([PRESS], model=model, synthesizer=asks),
        "several": lambda: Router([asks, PRESS], classifier=both, model=model, multiple=True),
        "discussion": lambda: Network([asks, PRESS], turns="round_robin"),
        "escalation": lambda: Supervisor(PRESS, checks=[lambda text: "No."], max_revisions=0, escalate=asks),
    }
    state = call(patterns[place]().compile(), {"messages": "It is wrong."})
    assert state["status"] == "needs_input"
    assert state["messages"][-1].text.startswith("I am not sure who can help with that.")
    assert state["stop_reason"]
    assert any(error["kind"] == "needs_input" for error in state["errors"])


def test_a_synthesizer_that_does_not_complete_leaves_the_answer_incomplete(call: Any) -> None:
    careful = Supervisor(PRESS, checks=[lambda text: "Too short."], max_revisions=0).as_agent("careful")
    state = call(Planner([PRESS], model=ScriptedModel([APART]), synthesizer=careful).compile(), {"messages": "Go."})
    assert (state["status"], state["messages"][-1].text) == ("escalated", "Published.")
    assert "Too short." in state["stop_reason"]


def test_a_reviewer_that_asks_has_not_judged(call: Any) -> None:
    state = call(Supervisor(PRESS, reviewer=desk(NOBODY)).compile(), {"messages": "Go."})
    assert (state["status"], state["messages"][-1].text) == ("escalated", "Published.")
    assert "'desk' asked the user instead of judging: I am not sure" in state["stop_reason"]
