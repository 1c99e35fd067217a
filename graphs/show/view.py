"""What is known of a run while it streams, as plain values: event -> `View.apply` -> the next view.

The events are those of `graph.astream(..., stream_mode=MODES, subgraphs=True)`. Drawing is elsewhere (live.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.messages import AIMessageChunk

from graphs.engine import EXECUTE, Step, StepRecord, new_record, read_plan

MODES = ("updates", "custom", "messages", "values")
SORTING, PLANNING, CHECKING, WORKING, REPLANNING = "sorting", "planning", "checking", "working", "replanning"
REVIEWING, REVISING, ANSWERING = "reviewing", "revising", "answering"
WAITING, RESUMING = "waiting for you", "going on"

_NEXT = {"plan": CHECKING, "check": WORKING, "approve": WORKING, EXECUTE: "assessing", "assess": ANSWERING}
"""What a planner or workflow does after each of its nodes; other nodes change nothing."""

Path = tuple[str, ...]
Event = tuple[Path, str, Any]
"""Namespace, mode and chunk, as LangGraph streams them."""


@dataclass(frozen=True)
class Work:
    """One step of a run, as far as it has come."""

    record: StepRecord
    written: int = 0
    """Pieces of text its agent has streamed; about as many tokens."""
    failures: int = 0
    """Attempts that failed and were followed by another."""
    reason: str | None = None
    """Why the last attempt failed."""
    again: float | None = None
    """When the next attempt begins, in seconds since the epoch."""
    review: str = ""
    """What the last review said, while its agent is a supervised one that is sent back."""

    @property
    def status(self) -> str:
        """The status of the record."""
        return self.record["status"]


@dataclass(frozen=True)
class Phase:
    """One thing the pattern as a whole did, and when; the last one has not ended."""

    name: str
    started: float
    ended: float | None = None


@dataclass(frozen=True)
class View:
    """A run as seen from outside; `apply` never changes it but returns the next one."""

    phases: tuple[Phase, ...]
    works: Mapping[Path, Work] = field(default_factory=dict)
    """The steps by path (`("execute", "draft")`); those inside a step's agent have longer ones."""
    flaws: tuple[str, ...] = ()
    """What was wrong with the last plan."""
    note: str = ""
    """The last decision about the run as a whole: who got the request, why an answer was sent back."""
    answer: str = ""
    """The answer as far as it was streamed."""
    answer_id: str | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    """The last state of the outermost graph."""
    known: Mapping[str, StepRecord] = field(default_factory=dict)
    """Steps that an earlier process has finished, by id; they are not streamed again."""

    @classmethod
    def begin(cls, phase: str, now: float, known: Mapping[str, StepRecord] | None = None) -> View:
        """Return the view of a run that starts now, or goes on."""
        return cls((Phase(phase, now),), known=known or {})

    def going_on(self, asked: float, now: float) -> View:
        """Return the view of the run after a person was asked and has answered."""
        state = {key: value for key, value in self.state.items() if key != "__interrupt__"}
        return replace(self._in_phase(WAITING, asked)._in_phase(self.phase, now), state=state)

    @property
    def began(self) -> float:
        """When the run started, in seconds since the epoch."""
        return self.phases[0].started

    @property
    def phase(self) -> str:
        """What the run is doing."""
        return self.phases[-1].name

    def records(self) -> dict[str, StepRecord]:
        """Return the records of the outermost graph's own steps, those of abandoned plans included."""
        return {path[-1]: work.record for path, work in self.works.items() if not self.owner(path[:-1])}

    def finished(self) -> dict[str, str]:
        """Return the results that are there, by step."""
        return {one: told["result"] or "" for one, told in self.records().items() if told["status"] == "completed"}

    def owner(self, path: Path) -> Path | None:
        """Return the innermost step that a path leads through or to."""
        return next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.works), None)

    def apply(self, event: Event, now: float) -> View:
        """Take in one event; events of other kinds change nothing."""
        namespace, mode, chunk = event
        place = tuple(name for part in namespace if not (name := part.partition(":")[0]).isdigit())
        if mode == "custom" and isinstance(chunk, Mapping) and chunk.get("event") in ("step", "retry"):
            return self._with_progress(chunk)
        if mode == "updates":
            view = self
            for node, update in chunk.items():
                if isinstance(update, Mapping):
                    view = view._with_update(place, node, update, now)
            return view
        if mode == "messages" and isinstance(chunk[0], AIMessageChunk) and chunk[0].text:
            return self._with_text(place, chunk[0])
        if mode == "values" and isinstance(chunk, Mapping):
            view = self._with_known_plan(place, chunk)
            return view if namespace else replace(view, state={**self.state, **chunk})
        return self

    def _with_progress(self, told: Mapping[str, Any]) -> View:
        path = _path_of(told)
        work = self.works.get(path) or Work(new_record(Step(told["step"], told["agent"], "")))
        if told["event"] == "retry":
            again = told["time"] + told["wait"]
            return self._with(path, replace(work, failures=told["attempt"], reason=told["error"], again=again))
        known = {key: value for key, value in told.items() if key in work.record}
        if told["status"] == "running":
            known["started"] = told["time"]
        return self._with(path, replace(work, record={**work.record, **known}))  # type: ignore[typeddict-item]

    def _with_update(self, place: Path, node: str, update: Mapping[str, Any], now: float) -> View:
        if update.get("id") == node and "attempts" in update:  # the record of a step, not the update of a node
            path = (*place, EXECUTE, node)
            record = cast(StepRecord, update)
            return self._with(path, replace(self.works.get(path, Work(record)), record=record))
        plan = update.get("approved") or (node == "check" and update.get("plan"))
        view = self._with_plan((*place, EXECUTE), plan) if plan else self
        if owner := self.owner(place):  # what goes on inside a step is no phase of the run
            review = _review_in(update, view.works[owner].review)
            unchanged = review == view.works[owner].review
            return view if unchanged else view._with(owner, replace(view.works[owner], review=review))
        flaws = tuple(update.get("flaws") or ()) if node == "check" else self.flaws
        note = _note_in(update) or self.note
        return replace(view, flaws=flaws, note=note)._in_phase(_phase_after(node, update) or self.phase, now)

    def _with_known_plan(self, place: Path, state: Mapping[str, Any]) -> View:
        """Show the plan that a resumed graph goes on with."""
        here = (*place, EXECUTE)
        own = "triage" not in state and state.get("status") == "running"
        plan = state.get("approved", state.get("plan")) if own else None
        if not plan or any(path[:-1] == here for path in self.works):
            return self
        done = {one: record for one, record in state.get("steps", {}).items() if record["status"] == "completed"}
        return replace(self, known={**self.known, **done})._with_plan(here, plan)

    def _with_plan(self, place: Path, plan: Iterable[Mapping[str, Any]]) -> View:
        """Show the new plan's steps behind what an earlier plan has already done."""
        steps, _ = read_plan(plan)
        new = {(*place, step.id): Work(self._begun(step)) for step in steps}
        kept = {
            path: work
            for path, work in self.works.items()
            if path[:-1] != place or work.status == "completed" or (work.status == "failed" and path not in new)
        }
        return replace(self, works={**kept, **{path: work for path, work in new.items() if path not in kept}})

    def _begun(self, step: Step) -> StepRecord:
        """Return the record of a step that an earlier process has finished, else a new one."""
        known = self.known.get(step.id)
        return known if known and known["task"] == step.task else new_record(step)

    def _with_text(self, place: Path, chunk: AIMessageChunk) -> View:
        if owner := self.owner(place):
            return self._with(owner, replace(self.works[owner], written=self.works[owner].written + 1))
        before = self.answer if chunk.id == self.answer_id else ""  # another id: an attempt that starts over
        return replace(self, answer=before + chunk.text, answer_id=chunk.id)

    def _with(self, path: Path, work: Work) -> View:
        return replace(self, works={**self.works, path: work})

    def _in_phase(self, name: str, now: float) -> View:
        if name == self.phase:
            return self
        return replace(self, phases=(*self.phases[:-1], replace(self.phases[-1], ended=now), Phase(name, now)))


def _phase_after(node: str, update: Mapping[str, Any]) -> str | None:
    if triage := _mapping(update.get("triage")):
        return WORKING if triage.get("small") else PLANNING
    if review := _last(update.get("reviews")):
        return ANSWERING if review.get("acceptable") else REVISING
    if update.get("work"):
        return REVIEWING
    if (node == "check" and update.get("flaws")) or (node == "approve" and update.get("feedback")):
        return REPLANNING
    if node == "assess" and update.get("replans"):
        return REPLANNING
    return _NEXT.get(node)


def _path_of(told: Mapping[str, Any]) -> Path:
    """Return the path of an event's step; that of an item of a `for_each` step is the step's."""
    path = tuple(told["path"].split("/"))
    step = told["step"]
    last = max((number for number, part in enumerate(path) if part == step), default=None)
    return (*path, step) if last is None else path[: last + 1]


def _note_in(update: Mapping[str, Any]) -> str:
    """Return the decision in an update, as a line."""
    if triage := _mapping(update.get("triage")):
        return f"{triage.get('agent') if triage.get('small') else 'a plan'}: {triage.get('reason')}"
    route = _mapping(update.get("route"))
    if route.get("chosen"):
        return f"{', '.join(route['chosen'])}: {route.get('reason')}"
    if handoff := _last(update.get("handoffs")):
        return f"{handoff.get('by')} hands over to {handoff.get('to')}: {handoff.get('reason')}"
    if review := _last(update.get("reviews")):
        return "accepted" if review.get("acceptable") else f"sent back: {review.get('feedback')}"
    return ""


def _review_in(update: Mapping[str, Any], before: str) -> str:
    """Return what the reviewer of a step has sent it back with, as far as an update changes it."""
    if not (review := _last(update.get("reviews"))):
        return before
    return "" if review.get("acceptable") else str(review.get("feedback"))


# Graphs of others may use the same keys for something else.
def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _last(value: Any) -> Mapping[str, Any]:
    return _mapping(value[-1]) if isinstance(value, list) and value else {}
