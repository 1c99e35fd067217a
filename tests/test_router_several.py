"""A router that asks several agents at once, routers in other graphs, and how one is built."""

from typing import Any

import pytest

from agents.errors import PodiumError
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Router
from tests.routed import ASK, BILLING, HELP, SPORTS, TEAM, WEATHER, agent, by_function, outcome, ranking, route, text
from tests.tables import each

# Several at once


MANY = {"weather": 0.9, "billing": 0.8}


def merger_of(state: Any) -> Any:
    return state["usage"]["agents"].get("merger")


def test_several_agents_are_asked_and_their_answers_merged(call: Any) -> None:
    model = ScriptedModel([ranking(**MANY), "Rain, and 3 euros."])
    state = call(Router(TEAM, model=model, multiple=True).compile(), ASK)
    assert outcome(state) == ("completed", ["weather", "billing"], "Rain, and 3 euros.")
    prompt = model.calls[1].prompt
    assert prompt.index("weather: the request") < prompt.index("billing: the request")
    assert {name: item["calls"] for name, item in state["usage"]["agents"].items()} == {"classifier": 1, "merger": 1}


@pytest.mark.parametrize(("most", "asked"), [(1, ["weather"]), (2, ["weather", "billing"])])
def test_no_more_are_asked_than_allowed(call: Any, most: int, asked: list[str]) -> None:
    said = {"weather": 0.9, "billing": 0.8, "sports": 0.7, "bust": 0.1}
    assert by_function(call, said, multiple=True, max_agents=most)["route"]["chosen"] == asked


def test_one_agent_alone_needs_no_merging(call: Any) -> None:
    state = route(call, {"billing": 0.9}, multiple=True)
    assert (text(state), merger_of(state)) == ("billing: the request", None)


def test_if_one_of_several_fails_the_rest_is_a_partial_answer(call: Any) -> None:
    state = route(call, {"broken": 0.9, "billing": 0.8}, multiple=True)
    assert outcome(state) == ("partial", ["broken", "billing"], "billing: the request")
    assert (state["stop_reason"], merger_of(state)) == (
        f"'broken' ended as failed: {state['errors'][0]['message']}",
        None,
    )


def test_if_all_fail_the_next_best_is_asked(call: Any) -> None:
    said = {"broken": 0.9, "bust": 0.8, "billing": 0.7, "weather": 0.6}
    state = by_function(call, said, multiple=True, max_agents=2)
    assert outcome(state) == ("partial", ["broken", "bust", "billing"], "billing: the request")


def test_if_all_fail_the_fallback_is_asked_and_then_nobody(call: Any) -> None:
    assert by_function(call, ["broken", "bust"], multiple=True, fallback=HELP)["route"]["chosen"][-1] == "fallback"
    state = by_function(call, ["broken", "bust"], multiple=True)
    assert (state["status"], len(state["errors"])) == ("failed", 2)


def test_if_the_merger_fails_the_answers_follow_each_other(call: Any) -> None:
    state = route(call, MANY, Reply(refusal="No."), multiple=True)
    assert outcome(state) == ("partial", ["weather", "billing"], "weather: the request\n\nbilling: the request")
    assert state["stop_reason"].startswith("The answers could not be merged: ")
    assert [error["where"] for error in state["errors"]] == ["merge"]


# Nesting


def test_a_question_of_an_inner_router_reaches_the_user(call: Any) -> None:
    inner = Router([WEATHER, SPORTS], classifier=lambda text: None, model=False).as_agent("inner")
    state = by_function(call, "inner", agents=[inner, BILLING])
    assert (state["status"], "- sports: For sports." in text(state)) == ("needs_input", True)


# Building


@each("name", ["classify", "fallback", "clarify", "merge", "none", "__start__", "__end__"])
def test_names_of_nodes_are_taken(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Router([agent(name)], model=False, classifier=lambda text: name).compile()


@each("name", ["messages", "route", "replies", "status", "errors", "usage", "turn"])
def test_other_names_are_free(call: Any, name: str) -> None:
    state = by_function(call, [name, "billing"], agents=[agent(name), BILLING], multiple=True)
    assert outcome(state) == ("completed", [name, "billing"], f"{name}: the request\n\nbilling: the request")


@each(
    ("options", "message"),
    [
        ({"agents": []}, "at least one agent"),
        ({"agents": [BILLING, BILLING]}, "Two agents are called 'billing'"),
        ({"threshold": 1.5}, "threshold must be a number"),
        ({"threshold": -0.1}, "threshold must be a number"),
        ({"max_agents": 0}, "max_agents must be a whole number"),
        ({"model": False}, "needs classifier="),
        ({"classifier": "model"}, "not 'model'"),
        ({"classifier": [None]}, "not None"),
    ],
)
def test_a_router_put_together_wrongly_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Router(**{"agents": TEAM, **options})
    assert isinstance(caught.value, PodiumError)
