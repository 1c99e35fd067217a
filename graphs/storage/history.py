"""Stored runs, read without their graphs: a list of them, one in full, and the questions that wait for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from typing_extensions import TypedDict

from agents.errors import StorageError
from graphs.engine import StepRecord, is_record, last_request, record_of
from graphs.engine import langgraph_internals as internals
from graphs.storage.checkpointer import Storage


class StoredRun(TypedDict):
    """A run in short."""

    thread_id: str
    pattern: str
    """The `pattern` in the metadata of the run's config, else empty."""
    request: str
    status: str
    """Status as in the graph's result, but `needs_input` while a question to people is open, `running` while a run has
    the thread's lock, `stopped` where it ended without reaching the graph's end, or `unreadable`."""
    started: str
    """Begin of the thread: ISO 8601, UTC."""
    ended: str | None


class OpenQuestion(TypedDict):
    """A question that people have not answered; `Command(resume={id: answer})` answers it."""

    id: str
    """Empty where the run has ended with the question; the answer is then the thread's next message."""
    value: Any


class State(StoredRun):
    """A stored run in full."""

    values: dict[str, Any]
    """The graph's state at the end of its last node."""
    finished: list[StepRecord]
    """The records of steps that have ended since then, also of graphs within the graph."""
    questions: list[OpenQuestion]
    metadata: dict[str, object]
    """Metadata of the run's config, and what LangGraph adds to it."""


class Waiting(OpenQuestion):
    """A question in the inbox, with its run."""

    thread_id: str
    pattern: str
    request: str


def runs(storage: Storage, *, most: int | None = 50) -> list[StoredRun]:
    """Return the latest runs, newest first; all of them with None."""
    return [_run(storage, *ids) for ids in storage.threads()[:most]]


def state(storage: Storage, thread_id: str) -> State:
    """Return one stored run in full.

    Raises:
        StorageError: The run is unknown or cannot be read.
    """
    ids = next((ids for ids in storage.threads() if ids[0] == thread_id), None)
    if ids is None:
        raise StorageError(f"Run {thread_id!r} does not exist; `podium runs` lists all")
    last = _checkpoint(storage, thread_id, ids[2])
    short = _short(storage, last, _checkpoint(storage, thread_id, ids[1]))
    return {
        **short,
        "values": internals.state_values(last),
        "finished": [] if short["ended"] else _finished(storage, last),
        "questions": _questions(last),
        "metadata": dict(last.metadata),
    }


def inbox(storage: Storage) -> list[Waiting]:
    """Return all questions of all runs that wait for people, each once, those of the latest run first."""
    waiting: list[Waiting] = []
    for thread_id, first, last in storage.threads():
        run = _run(storage, thread_id, first, last)
        if run["status"] != "needs_input":
            continue
        checkpoint = _checkpoint(storage, thread_id, last)
        message: Any = (record_of(internals.state_values(checkpoint)).get("messages") or [AIMessage("")])[-1]
        questions = _questions(checkpoint) or [OpenQuestion(id="", value=message.text)]
        waiting += [
            Waiting(**question, thread_id=thread_id, pattern=run["pattern"], request=run["request"])
            for question in questions
        ]
    return waiting


def _run(storage: Storage, thread_id: str, first: str, last: str) -> StoredRun:
    try:
        return _short(storage, _checkpoint(storage, thread_id, last), _checkpoint(storage, thread_id, first))
    except StorageError:
        return StoredRun(thread_id=thread_id, pattern="", request="", status="unreadable", started="", ended=None)


def _short(storage: Storage, last: CheckpointTuple, first: CheckpointTuple) -> StoredRun:
    values = record_of(internals.state_values(last))
    messages = values.get("messages") or []
    # Every graph's output ends in an AIMessage; an input that no node has taken yet may come after it.
    ended = bool(messages) and isinstance(messages[-1], AIMessage) and not internals.awaits_first_node(last)
    metadata: Mapping[str, object] = last.metadata
    thread_id = last.config["configurable"]["thread_id"]
    status = values.get("status", "completed") if ended else "needs_input" if _questions(last) else ""
    return {
        "thread_id": thread_id,
        "pattern": str(metadata.get("pattern") or ""),
        "request": last_request(messages).text,
        "status": status or ("running" if storage.is_locked(thread_id) else "stopped"),
        "started": _started(first, values),
        "ended": last.checkpoint["ts"] if ended else None,
    }


def _started(first: CheckpointTuple, values: Mapping[str, Any]) -> str:
    """Return when a thread began; of one that was reduced to its end, when the record's first node was at work."""
    worked = values.get("worked")
    if first.metadata.get("source") == "input" or not worked:
        return first.checkpoint["ts"]
    return datetime.fromtimestamp(min(item["started"] for item in worked), UTC).isoformat()


def _checkpoint(storage: Storage, thread_id: str, checkpoint_id: str) -> CheckpointTuple:
    named = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
    checkpoint = storage.get_tuple({"configurable": named})
    if checkpoint is None:
        raise StorageError(f"The run {thread_id!r} has been deleted")
    return checkpoint


def _questions(checkpoint: CheckpointTuple) -> list[OpenQuestion]:
    return [{"id": item.id, "value": item.value} for item in internals.open_interrupts(checkpoint)]


def _finished(storage: Storage, last: CheckpointTuple) -> list[StepRecord]:
    """Return the records that tasks have left since the graph's last checkpoint, in its own and in nested ones."""
    thread: RunnableConfig = {"configurable": {"thread_id": last.config["configurable"]["thread_id"]}}
    latest: dict[str, CheckpointTuple] = {}
    for checkpoint in storage.list(thread):
        latest.setdefault(checkpoint.config["configurable"]["checkpoint_ns"], checkpoint)
    since = [item for item in latest.values() if item.checkpoint["id"] >= last.checkpoint["id"]]
    results = [result for checkpoint in since for result in internals.task_results(checkpoint)]
    return [cast(StepRecord, result) for result in results if is_record(result)]
