"""A classifier without a chat model: it compares a request with the descriptions and examples of agents."""

import math
import re
import threading
from collections.abc import Sequence
from statistics import fmean

from langchain_core.embeddings import Embeddings
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.usage import Usage, no_usage

LEAST_PER_CENT = 2
"""A confidence from here on is read as per cent; what is a little over 1 was rounded."""

NO_LEAD = -1.0
"""The least similarity: that of a second agent where there is one alone."""

THRESHOLD, MARGIN = {True: 0.22, False: 0.3}, {True: 0.0, False: 0.02}
"""Defaults for the last classifier and for others, measured for `LocalEmbeddings`: see docs/measurements.md."""

_CLAUSE_ENDS = re.compile(r"[,;:.\n]+")


class Candidate(TypedDict):
    """An agent that may suit a request."""

    agent: str
    confidence: float
    """0 to 1; comparable among the candidates of one decision only."""


class Classified(TypedDict):
    """The ranking of a classifier: candidates from the best down, why, which classifier, and what it cost."""

    candidates: list[Candidate]
    reason: str
    decided_by: str
    usage: Usage


class EmbeddingClassifier:
    """Compares a task with the agents' descriptions and example requests; passes on when it is not sure.

    An agent's similarity is the mean of two: to its whole description, and to the nearest clause of it or example. An
    agent without a description has its name instead; capital letters do not count.
    The defaults fit `agents.models.LocalEmbeddings`; `benchmarks/router.py --tune` measures them for others.

    Args:
        embeddings: The embedding model; it is asked for the team's texts once, and for each request.
        threshold: The similarity, -1 to 1, that counts as a confidence of one half; None: 0.3 where another classifier
            or a model follows, which gets what is below, and 0.22 where none does.
        margin: Least lead in similarity of the best agent over the second; None: 0.02 where another one follows, else
            0. Choose 0 where several may be meant.
        sharpness: How fast confidence rises with similarity (the steepness of a logistic curve).
    """

    name = "embeddings"

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        threshold: float | None = None,
        margin: float | None = None,
        sharpness: float = 20.0,
    ) -> None:
        self.embeddings = embeddings
        self.threshold = threshold
        self.margin = margin
        self.sharpness = sharpness
        self._vectors_of: dict[tuple[str, ...], dict[str, list[float]]] = {}
        self._lock = threading.Lock()

    def classify(self, task: str, team: Sequence[Agent], *, is_last: bool) -> Classified | None:
        """Return a ranking, unless the best two agents are too close together; `is_last`: no classifier follows."""
        ranked = sorted(self.scores(task, team).items(), key=lambda item: -item[1])
        best, second = [score for _, score in (*ranked, ("", NO_LEAD))][:2]
        least = MARGIN[is_last] if self.margin is None else self.margin
        if best - second < least:
            return None
        candidates = [candidate(name, self.confidence(score, is_last=is_last)) for name, score in ranked]
        reason = f"similarity {best:.2f}, ahead by {best - second:.2f}"
        return {"candidates": candidates, "reason": reason, "decided_by": self.name, "usage": no_usage()}

    def confidence(self, similarity: float, *, is_last: bool = False) -> float:
        """Return the confidence that a similarity stands for."""
        half = THRESHOLD[is_last] if self.threshold is None else self.threshold
        return (1 + math.tanh(self.sharpness * (similarity - half) / 2)) / 2

    def scores(self, text: str, team: Sequence[Agent]) -> dict[str, float]:
        """Return each agent's similarity to a text, -1 to 1."""
        vectors = self._vectors(tuple(words for agent in team for words in _utterances(agent)))
        asked = _unit(self.embeddings.embed_query(text.casefold()))
        scores = {}
        for agent in team:
            near = [sum(a * b for a, b in zip(asked, vectors[words], strict=True)) for words in _utterances(agent)]
            scores[agent.name] = fmean([near[0], max(near)])
        return scores

    def _vectors(self, texts: tuple[str, ...]) -> dict[str, list[float]]:
        with self._lock:
            if texts not in self._vectors_of:
                vectors = self.embeddings.embed_documents(list(texts)) if texts else []
                self._vectors_of[texts] = dict(zip(texts, map(_unit, vectors), strict=True))
            return self._vectors_of[texts]


def candidate(name: str, confidence: float) -> Candidate:
    """Read a confidence; models also write per cent, and NaN counts as 0."""
    share = float(confidence)
    if share >= LEAST_PER_CENT:
        share /= 100
    return {"agent": name, "confidence": round(min(max(share, 0.0), 1.0), 4) if math.isfinite(share) else 0.0}


def _utterances(agent: Agent) -> list[str]:
    """Return an agent's description, or its name, the clauses of it, and the example requests, in small letters."""
    whole = agent.description.strip().rstrip(".") or agent.name.replace("_", " ")
    clauses = [clause.strip() for clause in _CLAUSE_ENDS.split(whole)]
    return [text.casefold() for text in dict.fromkeys([whole, *clauses, *agent.examples]) if text]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [number / length for number in vector] if length else list(vector)
