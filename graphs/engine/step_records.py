"""The records of steps that have run: answered, failed, or joined from those of a step's items."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

from agents import AgentError, Answer, DecisionError, UnknownAgentError
from agents.decisions import read_json
from agents.usage import Usage, sum_usage
from graphs.engine.state import Conclusion, Problem, problem, problems_inside
from graphs.engine.steps import Step, StepRecord, new_record

ASKS = "needs_input"
"""Status of a step whose agent, a pattern, ended with a question to the user."""


def completed(
    step: Step, name: str, answer: Answer, attempts: int, usage: Usage, problems: list[Problem]
) -> StepRecord:
    """Return the record of a step that an agent has answered; a question to the user is not a result."""
    asks = answer["status"] == "needs_input"
    return new_record(
        step,
        "needs_input" if asks else "completed",
        error=f"Step {step.id!r} asks the user: {answer['text']}" if asks else None,
        result=answer["text"],
        message_id=answer.get("message_id"),
        data=answer["data"],
        figures=answer.get("figures", {}),
        attempts=attempts,
        answered_by=name,
        usage=usage,
        problems=[*problems, *problems_inside(answer["errors"], step.id)],
    )


def is_record(value: object) -> bool:
    """Return whether this is the record of a step, and not a node's update."""
    return isinstance(value, dict) and value.keys() >= {"id", "attempts", "answered_by"}


def failure(step: Step, error: Exception, by: str = "") -> Problem:
    """Return the record of why a step has failed for good; `by` says with which agent."""
    why = problem(step.id, error)
    return {**why, "message": f"Step {step.id!r} failed{by}: {why['message']}"}


def failed(step: Step, error: Exception) -> StepRecord:
    """Return the record of a step that has failed without a call of an agent."""
    why = failure(step, error)
    return new_record(step, "failed", error=why["message"], problems=[why])


def missing_agent(step: Step, name: str, agents: Collection[str]) -> Problem:
    """Return the record of a step whose agent the graph does not have: the run was begun by other code."""
    why = f"Step {step.id!r} needs agent {name!r}, which this graph does not have; known: {', '.join(sorted(agents))}"
    return problem(step.id, UnknownAgentError(f"{why}. Resume the run with the code that began it, or start it again"))


def items_of(listed: StepRecord, max_items: int) -> list[object]:
    """Read the list that a `for_each` step runs over.

    Raises:
        AgentError: It is not a list, or too long.
    """
    try:
        data = listed["data"] if listed["data"] is not None else read_json(listed["result"] or "")
    except DecisionError as error:
        raise AgentError(f"the result of {listed['id']!r} is not a JSON list to run over: {error}") from error
    if isinstance(data, dict) and len(data) == 1:
        data = next(iter(data.values()))  # a list that was wrapped, as schemas of providers demand
    if not isinstance(data, list):
        raise AgentError(f"the result of {listed['id']!r} is not a JSON list to run over, but {type(data).__name__}")
    if len(data) > max_items:
        raise AgentError(f"{listed['id']!r} lists {len(data)} items; max_items is {max_items}")
    return data


def gathered(step: Step, parts: Sequence[StepRecord]) -> StepRecord:
    """Join the records of a step's items into one."""
    failed = [number for number, part in enumerate(parts, 1) if part["status"] not in ("completed", ASKS)]
    asking = next((part for part in parts if part["status"] == ASKS), None)
    if asking and not failed:
        return {**asking, "attempts": sum(part["attempts"] for part in parts), "usage": _usage_of(parts)}
    results = [part["result"] if part["data"] is None else part["data"] for part in parts]
    numbers = ", ".join(map(str, failed))
    why = next((part["error"] for part in parts if part["status"] != "completed"), None)
    return new_record(
        step,
        "failed" if failed else "completed",
        result=json.dumps(results, ensure_ascii=False),
        data=results,
        error=f"Step {step.id!r} failed for item {numbers} of {len(parts)}: {why}" if failed else None,
        attempts=sum(part["attempts"] for part in parts),
        answered_by=step.agent,
        usage=_usage_of(parts),
        problems=[why for part in parts for why in part["problems"]],
    )


def last_of(step: Step, rounds: Sequence[StepRecord], failed: StepRecord | None = None) -> StepRecord:
    """Join the records of a loop's rounds: the last result, and why the loop failed if it did."""
    problems = [why for part in (*rounds, *([failed] if failed else ())) for why in part["problems"]]
    attempts = sum(part["attempts"] for part in rounds)
    ending = {"status": failed["status"], "error": failed["error"]} if failed else {}
    return {**rounds[-1], "attempts": attempts, "usage": _usage_of(rounds), "problems": problems, **ending}  # type: ignore[typeddict-item]


class AtWork:
    """The time in which any of some steps was at work; what they did at the same time counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._starts: list[float] = []
        self._ends: list[float] = []
        """The stretches so far, in order and apart from each other."""

    def add(self, record: StepRecord) -> float:
        """Add the time of one step, and return how many seconds that were not known to be worked."""
        started, ended = record.get("started"), record.get("ended")
        if started is None or ended is None:
            return 0.0
        first, behind = bisect_left(self._ends, started), bisect_right(self._starts, ended)
        joined = list(zip(self._starts[first:behind], self._ends[first:behind], strict=True))
        start, end = min([started, *(edge for edge, _ in joined)]), max([ended, *(edge for _, edge in joined)])
        self._starts[first:behind], self._ends[first:behind] = [start], [end]
        new = end - start - sum(one_end - one_start for one_start, one_end in joined)
        self.seconds += new
        return new


def _usage_of(parts: Iterable[StepRecord]) -> Usage:
    return sum_usage(part["usage"] for part in parts)


MOST_REASONS = 3
"""Failed steps whose reasons are in that of a run, and so in the error of a step around it."""

UNFINISHED = ("partial", "escalated")
"""Statuses of a pattern that gave an answer, but not a complete one."""


def conclude_steps(steps: Mapping[str, StepRecord], stop_reason: str | None) -> Conclusion:
    """Return how a run of steps ends: the results that no other step uses, or why none exists."""
    if asking := questions_in(steps):
        text = "\n\n".join(record["result"] or "" for record in asking)
        shown = asking[0]["message_id"] if len(asking) == 1 else None
        return {"text": text, "message_id": shown, "status": ASKS, "stop_reason": asking[0]["error"]}
    status, reason = judge(steps, stop_reason)
    used = {name for record in steps.values() for name in record["dependencies"] if record["status"] == "completed"}
    last = [record for record in steps.values() if record["status"] == "completed" and record["id"] not in used]
    if len(last) == 1:
        text, message_id = last[0]["result"] or "", last[0].get("message_id")
        return {"text": text, "message_id": message_id, "status": status, "stop_reason": reason}
    text = under_names(last) if last else reason or "No step had anything to do."
    return {"text": text, "status": status, "stop_reason": reason}


def questions_in(steps: Mapping[str, StepRecord]) -> list[StepRecord]:
    """Return the steps that ended with a question to the user, for whose answer the run ends."""
    return [record for record in steps.values() if record["status"] == ASKS]


def judge(steps: Mapping[str, StepRecord], stop_reason: str | None) -> tuple[str, str | None]:
    """Return the status of a run of steps, and the reason if it is not `completed`.

    A step whose agent is a pattern that ended as `partial` or `escalated` makes the run partial; a run of that step
    alone ends as it did.
    """
    failed = [record for record in steps.values() if record["status"] == "failed"]
    done = [record for record in steps.values() if record["status"] == "completed"]
    if not failed and not stop_reason:
        unfinished = [(record["id"], why) for record in done for why in record["problems"] if _is_ending(record, why)]
        if not unfinished:
            return "completed", None
        step_id, why = unfinished[0]
        status = why["kind"] if len(steps) == 1 else "partial"
        return status, f"Step {step_id!r} ended as {why['kind']}: {why['message']}"
    reason = stop_reason or failed[0]["error"]
    if len(failed) > 1:
        first, *others = (str(record["error"]).rstrip(".") for record in failed[:MOST_REASONS])
        reason = f"{len(failed)} of {len(steps)} steps failed; the first: {first}; then: {'; '.join(others)}"
    return ("partial" if done else "failed"), reason


def _is_ending(record: StepRecord, why: Problem) -> bool:
    return why["kind"] in UNFINISHED and why["where"] == f"{record['id']}/{record['answered_by']}"


def under_names(records: Iterable[StepRecord]) -> str:
    """List the results of completed steps, each under its step's name."""
    done = [record for record in records if record["status"] == "completed"]
    return "\n\n".join(f"## {record['id']}\n\n{record['result']}" for record in done)
