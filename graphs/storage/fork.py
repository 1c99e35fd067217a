"""Forks of a stored run: the points at which it can start again, and a copy of it that continues at one of them.

A point is a node of the graph, or a step of its plan. A fork at a node restores the state before it; a fork at a step
keeps the results of all steps but that one and those that need it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from agents.errors import ConfigurationError
from agents.usage import sum_usage
from graphs.engine import EXECUTE, Plan, StepRecord, record_of
from graphs.engine import langgraph_internals as internals
from graphs.storage.checkpointer import Storage


@dataclass(frozen=True)
class ForkPoint:
    """A point at which a run can start again."""

    name: str
    kind: str
    """`node` or `step`."""
    checkpoints: tuple[CheckpointTuple, ...]
    """The state before it: of the graph, and for a step of a nested plan of that plan's graph."""
    kept: Mapping[str, StepRecord] = field(default_factory=dict)
    """For a step: the records that are kept."""
    rerun: tuple[str, ...] = ()
    """For a step: the finished steps that run again."""
    step: Mapping[str, object] = field(default_factory=dict)


def fork_points(storage: Storage, thread_id: str) -> list[ForkPoint]:
    """Return the points of a run's last request in the order in which they were reached."""
    thread: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    spaces: dict[str, list[CheckpointTuple]] = {}
    for checkpoint in reversed([*storage.list(thread)]):
        spaces.setdefault(_namespace(checkpoint), []).append(checkpoint)
    root = spaces.get("", [])
    inputs = [index for index, checkpoint in enumerate(root) if checkpoint.metadata.get("source") == "input"]
    root = root[max(inputs, default=0) :]
    points: list[ForkPoint] = []
    for checkpoint in root:
        for node in internals.next_nodes(checkpoint):
            times = sum(point.name.partition(":")[0] == node for point in points)
            points.append(ForkPoint(f"{node}:{times + 1}" if times else node, "node", (checkpoint,)))
    return [*points, *_steps(root, spaces)]


def find_point(points: Iterable[ForkPoint], name: str) -> ForkPoint:
    """Return the point of that name; a step comes before a node.

    Raises:
        ConfigurationError: No point has that name.
    """
    by_name = {point.name: point for point in points}
    if name not in by_name:
        raise ConfigurationError(f"The run cannot start again at {name!r}; it can at: {', '.join(by_name)}")
    return by_name[name]


def copy_run(storage: Storage, point: ForkPoint, thread_id: str, metadata: Mapping[str, object]) -> None:
    """Store a copy of a run that continues at a point, under a new id and with new metadata."""
    for original in point.checkpoints:
        checkpoint = original.checkpoint.copy()
        if point.kind == "step" and original is point.checkpoints[-1]:
            checkpoint["channel_values"] = _with_steps(checkpoint["channel_values"], point.kept)
        config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": _namespace(original)}}
        described: Any = {**original.metadata, **metadata}
        storage.put(config, checkpoint, described, checkpoint["channel_versions"])


def _steps(root: list[CheckpointTuple], spaces: Mapping[str, list[CheckpointTuple]]) -> Iterable[ForkPoint]:
    """Return the steps of the last plan, be it the graph's own or that of a graph in one of its nodes."""
    plans = [
        (checkpoint, outer)
        for namespace, graph in spaces.items()
        if internals.is_nested_once(namespace)
        for checkpoint in graph
        if EXECUTE in internals.next_nodes(checkpoint) and (outer := _around(checkpoint, root)) is not None
    ]
    if not plans:
        return
    before, outer = max(plans, key=lambda pair: pair[0].checkpoint["id"])
    namespace = _namespace(before)
    after = [item for item in spaces[namespace] if item.checkpoint["id"] > before.checkpoint["id"]]
    records = _records(before, after)
    plan = record_of(before.checkpoint["channel_values"]).get("plan", ())
    for step in plan:
        again = _dependents(step["id"], plan)
        kept = {name: record for name, record in records.items() if name not in again}
        stack = (outer, before) if namespace else (before,)
        yield ForkPoint(step["id"], "step", stack, kept, tuple(name for name in records if name in again), step)


def _namespace(checkpoint: CheckpointTuple) -> str:
    return str(checkpoint.config["configurable"]["checkpoint_ns"])


def _around(checkpoint: CheckpointTuple, root: list[CheckpointTuple]) -> CheckpointTuple | None:
    if not _namespace(checkpoint):
        return checkpoint if any(checkpoint is item for item in root) else None
    parent = internals.outermost_checkpoint_id(checkpoint)
    return next((item for item in root if item.checkpoint["id"] == parent), None)


def _records(before: CheckpointTuple, after: list[CheckpointTuple]) -> dict[str, StepRecord]:
    """Return the records of the plan's finished steps: in the last state, and of tasks that ended since."""
    plan = {step["id"] for step in record_of(before.checkpoint["channel_values"]).get("plan", ())}
    records: dict[str, StepRecord] = {}
    for checkpoint in (before, *after):
        stored = record_of(checkpoint.checkpoint["channel_values"]).get("steps", {})
        # The result of an item of a `for_each` step looks like a record too, but has no times.
        results = [item for item in internals.task_results(checkpoint) if isinstance(item, dict) and item.get("ended")]
        for record in [*stored.values(), *results]:
            if record.get("status") == "completed" and record.get("id") in plan:
                records[record["id"]] = record
    return records


def _dependents(step: str, plan: Plan) -> set[str]:
    again = {step}
    while more := {item["id"] for item in plan if again & set(item["dependencies"])} - again:
        again |= more
    return again


def _with_steps(values: Mapping[str, Any], kept: Mapping[str, StepRecord]) -> dict[str, Any]:
    """Return a state in which just these steps are finished, with their cost and problems counted."""
    stored: Mapping[str, StepRecord] = values.get("steps") or {}
    new = [record for name, record in kept.items() if name not in stored]
    usage = sum_usage([values["usage"], *(record["usage"] for record in new)])
    dropped = [problem for name, record in stored.items() if name not in kept for problem in record["problems"]]
    errors = [problem for problem in values["errors"] if problem not in dropped]
    return {
        **values,
        "steps": dict(kept),
        "usage": usage,
        "errors": [*errors, *(problem for record in new for problem in record["problems"])],
    }
