"""One run, one worker: who gets a thread's lock, when, and that it is given back."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.runtime import WorkCancelledError
from agents.runtime.background import SyncCaller, sync_caller
from graphs import Step, Workflow
from graphs.engine.thread_lock import ThreadLock, WhenBusy, _lines, thread_lock
from graphs.errors import ConfigurationError, ThreadBusyError
from graphs.storage import sqlite
from tests.chat import Killed
from tests.processes import Processes

Lock = Callable[..., ThreadLock]


def config(thread: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Return LangGraph's own saver, or ours."""
    if request.param == "memory":
        yield InMemorySaver()
        return
    with sqlite(tmp_path / "runs.sqlite") as storage:
        yield storage


@pytest.fixture
def lock(saver: Any) -> Lock:
    """Return the lock of a thread of the saver."""

    def make(when_busy: WhenBusy = "wait", thread: str = "t") -> ThreadLock:
        made, _ = thread_lock(saver, config(thread, when_busy=when_busy))
        assert isinstance(made, ThreadLock)
        return made

    return make


def elsewhere(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_second_run_waits_and_the_order_is_kept(lock: Lock) -> None:
    order, all_wait = [], threading.Event()

    def run(number: int, own: ThreadLock) -> None:
        with own:
            order.append(number)
            all_wait.wait()

    threads = []
    for number in range(4):
        own = lock()
        threads.append(elsewhere(partial(run, number, own)))
        while len(_lines.get(own.key, ())) <= number:
            time.sleep(0.001)
    all_wait.set()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]


def test_a_wait_for_a_sync_caller_ends_when_that_is_interrupted(lock: Lock) -> None:
    async def waits(caller: SyncCaller) -> None:
        sync_caller.set(caller)
        async with lock():
            pass

    async def main() -> None:
        caller = SyncCaller()
        caller.thread += 1
        async with (held := lock()):
            waiting = asyncio.create_task(waits(caller))
            await asyncio.sleep(0)
            assert len(_lines[held.key]) == 2
            caller.cancellation.cancel()
            with pytest.raises(WorkCancelledError):
                await waiting
            assert len(_lines[held.key]) == 1

    asyncio.run(main())


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


def test_a_stream_that_its_reader_leaves_ends_before_its_thread_is_free() -> None:
    ended: list[str] = []

    async def work(task: str) -> str:
        try:
            return await asyncio.sleep(30 if task == "slow" else 0, task)
        finally:
            await asyncio.sleep(0.02)
            ended.append(task)

    steps = [Step("begin", "ann", "quick"), Step("go_on", "ann", "slow", ["begin"])]
    slow = Workflow(steps, agents=[Agent("ann", function=work)]).compile(InMemorySaver())
    quick = Workflow([Step("begin", "ann", "quick")], agents=[Agent("ann", function=work)]).compile(slow.checkpointer)

    async def main() -> None:
        async for event in (stream := slow.astream({"messages": "Go."}, config(), stream_mode="custom")):
            if event["step"] == "go_on":
                break
        await stream.aclose()
        assert ended == ["quick", "slow"]

        async def leave() -> None:
            async for _ in slow.astream({"messages": "Go."}, config(), stream_mode="custom"):
                break

        await leave()
        assert (await quick.ainvoke({"messages": "Go."}, config()))["status"] == "completed"

    asyncio.run(main())


def test_a_run_within_a_run_takes_no_lock_and_on_the_same_thread_it_is_refused() -> None:
    saver = InMemorySaver()
    lock, held = thread_lock(saver, config())
    assert isinstance(lock, ThreadLock)
    for around, nested in ((saver, config(checkpoint_ns="node:1")), (None, config()), (saver, held)):
        assert isinstance(thread_lock(around, nested)[0], nullcontext)
    inner = RunnableLambda(lambda value: thread_lock(saver, config())[0])
    with pytest.raises(ThreadBusyError, match="starts another"):
        inner.invoke(1, held)
    assert isinstance(inner.invoke(1), ThreadLock)


def test_the_config_says_wait_or_refuse() -> None:
    with pytest.raises(ConfigurationError, match="'wait' or 'refuse'"):
        thread_lock(InMemorySaver(), config(when_busy="never"))


HOLDS = """
import sys, time
from graphs.storage import sqlite
with sqlite("runs.sqlite") as storage, storage.lock_thread("t"):
    print("locked", file=sys.stderr, flush=True)
    time.sleep(1000)
"""


def test_a_lock_of_another_process_ends_with_it(processes: Processes) -> None:
    file = processes.folder / "runs.sqlite"
    other = processes.start(script=HOLDS)
    other.until("locked")
    with sqlite(file) as storage:
        assert storage.is_locked("t")
        assert not storage.is_locked("other")
        with pytest.raises(ThreadBusyError, match="Another process"), storage.lock_thread("t", "refuse"):
            pass
        other.send(signal.SIGKILL)
        with storage.lock_thread("t"):
            assert storage.is_locked("t")
        assert not storage.is_locked("t")
    assert [*file.with_name("runs.sqlite-locks").iterdir()] == []


# Runs


def test_two_workers_that_resume_a_run_do_each_step_once(saver: Any, call: Any) -> None:
    ran = []

    def dies(task: str) -> str:
        ran.append(task)
        if len(ran) == 1:
            raise Killed
        time.sleep(0.05)
        return "done"

    steps = [Step("a", "worker", "a"), Step("b", "worker", "b", ["a"]), Step("c", "worker", "c", ["a"])]
    graph = Workflow(steps, agents=[Agent("worker", function=dies)]).compile(saver)
    with pytest.raises(Killed):
        graph.invoke({"messages": "go"}, config())
    ended = []
    threads = [elsewhere(lambda: ended.append(call(graph, None, config())["status"])) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert ended == ["completed", "completed"]
    assert sorted(ran) == ["a", "a", "b", "c"]


def test_a_second_message_to_a_working_thread_comes_after_the_first(saver: Any) -> None:
    async def slow(task: str) -> str:
        await asyncio.sleep(0.05)
        return f"answer to {task}"

    graph = Workflow([Step("a", "worker", "{request}")], agents=[Agent("worker", function=slow)]).compile(saver)

    async def click_twice() -> Any:
        return await asyncio.gather(*(graph.ainvoke({"messages": text}, config()) for text in ("one", "two")))

    first, second = asyncio.run(click_twice())
    assert [message.text for message in second["messages"]] == ["one", "answer to one", "two", "answer to two"]
    assert len(first["messages"]) == 2


def test_a_run_that_may_not_wait_is_refused_and_changes_nothing(saver: Any) -> None:
    def asks_itself(task: str) -> str:
        with pytest.raises(ThreadBusyError, match="starts another"):
            graph.invoke({"messages": "inner"}, config())
        elsewhere(is_refused).join()
        return "done"

    def is_refused() -> None:
        with pytest.raises(ThreadBusyError, match="at work"):
            graph.invoke({"messages": "second"}, config(when_busy="refuse"))

    graph = Workflow([Step("a", "worker", "a")], agents=[Agent("worker", function=asks_itself)]).compile(saver)
    result = graph.invoke({"messages": "first"}, config())
    assert [message.text for message in result["messages"]] == ["first", "done"]


def test_a_stream_that_is_left_gives_the_thread_back(saver: Any) -> None:
    graph = Workflow([Step("a", "worker", "a")], agents=[Agent("worker", function=str)]).compile(saver)
    for _ in graph.stream({"messages": "go"}, config()):
        break
    assert graph.invoke({"messages": "go"}, config(when_busy="refuse"))["status"] == "completed"
