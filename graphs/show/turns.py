"""The turns of patterns without steps, as far as they are recorded: of routers, supervisors and networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphs.show.items import DONE, FAILED, SENT_BACK, STOPPED, WAITING, Item, listed, mapping, text


def turns(result: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the turns in order, each after what led to it."""
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
    taken = [
        (text(one.get("by")), SENT_BACK if one.get("refused") else DONE, text(one.get("refused") or one.get("reason")))
        for one in handed
    ]
    if not handed:
        taken = [(text(mapping(one).get("by")), DONE, text(mapping(one).get("text"))) for one in listed(result["said"])]
    elif result.get("active"):
        taken.append((text(result["active"]), _fate(result), text(result.get("stop_reason"))))
    last: tuple[str, ...] = ()
    for number, (name, status, note) in enumerate(taken, 1):
        yield Item(f"{number}. {name}", name, status, last, note=note)
        last = (f"{number}. {name}",)
