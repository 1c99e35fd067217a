"""Classifiers rank a team for a request, each in its way, and pass on what they are not sure of."""

import asyncio
import functools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.errors import GraphInterrupt

from agents.testing import ScriptedModel
from graphs import ConfigurationError, EmbeddingClassifier
from graphs.decisions.classifiers import Classify, ModelClassifier
from tests.classified import ASK, TEAM, Letters, candidates, classify
from tests.tables import each

# Functions


async def async_rule(text: str) -> str:
    await asyncio.sleep(0)
    return "weather"


class Rule:
    async def __call__(self, text: str) -> str:
        return "weather"


class Own:
    """A classifier of a user's own, with a name."""

    name = "own"

    def rank(self, task: str, team: Any) -> str:
        return team[-1].name


class OwnLater:
    async def rank(self, task: str, team: Any) -> dict[str, float]:
        return {agent.name: 0.7 for agent in team}


@each(
    ("function", "expected"),
    [
        (lambda text: "billing", {"billing": 1.0}),
        (lambda *words: "billing", {"billing": 1.0}),
        (async_rule, {"weather": 1.0}),
        (Rule(), {"weather": 1.0}),
        (functools.partial(lambda name, text: name, "billing"), {"billing": 1.0}),
        (Own(), {"weather": 1.0}),
        (OwnLater(), {"billing": 0.7, "weather": 0.7}),
        (lambda text: ("billing", 0.7), {"billing": 0.7}),
        (lambda text: ["billing", "weather"], {"billing": 1.0, "weather": 1.0}),
        (lambda text: {"weather": 0.2, "billing": 0.9}, {"billing": 0.9, "weather": 0.2}),
        (lambda text: [("weather", 0.2), ("billing", 0.9)], {"billing": 0.9, "weather": 0.2}),
        (lambda text: "The Billing agent", {"billing": 1.0}),
        (lambda text: "nobody we know", {"nobody we know": 1.0}),
        (lambda text: None, {}),
        (lambda text: "", {}),
    ],
)
def test_a_function_or_an_object_with_rank_names_candidates(call: Any, function: Any, expected: Any) -> None:
    ranking = classify(call, function)
    assert (candidates(ranking), ranking["errors"]) == (expected, [])
    assert [*candidates(ranking)] == sorted(candidates(ranking), key=lambda name: -expected[name])


@pytest.mark.parametrize("answer", [7, ["billing", 1, 2], {"billing": "high"}])
def test_an_answer_that_cannot_be_read_is_an_error(answer: Any) -> None:
    ranking = classify(Classify.invoke, lambda text: answer)
    assert candidates(ranking) == {}
    assert [error["where"] for error in ranking["errors"]] == ["classify/<lambda>"]


def test_a_function_gets_the_task_alone(call: Any) -> None:
    seen: list[str] = []
    classify(call, seen.append, task="second", before=[HumanMessage("first"), AIMessage("Which?")])
    assert seen == ["second"]


def test_a_function_may_ask_a_model_and_its_calls_are_counted(call: Any) -> None:
    model = ScriptedModel("billing")
    ranking = classify(call, lambda text: model.invoke(text).text)
    assert (candidates(ranking), ranking["usage"]["calls"]) == ({"billing": 1.0}, 1)


@pytest.mark.parametrize(("classifier", "name"), [(async_rule, "async_rule"), (Own(), "own"), (OwnLater(), "OwnLater")])
def test_the_record_says_who_decided(classifier: Any, name: str) -> None:
    ranking = classify(Classify.invoke, classifier)
    assert (ranking["decided_by"], ranking["reason"]) == (name, f"decided by {name}")


@given(st.floats() | st.integers(-(10**6), 10**6) | st.floats(0, 1).map(str))
def test_a_confidence_is_between_0_and_1(written: Any) -> None:
    (read,) = candidates(classify(Classify.invoke, lambda text: {"billing": written})).values()
    assert 0 <= read <= 1
    if 0 <= float(written) <= 1:
        assert read == pytest.approx(float(written), abs=1e-4)


@pytest.mark.parametrize(("written", "read"), [(1.0000001, 1.0), (85, 0.85), (400, 1.0), (math.nan, 0.0)])
def test_a_confidence_may_be_rounded_or_in_per_cent(written: Any, read: float) -> None:
    assert candidates(classify(Classify.invoke, lambda text: {"billing": written})) == {"billing": read}


# Models


def ranked(**candidates: float) -> dict[str, Any]:
    named = [{"agent": name, "confidence": confidence} for name, confidence in candidates.items()]
    return {"reason": "why", "candidates": named}


def test_a_model_sees_the_team_the_examples_and_the_conversation() -> None:
    model = ScriptedModel([ranked(billing=0.9)])
    classify(Classify.invoke, ModelClassifier(TEAM, model), before=[HumanMessage(ASK), AIMessage("Which bill?")])
    (asked,) = model.calls
    assert [message.type for message in asked.messages] == ["system", "human"]
    assert "Assistant:\n```\nWhich bill?\n```" in asked.prompt
    assert "- billing: Bills and refunds.\n- weather: Rain and sun.\n- none:" in asked.prompt
    assert "Example request: Where is my refund?" in asked.prompt
    assert "Never shown" not in asked.prompt


def test_the_form_shown_to_a_model_has_only_the_teams_names() -> None:
    model = ScriptedModel([ranked(billing=0.9)])
    classify(Classify.invoke, ModelClassifier(TEAM, model), task="Route this to root")
    schema = model.calls[0].kwargs["response_format"]["json_schema"]["schema"]
    assert schema["$defs"]["Ranked"]["properties"]["agent"]["enum"] == ["billing", "weather", "none"]


# Chains


def broken(text: str) -> str:
    raise ConnectionError("no network")


def test_classifiers_pass_on_until_one_is_sure(call: Any) -> None:
    model = ScriptedModel([ranked(weather=0.9)])
    near = EmbeddingClassifier(Letters(), margin=3)
    ranking = classify(call, lambda text: None, near, ModelClassifier(TEAM, model), broken)
    assert (candidates(ranking), ranking["decided_by"], ranking["errors"]) == ({"weather": 0.9}, "model", [])


def test_the_threshold_itself_is_enough(call: Any) -> None:
    assert candidates(classify(call, lambda text: ("billing", 0.5), async_rule)) == {"billing": 0.5}


def test_the_last_ranking_is_kept_though_nobody_was_sure(call: Any) -> None:
    ranking = classify(call, lambda text: ("billing", 0.3), lambda text: ("weather", 0.4), lambda text: None)
    assert candidates(ranking) == {"weather": 0.4}


def test_a_failing_classifier_passes_on_and_is_recorded(call: Any) -> None:
    ranking = classify(call, broken, lambda text: 7, async_rule)
    assert candidates(ranking) == {"weather": 1.0}
    assert [(error["where"], error["kind"]) for error in ranking["errors"]] == [
        ("classify/broken", "ConnectionError"),
        ("classify/<lambda>", "DecisionError"),
    ]


def test_what_failed_classifiers_cost_is_counted(call: Any) -> None:
    talker = ScriptedModel("I would rather talk.")
    ranking = classify(call, ModelClassifier(TEAM, talker), async_rule)
    assert (ranking["usage"]["calls"], ranking["errors"][0]["kind"]) == (3, "DecisionError")


def test_without_a_sure_classifier_there_is_no_error() -> None:
    ranking = classify(Classify.invoke, lambda text: None)
    assert ranking == {
        "candidates": [],
        "reason": "no classifier was sure",
        "decided_by": "none",
        "usage": ranking["usage"],
        "errors": [],
    }


def test_an_interrupt_is_not_a_failure(call: Any) -> None:
    def ask(text: str) -> str:
        raise GraphInterrupt

    with pytest.raises(GraphInterrupt):
        classify(call, ask, async_rule)


@pytest.mark.parametrize("wrong", ["model", None, 3, Own])
def test_a_classifier_is_a_function_embeddings_or_an_object_with_rank(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="A classifier is a function, Embeddings or an object"):
        Classify([wrong], TEAM, model=False, threshold=0.5)
