"""How a router learns which agents suit a request: from a chat model, a function, or embeddings."""

from __future__ import annotations

import inspect
import json
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.assignment import Assignment
from agents.decisions import Decision
from agents.forms import OneOf, Short
from agents.runtime import Attempts, Effects, Retry, SyncAsyncRunnable, Tally, Usage, add_usage, no_usage
from agents.settings import settings
from graphs.decisions import prompts
from graphs.decisions.question import question_of
from graphs.engine import Problem, describe, problem
from graphs.errors import ConfigurationError, DecisionError

NOBODY = "none"
"""What a classifier names when no agent of the team suits the request."""

NO_LEAD = -1.0
"""The least similarity: that of a second agent where there is one alone."""


class _Defaults(NamedTuple):
    threshold: float
    margin: float


BEFORE_OTHERS, ALONE = _Defaults(0.3, 0.02), _Defaults(0.22, 0.0)
"""Of an `EmbeddingClassifier`, measured for `LocalEmbeddings`; see docs/measurements.md."""

LEAST_PER_CENT = 2
"""A confidence from here on is read as per cent; what is a little over 1 was rounded."""

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


class Ranking(Classified):
    """The outcome of several classifiers: the last ranking there was, sure or not, and all that failed."""

    errors: list[Problem]


@runtime_checkable
class Classifier(Protocol):
    """A classifier of your own; `rank` may be async.

    It returns a name, several names, (name, confidence) or {name: confidence}; None or nothing if it is not sure.
    """

    def rank(self, task: str, team: Sequence[Agent]) -> Any:
        """Rank the team for a task."""
        ...


AnyClassifier = Classifier | Embeddings | Callable[[str], object]
"""What a router takes as a classifier: an object with `rank`, an embedding model, or a function of the task."""


class ModelClassifier(SyncAsyncRunnable[Assignment, Classified]):
    """Asks a chat model for a typed ranking; it is always sure."""

    name = "model"

    def __init__(self, team: Sequence[Agent], model: BaseChatModel | str | None = None) -> None:
        self.decision = Decision(ranking_form([agent.name for agent in team]), model=model, name="route")
        self.system = SystemMessage(prompts.ROUTE.format(team=describe(team), examples=_examples(team)))

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Classified:
        """Return the model's ranking."""
        decided = await effects.invoke(self.decision, [self.system, question_of(value)], config)
        ranking = decided["value"]
        return {
            "candidates": [_candidate(ranked["agent"], ranked["confidence"]) for ranked in ranking["candidates"]],
            "reason": ranking["reason"],
            "decided_by": self.name,
            "usage": decided["usage"],
        }


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
        least = (ALONE if is_last else BEFORE_OTHERS).margin if self.margin is None else self.margin
        if best - second < least:
            return None
        candidates = [_candidate(name, self.confidence(score, is_last=is_last)) for name, score in ranked]
        reason = f"similarity {best:.2f}, ahead by {best - second:.2f}"
        return {"candidates": candidates, "reason": reason, "decided_by": self.name, "usage": no_usage()}

    def confidence(self, similarity: float, *, is_last: bool = False) -> float:
        """Return the confidence that a similarity stands for."""
        half = (ALONE if is_last else BEFORE_OTHERS).threshold if self.threshold is None else self.threshold
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


class _Asked(SyncAsyncRunnable[Assignment, Classified]):
    """Asks one classifier; one that passes on has no candidates."""

    def __init__(self, classifier: Any, team: Sequence[Agent], *, is_last: bool) -> None:
        self.classifier = classifier
        self.team = team
        self.is_last = is_last
        self.name = getattr(classifier, "name", None) or getattr(classifier, "__name__", type(classifier).__name__)

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Classified:
        if isinstance(self.classifier, ModelClassifier):
            return await effects.invoke(self.classifier, value, config)
        if isinstance(self.classifier, EmbeddingClassifier):
            arguments = {"task": value["task"], "team": self.team, "is_last": self.is_last}
            return await effects.function(self.classifier.classify, arguments) or _undecided()
        own = isinstance(self.classifier, Classifier)
        function: Any = partial(self.classifier.rank, team=self.team) if own else self.classifier
        asked = Agent("classifier", function=_as_function(function))
        tally = Tally(settings().prices)
        with tally.counting():
            ranks = _read(await asked.reply(effects, {"task": value["task"]}, config, tally), str(self.name))
        ranked = sorted((_candidate(*item) for item in ranks.items()), key=lambda candidate: -candidate["confidence"])
        reason = f"decided by {self.name}" if ranked else _undecided()["reason"]
        return {"candidates": ranked, "reason": reason, "decided_by": str(self.name), "usage": tally.usage}


class Classify(SyncAsyncRunnable[Assignment, Ranking]):
    """Asks classifiers in turn until one names an agent with enough confidence; one that fails passes on, too."""

    books = "classifier"

    def __init__(
        self, classifiers: Sequence[Any], team: Sequence[Agent], threshold: float, retry: Retry | None = None
    ) -> None:
        asked = [_Asked(classifier, team, is_last=classifier is classifiers[-1]) for classifier in classifiers]
        self.attempts = [(str(classifier.name), Attempts(classifier, retry)) for classifier in asked]
        self.threshold = threshold

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Ranking:
        """Return the ranking; what goes wrong is in its `errors`, never raised."""
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


def as_classifiers(value: AnyClassifier | Sequence[AnyClassifier]) -> list[object]:
    """Return a router's classifiers; embedding models are wrapped.

    Raises:
        ConfigurationError: One of them cannot classify.
    """
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for item in values:
        if isinstance(item, type) or not (
            callable(item) or isinstance(item, Embeddings | Classifier | EmbeddingClassifier)
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


def _as_function(function: Callable[..., Any]) -> Callable[[str], Any]:
    """Return a function of the task alone; sync or async as the one it calls."""

    async def waiting(task: str) -> object:
        return await function(task)

    is_async = inspect.iscoroutinefunction(getattr(function, "func", function))
    return waiting if is_async else lambda task: function(task)


def _read(answer: Any, name: str) -> Mapping[str, float]:
    if not answer:
        return {}
    match answer:
        case str():
            return {answer: 1.0}
        case Mapping():
            return answer
        case (str() as agent, int() | float() as confidence):
            return {agent: confidence}
        case [*names] if all(isinstance(agent, str) for agent in names):
            return dict.fromkeys(names, 1.0)
    raise DecisionError(
        f"The classifier {name!r} returned {answer!r}; it must return a name, several names, "
        "(name, confidence), {name: confidence} or None"
    )


def _undecided() -> Classified:
    return {"candidates": [], "reason": "no classifier was sure", "decided_by": NOBODY, "usage": no_usage()}


def _utterances(agent: Agent) -> list[str]:
    """Return an agent's description, or its name, the clauses of it, and the example requests, in small letters."""
    whole = agent.description.strip().rstrip(".") or agent.name.replace("_", " ")
    clauses = [clause.strip() for clause in _CLAUSE_ENDS.split(whole)]
    return [text.casefold() for text in dict.fromkeys([whole, *clauses, *agent.examples]) if text]


def _candidate(name: str, confidence: float) -> Candidate:
    """Read a confidence; models also write per cent, and what is not a number counts as none."""
    share = float(confidence)
    if share >= LEAST_PER_CENT:
        share /= 100
    return {"agent": name, "confidence": round(min(max(share, 0.0), 1.0), 4) if math.isfinite(share) else 0.0}


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [number / length for number in vector] if length else list(vector)


def _examples(team: Sequence[Agent]) -> str:
    shown = [(request, agent.name) for agent in team for request in agent.examples[:2]]
    return "".join(prompts.ROUTE_EXAMPLE.format(request=request, agent=json.dumps(name)) for request, name in shown)
