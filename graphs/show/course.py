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
from graphs.steps import critical_path

DONE, FAILED, SKIPPED, STOPPED, PENDING = "completed", "failed", "skipped", "stopped", "not begun"
SENT_BACK, WAITING = "sent back", "waits for you"
STATUSES = (DONE, FAILED, SENT_BACK, STOPPED, WAITING, SKIPPED, PENDING)
"""What can have become of a piece of work."""

_OF_RECORDS = {"running": STOPPED, "pending": PENDING}
_SHORTEST_GAP = 0.05
"""Seconds, and share of the whole; a shorter wait is not worth a mark."""
_SHORTEST_SHARE = 0.02


@dataclass(frozen=True)
class Item:
    """One piece of work: a step, or a turn of an agent."""

    id: str
    agent: str
    status: str = DONE
    after: tuple[str, ...] = ()
    """Ids of the items whose results it had, or would have had."""
    started: float | None = None
    """Seconds since the epoch; None if it never began, or its time is not recorded."""
    ended: float | None = None
    ready: float | None = None
    """When the last of its dependencies had ended."""
    attempts: int = 1
    critical: bool = False
    """On the chain of steps that determined when the run ended."""
    held_by: str | None = None
    """The dependency that ended last."""
    task: str = ""
    result: str = ""
    note: str = ""
    """Why it failed, was skipped or was sent back."""
    tokens: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    @property
    def waited(self) -> float:
        """Seconds from the end of its last dependency to its start."""
        return 0.0 if self.started is None or self.ready is None else max(0.0, self.started - self.ready)

    @property
    def name(self) -> str:
        """Its id, without the agent where that is said beside it."""
        return self.id.removesuffix(f" {self.agent}") if self.agent else self.id


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
            return cls(tuple(_turns(result)))
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
        _OF_RECORDS.get(status, status if status in STATUSES else PENDING),
        tuple(map(text, listed(record.get("dependencies")))),
        record.get("started"),
        record.get("ended"),
        attempts=int(record.get("attempts") or 0),
        task=text(record.get("task")),
        result=text(record.get("result")),
        note=text(record.get("error")),
        tokens=sum(int(mapping(record.get("usage")).get(key) or 0) for key in COUNTS[1:]),
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


def _turns(result: Mapping[str, Any]) -> Iterator[Item]:
    """Yield what is recorded of a pattern without steps, in order, each after what led to it."""
    last: tuple[str, ...] = ()
    if triage := mapping(result.get("triage")):
        yield Item("triage", "triage", note=text(triage.get("reason")))
        last = ("triage",)
    if route := mapping(result.get("route")):
        yield from _routed(route, result)
    elif result.get("reviews") or result.get("work"):
        yield from _reviewed(result, last)
    elif result.get("handoffs") or result.get("said"):
        yield from _handed(result)
    elif not triage and result.get("seconds"):
        agents = list(mapping(mapping(result.get("usage")).get("agents")))
        yield from (Item(name, name, _fate(result)) for name in agents)


def _fate(result: Mapping[str, Any]) -> str:
    """Say what became of the last piece of work, judged by the run's status."""
    status = result.get("status")
    return {"failed": FAILED, "needs_input": WAITING, "running": STOPPED, "stopped": STOPPED}.get(str(status), DONE)


def _routed(route: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Item]:
    yield Item("classify", text(route.get("decided_by")), note=text(route.get("reason")))
    replies = {text(one.get("agent")): one for one in map(mapping, listed(result.get("replies")))}
    chosen = tuple(map(text, listed(route.get("chosen"))))
    for name in chosen:
        reply = replies.get(name)
        fate = STOPPED if reply is None else FAILED if reply.get("text") is None else DONE
        yield Item(name, name, fate, ("classify",), result=text(mapping(reply).get("text")))
    if not chosen:
        yield Item("clarify", "you", _fate(result), ("classify",))
    if "merger" in mapping(mapping(result.get("usage")).get("agents")):
        yield Item("merge", "merger", after=chosen)


def _reviewed(result: Mapping[str, Any], last: tuple[str, ...]) -> Iterator[Item]:
    reviews = [mapping(one) for one in listed(result.get("reviews"))]
    worker = text(mapping(result.get("triage")).get("agent")) or _worker(
        result, {text(one.get("by")) for one in reviews}
    )
    revisions = max([int(result.get("revisions") or 0), *(int(one.get("revision") or 0) for one in reviews)])
    for number in range(revisions + 1):
        work = f"work {number + 1}"
        yield Item(work, worker, after=last)
        last = (work,)
        for place, one in enumerate(one for one in reviews if int(one.get("revision") or 0) == number):
            review = f"review {number + 1}" + (f".{place + 1}" if place else "")
            good = bool(one.get("acceptable"))
            yield Item(review, text(one.get("by")), DONE if good else SENT_BACK, last, note=text(one.get("feedback")))
            last = (review,)
    if result.get("status") in ("escalated", "needs_input"):
        waits = WAITING if result["status"] == "needs_input" else DONE
        yield Item("escalate", "you" if waits == WAITING else "", waits, last, note=text(result.get("stop_reason")))


def _worker(result: Mapping[str, Any], reviewers: set[str]) -> str:
    """Name the supervised agent, which is recorded only where it has called a model."""
    agents = {name.partition("/")[0] for name in mapping(mapping(result.get("usage")).get("agents"))} - reviewers
    return agents.pop() if len(agents) == 1 else "worker"


def _handed(result: Mapping[str, Any]) -> Iterator[Item]:
    handed = [mapping(one) for one in listed(result.get("handoffs"))]
    turns = [
        (text(one.get("by")), SENT_BACK if one.get("refused") else DONE, text(one.get("refused") or one.get("reason")))
        for one in handed
    ]
    if not handed:
        turns = [(text(mapping(one).get("by")), DONE, text(mapping(one).get("text"))) for one in listed(result["said"])]
    elif result.get("active"):
        turns.append((text(result["active"]), _fate(result), text(result.get("stop_reason"))))
    last: tuple[str, ...] = ()
    for number, (name, status, note) in enumerate(turns, 1):
        yield Item(f"{number}. {name}", name, status, last, note=note)
        last = (f"{number}. {name}",)


# What is stored, or comes through JSON, need not have the form that the graphs give it.
def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, of anything else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """Return a list as it is, of anything else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: Any) -> str:
    """Return a text as it is, nothing for None, and of anything else what Python writes."""
    return value if isinstance(value, str) else "" if value is None else str(value)
