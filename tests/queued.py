"""A worker in a thread of the tests' process, and what the graphs of `tests.crew` have written down."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from benchmarks.postgres_server import binaries
from graphs.storage import postgres, state
from tests import crew
from tests.waiting import PATIENCE

pytest.importorskip("psycopg")
pytest.importorskip("procrastinate", reason="the extra podium[queue] is not installed")

from graphs.distributed import Queue, Worker

needs_postgres = pytest.mark.skipif(binaries() is None, reason="no initdb and pg_ctl on this system")

TAKEOVER = 0.4
"""Seconds without heartbeat after which a worker takes over that is the only one alive: slowness takes nothing over."""


@contextmanager
def working(queue: Queue, *, max_takeovers: int = 3, concurrency: int = 2) -> Iterator[list[str]]:
    """Have a worker in a thread of this process, and its reports."""
    reports: list[str] = []
    worker = Worker(
        queue, concurrency=concurrency, report=reports.append, takeover_after=TAKEOVER, max_takeovers=max_takeovers
    )
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
