"""Sync calls of patterns run on a background loop: what waits holds no thread, what is sync is called as sync code."""

import asyncio
import subprocess
import sys
import threading
from contextvars import Context
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.runtime.background import iterate_in_background, run_in_background
from graphs import Step, Workflow

ASK: Any = {"messages": "go"}
STEPS = 100


class SyncSaver(InMemorySaver):
    """A saver for sync code, as LangGraph's own for SQLite and Postgres are."""

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        raise NotImplementedError

    async def aput(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def aput_writes(self, *arguments: Any, **options: Any) -> None:
        raise NotImplementedError


def steps_behind_one(work: Any) -> Any:
    steps = [Step("s0", "worker", "go"), *(Step(f"s{number}", "worker", "go", ["s0"]) for number in range(1, STEPS))]
    return Workflow(steps, agents=[Agent("worker", function=work)]).compile()


def test_steps_that_wait_hold_no_thread() -> None:
    seen: list[int] = []

    async def work(task: str) -> str:
        await asyncio.sleep(0)
        seen.append(threading.active_count())
        return "done"

    before = threading.active_count()
    assert steps_behind_one(work).invoke(ASK)["status"] == "completed"
    assert len(seen) == STEPS
    assert max(seen) <= before + 2


def test_a_saver_without_async_methods_is_called_in_threads() -> None:
    thread: Any = {"configurable": {"thread_id": "t"}}
    graph = Workflow([Step("a", "worker", "go")], agents=[Agent("worker", function=lambda task: "done")])
    compiled = graph.compile(SyncSaver())
    assert compiled.invoke(ASK, thread)["status"] == "completed"
    assert compiled.get_state(thread).values["status"] == "completed"


def test_a_runnable_is_called_as_sync_code_calls_it() -> None:
    async def refuse(state: Any) -> Any:
        raise NotImplementedError

    chain = RunnableLambda(lambda state: "done", afunc=refuse)
    graph = Workflow([Step("a", "worker", "go")], agents=[Agent("worker", runnable=chain)]).compile()
    assert graph.invoke(ASK)["steps"]["a"]["result"] == "done"


def test_runs_within_runs_do_not_wait_for_each_other() -> None:
    inner = steps_behind_one(lambda task: "done")

    async def blocking(task: str) -> str:
        return str(inner.invoke(ASK)["status"])

    def nested(task: str) -> str:
        graph = Workflow([Step("a", "worker", "go")], agents=[Agent("worker", function=blocking)]).compile()
        return str(graph.invoke(ASK)["steps"]["a"]["result"])

    steps = [Step(f"s{number}", "worker", "go") for number in range(3)]
    result = Workflow(steps, agents=[Agent("worker", function=nested)]).compile().invoke(ASK)
    assert [record["result"] for record in result["steps"].values()] == ["completed"] * 3


def test_a_generator_goes_on_only_when_it_is_asked() -> None:
    begun: list[int] = []
    closed = threading.Event()

    async def numbers() -> Any:
        try:
            for number in range(9):
                begun.append(number)
                yield number
        finally:
            closed.set()

    chunks: Any = iterate_in_background(numbers)
    assert [next(chunks), next(chunks)] == [0, 1]
    run_in_background(lambda: asyncio.sleep(0))
    assert begun == [0, 1]
    chunks.close()
    assert closed.is_set()
    assert begun == [0, 1]


LEFT_OPEN = """
from agents.runtime import iterate_in_background

async def numbers():
    for number in range(9):
        yield number

chunks = iterate_in_background(numbers)
print(next(chunks))
"""


def test_a_program_ends_though_a_stream_is_left_open() -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], cwd=root, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "0\n"


def test_code_that_lost_its_context_runs_on_another_loop_than_the_one_it_blocks() -> None:
    async def blocking(task: str) -> str:
        return Context().run(lambda: str(steps_behind_one(lambda task: "done").invoke(ASK)["status"]))

    graph = Workflow([Step("a", "worker", "go")], agents=[Agent("worker", function=blocking)]).compile()
    assert graph.invoke(ASK)["steps"]["a"]["result"] == "completed"
