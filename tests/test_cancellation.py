"""Cancelled sync work starts nothing: after Ctrl-C, a time-out, `cancel()`, or when a stream is left."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config

from agents import Agent, Retry
from agents.runtime import Cancellation, WorkCancelledError, is_cancelled
from agents.testing import Reply, ScriptedModel
from graphs import Step, Workflow
from tests.nested import PATTERNS, Make, team_model
from tests.waiting import PATIENCE, until
from tests.workflows import ASK

USE = Reply(tool_calls=[{"name": "look_up", "args": {}}])


def press_ctrl_c() -> None:
    time.sleep(0.02)  # Python handles a signal late that comes just before the main thread begins to wait
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(by: Callable[[], None] = press_ctrl_c) -> tuple[Agent, ScriptedModel]:
    """Return an agent that would use its tool twenty times; at the first, somebody interrupts the run."""
    model = ScriptedModel([USE] * 20 + ["end"])

    def look_up() -> str:
        """Look it up."""
        config = get_config()
        by()
        until(lambda: is_cancelled(config))
        return "found"

    return Agent("leaf", "Looks up.", instructions="Look up.", model=model, tools=[look_up]), model


def in_workflow(agent: Agent) -> Any:
    return Workflow([Step("a", "leaf", "go"), Step("b", "leaf", "go")], agents=[agent], max_parallel=1)


@pytest.mark.parametrize("modes", [["values"], ["custom", "messages"]], ids=["called", "watched"])
@pytest.mark.parametrize("make", PATTERNS)
def test_after_ctrl_c_no_agent_goes_on(make: Make, modes: Any) -> None:
    agent, model = interrupted()
    with pytest.raises(KeyboardInterrupt):
        list(make(agent, team_model()).compile().stream(ASK, stream_mode=modes))
    assert len(model.calls) == 1


def test_after_ctrl_c_nothing_is_tried_again() -> None:
    tried: list[str] = []

    def fail(task: str) -> str:
        tried.append(task)
        if len(tried) == 2:
            press_ctrl_c()
        raise ConnectionError("gone")

    agent = Agent("ann", function=fail)
    graph = Workflow([Step("a", "ann", "go")], agents=[agent], retry=Retry(9, wait=0.2, factor=1)).compile()
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK)
    assert len(tried) == 2


def test_after_ctrl_c_an_async_function_is_cancelled() -> None:
    ended: list[str] = []

    async def wait(task: str) -> str:
        press_ctrl_c()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "too late"

    graph = Workflow([Step("a", "ann", "go")], agents=[Agent("ann", function=wait)]).compile()
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK)
    until(lambda: ended == ["cancelled"])


def test_a_handler_that_only_takes_note_of_a_signal_ends_nothing() -> None:
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        noted.append(number)

    def press(task: str) -> str:
        press_ctrl_c()
        until(lambda: bool(noted))
        return "done"

    graph = Workflow([Step("a", "ann", "go"), Step("b", "ann", "go", ["a"])], agents=[Agent("ann", function=press)])
    before = signal.signal(signal.SIGINT, note)
    try:
        assert graph.compile().invoke(ASK)["status"] == "completed"
    finally:
        assert signal.signal(signal.SIGINT, before) is note


def test_while_the_caller_works_signals_are_the_callers() -> None:
    graph = Workflow([Step("a", "ann", "go")], agents=[Agent("ann", function=lambda task: "done")]).compile()
    seen = {signal.getsignal(signal.SIGINT) for _ in graph.stream(ASK, stream_mode=["values", "custom"])}
    assert seen == {signal.default_int_handler}


def test_when_a_stream_is_left_nothing_new_begins() -> None:
    asked: list[str] = []

    def note(task: str, config: RunnableConfig) -> str:
        asked.append(task)
        until(lambda: is_cancelled(config))
        return task

    steps = [Step("a", "ann", "one"), Step("b", "ann", "two", ["a"])]
    stream = Workflow(steps, agents=[Agent("ann", function=note)]).compile().stream(ASK, stream_mode="custom")
    next(stream)
    stream.close()
    assert asked in (["one"], [])  # the function may not yet have begun


def test_a_nested_graph_that_timed_out_begins_no_step_beside_its_own_retry() -> None:
    begun: list[str] = []
    both = threading.Event()

    def work(task: str, config: RunnableConfig) -> str:
        begun.append(task)
        if begun == ["one"]:
            until(lambda: is_cancelled(config))
            both.set()
        return task

    inner = Workflow([Step("x", "ann", "one"), Step("y", "ann", "two", ["x"])], agents=[Agent("ann", function=work)])
    outer = Workflow([Step("a", "inner", "go", timeout=0.5)], agents=[inner.as_agent("inner")], retry=Retry(20, wait=0))
    state = outer.compile().invoke(ASK)
    assert both.wait(PATIENCE)
    assert (state["status"], begun[-2:]) == ("completed", ["one", "two"])
    assert begun.count("two") < begun.count("one")  # on a busy machine more attempts time out, each after either step


def test_an_agent_that_timed_out_in_a_tool_repeats_nothing_and_goes_no_further() -> None:
    model, begun, over = ScriptedModel([USE] * 20), [], threading.Event()

    def look_up() -> str:
        """Look it up."""
        begun.append(1)
        config = get_config()
        until(lambda: is_cancelled(config))
        over.set()
        return "found"

    ann = Agent("ann", instructions="Look up.", model=model, tools=[look_up])
    graph = Workflow([Step("a", "ann", "go", timeout=0.5)], agents=[ann], retry=Retry(20, wait=0)).compile()
    assert graph.invoke(ASK)["status"] == "failed"
    calls = len(model.calls)
    assert over.wait(PATIENCE)
    until(lambda: not any("podium-attempt" in item.name for item in threading.enumerate()))
    assert (len(begun), len(model.calls)) == (1, calls)


def test_after_ctrl_c_nothing_goes_on_under_a_cancellation_of_the_caller() -> None:
    agent, model = interrupted()
    with pytest.raises(KeyboardInterrupt):
        in_workflow(agent).compile().invoke(ASK, Cancellation().holding())
    assert len(model.calls) == 1


@pytest.mark.parametrize("watched", [False, True])
def test_a_run_is_cancelled_from_another_thread(watched: bool) -> None:
    agent, model = interrupted(by=lambda: cancellation.cancel())
    cancellation = Cancellation()
    graph = in_workflow(agent).compile()
    with pytest.raises(WorkCancelledError):
        list(graph.stream(ASK, cancellation.holding(), stream_mode=["custom"] if watched else ["values"]))
    assert len(model.calls) == 1


def test_what_waits_is_woken_by_a_cancellation() -> None:
    cancellation = Cancellation()

    def fail(task: str) -> str:
        threading.Timer(0.05, cancellation.cancel).start()
        raise ConnectionError("gone")

    graph = Workflow([Step("a", "ann", "go")], agents=[Agent("ann", function=fail)], retry=Retry(wait=60)).compile()
    began = time.monotonic()
    with pytest.raises(WorkCancelledError):
        graph.invoke(ASK, cancellation.holding())
    assert time.monotonic() - began < PATIENCE


def test_a_step_cancelled_before_it_begins_leaves_no_coroutine_behind() -> None:
    async def cancelled_after(turns: int) -> None:
        """Cancel a run so many turns of the event loop after its first step began."""

        def count_down(turns: int) -> None:
            later(count_down, turns - 1) if turns else run.cancel()

        async def work(task: str) -> str:
            if task == "one":
                count_down(turns)
                for _ in range(3):
                    await asyncio.sleep(0)
            return task

        later = asyncio.get_running_loop().call_soon
        steps = [Step("x", "ann", "one"), Step("y", "ann", "two", ["x"])]
        graph = Workflow(steps, agents=[Agent("ann", function=work)]).compile()
        run = asyncio.create_task(graph.ainvoke(ASK, {"max_concurrency": 4}))
        with pytest.raises(asyncio.CancelledError):
            await run

    for turns in range(6):
        asyncio.run(cancelled_after(turns))
    gc.collect()  # Python warns of such a coroutine when it is collected
