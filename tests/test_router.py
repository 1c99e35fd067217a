"""A router asks the agent that suits a request, and knows what to do when none does or one fails."""

import asyncio
import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.assignment import quote
from agents.testing import Reply, ScriptedModel
from graphs import Router
from tests.routed import BILLING, BROKEN, BUST, HELP, THREAD, WEATHER, by_function, fail, outcome, ranking, route, text

# Who is asked


def test_the_agent_that_suits_best_answers(call: Any) -> None:
    state = route(call, {"weather": 0.6, "billing": 0.9})
    assert outcome(state) == ("completed", ["billing"], "billing: the request")
    assert (state["stop_reason"], state["errors"]) == (None, [])


def test_the_decision_is_recorded(call: Any) -> None:
    assert route(call, {"billing": 0.9, "weather": 0.6}, threshold=0.7)["route"] == {
        "candidates": [{"agent": "billing", "confidence": 0.9}, {"agent": "weather", "confidence": 0.6}],
        "threshold": 0.7,
        "reason": "because",
        "decided_by": "model",
        "chosen": ["billing"],
    }


class UnauthorizedError(Exception):
    status_code = 401


UNROUTABLE: dict[str, list[Any]] = {
    "an unknown name": [{"plumber": 1.0}] * 3,
    "too little confidence": [{"billing": 0.49, "weather": 0.3}],
    "out of scope": [{"none": 0.9}],
    "no decision": ["Well ...", "Hm.", "I would say billing."],
}
UNREACHABLE: dict[str, list[Any]] = {
    "a refused key": [UnauthorizedError("no")],
    "a lost connection": [ConnectionError("reset")] * 3,
    "a refusal": [Reply(refusal="I cannot say.")],
}


@pytest.mark.parametrize("replies", [*UNROUTABLE.values(), *UNREACHABLE.values()], ids=[*UNROUTABLE, *UNREACHABLE])
def test_the_fallback_gets_what_cannot_be_routed(call: Any, replies: list[Any]) -> None:
    state = route(call, *replies, fallback=HELP)
    assert outcome(state) == ("completed", ["fallback"], "help: the request")


@pytest.mark.parametrize("replies", UNROUTABLE.values(), ids=UNROUTABLE)
def test_without_a_fallback_the_user_is_asked(call: Any, replies: list[Any]) -> None:
    state = route(call, *replies)
    assert (state["status"], state["route"]["chosen"], state["replies"]) == ("needs_input", [], [])
    assert "- billing: For billing.\n- weather: For weather." in text(state)
    assert "No agent suits the request" in state["stop_reason"]


@pytest.mark.parametrize("replies", UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_user_cannot_help_where_the_model_is_out_of_reach(call: Any, replies: list[Any]) -> None:
    state = route(call, *replies)
    assert (state["status"], state["route"]["chosen"]) == ("failed", [])
    assert text(state) == state["stop_reason"]
    assert state["stop_reason"].endswith(state["errors"][0]["message"])


# Asking the user


def test_the_users_answer_is_classified_with_the_question_before_it(call: Any) -> None:
    model = ScriptedModel([ranking(none=0.9), ranking(billing=0.9)])
    asked = Agent(
        "billing", "For billing.", function=lambda task, conversation: [task, *(m.text for m in conversation)]
    )
    graph = Router([asked, WEATHER], model=model).compile(InMemorySaver())
    question = text(call(graph, {"messages": "It is wrong."}, THREAD))
    state = call(graph, {"messages": "I mean the bill."}, THREAD)
    (asked_again,) = model.calls[1].messages[1:]
    before = f"{quote('User', 'It is wrong.')}\n\n{quote('Assistant', question)}"
    assert asked_again.text == f"{before}\n\nThe last message:\nI mean the bill."
    assert json.loads(text(state)) == ["I mean the bill.", "It is wrong.", question]


# When an agent fails


def test_the_next_best_candidate_takes_over(call: Any) -> None:
    state = route(call, {"broken": 0.9, "bust": 0.8, "weather": 0.7, "billing": 0.6})
    assert outcome(state) == ("completed", ["broken", "bust", "weather"], "weather: the request")
    assert [(error["where"], error["kind"]) for error in state["errors"]] == [
        ("broken", "ValueError"),
        ("bust", "ValueError"),
    ]


def test_a_candidate_below_the_threshold_does_not_take_over(call: Any) -> None:
    state = route(call, {"broken": 0.9, "weather": 0.4})
    assert (state["status"], state["route"]["chosen"]) == ("failed", ["broken"])
    reason = "ValueError: cannot do 'the request'"
    assert text(state) == f"Every agent that was asked has failed: broken; the last one: {reason}"


def test_the_fallback_comes_last(call: Any) -> None:
    state = route(call, {"broken": 0.9, "bust": 0.6, "plumber": 0.6}, fallback=HELP)
    assert outcome(state) == ("completed", ["broken", "bust", "fallback"], "help: the request")


def test_when_all_have_failed_the_run_has(call: Any) -> None:
    state = route(call, {"broken": 0.9}, fallback=BUST)
    assert (state["status"], state["route"]["chosen"]) == ("failed", ["broken", "fallback"])
    assert [error["where"] for error in state["errors"]] == ["broken", "fallback"]


def test_an_agent_of_the_team_can_be_the_fallback_and_is_asked_once(call: Any) -> None:
    assert outcome(route(call, {"none": 1}, fallback=WEATHER))[1:] == (["fallback"], "weather: the request")
    assert route(call, {"broken": 1}, fallback=BROKEN)["route"]["chosen"] == ["broken"]


def test_a_fault_that_may_pass_is_tried_again_before_the_next_best(call: Any) -> None:
    writer = Agent("writer", model=ScriptedModel([ConnectionError("reset"), "done"]))
    state = route(call, {"writer": 0.9, "billing": 0.8}, agents=[writer, BILLING])
    assert outcome(state) == ("completed", ["writer"], "done")


# Classifiers


async def ask_elsewhere(text: str) -> str:
    await asyncio.sleep(0)
    return "weather"


@pytest.mark.parametrize("classifier", [lambda text: "weather", ask_elsewhere, [lambda text: None, ask_elsewhere]])
def test_a_classifier_saves_the_model(call: Any, classifier: Any) -> None:
    state = route(call, classifier=classifier)
    assert (state["route"]["chosen"], state["usage"]["calls"]) == (["weather"], 0)
    assert state["route"]["decided_by"] in ("<lambda>", "ask_elsewhere")


@pytest.mark.parametrize("classifier", [lambda text: {"weather": 0.3}, fail])
def test_what_a_classifier_is_not_sure_of_goes_to_the_model(call: Any, classifier: Any) -> None:
    state = route(call, {"billing": 0.9}, classifier=classifier)
    assert (state["route"]["decided_by"], state["route"]["chosen"]) == ("model", ["billing"])


def test_nobody_sure_and_no_model_is_for_the_fallback_or_the_user(call: Any) -> None:
    assert by_function(call, None, fallback=HELP)["route"]["chosen"] == ["fallback"]
    assert by_function(call, None)["status"] == "needs_input"
