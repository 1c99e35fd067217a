"""Who is at work in a run, since when, and what came of it: LangGraph's `tasks` events -> `Trace.apply` -> next trace.

It works for every graph, also those without steps, and for what goes on inside nested ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import AIMessageChunk
from langgraph.types import Overwrite

from graphs.engine import EXECUTE, StepRecord, critical_path
from graphs.show.items import PENDING, SENT_BACK, STOPPED, Item
from graphs.show.items import WAITING as WAITS
from graphs.show.live import one_line
from graphs.show.parts import WAITING

MODES = ("tasks", "custom", "messages", "values")
"""What a trace reads of a run, with `subgraphs=True`."""

_INSIDE_AN_AGENT = ("model", "tools")
"""Nodes of LangChain's agents; the node or step that the agent is in tells of them."""
_WORTH_A_LINE = 0.05
"""Seconds; what took less and has nothing to tell is left out."""
_TAIL = 60
"""Characters of what is being written that are shown."""
_FEW = 2
"""Agents that are named on a line."""
_OVERLAP = 0.02
"""Seconds by which one stretch may seem to begin before the other has ended."""


@dataclass(frozen=True)
class Stretch:
    """One stretch of work: a node or step that began, and perhaps has ended."""

    name: str
    depth: int
    """How many nodes and steps it is inside of."""
    started: float | None
    """Seconds since the epoch, as `ended`; None while a step waits for others."""
    ended: float | None = None
    status: str = "running"
    """`pending`, `running`, `completed`, `failed`, `sent back`, `skipped` or `waiting for you`."""
    within: str = ""
    """The id of the node or step that it is inside of."""
    worker: str = ""
    """The agents that worked at it, as far as that is known."""
    told: str = ""
    """What came of it, in one line."""
    written: str = ""
    """The end of what its agent has streamed so far."""
    is_step: bool = False
    attempts: int = 1


@dataclass(frozen=True)
class Trace:
    """A run as far as it has come; `apply` never changes it but returns the next one."""

    began: float
    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    """By LangGraph's id of the task, in the order they began."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The last state of the outermost graph."""

    def apply(self, event: tuple[Sequence[str], str, Any], now: float) -> Trace:
        """Take in one event of `graph.stream(..., stream_mode=MODES, subgraphs=True)`."""
        namespace, mode, chunk = event
        if mode == "values" and not namespace:
            return replace(self, state={**self.state, **chunk})
        if mode == "custom" and isinstance(chunk, Mapping) and chunk.get("event") in ("step", "retry"):
            return self._with_news(chunk)
        if mode == "messages" and isinstance(chunk[0], AIMessageChunk) and chunk[0].text:
            return self._with_words(namespace, chunk[0].text)
        if mode == "tasks":
            return self._with_end(chunk, now) if "result" in chunk else self._with_beginning(namespace, chunk, now)
        return self

    def shown(self) -> list[Stretch]:
        """Return what is worth a line: what goes on, took a while or has something to tell; insides come below."""
        return [one for one in self._inside("") if one.ended is None or one.told or _took(one)]

    def _inside(self, within: str) -> Iterator[Stretch]:
        for key, one in self.stretches.items():
            if one.within == within:
                yield one
                yield from self._inside(key)

    def items(self, now: float) -> list[Item]:
        """Return the outermost nodes and all steps for pictures, with those that everything waited for marked."""
        outer = {key: one for key, one in self.stretches.items() if one.is_step or one.depth == 0}
        critical = self._critical({key: one for key, one in outer.items() if one.is_step or _took(one)})
        times: dict[str, int] = {}
        made = []
        for key, one in outer.items():
            times[one.name] = times.get(one.name, 0) + 1
            again = f" {times[one.name]}" if times[one.name] > 1 else ""
            if one.is_step or _took(one):
                made.append(_item(one, f"{one.name}{again}", now, critical=key in critical))
        return made

    def _critical(self, outer: Mapping[str, Stretch]) -> set[str]:
        steps: Mapping[str, StepRecord] = self.state.get("steps") or {}
        path = set(critical_path(steps))
        others = {key: one for key, one in outer.items() if not one.is_step}
        last = {key for key, one in others.items() if not any(_outlasts(other, one) for other in others.values())}
        return last | {key for key, one in outer.items() if one.is_step and one.name in path}

    def _with_beginning(self, namespace: Sequence[str], task: Mapping[str, Any], now: float) -> Trace:
        names = [part.partition(":")[0] for part in namespace]
        around = [name for name in names if name != EXECUTE and not name.isdigit()]
        if task["name"] == EXECUTE or (around and task["name"] in _INSIDE_AN_AGENT):
            return self
        within = next((one for one in reversed(_keys(namespace)) if one in self.stretches), "")
        begun = Stretch(task["name"], len(around), now, within=within)
        step = _step_in(task["input"])
        if step.get("id") == task["name"]:
            begun = replace(begun, started=None, status="pending", worker=str(step["agent"]), is_step=True)
        return self._with(task["id"], begun)

    def _with_end(self, task: Mapping[str, Any], now: float) -> Trace:
        began = self.stretches.get(task["id"])
        if began is None:
            return self
        update = _plain(task["result"])
        if task["error"] or task["interrupts"]:
            status, told = (
                ("failed", one_line(str(task["error"]))) if task["error"] else (WAITING, "it asks a question")
            )
            return self._with(task["id"], replace(began, ended=now, status=status, told=told))
        status, told = outcome(update)
        ended = replace(began, ended=now, status=status, told=told, worker=_worker(update))
        if _is_step(update):
            times = {"started": update["started"], "ended": update["ended"] or now}
            ended = replace(ended, attempts=update["attempts"], **times)
        elif not told and (_took(ended) or ended.worker):
            ended = replace(ended, told=one_line(_answer(update)))
        return self._with(task["id"], ended)

    def _with_news(self, told: Mapping[str, Any]) -> Trace:
        """Take in that a step has begun, or is tried again."""
        key = next((key for key, one in self.stretches.items() if one.name == told["step"] and one.ended is None), None)
        if key is None:
            return self
        step = self.stretches[key]
        if told["event"] == "retry":
            said = f"attempt {told['attempt']} failed, trying again: {one_line(told['error'])}"
            return self._with(key, replace(step, told=said, written=""))
        if told["status"] != "running":
            return self
        return self._with(key, replace(step, status="running", started=step.started or told["time"]))

    def _with_words(self, namespace: Sequence[str], words: str) -> Trace:
        """Show the end of what an agent is writing, on the line of the node or step that it is in."""
        owner = next((one for one in reversed(_keys(namespace)) if one in self.stretches), None)
        if owner is None:
            return self
        before = self.stretches[owner]
        written = (before.written + words)[-_TAIL:]
        return self._with(owner, replace(before, written=written))

    def _with(self, key: str, stretch: Stretch) -> Trace:
        return replace(self, stretches={**self.stretches, key: stretch})


def outcome(update: Mapping[str, Any]) -> tuple[str, str]:
    """Return what became of a node or step by what it gave back: its status, and one line."""
    if _is_step(update):
        return update["status"], one_line(update["error"] or update["result"] or "")
    errors = update.get("errors") or []
    status = SENT_BACK if _is_rejection(update) else "failed" if errors else "completed"
    return status, one_line(_decision(update) or (errors[-1]["message"] if errors else ""))


def _is_rejection(update: Mapping[str, Any]) -> bool:
    """Tell whether a plan, a handoff or some work was sent back."""
    reviews, handoffs = update.get("reviews") or [], update.get("handoffs") or []
    refused = bool(handoffs and handoffs[-1].get("refused"))
    return bool(update.get("flaws")) or refused or bool(reviews and not reviews[-1]["acceptable"])


def _decision(update: Mapping[str, Any]) -> str:
    """Return the decision in an update, as a line."""
    if flaws := update.get("flaws"):
        return f"the plan is flawed: {' '.join(flaws)}"
    if triage := update.get("triage"):
        return f"{'one agent: ' + triage['agent'] if triage['small'] else 'a plan'} ({triage['reason']})"
    if handoffs := update.get("handoffs"):
        last = handoffs[-1]
        return f"refused: {last['refused']}" if last.get("refused") else f"over to {last['to']}: {last['reason']}"
    if reviews := update.get("reviews"):
        return "accepted" if reviews[-1]["acceptable"] else f"sent back: {reviews[-1]['feedback']}"
    if (route := update.get("route")) and update.get("status") == "running":
        return f"{', '.join(route['chosen']) or 'nobody'} ({route['reason']})"
    if replies := update.get("replies"):
        return str(replies[-1]["text"] or "")
    if "plan_attempts" in update and update.get("plan"):
        return ", ".join(step["id"] for step in update["plan"])
    if update.get("status") == "escalated":
        return "escalated"
    if said := update.get("said"):
        return str(said[-1]["text"])
    return str(update.get("work") or "")


def _answer(update: Mapping[str, Any]) -> str:
    messages = update.get("messages") or []
    return str(messages[-1].text) if messages else ""


def _plain(result: Any) -> dict[str, Any]:
    """Return what a task gave back: a step's record, or a node's update without LangGraph's marks."""
    found = result.get("__return__", result) if isinstance(result, Mapping) else {}
    pairs: Iterable[tuple[str, Any]] = found.items() if isinstance(found, Mapping) else ()
    return {key: value.value if isinstance(value, Overwrite) else value for key, value in pairs}


def _step_in(given: Any) -> Mapping[str, Any]:
    """Return the step that a task was called with, if it is one: `((step, ...), {...})`."""
    while isinstance(given, tuple | list) and given:
        given = given[0]
    return given if isinstance(given, Mapping) else {}


def _keys(namespace: Sequence[str]) -> list[str]:
    return [part.rpartition(":")[2] for part in namespace]


def _is_step(update: Mapping[str, Any]) -> bool:
    return "attempts" in update and "answered_by" in update


def _worker(update: Mapping[str, Any]) -> str:
    if _is_step(update):
        return str(update["answered_by"] or update["agent"])
    names = list(dict.fromkeys(name.partition("/")[0] for name in (update.get("usage") or {}).get("agents", ())))
    return ", ".join(names) if len(names) <= _FEW else f"{len(names)} agents"


def _item(one: Stretch, name: str, now: float, *, critical: bool) -> Item:
    status = {"running": STOPPED, "pending": PENDING, WAITING: WAITS}.get(one.status, one.status)
    return Item(
        name,
        one.worker or name,
        status,
        started=one.started,
        ended=one.ended or (now if one.started else None),
        attempts=one.attempts,
        critical=critical,
        note=one.told,
    )


def _took(one: Stretch) -> bool:
    return one.ended is not None and one.started is not None and one.ended - one.started >= _WORTH_A_LINE


def _outlasts(one: Stretch, other: Stretch) -> bool:
    """Tell whether one was at work beside the other and ended later."""
    if one is other or one.started is None or one.ended is None or other.ended is None:
        return False
    return one.started < other.ended - _OVERLAP and one.ended > other.ended
