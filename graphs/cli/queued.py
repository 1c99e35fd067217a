"""The queue beside the stored runs, and its commands: a worker, a run watched from any machine, a run cancelled."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agents.errors import ConfigurationError, StorageError
from agents.settings import Settings, capped
from graphs import storage as stored
from graphs.cli.exit_codes import FAILED, OF_STATUS
from graphs.cli.options import PATTERNS, AsJson, Choices, RunArgument, Shown, TeamFileOption
from graphs.cli.output import say, stderr, stdout
from graphs.cli.run import as_result, print_outcome
from graphs.cli.run_spec import RunSpec
from graphs.cli.signals import SIGNALS, end
from graphs.cli.start import opened_storage, ready
from graphs.distributed import QUEUE_JOB, Queue, QueuedRun
from graphs.storage import State, Storage

if TYPE_CHECKING:
    from graphs.distributed import Worker

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
    """Return what is stored of a run, and what the queue knows of it; raise `StorageError` if neither knows it."""
    job = jobs(run).get(run)
    outcome = {"stop_reason": job["error"] or None} if job else {}
    try:
        state = stored.state(storage, run)
    except StorageError:
        if job is None:
            raise
        return {**_only_queued(job), "values": outcome, "finished": [], "questions": [], "metadata": {}}
    return {**state, **_as_queued(state, job), "values": {**state["values"], **outcome}}


def is_queued(state: State) -> bool:
    """Tell whether a run is one of the queue's workers', not of this command's."""
    return QUEUE_JOB in state["metadata"] or not state["metadata"]


def put_again(run: str, graph: str, value: object) -> None:
    """Queue a run again, to go on, or with an answer."""
    Queue().put(graph, value, thread_id=run)
    say(stderr(), f"queued; follow it with: podium watch {run}")


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


def worker_command(
    *,
    graphs: Annotated[
        str | None, Parameter(help="A mapping from names to graphs, as module:name, instead of the default team's.")
    ] = None,
    team_file: TeamFileOption = None,
    concurrency: Annotated[int, Parameter(help="Runs at work at a time.")] = 4,
    takeover_after: Annotated[
        float, Parameter(help="Seconds without a sign of life after which another worker takes a worker's runs over.")
    ] = 15.0,
    drain: Annotated[float, Parameter(help="Seconds that steps at work have after SIGTERM or Ctrl-C.")] = 60.0,
) -> None:
    """Do the runs that are put into the queue of the database that PODIUM_RUNS names, until SIGTERM or Ctrl-C."""
    sys.path.insert(0, str(Path.cwd()))
    capped(Settings())  # a ceiling that cannot be read would fail every run
    model, choices = None if graphs else ready(None, quiet=False), Choices(team_file=team_file)
    team = {pattern: partial(RunSpec(pattern).with_choices(choices).compile, model) for pattern in PATTERNS}
    queue = Queue(graphs=graphs or team)
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it logs inputs
    from graphs.distributed import Worker

    report = partial(say, stderr())
    worker = Worker(queue, concurrency=concurrency, takeover_after=takeover_after, drain=drain, report=report)
    gc.collect()
    gc.freeze()  # what stays is not looked through again
    asyncio.run(_work(worker))


async def _work(worker: Worker) -> None:
    """Work until a signal; a second one ends the process at once, and other workers take its runs over."""

    def stop() -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, end)
        say(stderr(), "the worker stops when the steps at work have ended; once more ends it at once")
        worker.stop()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    await worker.run()


def watch_command(run: RunArgument, /, *, as_json: AsJson = False) -> int:
    """Follow a run of the queue from any machine, and print its answer when it has ended."""
    for line in Queue().watch(run):
        say(stderr(), line)
    with opened_storage() as storage:
        state = state_of(storage, run)
    print_outcome(as_result(state), run=run, shown=Shown(as_json), stored=lambda: state)
    return OF_STATUS.get(state["status"], FAILED)


def cancel_command(run: RunArgument, /) -> None:
    """Cancel a run of the queue that waits or is at work, or a schedule; what it has finished is kept."""
    job = jobs(run).get(run)
    if not Queue().cancel(run):
        status = f"it is {job['status']}" if job else "`podium runs` lists those there are"
        raise ConfigurationError(f"The queue has no run {run} to cancel: {status}")
    hint = "" if job and job["status"] == "scheduled" else f"; `podium resume {run}` goes on with it"
    say(stdout(), f"{run} is cancelled{hint}")
