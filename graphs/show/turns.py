"""The turns of a run: of routers, supervisors and networks, and what other patterns do around their steps.

What came of a turn is in the pattern's own record, when it was in `worked`; the two are matched in order, by node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphs.show.items import DONE, FAILED, SENT_BACK, STOPPED, WAITING, Item, listed, mapping, text

PERSON = "you"
"""Who is at work where a person is asked."""
APPROVE = "approve"
ASKING = (APPROVE, "clarify", "escalate")
"""Nodes that may ask a person; waiting for the answer comes before their own time."""
_AGENTS = {"plan": "planner", "synthesize": "synthesizer", "merge": "merger", "classify": "classifier"}
"""Who is at work in a node, by the names under which its cost is booked."""

Turn = tuple[str, Item]
"""A node, and what it did."""
Stretches = dict[str, deque[tuple[int, float, float]]]
"""By node: the number, start and end of each time it was at work."""


def turns(result: Mapping[str, Any]) -> list[Item]:
    """Return the turns, each after what led to it; as they began, or as they are recorded if times are missing."""
    times = _times(result)
    made = [_timed(item, times.get(node)) for node, item in _recorded(result)]
    if any(map(_lacks_times, made)):
        return [replace(one, started=None, ended=None) for one in made]
    made = _with_others(made, times, result)
    return sorted(made, key=lambda one: (one.started is None, one.started or 0))


def worked(result: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return when which node was at work, in the order they began."""
    known = []
    for one in map(mapping, listed(result.get("worked"))):
        start, end = one.get("started"), one.get("ended")
        if isinstance(start, int | float) and isinstance(end, int | float):
            known.append((text(one.get("node")), start, end))
    return sorted(known, key=lambda one: one[1])


def _times(result: Mapping[str, Any]) -> Stretches:
    times: Stretches = {}
    for node, start, end in worked(result):
        before = times.setdefault(node, deque())
        before.append((len(before) + 1, start, end))
    return times


def _timed(item: Item, stretches: deque[tuple[int, float, float]] | None) -> Item:
    if not stretches or item.status in (WAITING, STOPPED):
        return item
    _, start, end = stretches.popleft()
    return replace(item, started=start, ended=end)


def _lacks_times(one: Item) -> bool:
    """Tell whether an agent has done something at an unknown time."""
    return one.started is None and bool(one.agent) and one.status not in (WAITING, STOPPED)


def _with_others(made: Sequence[Item], times: Stretches, result: Mapping[str, Any]) -> list[Item]:
    """Add the times at work of which nothing else is recorded; an approval is only waited for."""
    failed = {text(mapping(one).get("where")) for one in listed(result.get("errors"))}
    left = [
        (start, end, node, number) for node, all_ in times.items() for number, start, end in all_ if node != APPROVE
    ]
    whole = list(made)
    for start, end, node, number in sorted(left):
        before = [one for one in whole if one.ended is not None and one.ended <= start]
        after = tuple(one.id for one in sorted(before, key=lambda one: one.ended or 0)[-1:])
        fate = FAILED if node in failed and number == times[node][-1][0] else DONE
        agent = PERSON if node in ASKING and fate == DONE else _agent(node, result)
        added = Item(_nth(node, number), agent, fate, after, start, end)
        whole = [replace(one, after=(added.id,)) if one.after == after and _follows(one, end) else one for one in whole]
        whole.append(added)
    return whole


def _follows(one: Item, end: float) -> bool:
    return one.started is not None and one.started >= end


def _nth(name: str, number: int) -> str:
    return name if number == 1 else f"{name} {number}"


def _agent(node: str, result: Mapping[str, Any]) -> str:
    if node == "agent":
        return text(mapping(result.get("triage")).get("agent"))
    return _worker(result, set()) if node == "work" else _AGENTS.get(node, node)


def _recorded(result: Mapping[str, Any]) -> Iterator[Turn]:
    """Yield the turns in order."""
    last: tuple[str, ...] = ()
    if triage := mapping(result.get("triage")):
        yield "triage", Item("triage", "triage", note=text(triage.get("reason")))
        last = ("triage",)
    if route := mapping(result.get("route")):
        yield from _routed(route, result)
    elif result.get("reviews") or result.get("work"):
        yield from _reviewed(result, last)
    elif result.get("handoffs") or result.get("said"):
        yield from _handed(result)
    elif not triage and result.get("seconds") and not result.get("worked"):
        agents = list(mapping(mapping(result.get("usage")).get("agents")))
        yield from ((name, Item(name, name, _fate(result))) for name in agents)


def _fate(result: Mapping[str, Any]) -> str:
    """Say what became of the last piece of work, judged by the run's status."""
    status = result.get("status")
    return {"failed": FAILED, "needs_input": WAITING, "running": STOPPED, "stopped": STOPPED}.get(str(status), DONE)


def _routed(route: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Turn]:
    number = 1 + sum(node == "clarify" for node, _, _ in worked(result))
    for earlier in range(1, number):
        before = (_nth("clarify", earlier - 1),) if earlier > 1 else ()
        yield "classify", Item(_nth("classify", earlier), "classifier", after=before)
        yield "clarify", Item(_nth("clarify", earlier), PERSON, after=(_nth("classify", earlier),))
    first = _nth("classify", number)
    clarified = (_nth("clarify", number - 1),) if number > 1 else ()
    yield "classify", Item(first, "classifier", after=clarified, note=text(route.get("reason")))
    chosen = tuple(map(text, listed(route.get("chosen"))))
    yield from _asked(chosen, first, result)
    if not chosen:
        yield "clarify", Item(_nth("clarify", number), PERSON, _fate(result), (first,))
    if "merger" in mapping(mapping(result.get("usage")).get("agents")):
        yield "merge", Item("merge", "merger", after=chosen)


def _asked(chosen: Sequence[str], first: str, result: Mapping[str, Any]) -> Iterator[Turn]:
    """Yield what came of the chosen agents; the next best is asked when the one before has failed, or at once."""
    times = {node: (start, end) for node, start, end in worked(result)}
    replies = {text(one.get("agent")): one for one in map(mapping, listed(result.get("replies")))}
    before = ""
    for name in chosen:
        reply = replies.get(name)
        fate = STOPPED if reply is None else FAILED if reply.get("text") is None else DONE
        late = before in times and name in times and times[before][1] <= times[name][0]
        agent = _sole(result, {*chosen, "classifier", "merger"}) or name if name == "fallback" else name
        after = (before,) if late else (first,)
        yield name, Item(name, agent, fate, after, result=text(mapping(reply).get("text")))
        before = name if fate == FAILED else ""


def _reviewed(result: Mapping[str, Any], last: tuple[str, ...]) -> Iterator[Turn]:
    reviews = [mapping(one) for one in listed(result.get("reviews"))]
    small = text(mapping(result.get("triage")).get("agent"))
    worker = small or _worker(result, {text(one.get("by")) for one in reviews})
    revisions = max([int(result.get("revisions") or 0), *(int(one.get("revision") or 0) for one in reviews)])
    for number in range(revisions + 1):
        work = f"work {number + 1}"
        if not result.get("steps"):  # else the work is a plan
            yield "agent" if small else "work", Item(work, worker, after=last)
            last = (work,)
        for place, one in enumerate(one for one in reviews if int(one.get("revision") or 0) == number):
            review = f"review {number + 1}" + (f".{place + 1}" if place else "")
            fate = DONE if one.get("acceptable") else SENT_BACK
            yield "review", Item(review, text(one.get("by")), fate, last, note=text(one.get("feedback")))
            last = (review,)
    if result.get("status") in ("escalated", "needs_input"):
        waits = WAITING if result["status"] == "needs_input" else DONE
        by = PERSON if waits == WAITING else ""
        yield "escalate", Item("escalate", by, waits, last, note=text(result.get("stop_reason")))


def _worker(result: Mapping[str, Any], reviewers: set[str]) -> str:
    """Name the supervised agent, which is recorded only where it has called a model."""
    return _sole(result, reviewers) or "worker"


def _sole(result: Mapping[str, Any], others: set[str]) -> str:
    """Name the only agent besides some others that has called a model, if there is just one."""
    agents = {name.partition("/")[0] for name in mapping(mapping(result.get("usage")).get("agents"))} - others
    return agents.pop() if len(agents) == 1 else ""


def _handed(result: Mapping[str, Any]) -> Iterator[Turn]:
    handed = [mapping(one) for one in listed(result.get("handoffs"))]
    taken = [
        (text(one.get("by")), SENT_BACK if one.get("refused") else DONE, text(one.get("refused") or one.get("reason")))
        for one in handed
    ]
    reason = text(result.get("stop_reason"))
    stopped = bool(handed) and bool(reason) and handed[-1].get("refused") == reason
    if not handed:
        taken = [(text(mapping(one).get("by")), DONE, text(mapping(one).get("text"))) for one in listed(result["said"])]
    elif result.get("active") and not stopped:
        taken.append((text(result["active"]), _fate(result), reason))
    last: tuple[str, ...] = ()
    for number, (name, status, note) in enumerate(taken, 1):
        yield name, Item(f"{number}. {name}", name, status, last, note=note)
        last = (f"{number}. {name}",)
