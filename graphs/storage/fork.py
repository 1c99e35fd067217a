"""Start again from a point of a stored run: its points, and a copy of the run that stands before one of them.

A point is a node of the graph, or a step of its plan. Forking at a node gives back the state before it; forking at a
step keeps the results of all steps but that one and those that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from agents.errors import ConfigurationError
from agents.runtime import sum_usage
from graphs.engine import EXECUTE, StepRecord
from graphs.storage.checkpointer import Storage

_BRANCH = "branch:to:"
"""How LangGraph names the channels that say which node is next."""


@dataclass(frozen=True)
class Point:
    """A place to start again from."""

    name: str
    kind: str
    """`node` or `step`."""
    checkpoints: tuple[CheckpointTuple, ...]
    """What stands before it: of the graph, and for a step of a nested plan of that plan's graph."""
    kept: Mapping[str, StepRecord] = field(default_factory=dict)
    """For a step: the records that are kept."""
    rerun: tuple[str, ...] = ()
    """For a step: what runs again of what was finished."""
    step: Mapping[str, Any] = field(default_factory=dict)


def points(storage: Storage, thread_id: str) -> list[Point]:
    """Return the points of a run's last request in the order in which they were reached."""
    thread: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    spaces: dict[str, list[CheckpointTuple]] = {}
    for one in reversed([*storage.list(thread)]):
        spaces.setdefault(one.config["configurable"]["checkpoint_ns"], []).append(one)
    own = spaces.get("", [])
    last_input = max((place for place, one in enumerate(own) if one.metadata.get("source") == "input"), default=0)
    own = own[last_input:]
    found: list[Point] = []
    for one in own:
        for node in _next(one):
            times = sum(point.name.partition(":")[0] == node for point in found)
            found.append(Point(f"{node}:{times + 1}" if times else node, "node", (one,)))
    return [*found, *_steps(own, spaces)]


def _next(one: CheckpointTuple) -> list[str]:
    """Return the nodes that run after a checkpoint."""
    channels = one.checkpoint["channel_values"]
    return [name.removeprefix(_BRANCH) for name in channels if name.startswith(_BRANCH)]


def _steps(own: list[CheckpointTuple], spaces: Mapping[str, list[CheckpointTuple]]) -> Iterable[Point]:
    """Return the steps of the last plan, be it the graph's own or that of a graph in one of its nodes."""
    inside = [
        (one, outer)
        for name, graph in spaces.items()
        if "|" not in name
        for one in graph
        if EXECUTE in _next(one) and (outer := _around(one, own)) is not None
    ]
    if not inside:
        return
    before, outer = max(inside, key=lambda pair: pair[0].checkpoint["id"])
    space = before.config["configurable"]["checkpoint_ns"]
    records = _records(before, [one for one in spaces[space] if one.checkpoint["id"] > before.checkpoint["id"]])
    for step in before.checkpoint["channel_values"].get("plan", ()):
        again = _dependents(step["id"], before.checkpoint["channel_values"]["plan"])
        kept = {one: record for one, record in records.items() if one not in again}
        stack = (outer, before) if space else (before,)
        yield Point(step["id"], "step", stack, kept, tuple(one for one in records if one in again), step)


def _around(one: CheckpointTuple, own: list[CheckpointTuple]) -> CheckpointTuple | None:
    """Return the outermost graph's checkpoint in which a checkpoint was made."""
    if not one.config["configurable"]["checkpoint_ns"]:
        return one if any(one is other for other in own) else None
    parent = one.metadata.get("parents", {}).get("")
    return next((other for other in own if other.checkpoint["id"] == parent), None)


def _records(before: CheckpointTuple, after: list[CheckpointTuple]) -> dict[str, StepRecord]:
    """Return the records of the plan's finished steps: in the last state, and of tasks that ended since."""
    plan = {step["id"] for step in before.checkpoint["channel_values"].get("plan", ())}
    found: dict[str, StepRecord] = {}
    for one in (before, *after):
        stored = one.checkpoint["channel_values"].get("steps") or {}
        # What an item of a `for_each` step has written looks like a record too, but says nothing of when.
        written = [value for _, _, value in one.pending_writes or () if isinstance(value, dict) and value.get("ended")]
        for record in [*stored.values(), *written]:
            if record.get("status") == "completed" and record.get("id") in plan:
                found[record["id"]] = record
    return found


def _dependents(step: str, plan: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return a step and all that directly or indirectly need it."""
    steps = list(plan)
    again = {step}
    while more := {one["id"] for one in steps if again & set(one["dependencies"])} - again:
        again |= more
    return again


def find(found: Iterable[Point], name: str) -> Point:
    """Return the point of that name; a step comes before a node.

    Raises:
        ConfigurationError: There is none.
    """
    known = {one.name: one for one in found}
    if name not in known:
        raise ConfigurationError(f"There is no point {name!r} to start again from; known: {', '.join(known)}")
    return known[name]


def copy(storage: Storage, point: Point, thread_id: str, metadata: Mapping[str, Any]) -> None:
    """Store a copy of a run that stands before a point, under a new id and with new metadata."""
    for one in point.checkpoints:
        checkpoint = one.checkpoint.copy()
        if point.kind == "step" and one is point.checkpoints[-1]:
            checkpoint["channel_values"] = _with_steps(checkpoint["channel_values"], point.kept)
        space = one.config["configurable"]["checkpoint_ns"]
        config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": space}}
        described: Any = {**one.metadata, **metadata}
        storage.put(config, checkpoint, described, checkpoint["channel_versions"])


def _with_steps(values: Mapping[str, Any], kept: Mapping[str, StepRecord]) -> dict[str, Any]:
    """Return a state in which just these steps are finished, with their cost and problems counted."""
    new = [record for name, record in kept.items() if name not in (values.get("steps") or {})]
    return {
        **values,
        "steps": dict(kept),
        "usage": sum_usage([values["usage"], *(one["usage"] for one in new)]),
        "errors": [*values["errors"], *(told for one in new for told in one["problems"])],
    }
