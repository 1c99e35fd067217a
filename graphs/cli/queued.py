"""The queue beside the stored runs: runs that wait for a worker, failed for good or were cancelled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agents.errors import StorageError
from graphs import storage as stored
from graphs.cli.output import say, stderr
from graphs.distributed import QUEUE_JOB, Queue, QueuedRun
from graphs.storage import State, Storage

ACTIVE = ("queued", "running")


def queue() -> Queue | None:
    """Return the queue in the database of the stored runs; None where these are in a file, or without the extra."""
    if not os.environ.get(stored.PATH_VARIABLE, "").startswith(("postgres://", "postgresql://")):
        return None
    try:
        return Queue()
    except StorageError:
        return None


def jobs(run: str | None = None) -> dict[str, QueuedRun]:
    """Return the queue's jobs by their runs."""
    there = queue()
    return {job["thread_id"]: job for job in there.jobs(run)} if there else {}


def with_jobs(runs: Sequence[stored.StoredRun], most: int) -> list[stored.StoredRun]:
    """Return stored runs as the queue knows them, and those that are in the queue only, the latest first."""
    by_run = jobs()
    merged = [_as_queued(run, by_run.pop(run["thread_id"], None)) for run in runs]
    merged += [_only_queued(job) for job in by_run.values()]
    return sorted(merged, key=lambda run: run["started"], reverse=True)[:most]


def state_of(storage: Storage, run: str) -> State:
    """Return what is stored of a run, and what the queue knows of it.

    Raises:
        StorageError: Neither knows it.
    """
    job = jobs(run).get(run)
    try:
        state = stored.state(storage, run)
    except StorageError:
        if job is None:
            raise
        return {**_only_queued(job), "values": _outcome(job), "finished": [], "questions": [], "metadata": {}}
    if job:
        return {**state, **_as_queued(state, job), "values": {**state["values"], **_outcome(job)}}
    return state


def is_queued(state: State) -> bool:
    """Tell whether a run is one of the queue's workers', not of this command's."""
    return QUEUE_JOB in state["metadata"] or not state["metadata"]


def put_again(run: str, graph: str, value: object) -> None:
    """Queue a run again, to go on, or with an answer."""
    Queue().put(graph, value, thread_id=run)
    say(stderr(), f"queued; follow it with: podium watch {run}")


def prune_queue(before: datetime) -> None:
    """Forget runs that failed or were cancelled, and were put before some time."""
    if there := queue():
        there.prune(before)


def _as_queued(run: Any, job: QueuedRun | None) -> Any:
    return run if job is None else {**run, "status": job["status"], "ended": None}


def _only_queued(job: QueuedRun) -> stored.StoredRun:
    return {
        "thread_id": job["thread_id"],
        "pattern": job["graph"],
        "request": job["request"],
        "status": job["status"],
        "started": job["at"] or job["put"],
        "ended": None,
    }


def _outcome(job: QueuedRun) -> dict[str, Any]:
    return {"stop_reason": job["error"] or None}
