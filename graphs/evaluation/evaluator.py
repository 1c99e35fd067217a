"""Every pattern on every case: in parallel, within one budget, each run stored under an id of its own."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

from agents import Agent, AnyAgent, ConfigurationError, NoModelError, PodiumError, Settings, agent_of
from agents.arguments import check_limits
from agents.errors import BudgetError, StorageError
from agents.models import chat_model
from agents.runtime import Effects, SyncAsyncRunnable, explain
from agents.settings import settings_from
from agents.usage import BUDGET, Tally
from graphs.engine import GRAPHS, Budget, CompiledPattern, Pattern, compiled, out_of_budget, record_of
from graphs.evaluation.cases import Case, read_cases, wrong_in
from graphs.evaluation.compare import Evaluation, Outcome
from graphs.router import Router
from graphs.supervisor import Supervisor

Subject = Pattern[Any] | AnyAgent | StateGraph[Any, Any, Any, Any]
"""The subject of an evaluation: a pattern, a graph, or anything that is an agent."""
Cases = Path | str | Iterable[Case | Mapping[str, object]]

_ENDING = (ConfigurationError, NoModelError, StorageError)
"""Errors that end the evaluation: no case could come out right after them."""


def evaluate(cases: Cases, patterns: Mapping[str, Subject] | Sequence[Subject], **options: Any) -> Evaluation:
    """Run every pattern on every case, and say what came out.

    Runs are stored under `NAME-PATTERN-CASE`. An evaluation that was interrupted goes on under its name: finished runs
    and verdicts are not repeated, a run that was under way continues.

    Args:
        cases: A file of cases, or cases; see `Case`.
        patterns: Patterns, graphs or agents by name, or with names of their own.
        options: `storage`, a checkpointer, by default in memory. `name` of the evaluation. `judge`, the chat model for
            cases with a criterion; None for the default one. `max_concurrency`, how many run at once, by default 2.
            `budget`, `Settings` whose limits hold for all runs together and whose `model` and `prices` for each.
            `on_outcome`, called with each `Outcome` as it comes.

    Raises:
        ConfigurationError: A case or pattern cannot be used, or the evaluation of this name had other ones.
    """
    work = _Evaluate(cases, patterns, **options)
    return work.evaluation(work.batch(work.jobs, {"max_concurrency": work.max_concurrency}))


async def aevaluate(cases: Cases, patterns: Mapping[str, Subject] | Sequence[Subject], **options: Any) -> Evaluation:
    """Do what `evaluate` does, with the same `cases`, `patterns` and `options`, from async code."""
    work = _Evaluate(cases, patterns, **options)
    return work.evaluation(await work.abatch(work.jobs, {"max_concurrency": work.max_concurrency}))


EvaluationJob = tuple[str, Case]


class _Evaluate(SyncAsyncRunnable[EvaluationJob, Outcome | None]):
    """Runs one pattern on one case; None if the budget is used up."""

    def __init__(
        self,
        cases: Cases,
        patterns: Mapping[str, Subject] | Sequence[Subject],
        *,
        storage: BaseCheckpointSaver[Any] | None = None,
        name: str | None = None,
        judge: BaseChatModel | str | None = None,
        max_concurrency: int = 2,
        budget: Settings | None = None,
        on_outcome: Callable[[Outcome], object] = lambda outcome: None,
    ) -> None:
        self.storage = storage or InMemorySaver()
        self.evaluation_name = name or uuid4().hex[:8]
        self.judge = judge
        self.max_concurrency = max_concurrency
        self.settings = settings_from(budget or {})
        self.budget = Budget(self.settings) if self.settings.limited else None
        self.on_outcome = on_outcome
        self.graphs = {pattern: _compiled(pattern, subject, self.storage) for pattern, subject in _named(patterns)}
        # Case by case, so that an evaluation that was cut short compares the same cases.
        read = read_cases(cases)
        self.jobs: list[EvaluationJob] = [(pattern, case) for case in read for pattern in self.graphs]
        if isinstance(judge, str) and any(case.judge for case in read):
            self.judge = chat_model(judge)  # a name that names no model is noticed before anything runs
        check_limits(1, max_concurrency=max_concurrency)
        if not self.jobs:
            raise ConfigurationError("An evaluation needs at least one pattern")

    def evaluation(self, outcomes: Sequence[Outcome | None]) -> Evaluation:
        left = [self.id_of(job) for job, outcome in zip(self.jobs, outcomes, strict=True) if outcome is None]
        return Evaluation(self.evaluation_name, [outcome for outcome in outcomes if outcome is not None], left)

    def id_of(self, job: EvaluationJob) -> str:
        pattern, case = job
        return f"{self.evaluation_name}-{pattern}-{case.id}"

    async def run(self, effects: Effects, value: EvaluationJob, config: RunnableConfig) -> Outcome | None:
        pattern, case = value
        run, graph = self.id_of(value), self.graphs[pattern]
        began, tally = time.perf_counter(), Tally(self.settings.prices)
        result = await self._result(effects, graph, run, case.request, {"pattern": pattern}, tally)
        if result is None:
            return None
        result = {**record_of(result), "__interrupt__": result.get("__interrupt__")}
        usage = result.get("usage") or tally.usage
        spent = {
            "calls": usage["calls"],
            "tokens": usage["input_tokens"] + usage["output_tokens"],
            "seconds": result.get("seconds") or time.perf_counter() - began,
        }
        answer, wrong = _answer(result)
        if not wrong:
            wrong = await wrong_in(effects, case, answer, spent)
        if case.judge and not wrong:
            verdict = await self._judged(effects, run, case, answer)
            if verdict is None:
                return None
            wrong = verdict
        outcome: Outcome = {
            "pattern": pattern,
            "case": case.id,
            "kind": case.kind,
            "run": run,
            "status": str(result.get("status") or "completed"),
            "answer": answer,
            "right": not wrong,
            "wrong": wrong,
            **spent,  # type: ignore[typeddict-item]
            **({"cost": usage["cost"]} if "cost" in usage else {}),
        }
        self.on_outcome(outcome)
        return outcome

    async def _judged(self, effects: Effects, run: str, case: Case, answer: str) -> list[str] | None:
        """Return what the judge finds wrong; None if the budget is used up. Its verdict is a stored run, too."""
        author = Agent("answer", function=lambda task: answer)
        judge = Supervisor(author, criteria=[case.judge], model=self.judge, max_revisions=0).compile(self.storage)
        about = {"pattern": "judge", "criterion": case.judge}
        result = await self._result(effects, judge, f"{run}-judge", case.request, about, Tally())
        if result is None:
            return None
        if result.get("status") == "completed":
            return []
        review = next(iter(reversed(result.get("reviews") or [])), None)
        reason = review["feedback"] if review else result.get("stop_reason")
        return [f"The judge: {reason}"]

    async def _result(
        self, effects: Effects, graph: Any, run: str, request: str, about: dict[str, str], tally: Tally
    ) -> dict[str, Any] | None:
        """Return the stored result of a run, or what comes out of it now; None if the budget is used up."""
        known = {**about, **((graph.config or {}).get("metadata") or {})}
        digest = hashlib.sha256(json.dumps([request, known]).encode()).hexdigest()
        config: RunnableConfig = {
            "configurable": {"thread_id": run, **({BUDGET: self.budget} if self.budget else {})},
            "metadata": {**known, "case": digest},
            "callbacks": [tally, *([self.budget] if self.budget else [])],
        }
        stored = await effects.function(graph.get_state, {"configurable": {"thread_id": run}})
        if stored.values and (stored.metadata or {}).get("case") != digest:
            raise ConfigurationError(f"The run {run} is of another request or other options; choose a new name")
        if stored.interrupts or (stored.values and not stored.tasks):
            return {**stored.values, "__interrupt__": stored.interrupts}
        if isinstance(graph, CompiledPattern):
            graph = graph.bind(context=Settings(model=self.settings.model, prices=self.settings.prices))
        try:
            result = await effects.invoke(graph, None if stored.tasks else {"messages": request}, config)
            used_up = out_of_budget(record_of(result).get("errors", ()))
        except BudgetError:
            used_up = True
        except _ENDING:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, PodiumError) else explain(error)
            return {"status": "failed", "stop_reason": reason, "messages": []}
        if used_up:
            await effects.function(self.storage.delete_thread, run)
            return None
        return dict(result)


def _answer(result: Mapping[str, Any]) -> tuple[str, list[str]]:
    last = next(iter(reversed(result.get("messages") or [])), None)
    text = str(last.text) if isinstance(last, AIMessage) else ""
    status = "needs_input" if result.get("__interrupt__") else result.get("status", "completed")
    if status in ("failed", "needs_input"):
        return text, [f"{status.replace('_', ' ')}: {result.get('stop_reason') or text or 'no reason'}"]
    return text, [] if text.strip() else ["the answer is missing"]


def _named(patterns: Mapping[str, Subject] | Sequence[Subject]) -> Iterable[tuple[str, Subject]]:
    if isinstance(patterns, Mapping):
        return patterns.items()
    if not isinstance(patterns, Sequence) or isinstance(patterns, str):
        raise ConfigurationError(f"What is evaluated must be a list, or a mapping from names, not {patterns!r:.80}")
    names = [subject.name if isinstance(subject, Pattern) else agent_of(subject).name for subject in patterns]
    if len({*names}) < len(names):
        raise ConfigurationError(f"Names of what is evaluated must be unique, not {', '.join(names)}; pass a mapping")
    return zip(names, patterns, strict=True)


def _compiled(pattern: str, subject: Any, storage: BaseCheckpointSaver[Any]) -> Any:
    if not pattern.isidentifier():
        raise ConfigurationError(f"{pattern!r} cannot name what is evaluated: letters, digits and _ only")
    if isinstance(subject, GRAPHS):
        return compiled(subject, storage)
    agent = agent_of(subject, name=pattern)
    return Router([agent], classifier=lambda task: agent.name, model=False).compile(storage)
