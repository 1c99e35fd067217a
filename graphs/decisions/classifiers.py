"""Classifiers: a chat model, a function or embeddings decide which agents suit a request."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, field_validator

from agents import Agent, Assignment, Decision, Retry
from agents.decisions import OneOf, Short, nearest
from agents.runtime import Attempts, Effects, SyncAsyncRunnable
from agents.settings import settings
from agents.usage import Tally, add_usage, no_usage
from graphs.decisions import prompts
from graphs.decisions.embedding_classifier import Classified, EmbeddingClassifier, candidate
from graphs.engine import Problem, describe, problem
from graphs.errors import ConfigurationError, DecisionError

NOBODY = "none"
"""Name that a classifier gives when no agent of the team suits the request."""


class Ranking(Classified):
    """The outcome of several classifiers: the last ranking, sure or not, and the failures before it."""

    errors: list[Problem]


@runtime_checkable
class Classifier(Protocol):
    """Your own classifier; `rank` may be async.

    It returns a name, several names, (name, confidence) or {name: confidence}; None or nothing if it is not sure.
    """

    def rank(self, task: str, team: Sequence[Agent]) -> object:
        """Rank the team for a task."""
        ...


AnyClassifier = Classifier | Embeddings | EmbeddingClassifier | Callable[[str], object]
"""A classifier for a router: an object with `rank`, an embedding model, or a function of the task."""


class ModelClassifier(SyncAsyncRunnable[Assignment, Classified]):
    """Asks a chat model for a typed ranking; it is always sure."""

    name = "model"

    def __init__(self, team: Sequence[Agent], model: BaseChatModel | str | None = None) -> None:
        self.decision = Decision(ranking_form([agent.name for agent in team]), model=model, name="route")
        self.system = SystemMessage(prompts.ROUTE.format(team=describe(team), examples=_examples(team)))

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Classified:
        decided = await effects.invoke(self.decision, [self.system, prompts.question_of(value)], config)
        ranking = decided["value"]
        return {
            "candidates": [candidate(ranked["agent"], ranked["confidence"]) for ranked in ranking["candidates"]],
            "reason": ranking["reason"],
            "decided_by": self.name,
            "usage": decided["usage"],
        }


_OneClassifier = AnyClassifier | ModelClassifier


class _Asked(SyncAsyncRunnable[Assignment, Classified]):
    """Asks one classifier; one that passes on has no candidates."""

    def __init__(self, classifier: _OneClassifier, team: Sequence[Agent], *, is_last: bool) -> None:
        self.classifier = classifier
        self.team = team
        self.is_last = is_last
        name = getattr(classifier, "name", None) or getattr(classifier, "__name__", type(classifier).__name__)
        self.name: str = str(name)

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Classified:
        if isinstance(self.classifier, ModelClassifier):
            return await effects.invoke(self.classifier, value, config)
        if isinstance(self.classifier, EmbeddingClassifier):
            classify = self.classifier.classify
            return await effects.function(classify, value["task"], self.team, is_last=self.is_last) or _undecided()
        asked = Agent("classifier", function=lambda task: self._of_user(task))
        tally = Tally(settings().prices)
        with tally:
            task: Assignment = {"task": value["task"]}
            own, _ = asked.configured(config, tally, task)
            ranks = _read(await asked.reply(effects, task, own, tally), self.name)
        names = [agent.name for agent in self.team]
        meant = [candidate(nearest(name, names) or name, confidence) for name, confidence in ranks.items()]
        ranked = sorted(meant, key=lambda item: -item["confidence"])
        reason = f"decided by {self.name}" if ranked else _undecided()["reason"]
        return {"candidates": ranked, "reason": reason, "decided_by": self.name, "usage": tally.usage}

    def _of_user(self, task: str) -> object:
        classifier: Any = self.classifier
        return classifier.rank(task, team=self.team) if isinstance(classifier, Classifier) else classifier(task)


class Classify(SyncAsyncRunnable[Assignment, Ranking]):
    """Asks classifiers in turn until one names an agent with enough confidence; one that fails passes on, too.

    Args:
        classifier: One or several; embedding models are wrapped.
        team: What they choose from.
        model: Asked when none of them is sure; False for none.
        threshold: The confidence that is enough.
        retry: For each of them.

    Raises:
        ConfigurationError: One of them cannot classify, or none is left, as `model` is False.
    """

    books = "classifier"

    def __init__(
        self,
        classifier: _OneClassifier | Sequence[_OneClassifier],
        team: Sequence[Agent],
        *,
        model: BaseChatModel | str | Literal[False] | None,
        threshold: float,
        retry: Retry | None = None,
    ) -> None:
        classifiers = _as_classifiers(classifier)
        if model is not False:
            classifiers.append(ModelClassifier(team, model))
        if not classifiers:
            raise ConfigurationError("A Router with model=False needs classifier=")
        asked = [_Asked(item, team, is_last=item is classifiers[-1]) for item in classifiers]
        self.attempts = [(item.name, Attempts(item, retry)) for item in asked]
        self.threshold = threshold

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Ranking:
        """Return the ranking; failures are in its `errors`, never raised."""
        best = _undecided()
        errors: list[Problem] = []
        usage = no_usage()
        for name, attempts in self.attempts:
            outcome = await effects.invoke(attempts, value, config)
            usage = add_usage(usage, outcome.usage)
            if outcome.error is not None:
                errors.append(problem(f"classify/{name}", outcome.error))
                continue
            best = outcome.reply if outcome.reply["candidates"] else best
            if any(candidate["confidence"] >= self.threshold for candidate in best["candidates"]):
                break
        return {**best, "usage": usage, "errors": errors}


def _as_classifiers(value: _OneClassifier | Sequence[_OneClassifier]) -> list[_OneClassifier]:
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for item in values:
        if isinstance(item, type) or not (
            callable(item) or isinstance(item, Embeddings | Classifier | EmbeddingClassifier | ModelClassifier)
        ):
            raise ConfigurationError(f"A classifier is a function, Embeddings or an object with `rank`, not {item!r}")
    return [EmbeddingClassifier(item) if isinstance(item, Embeddings) else item for item in values]


def ranking_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a ranking. The best candidate is one of the team or `none`; further ones may be left out."""
    choices = [*names, NOBODY]

    class Ranked(BaseModel):
        agent: Annotated[str, OneOf(choices, others=True)]
        confidence: float

    class Ranking(BaseModel):
        reason: Short
        candidates: list[Ranked] = Field(min_length=1)

        @field_validator("candidates")
        @classmethod
        def _are_known(cls, candidates: list[Ranked]) -> list[Ranked]:
            best = max(candidates, key=lambda candidate: candidate.confidence)
            if best.agent not in choices:
                raise ValueError(f"{best.agent!r:.80} is not one of: {', '.join(choices)}")
            return [candidate for candidate in candidates if candidate.agent in choices]

    return Ranking


def _read(answer: object, name: str) -> Mapping[str, float]:
    if not answer:
        return {}
    match answer:
        case str():
            return {answer: 1.0}
        case Mapping():
            with suppress(TypeError, ValueError, OverflowError):
                return {str(agent): float(confidence) for agent, confidence in answer.items()}
        case (str() as agent, Real() as confidence):
            return {agent: float(confidence)}
        case [*names] if all(isinstance(agent, str) for agent in names):
            return {str(agent): 1.0 for agent in names}
        case [*pairs] if all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            ranked: Any = pairs
            return _read(dict(ranked), name)
    raise DecisionError(
        f"The classifier {name!r} returned {answer!r}; it must return a name, several names, "
        "(name, confidence), {name: confidence} or None"
    )


def _undecided() -> Classified:
    return {"candidates": [], "reason": "no classifier was sure", "decided_by": NOBODY, "usage": no_usage()}


def _examples(team: Sequence[Agent]) -> str:
    shown = [(request, agent.name) for agent in team for request in agent.examples[:2]]
    return "".join(prompts.ROUTE_EXAMPLE.format(request=request, agent=json.dumps(name)) for request, name in shown)
