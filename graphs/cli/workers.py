"""The commands about the queue: a worker, a run watched from any machine, a run cancelled."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agents.errors import ConfigurationError
from graphs.cli.exit_codes import COMPLETED, FAILED, OF_STATUS
from graphs.cli.options import PATTERNS, AsJson, Choices, RunArgument, Shown, TeamFileOption
from graphs.cli.outcome import as_result, print_outcome
from graphs.cli.output import say, stderr, stdout
from graphs.cli.queued import jobs, state_of
from graphs.cli.run_spec import RunSpec
from graphs.cli.signals import SIGNALS, end
from graphs.cli.start import opened_storage, ready
from graphs.distributed import Graphs, Queue

if TYPE_CHECKING:
    from graphs.distributed import Worker


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
) -> int:
    """Do the runs that are put into the queue of the database that PODIUM_RUNS names, until SIGTERM or Ctrl-C."""
    sys.path.insert(0, str(Path.cwd()))
    queue = Queue(graphs=graphs or _team_graphs(team_file))
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it logs inputs
    from graphs.distributed import Worker

    report = partial(say, stderr())
    worker = Worker(queue, concurrency=concurrency, takeover_after=takeover_after, drain=drain, report=report)
    gc.collect()
    gc.freeze()  # what stays is not looked through again
    asyncio.run(_work(worker))
    return COMPLETED


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


def _team_graphs(team_file: Path | None) -> Graphs:
    model = ready(None, quiet=False)
    choices = Choices(team_file=team_file)
    return {pattern: partial(RunSpec(pattern).with_choices(choices).compile, model) for pattern in PATTERNS}


def watch_command(run: RunArgument, /, *, as_json: AsJson = False) -> int:
    """Follow a run of the queue from any machine, and print its answer when it has ended."""
    for line in Queue().watch(run):
        say(stderr(), line)
    with opened_storage() as storage:
        state = state_of(storage, run)
    print_outcome(as_result(state), run=run, shown=Shown(as_json), stored=lambda: state)
    return OF_STATUS.get(state["status"], FAILED)


def cancel_command(run: RunArgument, /) -> int:
    """Cancel a run of the queue that waits or is at work, or a schedule; what it has finished is kept."""
    job = jobs(run).get(run)
    if not Queue().cancel(run):
        status = f"it is {job['status']}" if job else "`podium runs` lists those there are"
        raise ConfigurationError(f"The queue has no run {run} to cancel: {status}")
    hint = "" if job and job["status"] == "scheduled" else f"; `podium resume {run}` goes on with it"
    say(stdout(), f"{run} is cancelled{hint}")
    return COMPLETED
