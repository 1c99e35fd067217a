"""Classifiers asked in turn, cheap ones first, until one is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from agents.agent import Agent
from agents.runtime import Attempts, Effects, Retry, SyncAsyncRunnable, add_usage, no_usage
from graphs.decisions.classifiers import NOBODY, Classified, Classifier, EmbeddingClassifier, FunctionClassifier
from graphs.engine import Problem, problem
from graphs.errors import ConfigurationError


class Ranking(Classified):
    """What came of asking several classifiers: the last ranking that there was, sure or not, and all that failed."""

    errors: list[Problem]


class _Ask(SyncAsyncRunnable[Sequence[BaseMessage], Classified]):
    """Asks one classifier; one that passes on has no candidates."""

    def __init__(self, classifier: Classifier, team: Sequence[Agent]) -> None:
        self.classifier = classifier
        self.team = team

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> Classified:
        return await self.classifier.rank(effects, value, self.team, config) or _undecided()


class Classify(SyncAsyncRunnable[Sequence[BaseMessage], Ranking]):
    """Asks classifiers in turn until one names somebody with enough confidence; one that fails passes on, too."""

    def __init__(
        self, classifiers: Sequence[Classifier], team: Sequence[Agent], threshold: float, retry: Retry | None = None
    ) -> None:
        self.asked = [(one.name, Attempts(_Ask(one, team), retry)) for one in classifiers]
        self.threshold = threshold

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> Ranking:
        """Return the ranking; what goes wrong is in its `errors`, never raised."""
        best = _undecided()
        errors: list[Problem] = []
        usage = no_usage()
        for name, attempts in self.asked:
            outcome = await effects.invoke(attempts, value, config)
            usage = add_usage(usage, outcome.usage)
            if outcome.error is not None:
                errors.append(problem(f"classify/{name}", outcome.error))
                continue
            best = outcome.reply if outcome.reply["candidates"] else best
            if any(one["confidence"] >= self.threshold for one in best["candidates"]):
                break
        return {**best, "usage": usage, "errors": errors}


def as_classifier(given: Any) -> Classifier:
    """Accept a classifier, an embedding model, or a function.

    Raises:
        ConfigurationError: It is none of these.
    """
    if isinstance(given, Embeddings):
        return EmbeddingClassifier(given)
    if hasattr(given, "rank"):
        classifier: Classifier = given
        return classifier
    if not callable(given):
        raise ConfigurationError(f"A classifier is a function, Embeddings or a Classifier, not {given!r}")
    return FunctionClassifier(given)


def _undecided() -> Classified:
    return {"candidates": [], "reason": "no classifier was sure", "decided_by": NOBODY, "usage": no_usage()}
