"""What becomes of runs whose workers are killed, stalled or stopped: real workers, a real Postgres."""

import asyncio
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from langgraph.runtime import RunControl

from graphs.cli.exit_codes import COMPLETED
from graphs.distributed import Queue
from graphs.distributed.at_work import do_run
from graphs.distributed.jobs import encode
from graphs.storage import sqlite, state
from tests import crew
from tests.processes import One, Processes
from tests.queued import TAKEOVER, log, needs_postgres, status, wait, working
from tests.waiting import until

pytestmark = needs_postgres

NEVER = 3600.0


@pytest.fixture
def worker(office: Processes) -> Iterator[Callable[[], One]]:
    """Start workers as processes."""
    started: list[One] = []

    def start() -> One:
        started.append(office.start("worker", "--graphs", "tests.crew:graphs", "--takeover-after", str(NEVER)))
        started[-1].until("waits for runs")
        return started[-1]

    yield start
    for process in started:
        if process.poll(process.pid) is None:
            process.send(signal.SIGKILL)


def test_a_killed_workers_run_is_taken_over_and_repeats_nothing_that_was_finished(
    queue: Queue, uri: str, worker: Callable[[], One]
) -> None:
    run = queue.put("slow", "Do it")
    first = worker()
    until(lambda: "two" in log())
    first.send(signal.SIGKILL)
    with working(queue) as reports:
        until(lambda: log().count("two") == 2)
        (crew.folder() / "go").touch()
        wait(queue, run)
    assert f"{run}: put back, because its worker died or stalled" in reports
    assert log() == ["one", "two", "two", "three"]
    assert status(uri, run) == "completed"


def test_a_stalled_worker_loses_its_run_and_does_not_disturb_it_when_it_wakes(
    queue: Queue, uri: str, worker: Callable[[], One]
) -> None:
    run = queue.put("slow", "Do it")
    stalled = worker()
    until(lambda: "two" in log())
    stalled.send(signal.SIGSTOP)
    with working(queue):
        until(lambda: log().count("two") == 2)
        stalled.send(signal.SIGCONT)
        (crew.folder() / "go").touch()
        wait(queue, run)
        stalled.until("put back: StorageError: The connection with the lock")
        assert log() == ["one", "two", "two", "three"]
        assert status(uri, run) == "completed"
        assert queue.jobs() == []
    stalled.send(signal.SIGTERM)
    assert stalled.wait().code == COMPLETED


def test_sigterm_drains_and_another_worker_goes_on(queue: Queue, uri: str, worker: Callable[[], One]) -> None:
    run = queue.put("slow", "Do it")
    first = worker()
    until(lambda: "two" in log())
    first.send(signal.SIGTERM)
    first.until("stops when")
    late = queue.put("short", "put while it drains", priority=1)
    (crew.folder() / "go").touch()
    assert first.wait().code == COMPLETED
    assert log() == ["one", "two"]
    stand = [(job["thread_id"], job["status"], job["takeovers"]) for job in queue.jobs()]
    assert stand[:2] == [(late, "queued", 0), (run, "queued", 0)]
    with working(queue):
        wait(queue, run)
        wait(queue, late)
    assert sorted(log()) == ["one", "one", "three", "two"]
    assert status(uri, run) == "completed"


@pytest.mark.parametrize(("checkpoints", "times"), [(1, 2), (3, 1), (4, 1)])
def test_a_run_goes_on_though_its_worker_died_between_a_nodes_result_and_the_checkpoint_after_it(
    checkpoints: int, times: int, queue: Queue
) -> None:
    (crew.folder() / "go").touch()
    arguments: Any = {"graph": "slow", "thread_id": "cut", "input": encode({"messages": "Do it"}), "context": None}

    def work() -> None:
        job = do_run(graph, 1, arguments, storage=storage, control=RunControl(), query=lambda *_, **__: None)
        asyncio.run(job)

    with sqlite(crew.folder() / "runs.sqlite") as storage:
        graph = crew.graphs["slow"].compile(storage)
        work()
        done = log()
        first = f"(SELECT checkpoint_id FROM checkpoints ORDER BY checkpoint_id LIMIT {checkpoints})"
        with closing(sqlite3.connect(crew.folder() / "runs.sqlite")) as connection, connection:
            connection.execute(f"DELETE FROM writes WHERE checkpoint_id NOT IN {first}")
            connection.execute(f"DELETE FROM checkpoints WHERE checkpoint_id NOT IN {first}")
        assert graph.get_state({"configurable": {"thread_id": "cut"}}).next == ()
        work()
        assert state(storage, "cut")["status"] == "completed"
    assert log() == done * times


def test_a_run_that_kills_its_workers_is_given_up(queue: Queue, office: Processes) -> None:
    run = queue.put("deadly", "Do it")
    for _ in range(2):
        assert office.start(script=_DEADLY).wait().code == -signal.SIGKILL
    with working(queue, max_takeovers=1):
        until(lambda: queue.jobs(run)[0]["status"] == "failed")
    (job,) = queue.jobs(run)
    assert "Gave up after 2 workers died" in job["error"]
    assert log() == ["one", "two", "two"]


_DEADLY = f"""
import asyncio
from graphs.distributed import Queue, Worker
asyncio.run(Worker(Queue(graphs="tests.crew:graphs"), takeover_after={TAKEOVER}, max_takeovers=1).run())
"""
