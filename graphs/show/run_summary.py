"""The summary of a run, for page, notebook and terminal: its record -> plain data, also of runs that have not ended.

Steps are in the record; turns are when which node was at work, with what the pattern's own record says of it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from langchain_core.messages import convert_to_messages

from agents.runtime import visible
from agents.usage import Usage, add_usage, no_usage, plausible
from graphs.show.wording import SENT_BACK, STOPPED, Record, look

_ASKING = ("approve", "clarify", "escalate")
"""Nodes that may ask a person; the wait for the answer comes before their own time."""


@dataclass(frozen=True)
class Work:
    """A piece of work: a step, or a turn of a node."""

    id: str
    agent: str = ""
    status: str = "completed"
    after: tuple[str, ...] = ()
    """Ids of the work whose results it had, or would have had."""
    started: float | None = None
    """Seconds since the epoch; None if it never began."""
    ended: float | None = None
    attempts: int = 1
    critical: bool = False
    """Whether it is on the chain of work that determined when the run ended."""
    task: str = ""
    result: str = ""
    note: str = ""
    """Why it failed, was skipped, sent back or decided so."""
    tokens: int = 0
    problems: tuple[str, ...] = ()
    is_step: bool = False

    @property
    def seconds(self) -> float | None:
        return None if self.started is None or self.ended is None else self.ended - self.started


# Stored runs and runs of other graphs need not have the form that the patterns give them.
def mapping(value: object) -> Record:
    """Return a mapping as it is, of anything else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> Sequence[Any]:
    """Return a list as it is, of anything else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """Return a text as it is, nothing for None, and of anything else what Python writes."""
    return value if isinstance(value, str) else "" if value is None else str(value)


class AgentCost(NamedTuple):
    """The usage of one agent, with all agents inside it; seconds only where its times are recorded."""

    agent: str
    usage: Usage
    seconds: float | None = None


@dataclass(frozen=True)
class RunSummary:
    """A run as plain data."""

    request: str
    answer: str
    earlier: tuple[tuple[str, str], ...]
    """Earlier messages of the thread: role and text."""
    questions: tuple[str, ...]
    """Questions to people that the run waits for."""
    status: str
    work: tuple[Work, ...]
    """Steps and turns in the order they began; steps that never began come last."""
    costs: tuple[AgentCost, ...]
    """The dearest agent first."""
    has_steps: bool

    @classmethod
    def of(cls, result: Record, until: float | None = None) -> RunSummary:
        """Summarise any graph's result; work that has not ended lasts until then, or as long as anything else."""
        records = [*listed(result.get("abandoned")), *mapping(result.get("steps")).values()]
        around = turns(result)
        steps = _steps(records, around, until)
        work = sorted([*around, *steps], key=lambda item: (item.started is None, item.started or 0.0))
        critical = _critical(work)
        work = [replace(item, critical=item.id in critical) for item in work]
        messages = _messages(result)
        asked = next((place for place in reversed(range(len(messages))) if messages[place][0] == "human"), -1)
        answers = [words for role, words in messages[asked + 1 :] if role == "ai"]
        waits_for = listed(result.get("questions")) or listed(result.get("__interrupt__"))
        questions = [question_text(getattr(item, "value", None) or mapping(item).get("value")) for item in waits_for]
        return cls(
            messages[asked][1] if asked >= 0 else text(result.get("request")),
            answers[-1] if answers else "",
            tuple((role, words) for role, words in messages[: max(asked, 0)] if words),
            tuple(questions),
            "needs_input" if questions else text(result.get("status")) or "unfinished",
            tuple(work),
            _costs(mapping(mapping(result.get("usage")).get("agents")), work),
            bool(records),
        )

    @property
    def timed(self) -> list[Work]:
        return [item for item in self.work if item.started is not None]

    @property
    def steps(self) -> list[Work]:
        return [item for item in self.work if item.is_step or not self.has_steps]

    @property
    def began(self) -> float:
        """When the first work began, in seconds since the epoch; 0 if there was none."""
        return min((item.started for item in self.work if item.started is not None), default=0.0)

    @property
    def ended(self) -> float:
        return max((item.ended for item in self.work if item.ended is not None), default=self.began)

    def most_telling(self, items: Sequence[Work], most: int) -> list[Work]:
        """Choose the work for which there is room: failed, critical and repeated work first, then the longest."""

        def weight(item: Work) -> tuple[bool, bool, bool, float]:
            plain = look(item.status).tone in ("done", "none")
            return plain, not item.critical, item.attempts < 2, -(item.seconds or 0.0)

        kept = {item.id for item in sorted(items, key=weight)[:most]}
        return [item for item in items if item.id in kept]


def _messages(result: Record) -> list[tuple[str, str]]:
    try:
        messages = convert_to_messages(listed(result.get("messages")))
    except (ValueError, TypeError, NotImplementedError):  # another graph's idea of messages
        return []
    return [(message.type, visible(message.text)) for message in messages]


def question_text(value: object) -> str:
    """Return a question to a person as text: the descriptions of LangChain's requests, or whatever else was asked."""
    requests = [mapping(request) for request in listed(mapping(value).get("action_requests"))]
    if requests:
        return "\n\n".join(text(request.get("description") or request.get("name")) for request in requests)
    return json.dumps(value, default=str, indent=2) if isinstance(value, dict | list) else text(value)


def _steps(records: Sequence[object], around: Sequence[Work], until: float | None) -> list[Work]:
    """Read the records of steps; ids of abandoned ones may have been used again by a later plan."""
    by_id: dict[str, Work] = {}
    often: Counter[str] = Counter()
    for record in map(mapping, records):
        step = _step(record)
        if before := by_id.get(step.id):
            often[step.id] += 1
            name = f"{step.id} (abandoned{f' {often[step.id]}' if often[step.id] > 1 else ''})"
            by_id[name] = replace(before, id=name)
        by_id[step.id] = step
    graph = {step.id: tuple(name for name in step.after if name in by_id) for step in by_id.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        graph = {}
    times = [time for item in (*by_id.values(), *around) for time in (item.started, item.ended) if time is not None]
    last = max(times, default=0.0) if until is None else until
    steps = []
    for step in by_id.values():
        ended = last if step.started is not None and step.ended is None else step.ended
        steps.append(replace(step, after=graph.get(step.id, ()), ended=ended))
    return steps


def _step(record: Record) -> Work:
    usage, error = plausible(record.get("usage")), text(record.get("error"))
    status = text(record.get("status")) or "pending"
    problems = [mapping(problem) for problem in listed(record.get("problems"))]
    return Work(
        text(record.get("id")),
        text(record.get("answered_by") or record.get("agent")),
        STOPPED if status == "running" else status,
        tuple(map(text, listed(record.get("dependencies")))),
        record.get("started"),
        record.get("ended"),
        attempts=int(record.get("attempts") or 0),
        task=text(record.get("task")),
        result=text(record.get("result")),
        note=error,
        tokens=usage["input_tokens"] + usage["output_tokens"],
        problems=tuple(
            f"{text(problem.get('where'))}: {text(problem.get('message'))}"
            for problem in problems
            if problem.get("message") != error
        ),
        is_step=True,
    )


def _critical(work: Sequence[Work]) -> set[str]:
    """Walk back from the work that ended last, each time to the last that had ended before, of what it depended on.

    A step depends on its dependencies and the turns before it, such as planning; a turn on all that went before.
    """
    ended = {item.id: item for item in work if item.ended is not None}
    turns_ended = [item for item in ended.values() if not item.is_step]
    path: set[str] = set()
    last = max(ended.values(), key=lambda item: item.ended or 0.0, default=None)
    while last is not None and last.id not in path:
        path.add(last.id)
        steps = (ended[name] for name in last.after if name in ended)
        start, needed = last.started or 0.0, [*turns_ended, *steps] if last.is_step else ended.values()
        before = [item for item in needed if (item.ended or 0.0) <= start]
        last = max(before, key=lambda item: item.ended or 0.0, default=None)
    return path


def _stretches(result: Record) -> list[tuple[str, str, float, float]]:
    """Return node, agent, start and end of each stretch of work, in the order they began."""
    return sorted(
        (
            (text(stretch.get("node")), text(stretch.get("agent")), float(start), float(end))
            for stretch in map(mapping, listed(result.get("worked")))
            if isinstance(start := stretch.get("started"), int | float)
            and isinstance(end := stretch.get("ended"), int | float)
        ),
        key=lambda stretch: stretch[2],
    )


def turns(result: Record) -> list[Work]:
    """Return the turns in the order they began; a person who was asked has none."""
    errors = [error for error in map(mapping, listed(result.get("errors"))) if not error.get("recovered")]
    outcomes, failed = _outcomes(result), {text(error.get("where")) for error in errors}
    stretches, times = _stretches(result), Counter[str]()
    all_times = Counter(node for node, *_ in stretches)
    turns: list[Work] = []
    for node, agent, start, end in stretches:
        times[node] += 1
        if node == "agent":  # an orchestrator's, which triage has chosen
            agent = agent or text(mapping(result.get("triage")).get("agent"))
        recorded = outcomes.get(node)
        status = recorded.popleft() if recorded else "completed"
        if times[node] == all_times[node] and node in failed:
            status = "failed"
        if agent or node not in _ASKING:
            name = node if times[node] == 1 else f"{node} {times[node]}"
            turns.append(Work(name, agent or node, status, _before(turns, start), start, end))
    return turns


def _before(turns: Sequence[Work], start: float) -> tuple[str, ...]:
    """Return the work that had ended by then and was followed by nothing else that had."""
    ended = [work for work in turns if work.ended is not None and work.ended <= start]
    last_start = max((work.started or 0.0 for work in ended), default=0.0)
    return tuple(work.id for work in ended if (work.ended or 0.0) > last_start or work.started == last_start)


def _outcomes(result: Record) -> dict[str, deque[str]]:
    """Return the status of each turn of a node, in order, as far as the pattern has recorded it."""
    outcomes: defaultdict[str, deque[str]] = defaultdict(deque)
    for review in map(mapping, listed(result.get("reviews"))):
        outcomes["review"].append("completed" if review.get("acceptable") else SENT_BACK)
    for handoff in map(mapping, listed(result.get("handoffs"))):
        outcomes[text(handoff.get("by"))].append(SENT_BACK if handoff.get("refused") else "completed")
    for reply in map(mapping, listed(result.get("replies"))):
        outcomes[text(reply.get("agent"))].append("failed" if reply.get("text") is None else "completed")
    return outcomes


def _costs(shares: Record, work: Iterable[Work]) -> tuple[AgentCost, ...]:
    spent: dict[str, Usage] = {}
    for name, share in shares.items():
        agent = name.partition("/")[0]
        spent[agent] = add_usage(spent.get(agent), plausible(share))
    seconds: dict[str, float] = {}
    for item in work:
        if item.seconds is not None:
            seconds[item.agent] = seconds.get(item.agent, 0.0) + item.seconds

    def weight(cost: AgentCost) -> tuple[int, float]:
        return cost.usage["input_tokens"] + cost.usage["output_tokens"], cost.seconds or 0.0

    costs = [AgentCost(agent, spent.get(agent, no_usage()), seconds.get(agent)) for agent in {**spent, **seconds}]
    return tuple(sorted(costs, key=weight, reverse=True))
