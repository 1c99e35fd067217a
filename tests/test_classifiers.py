"""Classifiers rank a team for a request, each in its way, and pass on what they are not sure of."""

import asyncio
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.errors import GraphInterrupt

from agents import Agent, Retry
from agents.testing import ScriptedModel
from graphs import ConfigurationError, EmbeddingClassifier
from graphs.decisions import Classify, ModelClassifier, as_classifier
from graphs.decisions.classifiers import FunctionClassifier

BILLING = Agent("billing", "Bills and refunds.", function=str, examples=["Where is my refund?", "A", "Never shown"])
WEATHER = Agent("weather", "Rain and sun.", function=str)
TEAM = [BILLING, WEATHER]
ASK = [HumanMessage("Where is my money?")]
AT_ONCE = Retry(wait=0)


def classify(call: Any, *classifiers: Any, messages: Any = ASK, team: Any = TEAM, threshold: float = 0.5) -> Any:
    return call(Classify([as_classifier(one) for one in classifiers], team, threshold, AT_ONCE), messages)


def found(ranking: Any) -> dict[str, float]:
    return {one["agent"]: one["confidence"] for one in ranking["candidates"]}


# Functions


async def async_rule(text: str) -> str:
    await asyncio.sleep(0)
    return "weather"


class Rule:
    async def __call__(self, text: str) -> str:
        return "weather"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda text: "billing", {"billing": 1.0}),
        (lambda *words: "billing", {"billing": 1.0}),
        (async_rule, {"weather": 1.0}),
        (Rule(), {"weather": 1.0}),
        (functools.partial(lambda name, text: name, "billing"), {"billing": 1.0}),
        (lambda text: ("billing", 0.7), {"billing": 0.7}),
        (lambda text: ["billing", "weather"], {"billing": 1.0, "weather": 1.0}),
        (lambda text: {"weather": 0.2, "billing": 0.9}, {"billing": 0.9, "weather": 0.2}),
        (lambda text: "none", {"none": 1.0}),
        (lambda text: "nobody we know", {"nobody we know": 1.0}),
        (lambda text: None, {}),
        (lambda text: "", {}),
        (lambda text: {}, {}),
    ],
)
def test_a_function_names_candidates(call: Any, function: Callable[..., Any], expected: dict[str, float]) -> None:
    ranking = classify(call, function)
    assert (found(ranking), ranking["errors"]) == (expected, [])
    assert [*found(ranking)] == sorted(found(ranking), key=lambda one: -expected[one])


@pytest.mark.parametrize("said", [7, object(), ["billing", 1, 2], {"billing": "high"}])
def test_what_a_function_says_must_be_readable(said: Any) -> None:
    ranking = classify(Classify.invoke, lambda text: said)
    assert found(ranking) == {}
    assert [one["where"] for one in ranking["errors"]] == ["classify/<lambda>"]


def test_a_function_gets_the_last_message_of_the_user(call: Any) -> None:
    seen: list[str] = []
    talk = [HumanMessage("first"), AIMessage("Which?"), HumanMessage("second"), AIMessage("")]
    classify(call, seen.append, messages=talk)
    assert seen == ["second"]


def test_a_function_may_ask_a_model_and_its_calls_are_counted(call: Any) -> None:
    model = ScriptedModel("billing")
    ranking = classify(call, lambda text: model.invoke(text).text)
    assert (found(ranking), ranking["usage"]["calls"]) == ({"billing": 1.0}, 1)


def test_the_record_says_which_function_decided() -> None:
    assert FunctionClassifier(async_rule).name == "async_rule"
    assert classify(Classify.invoke, async_rule)["reason"] == "async_rule said so"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (0.5, 0.5),
        (1, 1.0),
        (1.0000001, 1.0),
        (85, 0.85),
        (100, 1.0),
        (400, 1.0),
        (-1, 0.0),
        ("0.5", 0.5),
        (math.nan, 0.0),
        (math.inf, 0.0),
    ],
)
def test_a_confidence_is_between_0_and_1(written: Any, read: float) -> None:
    assert found(classify(Classify.invoke, lambda text: {"billing": written})) == {"billing": read}


# Models


def ranked(**candidates: float) -> dict[str, Any]:
    return {
        "reason": "why",
        "candidates": [{"agent": one, "confidence": confidence} for one, confidence in candidates.items()],
    }


def test_a_model_sees_the_team_the_examples_and_the_conversation() -> None:
    model = ScriptedModel([ranked(billing=0.9)])
    classify(Classify.invoke, ModelClassifier(TEAM, model), messages=[*ASK, AIMessage("Which bill?"), *ASK])
    (asked,) = model.calls
    assert [one.type for one in asked.messages] == ["system", "human"]
    assert "Assistant: Which bill?\n```" in asked.prompt
    assert "- billing: Bills and refunds.\n- weather: Rain and sun.\n- none:" in asked.prompt
    assert "Example request: Where is my refund?" in asked.prompt
    assert "Never shown" not in asked.prompt


def test_the_form_shown_to_a_model_has_only_the_teams_names() -> None:
    model = ScriptedModel([ranked(billing=0.9)])
    classify(Classify.invoke, ModelClassifier(TEAM, model), messages=[HumanMessage("Route this to root")])
    schema = model.calls[0].kwargs["response_format"]["json_schema"]["schema"]
    assert schema["$defs"]["Ranked"]["properties"]["agent"]["enum"] == ["billing", "weather", "none"]


def test_a_wrong_form_goes_back_to_the_model(call: Any) -> None:
    model = ScriptedModel([{"reason": "x", "candidates": []}, "billing!", ranked(weather=1)])
    ranking = classify(call, ModelClassifier(TEAM, model))
    assert (found(ranking), ranking["usage"]["calls"]) == ({"weather": 1.0}, 3)


# Embeddings


class Letters(Embeddings):
    """Counts letters, so that texts are as similar as the letters in them."""

    def __init__(self) -> None:
        self.documents: list[list[str]] = []

    def embed_query(self, text: str) -> list[float]:
        return [float(text.count(letter)) for letter in "abcdef"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents.append(texts)
        return [self.embed_query(text) for text in texts]


def agents(**examples: str) -> list[Agent]:
    return [Agent(name, description, function=str, examples=["f"]) for name, description in examples.items()]


def by_letters(call: Any, text: str, team: Any, **options: Any) -> Any:
    classifier = EmbeddingClassifier(Letters(), **{"threshold": 0.6, "margin": 0.1, "sharpness": 20, **options})
    return classify(call, classifier, messages=[HumanMessage(text)], team=team)


def sure(ranking: Any) -> list[str]:
    return [one for one, confidence in found(ranking).items() if confidence >= 0.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("aaa", ["one"]), ("bbb", ["two"]), ("acc", []), ("ab", []), ("cd", ["none"]), ("", ["none"])],
    ids=["near one", "near the other", "not so near", "near both", "near nobody", "nothing"],
)
def test_embeddings_name_who_is_near_and_ahead(call: Any, text: str, expected: list[str]) -> None:
    assert sure(by_letters(call, text, agents(one="a", two="b"))) == expected


def test_nobody_is_near_only_if_all_have_words_and_the_thread_begins(call: Any) -> None:
    team = agents(one="a", two="b")
    assert sure(by_letters(call, "cd", [*team, Agent("three", function=str)])) == []
    assert sure(by_letters(call, "cd", team, floor=-1)) == []
    talk = [HumanMessage("a"), AIMessage("Which?"), HumanMessage("cd")]
    assert sure(classify(call, EmbeddingClassifier(Letters(), floor=0.18), messages=talk, team=team)) == []


def test_several_may_be_meant_where_no_lead_is_asked_for() -> None:
    ranking = by_letters(Classify.invoke, "ab", agents(one="a", two="b", three="c"), margin=0)
    assert sure(ranking) == ["one", "two"]


@pytest.mark.parametrize(
    ("description", "examples", "score"),
    [
        ("d", [], 1.0),
        ("D: d, a. A.", [], (math.sqrt(0.5) + 1) / 2),
        ("a", ["b", "dd"], 0.5),
        ("", ["b", "d"], 1.0),
        ("a", [], 0.0),
        ("", [], -1.0),
    ],
)
def test_an_agent_is_as_near_as_its_description_and_its_nearest_words(
    description: str, examples: list[str], score: float
) -> None:
    one = Agent("one", description, function=str, examples=examples)
    assert EmbeddingClassifier(Letters()).scores("d", [one])["one"] == pytest.approx(score)


def test_the_teams_utterances_are_embedded_once(call: Any) -> None:
    letters = Letters()
    classifier = EmbeddingClassifier(letters)
    for _ in range(3):
        classify(call, classifier)
    assert letters.documents == [["Bills and refunds", "Where is my refund?", "A", "Never shown", "Rain and sun"]]


def test_the_threshold_is_a_confidence_of_one_half() -> None:
    classifier = EmbeddingClassifier(Letters(), threshold=0.4, sharpness=1000)
    assert [classifier.confidence(one) for one in (-1.0, 0.4, 1.0)] == [0.0, 0.5, 1.0]


def test_agents_without_words_are_never_near() -> None:
    team = [Agent("one", function=str), Agent("two", function=str)]
    assert found(by_letters(Classify.invoke, "a", team)) == {}


def test_one_agent_alone_has_nobody_to_be_ahead_of() -> None:
    assert found(by_letters(Classify.invoke, "a", agents(one="a"))) == {"one": 0.9997}


# Chains


def broken(text: str) -> str:
    raise ConnectionError("no network")


def test_classifiers_pass_on_until_one_is_sure(call: Any) -> None:
    model = ScriptedModel([ranked(weather=0.9)])
    near = EmbeddingClassifier(Letters(), margin=3, floor=-1)
    ranking = classify(call, lambda text: None, near, ModelClassifier(TEAM, model), broken)
    assert (found(ranking), ranking["decided_by"], ranking["errors"]) == ({"weather": 0.9}, "model", [])


def test_too_little_confidence_passes_on(call: Any) -> None:
    ranking = classify(call, lambda text: ("billing", 0.4), async_rule)
    assert (found(ranking), ranking["decided_by"]) == ({"weather": 1.0}, "async_rule")


def test_the_threshold_itself_is_enough(call: Any) -> None:
    assert found(classify(call, lambda text: ("billing", 0.5), async_rule)) == {"billing": 0.5}


def test_the_last_ranking_is_kept_though_nobody_was_sure(call: Any) -> None:
    ranking = classify(call, lambda text: ("billing", 0.3), lambda text: ("weather", 0.4), lambda text: None)
    assert found(ranking) == {"weather": 0.4}


def test_to_be_sure_of_none_is_to_be_sure(call: Any) -> None:
    assert found(classify(call, lambda text: {"none": 0.8, "billing": 0.1}, async_rule)) == {
        "none": 0.8,
        "billing": 0.1,
    }


def test_a_failing_classifier_passes_on_and_is_recorded(call: Any) -> None:
    ranking = classify(call, broken, lambda text: 7, async_rule)
    assert found(ranking) == {"weather": 1.0}
    assert [(one["where"], one["kind"]) for one in ranking["errors"]] == [
        ("classify/broken", "ConnectionError"),
        ("classify/<lambda>", "DecisionError"),
    ]


def test_a_fault_that_may_pass_is_tried_again(call: Any) -> None:
    model = ScriptedModel([ConnectionError("reset"), ranked(weather=0.9)])
    ranking = classify(call, ModelClassifier(TEAM, model))
    assert (found(ranking), ranking["errors"]) == ({"weather": 0.9}, [])


def test_what_failed_classifiers_cost_is_counted(call: Any) -> None:
    talker = ScriptedModel("I would rather talk.")
    ranking = classify(call, ModelClassifier(TEAM, talker), async_rule)
    assert (ranking["usage"]["calls"], ranking["errors"][0]["kind"]) == (3, "DecisionError")


def test_nobody_sure_is_no_error() -> None:
    ranking = classify(Classify.invoke, lambda text: None)
    assert ranking == {
        "candidates": [],
        "reason": "no classifier was sure",
        "decided_by": "none",
        "usage": ranking["usage"],
        "errors": [],
    }


def test_an_interrupt_is_no_failure(call: Any) -> None:
    def ask(text: str) -> str:
        raise GraphInterrupt

    with pytest.raises(GraphInterrupt):
        classify(call, ask, async_rule)


def test_a_ranking_is_plain_json() -> None:
    ranking = classify(Classify.invoke, broken, EmbeddingClassifier(Letters()), lambda text: ("billing", 1))
    assert json.loads(json.dumps(ranking)) == ranking


@pytest.mark.parametrize("given", ["model", None, 3])
def test_a_classifier_is_a_function_embeddings_or_a_classifier(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="not"):
        as_classifier(given)


def test_classifiers_of_ones_own_are_taken_as_they_are() -> None:
    own = ModelClassifier(TEAM, ScriptedModel())
    assert as_classifier(own) is own
