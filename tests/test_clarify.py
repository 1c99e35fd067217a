"""A router that waits for the user's answer, alone and inside another graph."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import ConfigurationError, Planner, Router, Step, Supervisor, Workflow
from graphs.cli.questions import Question, read_answers
from graphs.cli.run import resumption

THREAD: Any = {"configurable": {"thread_id": "one"}}
BANK = Agent("bank", "Accounts.", function=lambda task, context: f"{task} | {context}")
TRAVEL = Agent("travel", "Flights.", function=lambda task: "Bon voyage.")


def ranking(agent: str, confidence: float) -> dict[str, Any]:
    return {"reason": "a guess", "candidates": [{"agent": agent, "confidence": confidence}]}


def router(*rankings: Any) -> Router:
    return Router([BANK, TRAVEL], model=ScriptedModel(list(rankings)), clarify="human")


def test_it_waits_and_goes_on_with_the_answer(call: Any) -> None:
    graph = router(ranking("bank", 0.1), ranking("bank", 0.9)).compile(InMemorySaver())
    waiting = call(graph, {"messages": "It is gone"}, THREAD)
    (asked,) = waiting["__interrupt__"]
    assert "- bank: Accounts." in asked.value
    done = call(graph, Command(resume="My money"), THREAD)
    assert (done["status"], done["route"]["chosen"], done["usage"]["calls"]) == ("completed", ["bank"], 2)
    assert done["messages"][-1].text.startswith("My money | {'the conversation before': 'User: It is gone")


def test_it_asks_again_until_there_is_an_answer(call: Any) -> None:
    graph = router(ranking("bank", 0.1), ranking("travel", 0.2), ranking("travel", 1)).compile(InMemorySaver())
    call(graph, {"messages": "Go"}, THREAD)
    assert call(graph, Command(resume=" "), THREAD)["__interrupt__"]
    assert call(graph, Command(resume="Home"), THREAD)["__interrupt__"], "still not sure"
    done = call(graph, Command(resume="To Rome"), THREAD)
    assert done["messages"][-1].text == "Bon voyage."
    assert [one.text for one in done["messages"] if one.type == "human"] == ["Go", "Home", "To Rome"]


def test_questions_of_parallel_steps_wait_together_and_siblings_are_not_repeated(call: Any) -> None:
    worked = []
    sibling = Agent("sibling", function=lambda task: worked.append(task) or "done")  # type: ignore[func-returns-value]
    one, two = (router(ranking(name, 0.1), ranking(name, 1)).as_agent(f"{name}_desk") for name in ("bank", "travel"))
    steps = [Step("a", "bank_desk", "What now?"), Step("b", "travel_desk", "Where to?"), Step("c", "sibling", "Do")]
    graph = Workflow(steps, agents=[one, two, sibling]).compile(InMemorySaver())
    waiting = call(graph, {"messages": "Go"}, THREAD)["__interrupt__"]
    assert len(waiting) == 2
    done = call(graph, Command(resume={asked.id: "An answer" for asked in waiting}), THREAD)
    assert (done["status"], worked) == ("completed", ["Do"])
    assert done["steps"]["b"]["result"] == "Bon voyage."


@pytest.mark.parametrize("written", ["[urgent] my money", '{"a": 1}', "my money"])
def test_the_command_hands_any_text_on(written: str) -> None:
    graph = router(ranking("bank", 0.1), ranking("bank", 0.9)).compile(InMemorySaver())
    questions = [Question(one.id, one.value) for one in graph.invoke({"messages": "Hm"}, THREAD)["__interrupt__"]]
    assert (questions[0].hint(), questions[0].items()[0].choices) == ("answer with a text", ())
    done = graph.invoke(resumption(read_answers(questions, [written])), THREAD)
    assert done["messages"][-1].text.startswith(f"{written} | ")


def test_a_run_that_could_not_go_on_with_an_answer_says_so(call: Any) -> None:
    plan = {"steps": [{"id": "one", "agent": "travel", "task": "Go", "dependencies": []}]}
    for pattern in (router(ranking("bank", 0.1)), Planner([TRAVEL], model=ScriptedModel([plan]), approval=True)):
        with pytest.raises(ConfigurationError, match="compile the graph with a checkpointer"):
            call(pattern.compile(), {"messages": "Go"})


def test_work_that_no_person_can_be_asked_about_is_kept(call: Any) -> None:
    judged = Supervisor(TRAVEL, checks=[lambda text: "Shorter."], max_revisions=0, escalate="human")
    state = call(judged.compile(), {"messages": "Go"})
    assert (state["status"], state["messages"][-1].text) == ("escalated", "Bon voyage.")
    assert [one["kind"] for one in state["errors"]] == ["ConfigurationError"]


def test_how_to_ask_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="clarify"):
        Router([BANK], model=ScriptedModel(), clarify="shout")  # type: ignore[arg-type]
