"""How a router learns which agents suit a request: asked in turn, cheap ones first, until one is sure."""

from __future__ import annotations

import inspect
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, WithJsonSchema

from agents.agent import Agent
from agents.decisions import Decision
from agents.once import IO, Once
from agents.usage import Usage, no_usage
from graphs import prompts
from graphs.errors import DecisionError
from graphs.pattern import describe

NOBODY = "none"
"""What a classifier names when no agent of the team suits the request."""


class Candidate(TypedDict):
    """An agent that may suit a request."""

    agent: str
    confidence: float
    """0 to 1; comparable among the candidates of one decision only."""


class Classified(TypedDict):
    """What a classifier says: candidates from the best down, why, who said it, and what it cost."""

    candidates: list[Candidate]
    reason: str
    decided_by: str
    usage: Usage


class Classifier(Protocol):
    """Anything that ranks a team for a request."""

    name: str

    async def rank(
        self, io: IO, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Rank the team, or return None when not sure, so that the next classifier is asked."""
        ...


class ModelClassifier:
    """Asks a chat model for a typed ranking."""

    name = "model"

    def __init__(self, team: Sequence[Agent], model: BaseChatModel | str | None = None) -> None:
        self.decision = Decision(ranking_form([one.name for one in team]), model=model, name="route")
        self.system = SystemMessage(prompts.ROUTE.format(team=describe(team), examples=_examples(team)))

    async def rank(
        self, io: IO, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return the model's ranking; it is always an answer."""
        decided = await io.invoke(self.decision, [self.system, *messages], config)
        ranking = decided["value"]
        return {
            "candidates": [_candidate(one["agent"], one["confidence"]) for one in ranking["candidates"]],
            "reason": ranking["reason"],
            "decided_by": self.name,
            "usage": decided["usage"],
        }


class FunctionClassifier:
    """Asks a function of the request's text: a name, (name, confidence), {name: confidence}, or None if not sure."""

    def __init__(self, function: Callable[[str], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    async def rank(
        self, io: IO, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return what the function says."""
        asked = {next(iter(inspect.signature(self.function).parameters)): _last(messages)}
        call = io.coroutine if inspect.iscoroutinefunction(self.function) else io.function
        said = await call(self.function, asked)
        if not said:
            return None
        found: Mapping[str, float]
        if isinstance(said, str):
            found = {said: 1.0}
        elif isinstance(said, Mapping):
            found = said
        elif isinstance(said, tuple) and len(said) == 2:  # noqa: PLR2004
            found = {said[0]: said[1]}
        else:
            raise DecisionError(
                f"The classifier {self.name!r} returned {said!r}; it must return a name, (name, confidence), "
                "{name: confidence} or None"
            )
        ranked = sorted((_candidate(name, confidence) for name, confidence in found.items()), key=_falling)
        return {"candidates": ranked, "reason": f"{self.name} said so", "decided_by": self.name, "usage": no_usage()}


class EmbeddingClassifier:
    """Compares a request with the agents' descriptions and example requests; passes on when it is not sure.

    Args:
        threshold: Least cosine similarity of the best agent, -1 to 1.
        margin: Least lead of the best agent over the second.
        sharpness: How fast confidence falls with similarity (the softmax's inverse temperature).
    """

    name = "embeddings"

    def __init__(
        self, embeddings: Embeddings, *, threshold: float = 0.3, margin: float = 0.05, sharpness: float = 20.0
    ) -> None:
        self.embeddings = embeddings
        self.threshold = threshold
        self.margin = margin
        self.sharpness = sharpness
        self._known: dict[tuple[str, ...], list[list[float]]] = {}
        self._lock = threading.Lock()

    async def rank(
        self, io: IO, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return a ranking if the best agent is near enough and ahead of the second."""
        scores = await io.function(self.scores, {"text": _last(messages), "team": team})
        ranked = sorted(scores.items(), key=lambda one: -one[1])
        lead = ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else -1.0)
        if ranked[0][1] < self.threshold or lead < self.margin:
            return None
        weights = [math.exp(self.sharpness * (score - ranked[0][1])) for _, score in ranked]
        candidates = [
            _candidate(name, weight / sum(weights)) for (name, _), weight in zip(ranked, weights, strict=True)
        ]
        reason = f"similarity {ranked[0][1]:.2f}, ahead by {lead:.2f}"
        return {"candidates": candidates, "reason": reason, "decided_by": self.name, "usage": no_usage()}

    def scores(self, text: str, team: Sequence[Agent]) -> dict[str, float]:
        """Return for each agent the cosine similarity of a text to the nearest of its utterances, -1 to 1."""
        asked = self.embeddings.embed_query(text)
        utterances = [(one.name, words) for one in team for words in (one.description, *one.examples) if words]
        vectors = self._vectors(tuple(words for _, words in utterances))
        scores = {one.name: -1.0 for one in team}
        for (name, _), vector in zip(utterances, vectors, strict=True):
            scores[name] = max(scores[name], _cosine(asked, vector))
        return scores

    def _vectors(self, texts: tuple[str, ...]) -> list[list[float]]:
        with self._lock:
            if texts not in self._known:
                self._known[texts] = self.embeddings.embed_documents(list(texts))
            return self._known[texts]


class Classify(Once[Sequence[BaseMessage], Classified]):
    """Asks classifiers in turn until one is sure."""

    def __init__(self, classifiers: Sequence[Classifier], team: Sequence[Agent]) -> None:
        self.classifiers = classifiers
        self.team = team

    async def run(self, io: IO, value: Sequence[BaseMessage], config: RunnableConfig) -> Classified:
        """Return the first ranking."""
        for one in self.classifiers:
            ranked = await one.rank(io, value, self.team, config)
            if ranked is not None:
                return ranked
        return {"candidates": [], "reason": "no classifier was sure", "decided_by": NOBODY, "usage": no_usage()}


def as_classifier(given: Any) -> Classifier:
    """Accept a classifier, an embedding model, or a function."""
    if isinstance(given, Embeddings):
        return EmbeddingClassifier(given)
    if hasattr(given, "rank"):
        classifier: Classifier = given
        return classifier
    return FunctionClassifier(given)


def ranking_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a ranking. The model sees the team's names and `none` as the only choice."""

    class Ranked(BaseModel):
        agent: Annotated[str, WithJsonSchema({"type": "string", "enum": [*names, NOBODY]})]
        confidence: float

    class Ranking(BaseModel):
        reason: str
        candidates: list[Ranked] = Field(min_length=1)

    return Ranking


def _candidate(name: str, confidence: float) -> Candidate:
    """Read a confidence; models also write per cent."""
    share = confidence / 100 if 1 < confidence <= 100 else confidence  # noqa: PLR2004
    return {"agent": name, "confidence": round(min(max(float(share), 0.0), 1.0), 4)}


def _falling(candidate: Candidate) -> float:
    return -candidate["confidence"]


def _last(messages: Sequence[BaseMessage]) -> str:
    return next((one.text for one in reversed(messages) if isinstance(one, HumanMessage)), "")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0


def _examples(team: Sequence[Agent]) -> str:
    shown = [(asked, one.name) for one in team for asked in one.examples[:2]]
    return "".join(prompts.ROUTE_EXAMPLE.format(request=asked, agent=json.dumps(name)) for asked, name in shown)
