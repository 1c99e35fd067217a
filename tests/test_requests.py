"""What a pattern is called with: teams it takes, and requests it refuses before anything runs."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import ScriptedModel
from graphs import (
    ConfigurationError,
    Network,
    Orchestrator,
    Pattern,
    Planner,
    Router,
    Step,
    Supervisor,
    UnknownAgentError,
    Workflow,
)
from graphs.engine import describe, last_request, member, team_of
from tests.test_pattern import ECHO, THREAD, Echoing

# Teams


def test_teams() -> None:
    assert team_of([ECHO]) == {"echo": ECHO}
    assert member("echo", {"echo": ECHO}, role="agent") is ECHO
    assert describe([ECHO, Agent("ann")]) == "- echo: Says the same.\n- ann: no description"


@pytest.mark.parametrize(
    ("team", "reason"),
    [
        ([], "at least one"),
        ([ECHO, ECHO], "Two agents are called 'echo'"),
        (ECHO, "agents must be a list of agents, not Agent"),
        ([3], "3 is not an agent"),
    ],
)
def test_teams_that_are_refused(team: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        team_of(team)


def test_an_unknown_name_is_refused_with_the_names_of_the_team() -> None:
    with pytest.raises(UnknownAgentError, match="The critic 'eve' is not in the team; known: echo"):
        member("eve", {"echo": ECHO}, role="critic")


# Requests


def test_the_request_is_the_last_message_of_a_person() -> None:
    messages = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    assert Echoing().compile().invoke({"messages": messages})["messages"][-1].text == "three"
    assert last_request([]).text == ""


UNASKED = ScriptedModel()
EVERY = [
    Planner([ECHO], model=UNASKED),
    Router([ECHO], model=UNASKED),
    Supervisor(ECHO, model=UNASKED),
    Network([ECHO]),
    Orchestrator([ECHO], model=UNASKED),
]
NO_REQUEST: list[Any] = [
    {"messages": " \n"},
    {"messages": [("assistant", "Hello")]},
    {"messages": [HumanMessage([{"type": "text", "text": ""}])]},
    {"message": "a typing error"},
    "a text",
]


def refused(call: Any, pattern: Pattern[Any], value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"The request is missing: call the|Unknown input 'message'"):
        call(pattern.compile(), value)
    assert UNASKED.calls == []


@pytest.mark.parametrize("pattern", EVERY, ids=lambda pattern: pattern.name)
def test_every_pattern_refuses_a_call_without_a_request(call: Any, pattern: Pattern[Any]) -> None:
    refused(call, pattern, {"messages": []})


@pytest.mark.parametrize("value", NO_REQUEST, ids=str)
def test_what_is_not_a_request_is_refused_before_anything_runs(call: Any, value: Any) -> None:
    refused(call, EVERY[0], value)


def test_messages_that_cannot_be_read_are_refused(call: Any) -> None:
    with pytest.raises(ConfigurationError, match="messages cannot be read"):
        call(Echoing().compile(), {"messages": [{"role": "nobody", "content": "x"}]})


def test_a_thread_goes_on_after_an_empty_message(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver())
    call(graph, {"messages": "one"}, THREAD)
    with pytest.raises(ConfigurationError, match="The request is missing"):
        call(graph, {"messages": ""}, THREAD)
    assert call(graph, {"messages": "two"}, THREAD)["messages"][-1].text == "two"


def test_a_picture_alone_is_a_request(call: Any) -> None:
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])
    graph = Network([Agent("ann", function=lambda: "A cat.")]).compile()
    assert call(graph, {"messages": [picture]})["status"] == "completed"


def test_a_pattern_in_a_step_with_an_empty_item_is_not_refused(call: Any) -> None:
    steps = [Step("a", "list", "Do it"), Step("b", "inner", "{item}", ["a"], for_each="a")]
    team = [Agent("list", function=lambda: ["", "x"]), Network([Agent("ann", function=lambda: "ok")]).as_agent("inner")]
    state = call(Workflow(steps, agents=team).compile(), {"messages": "go"})
    assert (state["status"], state["steps"]["b"]["data"]) == ("completed", ["ok", "ok"])
