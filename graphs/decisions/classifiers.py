"""How a router learns which agents suit a request: from a chat model, a function, or embeddings."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, Protocol

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, WithJsonSchema
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.decisions import Decision
from agents.runtime import Effects, Tally, Usage, no_usage
from agents.settings import settings
from graphs.decisions import prompts
from graphs.engine import describe, question
from graphs.errors import DecisionError

NOBODY = "none"
"""What a classifier names when no agent of the team suits the request."""

_CLAUSE_ENDS = re.compile(r"[,;:.\n]+")

NO_WORDS = -1.0
"""Similarity of an agent that has neither a description nor examples."""

LEAST_PER_CENT = 2
"""A confidence from here on is read as per cent; what is a little over 1 was rounded."""


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
        self, effects: Effects, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
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
        self, effects: Effects, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return the model's ranking; it is always an answer."""
        decided = await effects.invoke(self.decision, [self.system, question(messages)], config)
        ranking = decided["value"]
        return {
            "candidates": [_candidate(one["agent"], one["confidence"]) for one in ranking["candidates"]],
            "reason": ranking["reason"],
            "decided_by": self.name,
            "usage": decided["usage"],
        }


class FunctionClassifier:
    """Asks a function, also an async one, of the request's text.

    It returns a name, several names, (name, confidence) or {name: confidence}; None or nothing if it is not sure.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self.asked = Agent("classifier", function=function)

    async def rank(
        self, effects: Effects, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return what the function says."""
        tally = Tally(settings().prices)
        said = await self.asked.reply(effects, _last(messages), config, tally)
        if not said:
            return None
        ranked = sorted((_candidate(*one) for one in self._read(said).items()), key=lambda one: -one["confidence"])
        reason = f"{self.name} said so"
        return {"candidates": ranked, "reason": reason, "decided_by": self.name, "usage": tally.usage}

    def _read(self, said: Any) -> Mapping[str, float]:
        match said:
            case str():
                return {said: 1.0}
            case Mapping():
                return said
            case (str() as name, int() | float() as confidence):
                return {name: confidence}
            case [*names] if all(isinstance(one, str) for one in names):
                return dict.fromkeys(names, 1.0)
        raise DecisionError(
            f"The classifier {self.name!r} returned {said!r}; it must return a name, several names, "
            "(name, confidence), {name: confidence} or None"
        )


class EmbeddingClassifier:
    """Compares a request with the agents' descriptions and example requests; passes on when it is not sure.

    An agent's similarity is the mean of two: to its whole description, and to the nearest clause of it or example.
    The defaults fit `agents.models.embeddings.LocalEmbeddings`; `benchmarks/router.py --tune` measures them for others.

    Args:
        embeddings: The embedding model; it is asked for the team's texts once, and for each request.
        threshold: The similarity, -1 to 1, that counts as a confidence of one half; less where no model follows.
        margin: Least lead in similarity of the best agent over the second; 0 where several may be meant.
        sharpness: How fast confidence rises with similarity (the steepness of a logistic curve).
        floor: The similarity below which nobody suits the first message of a thread; -1 to leave that to others.
    """

    name = "embeddings"

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        threshold: float = 0.3,
        margin: float = 0.02,
        sharpness: float = 20.0,
        floor: float = 0.18,
    ) -> None:
        self.embeddings = embeddings
        self.threshold = threshold
        self.margin = margin
        self.sharpness = sharpness
        self.floor = floor
        self._known: dict[tuple[str, ...], dict[str, list[float]]] = {}
        self._lock = threading.Lock()

    async def rank(
        self, effects: Effects, messages: Sequence[BaseMessage], team: Sequence[Agent], config: RunnableConfig
    ) -> Classified | None:
        """Return a ranking, unless the best two agents are too close together; `none` where all are far away."""
        scores = await effects.function(self.scores, {"text": _last(messages), "team": team})
        ranked = sorted(scores.items(), key=lambda one: -one[1])
        best, second = [score for _, score in (*ranked, ("", NO_WORDS))][:2]
        reason = f"similarity {best:.2f}, ahead by {best - second:.2f}"
        # What follows in a conversation is often too short to be near anybody.
        if len(messages) == 1 and best < self.floor and NO_WORDS not in scores.values():
            candidates = [_candidate(NOBODY, 1)]
        elif best - second >= self.margin:
            candidates = [_candidate(name, self.confidence(score)) for name, score in ranked]
        else:
            return None
        return {"candidates": candidates, "reason": reason, "decided_by": self.name, "usage": no_usage()}

    def confidence(self, similarity: float) -> float:
        """Return the confidence that a similarity stands for."""
        return (1 + math.tanh(self.sharpness * (similarity - self.threshold) / 2)) / 2

    def scores(self, text: str, team: Sequence[Agent]) -> dict[str, float]:
        """Return each agent's similarity to a text, -1 to 1."""
        known = self._vectors(tuple(words for one in team for words in _utterances(one)))
        asked = _unit(self.embeddings.embed_query(text))
        scores = {}
        for one in team:
            near = [sum(a * b for a, b in zip(asked, known[words], strict=True)) for words in _utterances(one)]
            whole = near[:1] if one.description else []
            scores[one.name] = fmean([*whole, max(near)]) if near else NO_WORDS
        return scores

    def _vectors(self, texts: tuple[str, ...]) -> dict[str, list[float]]:
        with self._lock:
            if texts not in self._known:
                vectors = self.embeddings.embed_documents(list(texts)) if texts else []
                self._known[texts] = dict(zip(texts, map(_unit, vectors), strict=True))
            return self._known[texts]


def _utterances(agent: Agent) -> list[str]:
    """Return an agent's description, its clauses, and the example requests."""
    whole = agent.description.strip().rstrip(".")
    clauses = [one.strip() for one in _CLAUSE_ENDS.split(whole)]
    return [one for one in dict.fromkeys([whole, *clauses, *agent.examples]) if one]


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
    """Read a confidence; models also write per cent, and what is no number counts as none."""
    share = float(confidence)
    if share >= LEAST_PER_CENT:
        share /= 100
    return {"agent": name, "confidence": round(min(max(share, 0.0), 1.0), 4) if math.isfinite(share) else 0.0}


def _last(messages: Sequence[BaseMessage]) -> str:
    return next((one.text for one in reversed(messages) if isinstance(one, HumanMessage)), "")


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [one / length for one in vector] if length else list(vector)


def _examples(team: Sequence[Agent]) -> str:
    shown = [(asked, one.name) for one in team for asked in one.examples[:2]]
    return "".join(prompts.ROUTE_EXAMPLE.format(request=asked, agent=json.dumps(name)) for asked, name in shown)
