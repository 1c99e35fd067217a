"""Runs over workers: real workers, a real Postgres, and what becomes of runs whose workers are killed or stopped."""

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import yaml
from langgraph.runtime import RunControl
from langgraph.types import Command

from benchmarks.postgres_server import binaries, server
from graphs.cli import command
from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED, NEEDS_INPUT
from graphs.distributed.at_work import do_run
from graphs.distributed.jobs import encode
from graphs.errors import ConfigurationError, StorageError
from graphs.storage import postgres, sqlite, state
from tests import crew
from tests.markdown import Page, pages
from tests.processes import One, Processes
from tests.waiting import PATIENCE, until

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate", reason="the extra podium[queue] is not installed")
pytestmark = pytest.mark.skipif(binaries() is None, reason="no initdb and pg_ctl on this system")

from graphs.distributed import Queue, Worker  # noqa: E402

TAKEOVER = 0.4
"""Seconds without heartbeat after which a worker takes over that is the only one alive: slowness takes nothing over."""
NEVER = 3600.0


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with server() as address:
        yield address


@pytest.fixture
def queue(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("CREW", str(tmp_path))
    return Queue(uri, crew.graphs)


@pytest.fixture
def office(uri: str, processes: Processes) -> Processes:
    """Run commands as processes."""
    processes.environment |= {"PODIUM_RUNS": uri, "CREW": str(processes.folder)}
    return processes


Podium = Callable[..., tuple[int, str, str]]


@pytest.fixture
def podium(uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Podium:
    """Run a command in this process; return its code, stdout and stderr."""
    monkeypatch.setenv("PODIUM_RUNS", uri)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command(arguments)
        return code, *capsys.readouterr()

    return call


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


@contextmanager
def working(queue: Queue, max_takeovers: int = 3) -> Iterator[list[str]]:
    """Have a worker in a thread of this process, and its reports."""
    reports: list[str] = []
    limits = {"takeover_after": TAKEOVER, "max_takeovers": max_takeovers}
    worker = Worker(queue, concurrency=2, report=reports.append, **limits)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(lambda: asyncio.run(worker.run()))
        try:
            yield reports
        finally:
            worker.stop()
        ended.result(PATIENCE)


def wait(queue: Queue, run: str) -> None:
    """Wait until a run has ended, asks a person or failed."""
    for _ in queue.watch(run):
        pass


def log(*_: object) -> list[str]:
    file = crew.folder() / "log"
    return file.read_text().split("\n")[:-1] if file.exists() else []


def status(uri: str, run: str) -> str:
    with postgres(uri) as storage:
        return state(storage, run)["status"]


def test_a_run_is_put_done_watched_and_listed(queue: Queue, uri: str, office: Processes, podium: Podium) -> None:
    (crew.folder() / "go").touch()
    run = queue.put("slow", "Do it")
    assert [(job["thread_id"], job["status"], job["request"]) for job in queue.jobs()] == [(run, "queued", "Do it")]
    assert f"{run}  " in podium("runs")[1]
    assert "queued" in podium("show", run)[1]
    watching = office.start("watch", run)
    watching.until("is queued")
    with working(queue):
        done = watching.wait()
    assert (done.code, done.out) == (COMPLETED, "three done\n")
    assert "one: completed" in done.told
    assert "three: running (work)" in done.told
    assert queue.jobs() == []
    assert status(uri, run) == "completed"


def test_messages_on_one_thread_take_turns_and_a_priority_comes_first(queue: Queue) -> None:
    first, second, third = (asyncio.run(queue.aput("short", text, thread_id="talk")) for text in ("a", "b", "c"))
    urgent = queue.put("short", "now", priority=1)
    seen: list[str] = []
    worker = Worker(queue, concurrency=3, report=seen.append)
    thread = threading.Thread(target=lambda: asyncio.run(worker.run()))
    thread.start()
    for run in (first, second, third, urgent):
        wait(queue, run)
    worker.stop()
    thread.join()
    steps = [line.split()[2] for line in seen if line.startswith("talk")]
    assert steps == ["at", "done"] * 3
    assert seen[1].startswith(urgent)


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


def test_a_question_frees_the_worker_and_its_answer_is_queued(queue: Queue, podium: Podium) -> None:
    run = queue.put("asking", {"note": ""})
    with working(queue) as reports:
        assert podium("watch", run)[0] == NEEDS_INPUT
        assert run in podium("inbox")[1]
        queue.put("asking", {"note": "later"}, thread_id=run)  # waits: nobody has answered
        until(lambda: f"{run} (asking): put back: the thread waits for an answer" in reports)
        until(lambda: queue.jobs(run)[0]["status"] == "queued")
        queue.cancel(run)
        assert podium("resume", run)[0] == NEEDS_INPUT
        assert "podium watch" in podium("resume", run, "--answer", "blue")[2]
        wait(queue, run)
        assert log() == ["answered blue"]
        queue.put("asking", Command(resume="red"), thread_id=run)  # is open no more
        wait(queue, run)
    assert log() == ["answered blue"]
    assert run not in podium("inbox")[1]


def test_a_worker_whose_clock_is_ahead_is_neither_early_nor_in_the_way_of_others(
    queue: Queue, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = queue.put("short", "later", delay=1800)
    talk, run = queue.put("short", "first"), queue.put("asking", {"note": ""})
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)), working(queue):
        wait(queue, talk)
        wait(queue, run)
    assert [job["status"] for job in queue.jobs(early)] == ["scheduled"]
    queue.cancel(early)
    monkeypatch.setattr("langgraph.checkpoint.base.id._last_v6_timestamp", None)  # as in another process
    with working(queue):
        queue.put("asking", Command(resume="blue"), thread_id=run)
        queue.put("short", "second", thread_id=talk)
        wait(queue, talk)
        wait(queue, run)
    with postgres(uri) as storage:
        assert state(storage, run)["values"]["note"] == "answered blue done"
        assert state(storage, talk)["request"] == "second"


def test_a_run_is_cancelled_while_it_waits_and_while_it_is_at_work(queue: Queue, podium: Podium) -> None:
    waiting = queue.put("slow", "Do it")
    assert podium("cancel", waiting)[0] == COMPLETED
    assert [job["status"] for job in queue.jobs(waiting)] == ["cancelled"]
    assert "cancelled" in podium("show", waiting)[1]
    assert podium("cancel", "nobody")[0] == BAD_USAGE
    with working(queue):
        running = queue.put("slow", "Do it")
        until(lambda: "two" in log())
        assert queue.cancel(running) == 1
        until(lambda: queue.jobs(running)[0]["status"] == "cancelled")
        assert log() == ["one", "two"]
        (crew.folder() / "go").touch()
        assert podium("resume", running)[0] == COMPLETED
        wait(queue, running)
    assert log()[-1] == "three"


def test_a_failed_run_is_recorded_not_retried_and_goes_on_when_it_is_told_to(queue: Queue, podium: Podium) -> None:
    run = queue.put("failing", {"note": ""})
    with working(queue):
        wait(queue, run)
        (job,) = queue.jobs(run)
        assert (job["status"], job["error"]) == ("failed", "SystemError: broken, with ***")
        assert podium("watch", run)[0] == FAILED
        assert "SystemError: broken" in podium("show", run)[1]
        (crew.folder() / "go").touch()
        queue.put("failing", thread_id=run)
        wait(queue, run)
        assert queue.jobs(run) == []


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


def test_a_timer_and_a_schedule_put_runs_when_they_are_due(queue: Queue, uri: str) -> None:
    daily = queue.put("short", "report", cron="0 8 * * *", thread_id="daily")
    assert queue.put("short", "report", cron="0 9 * * *", thread_id="daily") == daily
    later = queue.put("short", "later", delay=3600)
    assert {(job["thread_id"], job["status"]) for job in queue.jobs()} >= {(daily, "scheduled"), (later, "scheduled")}
    assert (queue.jobs(daily)[0]["at"] or "")[11:16] == "09:00"
    with psycopg.connect(uri) as connection:
        connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    with working(queue):
        until(lambda: len(log()) == 2)
        wait(queue, later)
    assert queue.jobs(later) == []
    assert [job["status"] for job in queue.jobs(daily)] == ["scheduled"]
    assert queue.cancel(daily) == 1
    assert queue.jobs(daily) == []


def test_many_at_once_make_the_tables(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    there = uri.replace("/postgres?", "/empty?")
    assert Queue(there).jobs() == []
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: Queue(there).prepare(), range(6)))
    assert Queue(there).put("any", "of a program that only puts")


def test_what_cannot_be_put_is_explained(queue: Queue, uri: str, podium: Podium) -> None:
    for wrong in (
        lambda: queue.put("unknown", "Do it"),
        lambda: queue.put("short", object()),
        lambda: queue.put("short", "Do it", cron="every day"),
        lambda: queue.put("short", "Do it", delay=1, cron="0 8 * * *"),
        lambda: queue.put("short"),
        lambda: Queue(uri, {"a name with spaces": None}),
        lambda: Queue("runs.sqlite"),
        lambda: Queue(uri, "tests.crew:nothing"),
        lambda: Queue(uri, "tests.crew:TEAM"),
    ):
        with pytest.raises(ConfigurationError):
            wrong()
    with pytest.raises(StorageError, match="Postgres cannot be used"):
        Queue("postgresql://me:secret@/db?host=/nowhere").put("short", "Do it")
    assert "tests.crew:nothing cannot be loaded" in podium("worker", "--graphs", "tests.crew:nothing")[2]


def test_the_examples_of_the_pages_work(uri: str, office: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block.text for block in page("docs/scale.md").blocks]
    module = next(text for text in blocks if text.startswith("# crew.py"))
    program = next(text for text in blocks if "def shouted" in text)
    (office.folder / "crew.py").write_text(module)
    monkeypatch.setenv("PODIUM_RUNS", uri)
    compose = yaml.safe_load(next(block.text for block in page("docs/deploy.md").blocks if block.language == "yaml"))
    words = [word.replace("my_team", "crew") for word in compose["services"]["worker"]["command"]]
    scope: dict[str, Any] = {}
    exec(program, scope)
    worker = office.start(*words[1:])
    assert scope["shouted"]("help")[1] == "HELP"
    worker.send(signal.SIGTERM)
    assert worker.wait().code == COMPLETED


def page(name: str) -> Page:
    return next(page for page in pages() if page.name == name)
