"""A router that waits for the user's answer, alone and inside another graph."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import ConfigurationError, Planner, Router, Step, Workflow

THREAD: Any = {"configurable": {"thread_id": "one"}}
TRAVEL = Agent("travel", "Flights.", function=lambda task: "Bon voyage.")


def bank(task: str, conversation: list[Any]) -> str:
    return " | ".join([*(message.text.partition("\n")[0] for message in conversation), task])


BANK = Agent("bank", "Accounts.", function=bank)
ASKED = "I am not sure who can help with that. Do you mean one of these?"


def ranking(agent: str, confidence: float) -> dict[str, Any]:
    return {"reason": "a guess", "candidates": [{"agent": agent, "confidence": confidence}]}


def router(*rankings: Any) -> Router:
    return Router([BANK, TRAVEL], model=ScriptedModel(list(rankings)), clarify="human")


@pytest.mark.parametrize("answer", ["My money", {"type": "respond", "message": "My money"}])
def test_it_waits_and_goes_on_with_the_answer(call: Any, answer: Any) -> None:
    graph = router(ranking("bank", 0.1), ranking("bank", 0.9)).compile(InMemorySaver())
    (asked,) = call(graph, {"messages": "It is gone"}, THREAD)["__interrupt__"]
    assert asked.value["action_requests"][0]["name"] == "clarify_request"
    assert asked.value["review_configs"][0]["allowed_decisions"] == ["respond"]
    assert "- bank: Accounts." in asked.value["description"]
    done = call(graph, Command(resume=answer), THREAD)
    assert (done["status"], done["route"]["chosen"], done["usage"]["calls"]) == ("completed", ["bank"], 2)
    assert done["messages"][-1].text == f"It is gone | {ASKED} | My money"


def test_it_asks_again_until_there_is_an_answer(call: Any) -> None:
    graph = router(ranking("bank", 0.1), ranking("travel", 0.2), ranking("travel", 1)).compile(InMemorySaver())
    call(graph, {"messages": "Go"}, THREAD)
    assert call(graph, Command(resume=" "), THREAD)["__interrupt__"]
    assert call(graph, Command(resume="Home"), THREAD)["__interrupt__"], "still not sure"
    done = call(graph, Command(resume="To Rome"), THREAD)
    assert done["messages"][-1].text == "Bon voyage."
    assert [message.text for message in done["messages"] if message.type == "human"] == ["Go", "Home", "To Rome"]


def test_questions_of_parallel_steps_wait_together_and_siblings_are_not_repeated(call: Any) -> None:
    worked: list[str] = []
    sibling = Agent("sibling", function=lambda task: worked.append(task) or "done")
    desks = [router(ranking(name, 0.1), ranking(name, 1)).as_agent(f"{name}_desk") for name in ("bank", "travel")]
    steps = [Step("a", "bank_desk", "What now?"), Step("b", "travel_desk", "Where to?"), Step("c", "sibling", "Do")]
    graph = Workflow(steps, agents=[*desks, sibling]).compile(InMemorySaver())
    waiting = call(graph, {"messages": "Go"}, THREAD)["__interrupt__"]
    assert len(waiting) == 2
    done = call(graph, Command(resume={asked.id: "An answer" for asked in waiting}), THREAD)
    assert (done["status"], worked) == ("completed", ["Do"])
    assert done["steps"]["a"]["result"] == f"What now? | {ASKED} | An answer"


def test_a_run_that_could_not_go_on_with_an_answer_says_so(call: Any) -> None:
    plan = {"steps": [{"id": "one", "agent": "travel", "task": "Go", "dependencies": []}]}
    for pattern in (router(ranking("bank", 0.1)), Planner([TRAVEL], model=ScriptedModel([plan]), approval=True)):
        with pytest.raises(ConfigurationError, match="compile the graph with a checkpointer"):
            call(pattern.compile(), {"messages": "Go"})


def test_how_to_ask_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="clarify"):
        Router([BANK], model=ScriptedModel(), clarify="shout")
