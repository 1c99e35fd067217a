"""The turns of a run: when which node was at work, with what the pattern's own record says of it."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.show.wording import SENT_BACK, Record

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
    """On the chain of work that determined when the run ended."""
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
    times: Counter[str] = Counter()
    all_times = Counter(node for node, *_ in _stretches(result))
    turns: list[Work] = []
    for node, agent, start, end in _stretches(result):
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
