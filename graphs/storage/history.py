"""What is stored of runs, read without their graphs: a list of them, and one in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from typing_extensions import TypedDict

from agents.errors import StorageError
from graphs.engine import last_request
from graphs.storage.checkpointer import Storage

_INTERRUPT = "__interrupt__"
_RESUME = "__resume__"
_INPUT = "__start__"
_RECORD = {"id", "agent", "status", "attempts", "answered_by"}
"""Keys by which the record of a step is known among what tasks have written."""


class Run(TypedDict):
    """A run in short."""

    thread_id: str
    pattern: str
    """The `pattern` in the metadata of the run's config; empty if there is none."""
    request: str
    status: str
    """As in the graph's result, but `needs_input` while a question to people is open; `running` where the graph has not
    ended, be it at work or killed; `unreadable`."""
    started: str
    """When the thread began: ISO 8601, UTC."""
    ended: str | None


class State(Run):
    """All that is stored of a run."""

    values: dict[str, Any]
    """The graph's state at the end of its last node."""
    finished: list[dict[str, Any]]
    """The records of steps that have ended since then, also of graphs within the graph."""
    questions: list[dict[str, Any]]
    """What people were asked and have not answered: `{"id", "value"}`; answered by `Command(resume={id: answer})`."""
    metadata: dict[str, Any]
    """That of the run's config, and what LangGraph adds to it."""


def runs(storage: Storage, *, most: int = 50) -> list[Run]:
    """Return the latest runs, newest first."""
    return [_run(storage, *ids) for ids in storage.threads()[:most]]


def state(storage: Storage, thread_id: str) -> State:
    """Return what is stored of one run.

    Raises:
        StorageError: There is no such run, or it cannot be read.
    """
    ids = next((ids for ids in storage.threads() if ids[0] == thread_id), None)
    if ids is None:
        raise StorageError(f"There is no run {thread_id!r}; `podium runs` lists those there are")
    last = _checkpoint(storage, thread_id, ids[2])
    short = _short(last, _checkpoint(storage, thread_id, ids[1]))
    return {
        **short,
        "values": _values(last),
        "finished": [] if short["ended"] else _finished(storage, last),
        "questions": _questions(last),
        "metadata": dict(last.metadata),
    }


def _run(storage: Storage, thread_id: str, first: str, last: str) -> Run:
    try:
        return _short(_checkpoint(storage, thread_id, last), _checkpoint(storage, thread_id, first))
    except StorageError:
        return Run(thread_id=thread_id, pattern="", request="", status="unreadable", started="", ended=None)


def _short(last: CheckpointTuple, first: CheckpointTuple) -> Run:
    values = _values(last)
    messages = values.get("messages") or []
    # Every graph's output ends in an AIMessage; an input that no node has taken yet may come after it.
    ended = bool(messages) and isinstance(messages[-1], AIMessage) and _INPUT not in last.checkpoint["channel_values"]
    metadata: Mapping[str, Any] = last.metadata
    return {
        "thread_id": last.config["configurable"]["thread_id"],
        "pattern": str(metadata.get("pattern") or ""),
        "request": last_request(messages).text,
        "status": str(values.get("status")) if ended else "needs_input" if _questions(last) else "running",
        "started": first.checkpoint["ts"],
        "ended": last.checkpoint["ts"] if ended else None,
    }


def _checkpoint(storage: Storage, thread_id: str, checkpoint_id: str) -> CheckpointTuple:
    named = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
    found = storage.get_tuple({"configurable": named})
    if found is None:
        raise StorageError(f"The run {thread_id!r} has been deleted")
    return found


def _values(one: CheckpointTuple) -> dict[str, Any]:
    """Return the state without LangGraph's own channels."""
    channels: Mapping[str, Any] = one.checkpoint["channel_values"]
    return {name: value for name, value in channels.items() if not name.startswith("__") and ":" not in name}


def _questions(one: CheckpointTuple) -> list[dict[str, Any]]:
    """Return the open questions: a task that has gone on keeps its own, and the node around it may still list them."""
    written = one.pending_writes or ()
    ended = {task for task, channel, _ in written if channel not in (_INTERRUPT, _RESUME)}
    asked = [(task, question) for task, channel, value in written if channel == _INTERRUPT for question in value]
    answered = {question.id for task, question in asked if task in ended}
    by_id = {question.id: {"id": question.id, "value": question.value} for _, question in asked}
    return [shown for number, shown in by_id.items() if number not in answered]


def _finished(storage: Storage, last: CheckpointTuple) -> list[dict[str, Any]]:
    """Return the records that tasks have left since the graph's last checkpoint, in its own and in nested ones."""
    thread: RunnableConfig = {"configurable": {"thread_id": last.config["configurable"]["thread_id"]}}
    latest: dict[str, CheckpointTuple] = {}
    for one in storage.list(thread):
        latest.setdefault(one.config["configurable"]["checkpoint_ns"], one)
    since = [one for one in latest.values() if one.checkpoint["id"] >= last.checkpoint["id"]]
    written = [value for one in since for _, _, value in one.pending_writes or ()]
    return [value for value in written if isinstance(value, dict) and value.keys() >= _RECORD]
