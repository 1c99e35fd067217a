"""The records of steps that have run: answered, failed, or joined from those of a step's items."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from agents.agent import Answer
from agents.decisions import read_json
from agents.errors import AgentError, DecisionError
from agents.runtime import Outcome, Usage, sum_usage
from graphs.engine.state import Problem, problem
from graphs.engine.steps import Step, StepRecord, new_record


def completed(
    step: Step, name: str, answer: Answer, attempts: int, usage: Usage, problems: list[Problem]
) -> StepRecord:
    """Return the record of a step that an agent has answered."""
    inside = [{**one, "where": f"{step.id}/{one['where']}"} for one in answer["errors"]]
    return new_record(
        step,
        "completed",
        result=answer["text"],
        message_id=answer.get("message_id"),
        data=answer["data"],
        attempts=attempts,
        answered_by=name,
        usage=usage,
        problems=[*problems, *inside],
    )


def failure(step: Step, name: str, outcome: Outcome) -> Problem:
    """Record that a step has failed for good with one agent."""
    assert outcome.error is not None  # noqa: S101 - for the type checker
    told = problem(step.id, outcome.error)
    times = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    return {**told, "message": f"Step {step.id!r} failed with agent {name!r}{times}: {told['message']}"}


def items_of(listed: StepRecord) -> list[Any]:
    """Read the list that a `for_each` step runs over."""
    try:
        data = listed["data"] if listed["data"] is not None else read_json(listed["result"] or "")
    except DecisionError as error:
        raise AgentError(f"the result of {listed['id']!r} is no JSON list to run over: {error}") from error
    if isinstance(data, dict) and len(data) == 1:
        data = next(iter(data.values()))  # a list that was wrapped, as schemas of providers demand
    if not isinstance(data, list):
        raise AgentError(f"the result of {listed['id']!r} is no JSON list to run over, but {type(data).__name__}")
    return data


def gathered(step: Step, parts: Sequence[StepRecord]) -> StepRecord:
    """Join the records of a step's items into one."""
    failed = [number for number, one in enumerate(parts, 1) if one["status"] != "completed"]
    results = [one["result"] if one["data"] is None else one["data"] for one in parts]
    numbers = ", ".join(map(str, failed))
    why = next((one["error"] for one in parts if one["status"] != "completed"), None)
    return new_record(
        step,
        "failed" if failed else "completed",
        result=json.dumps(results, ensure_ascii=False),
        data=results,
        error=f"Step {step.id!r} failed for item {numbers} of {len(parts)}: {why}" if failed else None,
        attempts=sum(one["attempts"] for one in parts),
        answered_by=step.agent,
        usage=sum_usage(one["usage"] for one in parts),
        problems=[one for part in parts for one in part["problems"]],
    )


class AtWork:
    """The time in which any of some steps was at work; what they did at the same time counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._starts: list[float] = []
        self._ends: list[float] = []
        """The stretches so far, in order and apart from each other."""

    def add(self, record: StepRecord) -> float:
        """Add the time of one step, and return how many seconds that were not known to be worked."""
        started, ended = record["started"], record["ended"]
        if started is None or ended is None:
            return 0.0
        first, behind = bisect_left(self._ends, started), bisect_right(self._starts, ended)
        joined = list(zip(self._starts[first:behind], self._ends[first:behind], strict=True))
        start, end = min([started, *(one for one, _ in joined)]), max([ended, *(one for _, one in joined)])
        self._starts[first:behind], self._ends[first:behind] = [start], [end]
        new = end - start - sum(one_end - one_start for one_start, one_end in joined)
        self.seconds += new
        return new
