"""One run, one worker: who gets a thread's lock, when, and that it is given back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from graphs.engine import ThreadLock, WhenBusy, thread_lock
from graphs.errors import ConfigurationError, ThreadBusyError
from graphs.storage import sqlite

ROOT = Path(__file__).parents[1]
Lock = Callable[..., ThreadLock]


def config(thread: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


@pytest.fixture(params=["memory", "sqlite"])
def lock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lock]:
    """Return the lock of a thread, of LangGraph's own saver and of ours."""

    def of(saver: Any) -> Lock:
        def make(when_busy: WhenBusy = "wait", thread: str = "t") -> ThreadLock:
            made = thread_lock(saver, config(thread), when_busy)
            assert isinstance(made, ThreadLock)
            return made

        return make

    if request.param == "memory":
        yield of(InMemorySaver())
        return
    with sqlite(tmp_path / "runs.sqlite") as storage:
        yield of(storage)


def elsewhere(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_second_run_waits_and_the_order_is_kept(lock: Lock) -> None:
    order = []

    def run(number: int) -> None:
        with lock():
            order.append(number)
            time.sleep(0.05)

    threads = []
    for number in range(4):
        threads.append(elsewhere(lambda number=number: run(number)))  # type: ignore[misc]
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]


def test_a_second_run_is_refused_and_another_thread_is_not(lock: Lock) -> None:
    def second() -> None:
        with pytest.raises(ThreadBusyError, match="'t'"), lock("refuse"):
            pass
        with lock("refuse", "other"):
            pass

    with lock():
        elsewhere(second).join()
    with lock("refuse"):
        pass


def test_async_runs_wait_without_holding_up_the_loop(lock: Lock) -> None:
    async def run(log: list[str], name: str) -> None:
        async with lock():
            log.append(f"{name} begins")
            await asyncio.sleep(0.05)
            log.append(f"{name} ends")

    async def both() -> list[str]:
        log: list[str] = []
        await asyncio.gather(run(log, "a"), run(log, "b"))
        return log

    assert asyncio.run(both()) == ["a begins", "a ends", "b begins", "b ends"]


def test_a_cancelled_wait_leaves_the_line(lock: Lock) -> None:
    async def waits() -> None:
        async with lock():
            pass

    async def main() -> None:
        async with lock():
            waiting = asyncio.create_task(waits())
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with lock("refuse"):
            pass

    asyncio.run(main())


def test_code_that_would_wait_for_itself_is_told_so(lock: Lock) -> None:
    with lock(), pytest.raises(ThreadBusyError, match="same code"), lock():
        pass

    async def main() -> None:
        async with lock():
            with pytest.raises(ThreadBusyError, match="same code"):
                async with lock():
                    pass

    asyncio.run(main())


def test_a_run_within_a_run_takes_no_lock_and_on_the_same_thread_it_is_refused() -> None:
    saver = InMemorySaver()
    assert isinstance(thread_lock(saver, config(checkpoint_ns="node:1")), nullcontext)
    assert isinstance(thread_lock(None, config()), nullcontext)
    assert isinstance(thread_lock(saver, {}), nullcontext)
    lock = thread_lock(saver, config())
    assert isinstance(lock, ThreadLock)
    held = lock.mark(config())
    assert isinstance(thread_lock(saver, held), nullcontext)
    inner = RunnableLambda(lambda value: thread_lock(saver, config()))
    with pytest.raises(ThreadBusyError, match="starts another"):
        inner.invoke(1, held)
    assert isinstance(inner.invoke(1), ThreadLock)


def test_the_config_chooses_what_happens_when_busy() -> None:
    saver = InMemorySaver()

    def second() -> None:
        with pytest.raises(ThreadBusyError), thread_lock(saver, config(when_busy="refuse")):
            pass

    with thread_lock(saver, config()):
        elsewhere(second).join()
    with pytest.raises(ConfigurationError, match="'wait' or 'refuse'"):
        thread_lock(saver, config(when_busy="never"))


HOLDS = """
import sys
from graphs.storage import sqlite
with sqlite(sys.argv[1]) as storage, storage.lock("t"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_lock_of_another_process_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"
    command = [sys.executable, "-c", HOLDS, str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as other, sqlite(file) as storage:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert storage.is_locked("t")
        assert not storage.is_locked("other")
        with pytest.raises(ThreadBusyError, match="Another process"), storage.lock("t", "refuse"):
            pass
        other.kill()
        with storage.lock("t"):
            assert storage.is_locked("t")
        assert not storage.is_locked("t")
    assert [*file.with_name("runs.sqlite-locks").iterdir()] == []
