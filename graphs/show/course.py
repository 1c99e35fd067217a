"""The course of a run as plain values: from a result to pieces of work with their dependencies, for pictures of it.

result -> `Course.of` -> items. Steps are recorded with their times; the turns of other patterns only in their order.
A result may be unfinished, or have been through JSON; what it lacks is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from agents.usage import COUNTS
from graphs.show.items import DONE, MARKS, PENDING, SKIPPED, STOPPED, Item, listed, mapping, text
from graphs.show.turns import turns
from graphs.steps import critical_path

_OF_RECORDS = {"running": STOPPED, "pending": PENDING}
_SHORTEST_GAP = 0.05
"""Seconds, and share of the whole; a shorter wait is not worth a mark."""
_SHORTEST_SHARE = 0.02


@dataclass(frozen=True)
class Spent:
    """What one agent has cost; seconds only where its times are recorded."""

    agent: str
    calls: int
    read: int
    written: int
    seconds: float | None
    cost: float | None


@dataclass(frozen=True)
class Course:
    """What happened in a run."""

    items: tuple[Item, ...] = ()
    """In the order they began; what never began comes last."""
    gaps: tuple[tuple[float, float], ...] = ()
    """Stretches (start, end) in which no step was at work: a person was asked, or a plan was written."""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Course:
        """Read any graph's result."""
        records = [*listed(result.get("abandoned")), *mapping(result.get("steps")).values()]
        if not records:
            return cls(tuple(turns(result)))
        items = _steps(records, {one["id"] for one in listed(result.get("abandoned")) if "id" in one})
        items.sort(key=lambda one: (one.started is None, one.started or 0))
        return cls(tuple(items), tuple(_gaps(items)))

    @property
    def timed(self) -> tuple[Item, ...]:
        """The items whose times are recorded."""
        return tuple(one for one in self.items if one.started is not None)

    @property
    def began(self) -> float:
        """When the first step began; 0 if no times are recorded."""
        return min((one.started for one in self.items if one.started is not None), default=0.0)

    @property
    def ended(self) -> float:
        """When the last step ended."""
        return max((one.ended for one in self.items if one.ended is not None), default=self.began)

    def has_waited(self, item: Item) -> bool:
        """Tell whether an item could have begun noticeably earlier."""
        return item.waited >= max(_SHORTEST_GAP, _SHORTEST_SHARE * (self.ended - self.began))


def spent(result: Mapping[str, Any], course: Course) -> list[Spent]:
    """Return what each agent has cost, the dearest first; nested agents are called `outer/inner`."""
    counted = mapping(mapping(result.get("usage")).get("agents"))
    seconds: dict[str, float] = {}
    for one in course.items:
        if one.seconds is not None:
            seconds[one.agent] = seconds.get(one.agent, 0.0) + one.seconds
    found = []
    for name in dict.fromkeys([*counted, *seconds]):
        calls, read, written = (int(mapping(counted.get(name)).get(key) or 0) for key in COUNTS)
        cost = mapping(counted.get(name)).get("cost")
        found.append(Spent(name, calls, read, written, seconds.get(name), cost))
    return sorted(found, key=lambda one: (-(one.read + one.written), -(one.seconds or 0)))


def clock(seconds: float) -> str:
    """Write a duration for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def telling(items: Sequence[Item], most: int) -> list[Item]:
    """Choose the items for which there is room: failed, critical and repeated ones, then the longest."""
    if len(items) <= most:
        return list(items)

    def weight(item: Item) -> tuple[bool, bool, bool, float]:
        plain = item.status in (DONE, SKIPPED, PENDING)
        return plain, not item.critical, item.attempts < 2, -(item.seconds or 0)

    kept = {one.id for one in sorted(items, key=weight)[:most]}
    return [one for one in items if one.id in kept]


def _steps(records: Iterable[Any], abandoned: set[str]) -> list[Item]:
    """Read the records of steps, of abandoned ones too, whose ids may have been given anew."""
    made: dict[str, Item] = {}
    for record in map(mapping, records):
        item = _step(record)
        if item.id in made:
            earlier = f"{item.id} (abandoned)"
            made[earlier] = replace(made[item.id], id=earlier)
        made[item.id] = item
    known = {one.id: tuple(name for name in one.after if name in made) for one in made.values()}
    sound = _acyclic(known)
    times = [one for item in made.values() for one in (item.started, item.ended) if one is not None]
    last = max(times, default=0.0)
    critical = set(_critical(made)) if sound else set()
    return [_with_times(one, made, known[one.id] if sound else (), last, one.id in critical) for one in made.values()]


def _step(record: Mapping[str, Any]) -> Item:
    status = str(record.get("status") or "pending")
    return Item(
        text(record.get("id")),
        text(record.get("answered_by") or record.get("agent")),
        _OF_RECORDS.get(status, status if status in MARKS else PENDING),
        tuple(map(text, listed(record.get("dependencies")))),
        record.get("started"),
        record.get("ended"),
        attempts=int(record.get("attempts") or 0),
        task=text(record.get("task")),
        result=text(record.get("result")),
        note=text(record.get("error")),
        tokens=sum(int(mapping(record.get("usage")).get(key) or 0) for key in COUNTS[1:]),
        inside=mapping(mapping(record.get("usage")).get("agents")),
        problems=listed(record.get("problems")),
    )


def _with_times(item: Item, made: Mapping[str, Item], after: tuple[str, ...], last: float, critical: bool) -> Item:
    before = {one: name for name in after if (one := made[name].ended) is not None}
    ready = max(before, default=None)
    held_by = None if ready is None else before[ready]
    ended = last if item.started is not None and item.ended is None else item.ended
    return replace(item, after=after, ended=ended, ready=ready, critical=critical, held_by=held_by)


def _critical(made: Mapping[str, Item]) -> list[str]:
    records: Any = {
        one.id: {"id": one.id, "ended": one.ended, "dependencies": [name for name in one.after if name in made]}
        for one in made.values()
    }
    return critical_path(records)


def _acyclic(graph: Mapping[str, Iterable[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return False
    return True


def _gaps(items: Iterable[Item]) -> Iterator[tuple[float, float]]:
    worked = sorted((one.started, one.ended) for one in items if one.started is not None and one.ended is not None)
    if not worked:
        return
    shortest = max(_SHORTEST_GAP, _SHORTEST_SHARE * (max(end for _, end in worked) - worked[0][0]))
    until = worked[0][0]
    for start, end in worked:
        if start - until >= shortest:
            yield until, start
        until = max(until, end)
