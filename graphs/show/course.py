"""The course of a run as plain values: from a result to pieces of work with their dependencies, for pictures of it.

result -> `Course.of` -> items, and what the pattern itself did around them. A result may be unfinished, or have been
through JSON; what it lacks is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from agents.runtime import COUNTS
from graphs.engine import critical_path
from graphs.show.items import DONE, MARKS, PENDING, SKIPPED, STOPPED, Item, listed, mapping, text
from graphs.show.turns import ASKING, PERSON, turns, worked

STEPS, TURNS = "steps", "turns"
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
class Gap:
    """A stretch in which nothing was at work."""

    started: float
    ended: float
    asked: bool
    """Whether a person was asked; else the run was interrupted, or what was at work is not recorded."""

    @property
    def words(self) -> str:
        """What went on."""
        return "a person was asked" if self.asked else "nothing at work"


@dataclass(frozen=True)
class Course:
    """What happened in a run."""

    items: tuple[Item, ...] = ()
    """In the order they began; what never began comes last."""
    around: tuple[Item, ...] = ()
    """What the pattern itself did around its steps: planning, reviews, the answer."""
    gaps: tuple[Gap, ...] = ()
    unit: str = TURNS
    """What the items are: turns or steps."""

    @classmethod
    def of(cls, result: Mapping[str, Any], until: float | None = None) -> Course:
        """Read any graph's result; what has not ended was at work until then, or as long as anything else."""
        records = [*listed(result.get("abandoned")), *mapping(result.get("steps")).values()]
        taken = turns(result)
        if not records:
            return cls(tuple(_turns(taken)), gaps=_gaps(taken, result))
        around = tuple(replace(one, critical=True) for one in taken if one.started is not None)
        steps = _steps(records, until, [one.started or 0 for one in around])
        items = sorted(steps, key=lambda one: (one.started is None, one.started or 0))
        return cls(tuple(items), around, _gaps([*items, *around], result), STEPS)

    @property
    def timed(self) -> tuple[Item, ...]:
        """All work whose times are recorded, in the order it began; a person's is among the gaps."""
        known = [one for one in (*self.around, *self.items) if one.started is not None and one.agent != PERSON]
        return tuple(sorted(known, key=lambda one: one.started or 0))

    @property
    def began(self) -> float:
        """When the first work began; 0 if no times are recorded."""
        return min((one.started for one in self.timed if one.started is not None), default=0.0)

    @property
    def ended(self) -> float:
        """When the last work ended, or a person had answered."""
        ends = [*(one.ended for one in self.timed), *(one.ended for one in self.gaps)]
        return max((one for one in ends if one is not None), default=self.began)

    def has_waited(self, item: Item) -> bool:
        """Tell whether an item could have begun noticeably earlier."""
        return item.waited >= max(_SHORTEST_GAP, _SHORTEST_SHARE * (self.ended - self.began))


def spent(result: Mapping[str, Any], course: Course) -> list[Spent]:
    """Return what each agent has cost, the dearest first; nested agents are called `outer/inner`."""
    counted = mapping(mapping(result.get("usage")).get("agents"))
    seconds: dict[str, float] = {}
    for one in course.timed:
        if one.seconds is not None and one.agent:
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


def _turns(taken: Iterable[Item]) -> Iterator[Item]:
    """Mark the critical path."""
    made = {one.id: one for one in taken}
    critical = set(_critical(made))
    for one in made.values():
        before = {end: name for name in one.after if name in made and (end := made[name].ended) is not None}
        yield replace(one, critical=one.id in critical, held_by=before[max(before)] if before else None)


def _steps(records: Iterable[Any], until: float | None, pauses: Sequence[float]) -> list[Item]:
    """Read the records of steps, of abandoned ones too, whose ids may have been given anew.

    At the pauses the pattern itself went to work, when all steps before had ended.
    """
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
    last = max(times, default=0.0) if until is None else until
    bounds = pairwise([-math.inf, *sorted(pauses), math.inf])
    critical = {one for start, end in bounds for one in _critical(_ended(made, start, end))} if sound else set()
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


def _ended(made: Mapping[str, Item], start: float, end: float) -> dict[str, Item]:
    return {name: one for name, one in made.items() if one.ended is not None and start < one.ended <= end}


def _acyclic(graph: Mapping[str, Iterable[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return False
    return True


def _gaps(items: Iterable[Item], result: Mapping[str, Any]) -> tuple[Gap, ...]:
    times = sorted((one.started, one.ended) for one in items if one.started is not None and one.ended is not None)
    if not times:
        return ()
    shortest = max(_SHORTEST_GAP, _SHORTEST_SHARE * (max(end for _, end in times) - times[0][0]))
    answers = [start for node, start, _ in worked(result) if node in ASKING]
    found = []
    until = times[0][0]
    for start, end in times:
        if start - until >= shortest:
            found.append(Gap(until, start, any(until + shortest <= one <= start for one in answers)))
        until = max(until, end)
    return tuple(found)
