"""Plans in conversations, several runs at once, and runs that are killed."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner
from tests.planned import ANSWER, ASK, THREAD, Team, plan, statuses, step

# Conversations, runs at once, kills


def test_the_next_message_of_a_thread_is_planned_anew(call: Any) -> None:
    team = Team()
    first_plan = plan(step("red"), step("blue"), step("bad", task="fail"))
    script = [first_plan, *[plan(step("x", "z"))] * 3, ANSWER, plan(step("green")), plan(step("red", task="new red"))]
    graph = team.planner(*script, checkpointer=InMemorySaver())
    first = call(graph, ASK, THREAD)
    second = call(graph, {"messages": "And green?"}, THREAD)
    third = call(graph, {"messages": "And red again?"}, THREAD)
    assert first["status"] == "partial"
    assert (second["status"], second["errors"], second["stop_reason"]) == ("completed", [], None)
    assert (statuses(second), second["replans"], second["abandoned"]) == ("green:completed", 0, [])
    assert (statuses(third), third["usage"]["calls"]) == ("red:completed", 1)
    assert [message.text for message in third["messages"]] == [
        *["Compare red and blue", "The answer.", "And green?", "[do green]", "And red again?", "[new red]"]
    ]
    assert "The answer." in team.prompts[5]


def test_a_conversation_that_ends_with_the_assistant_is_answered_too() -> None:
    messages = [("user", "Compare red and blue"), ("assistant", "Let me see.")]
    state = Team().planner(plan(step("red"), step("blue")), ANSWER).invoke({"messages": messages})
    assert state["messages"][-1].text == "The answer."


def once(error: type[BaseException]) -> Callable[[], None]:
    """Raise at the first call only."""
    left = [error]

    def maybe() -> None:
        if left:
            raise left.pop()

    return maybe


def test_a_killed_run_goes_on_without_planning_or_working_again() -> None:
    log: list[str] = []
    kill = once(KeyboardInterrupt)

    def work(task: str) -> str:
        log.append(task)
        if task == "do blue":
            kill()
        return task

    model = ScriptedModel([plan(step("red"), step("blue", "red"))])
    graph = Planner([Agent("ann", function=work)], model=model).compile(InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    assert graph.invoke(None, THREAD)["status"] == "completed"
    assert (log, len(model.calls)) == (["do red", "do blue", "do blue"], 1)
