"""Runs that are resumed by other code: they go on where that is safe, else one error says what has changed."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command

from agents.agent import Agent
from agents.errors import ChangedCodeError
from graphs.engine.drawing import Box
from graphs.engine.langgraph_internals import RESUMING, next_nodes, state_values, task_results
from graphs.engine.run_rules import RunRules
from graphs.engine.savers import Saver, copy_of
from graphs.engine.step_records import is_record
from graphs.engine.steps import Step, StepRecord, read_plan

Fingerprint = dict[str, list[str]]
"""Every node of a graph, with the agents in it."""


def fingerprint(inside: Mapping[str, Sequence[Box]], nodes: Iterable[str]) -> Fingerprint:
    """Return what a run keeps of its graph; the steps of a plan are in its state."""
    return {name: list(dict.fromkeys(box.agent.name for box in inside.get(name, ()))) for name in nodes}


def is_resumed(input_: object, config: RunnableConfig) -> bool:
    """Tell whether a call goes on with a stored run; a nested graph gets its input once more."""
    configurable = config.get("configurable", {})
    return bool(input_ is None or isinstance(input_, Command) or configurable.get(RESUMING))


def checking(saver: Saver, check: Callable[[CheckpointTuple], None]) -> Saver:
    """Return a copy of a saver, on the same storage, that checks the checkpoint from which an async run goes on."""
    own = copy_of(saver)

    @wraps(saver.aget_tuple)
    async def aget_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        if checkpoint := await saver.aget_tuple(config):
            check(checkpoint)
        return checkpoint

    own.aget_tuple = aget_tuple
    return own  # type: ignore[no-any-return]


def check_code(rules: RunRules[Any], current: Fingerprint, checkpoint: CheckpointTuple) -> None:
    """Check that a graph still has what a stored run needs of it.

    Raises:
        ChangedCodeError: It has not.
    """
    state, pending = state_values(checkpoint), next_nodes(checkpoint)
    stored: Fingerprint | None = state.get("code")
    if stored is None:  # a graph of the user's own
        return
    finished = {value["id"]: value for value in task_results(checkpoint) if is_record(value)}
    state = {**state, "steps": {**(state.get("steps") or {}), **finished}}
    gone = [name for name in pending if name not in current]
    lacking = [f"it has reached node {name!r}, which this graph does not have" for name in gone]
    lacking = lacking or rules.lacking(state, pending)
    if lacking:
        changes = "; ".join(_changes(stored, current)) or "its steps"
        raise ChangedCodeError(
            f"The stored run of {rules.name!r} was begun by other code, and cannot go on with this:"
            f" {'; '.join(lacking)}. Changed since then: {changes}. Resume it with the code that began it, bring back"
            " what is missing until such runs have ended, or start the request again in a new thread"
        )


def lacking_in_steps(
    plan: Sequence[Mapping[str, object]],
    records: Mapping[str, StepRecord],
    agents: Mapping[str, Agent],
    own: Sequence[Step] = (),
) -> list[str]:
    """Return what a plan needs that the code does not have; the steps of the code take the place of stored ones.

    Args:
        plan: As it was stored.
        records: Of steps that have run.
        agents: The team.
        own: The steps that the code defines, if it does.
    """
    known = {step.id: step for step in own}
    done = {name for name, record in records.items() if record["status"] == "completed"}
    lacking: list[str] = []
    for stored in read_plan(plan)[0]:
        step = known.get(stored.id) if own else stored
        if step is None:
            lacking.append(f"it has step {stored.id!r}, which this workflow does not have")
        elif list(step.dependencies) != list(stored.dependencies):
            lacking.append(
                f"step {stored.id!r} waited for {_names(stored.dependencies)}, now for {_names(step.dependencies)}"
            )
        elif step.id not in done and not {step.agent, step.fallback} & agents.keys():
            lacking.append(f"step {step.id!r} needs agent {step.agent!r}; known: {_names(sorted(agents))}")
    return lacking


def _changes(before: Fingerprint, after: Fingerprint) -> list[str]:
    changes = _differences("node", before, after)
    for name in before.keys() & after.keys():
        changes += [f"{change} in {name!r}" for change in _differences("agent", before[name], after[name])]
    return changes


def _differences(kind: str, before: Collection[str], after: Collection[str]) -> list[str]:
    gone = [f"{kind} {name!r} is gone" for name in before if name not in after]
    return gone + [f"{kind} {name!r} is new" for name in after if name not in before]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
