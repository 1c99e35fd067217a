"""Workflows: threads, kills, questions to people, and patterns in patterns."""

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config
from langgraph.types import Command, interrupt

from agents import Agent
from agents.runtime import is_cancelled
from graphs import Workflow
from graphs.storage import sqlite
from tests.waiting import PATIENCE, until
from tests.workflows import ASK, ECHO, FAIL, THREAD, graph_of, statuses, step

# Threads, kills and questions


def killing(error: type[BaseException]) -> tuple[Agent, list[str]]:
    """Make an agent that is killed at its first `do kill`, and the list of its tasks."""
    log: list[str] = []
    kills = iter([1])

    def work(task: str) -> str:
        log.append(task)
        if task == "do kill" and next(kills, None):
            raise error
        return task

    return Agent("echo", function=work), log


KILLED = [step("a"), step("b", "a"), step("kill", "b"), step("c", "kill")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, kind: str, error: type[BaseException]) -> None:
    agent, log = killing(error)
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as sqlite:
        graph = graph_of(*KILLED, agents=[agent], checkpointer=sqlite if kind == "sqlite" else InMemorySaver())
        with pytest.raises(error):
            graph.invoke(ASK, THREAD)
        state = graph.invoke(None, THREAD)
    assert statuses(state) == "a:completed b:completed kill:completed c:completed"
    assert log == ["do a", "do b", "do kill", "do kill", "do c"]


def test_after_ctrl_c_nothing_new_starts_and_the_run_can_go_on() -> None:
    log: list[str] = []

    def work(task: str) -> str:
        log.append(task)
        if task == "do kill" and log.count(task) == 1:
            time.sleep(0.05)  # the main thread waits now; on its way there it would notice the signal too late
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: is_cancelled(get_config()))
        return task

    graph = graph_of(*KILLED, agents=[Agent("echo", function=work)], checkpointer=InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    assert log == ["do a", "do b", "do kill"]
    assert statuses(graph.invoke(None, THREAD)) == "a:completed b:completed kill:completed c:completed"


@pytest.mark.parametrize("kind", ["async", "ours"])
def test_a_cancelled_run_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    log: list[str] = []
    reached = asyncio.Event()

    async def work(task: str) -> str:
        log.append(task)
        if task == "do kill" and log.count(task) == 1:
            reached.set()
            await asyncio.sleep(PATIENCE)
        return task

    async def run() -> Any:
        async with AsyncExitStack() as stack:
            theirs = AsyncSqliteSaver.from_conn_string(str(tmp_path / "runs.db"))
            ours = sqlite(tmp_path / "runs.db")
            saver = stack.enter_context(ours) if kind == "ours" else await stack.enter_async_context(theirs)
            graph = graph_of(*KILLED, agents=[Agent("echo", function=work)], checkpointer=saver)
            running = asyncio.create_task(graph.ainvoke(ASK, THREAD))
            await reached.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            return await graph.ainvoke(None, THREAD)

    assert statuses(asyncio.run(run())) == "a:completed b:completed kill:completed c:completed"
    assert log == ["do a", "do b", "do kill", "do kill", "do c"]


def asker() -> tuple[Agent, list[str]]:
    log: list[str] = []

    def ask(task: str) -> str:
        answer = interrupt({"question": task})
        log.append(task)
        return f"{task}: {answer}"

    return Agent("ask", function=ask), log


def answers(state: Any) -> Command[Any]:
    """Answer every question with its own words in capitals."""
    return Command(resume={item.id: item.value["question"].upper() for item in state["__interrupt__"]})


def test_join_any_does_not_wait_for_a_person(call: Any) -> None:
    done: list[str] = []
    ask, _ = asker()
    echo = Agent("echo", function=lambda task: done.append(task) or task)  # type: ignore[func-returns-value]
    steps = [step("a"), step("q", agent="ask"), step("s", "a", "q", join="any", task="{a} and {q}")]
    graph = graph_of(*steps, agents=[ask, echo], checkpointer=InMemorySaver())
    asked = call(graph, ASK, THREAD)
    assert (len(asked["__interrupt__"]), done) == (1, ["do a", "do a and (no result yet)"])
    state = call(graph, answers(asked), THREAD)
    assert (state["steps"]["q"]["result"], len(done)) == ("do q: DO Q", 2)


def test_parallel_questions_are_asked_together_and_answered_by_id(call: Any) -> None:
    ask, log = asker()
    steps = [step(f"q{at}", agent="ask") for at in range(4)] + [step("a"), step("b", "q1", "a", task="{q1}")]
    graph = graph_of(*steps, agents=[ask], checkpointer=InMemorySaver())
    asked = call(graph, ASK, THREAD)
    assert sorted(item.value["question"] for item in asked["__interrupt__"]) == ["do q0", "do q1", "do q2", "do q3"]
    state = call(graph, answers(asked), THREAD)
    assert {state["steps"][f"q{at}"]["result"] for at in range(4)} == {f"do q{at}: DO Q{at}" for at in range(4)}
    assert (state["steps"]["b"]["result"], len(log)) == ("do q1: DO Q1", 4)


def test_the_questions_of_items_are_asked_together(call: Any) -> None:
    ask, log = asker()
    each = step("q", "a", for_each="a", agent="ask", task="{item}")
    graph = graph_of(step("a", agent="list", task='["x", "y"]'), each, agents=[ask], checkpointer=InMemorySaver())
    asked = call(graph, ASK, THREAD)
    assert sorted(item.value["question"] for item in asked["__interrupt__"]) == ["x", "y"]
    state = call(graph, answers(asked), THREAD)
    assert (state["steps"]["q"]["data"], len(log)) == (["x: X", "y: Y"], 2)


# Patterns in patterns


def test_what_went_wrong_inside_is_told_with_its_place(call: Any) -> None:
    inner = Workflow([step("x"), step("y", agent="fail")], agents=[ECHO, FAIL]).as_agent("inner")
    state = call(graph_of(step("a", agent="inner"), agents=[inner]), ASK)
    assert (statuses(state), [error["where"] for error in state["errors"]]) == ("a:completed", ["a/y", "a/inner"])


def test_a_killed_run_goes_on_inside_a_nested_pattern() -> None:
    agent, log = killing(KeyboardInterrupt)
    inner = Workflow(KILLED, agents=[agent]).as_agent("inner")
    graph = graph_of(step("z", agent="inner"), agents=[inner], checkpointer=InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    assert graph.invoke(None, THREAD)["status"] == "completed"
    assert log == ["do a", "do b", "do kill", "do kill", "do c"]
