"""A team, its classification, and an embedding model of letters, for the tests of classifiers."""

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage

from agents import Agent, Retry
from graphs.decisions.classifiers import Classify

BILLING = Agent("billing", "Bills and refunds.", function=str, examples=["Where is my refund?", "A", "Never shown"])
WEATHER = Agent("weather", "Rain and sun.", function=str)
TEAM = [BILLING, WEATHER]
ASK = "Where is my money?"
AT_ONCE = Retry(wait=0)


def classify(call: Any, *classifiers: Any, task: str = ASK, before: Any = (), team: Any = TEAM) -> Any:
    asked = {"task": task, "request": HumanMessage(task), "conversation": list(before)}
    return call(Classify(classifiers, team, model=False, threshold=0.5, retry=AT_ONCE), asked)


def candidates(ranking: Any) -> dict[str, float]:
    return {candidate["agent"]: candidate["confidence"] for candidate in ranking["candidates"]}


class Letters(Embeddings):
    """Counts letters, so that texts are as similar as the letters in them."""

    def __init__(self) -> None:
        self.documents: list[list[str]] = []

    def embed_query(self, text: str) -> list[float]:
        return [float(text.count(letter)) for letter in "abcdef"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents.append(texts)
        return [self.embed_query(text) for text in texts]
