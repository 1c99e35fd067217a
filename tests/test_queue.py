"""Runs over workers: what is put, watched, answered, cancelled and scheduled, with a real Postgres."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
import yaml
from langgraph.types import Command

from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED, NEEDS_INPUT
from graphs.distributed import Queue
from graphs.errors import ConfigurationError, StorageError
from graphs.storage import postgres, state
from tests import crew
from tests.markdown import page
from tests.processes import Processes
from tests.queued import log, needs_postgres, status, wait, working
from tests.waiting import until

psycopg = pytest.importorskip("psycopg")
pytestmark = needs_postgres


def test_a_run_is_put_done_watched_and_listed(queue: Queue, uri: str, office: Processes) -> None:
    (crew.folder() / "go").touch()
    run = queue.put("slow", "Do it")
    assert [(job["thread_id"], job["status"], job["request"]) for job in queue.jobs()] == [(run, "queued", "Do it")]
    assert f"{run}  " in office.podium("runs").out
    assert "queued" in office.podium("show", run).out
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
    with working(queue, concurrency=3) as seen:
        for run in (first, second, third, urgent):
            wait(queue, run)
    steps = [line.split()[2] for line in seen if line.startswith("talk")]
    assert steps == ["at", "done"] * 3
    assert seen[1].startswith(urgent)


def test_a_question_frees_the_worker_and_its_answer_is_queued(queue: Queue, office: Processes) -> None:
    run = queue.put("asking", {"note": ""})
    with working(queue) as reports:
        assert office.podium("watch", run).code == NEEDS_INPUT
        assert run in office.podium("inbox").out
        queue.put("asking", {"note": "later"}, thread_id=run)  # waits: nobody has answered
        until(lambda: f"{run} (asking): put back: the thread waits for an answer" in reports)
        until(lambda: queue.jobs(run)[0]["status"] == "queued")
        queue.cancel(run)
        assert office.podium("resume", run).code == NEEDS_INPUT
        assert "podium watch" in office.podium("resume", run, "--answer", "blue").told
        wait(queue, run)
        assert log() == ["answered blue"]
        queue.put("asking", Command(resume="red"), thread_id=run)  # is open no more
        wait(queue, run)
    assert log() == ["answered blue"]
    assert run not in office.podium("inbox").out


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


def test_a_run_is_cancelled_while_it_waits_and_while_it_is_at_work(queue: Queue, office: Processes) -> None:
    waiting = queue.put("slow", "Do it")
    assert office.podium("cancel", waiting).code == COMPLETED
    assert [job["status"] for job in queue.jobs(waiting)] == ["cancelled"]
    assert "cancelled" in office.podium("show", waiting).out
    assert office.podium("cancel", "nobody").code == BAD_USAGE
    with working(queue):
        running = queue.put("slow", "Do it")
        until(lambda: "two" in log())
        assert queue.cancel(running) == 1
        until(lambda: queue.jobs(running)[0]["status"] == "cancelled")
        assert log() == ["one", "two"]
        (crew.folder() / "go").touch()
        assert office.podium("resume", running).code == COMPLETED
        wait(queue, running)
    assert log()[-1] == "three"


def test_a_failed_run_is_recorded_not_retried_and_goes_on_when_it_is_told_to(queue: Queue, office: Processes) -> None:
    run = queue.put("failing", {"note": ""})
    with working(queue):
        wait(queue, run)
        (job,) = queue.jobs(run)
        assert (job["status"], job["error"]) == ("failed", "SystemError: broken, with ***")
        assert office.podium("watch", run).code == FAILED
        assert "SystemError: broken" in office.podium("show", run).out
        (crew.folder() / "go").touch()
        queue.put("failing", thread_id=run)
        wait(queue, run)
        assert queue.jobs(run) == []


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


def test_what_cannot_be_put_is_explained(queue: Queue, uri: str, office: Processes) -> None:
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
    assert "tests.crew:nothing cannot be loaded" in office.podium("worker", "--graphs", "tests.crew:nothing").told


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
