"""What the calls of graphs/engine/langgraph_internals.py need of LangGraph's tasks, item by item."""

import asyncio
from functools import partial
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.func import task
from langgraph.types import Command, interrupt

from graphs.engine import langgraph_internals as internals
from tests.counted import lines_run
from tests.plain_graphs import THREAD, Count, compiled


def calling(number: int, ran: list[int], asks: int | None = None) -> Any:
    """Return a graph whose node calls so many tasks, in another order each time; one of them may ask."""

    async def call(place: int) -> int:
        ran.append(place)
        return interrupt("?") if place == asks else place

    async def node(state: Count, config: RunnableConfig) -> Count:
        calls = internals.Calls(config)
        places = sorted(range(number), reverse=bool(ran))
        futures = [calls.call(config, f"call {place}", partial(call, place), place)[0] for place in places]
        await asyncio.wait(futures)
        return {"count": sum([await future for future in futures])}

    graph = compiled(("node", node), saver=InMemorySaver())
    graph.stream_eager = True
    return graph


def run_to_end(graph: Any, *, by_id: bool) -> Any:
    (question,) = asyncio.run(graph.ainvoke({"count": 0}, THREAD))["__interrupt__"]
    answer = Command(resume={question.id: 100} if by_id else 100)
    return asyncio.run(graph.ainvoke(answer, THREAD))


@pytest.mark.parametrize("by_id", [True, False])
def test_finished_calls_are_found_by_name_whatever_their_order(by_id: bool) -> None:
    ran: list[int] = []
    assert run_to_end(calling(20, ran, asks=7), by_id=by_id) == {"count": sum(range(20)) + 93}
    assert ran == [*range(20), 7]


def test_calls_do_not_look_through_the_calls_and_writes_of_others() -> None:
    def lines_per_call(number: int) -> float:
        graph = calling(number, [], asks=7)
        files = ("pregel/_loop.py", "pregel/_algo.py", "pregel/_runner.py")
        return lines_run(lambda: run_to_end(graph, by_id=True), *files) / number

    assert lines_per_call(160) < 1.2 * lines_per_call(40)


def test_a_call_may_call_tasks_of_langgraph_and_interrupt_in_them() -> None:
    ran: list[str] = []

    @task
    async def inner(value: str) -> str:
        ran.append(value)
        return f"{value}{interrupt('?')}" if value == "b" else value

    async def work() -> str:
        assert "futures" in get_config()["configurable"][internals.CALL].keywords  # as in a task of LangGraph's own
        return await inner("a") + await inner("b")

    async def node(state: Count, config: RunnableConfig) -> Count:
        return {"count": len(await internals.Calls(config).call(config, "call", work, None)[0])}

    graph = compiled(("node", node), saver=InMemorySaver())
    graph.stream_eager = True
    assert run_to_end(graph, by_id=True) == {"count": 5}
    assert ran == ["a", "b", "b"]


@pytest.mark.parametrize("is_announced", [True, False])
def test_calls_are_listed_in_the_stream_of_tasks(is_announced: bool) -> None:
    async def work() -> int:
        return 1

    async def node(state: Count, config: RunnableConfig) -> Count:
        calls = internals.Calls(config)
        assert calls.are_shown
        if is_announced:
            calls.announce(config, "call", "shown")
        return {"count": await calls.call(config, "call", work, "shown")[0]}

    async def streamed() -> list[Any]:
        graph = compiled(("node", node))
        graph.stream_eager = True
        return [event async for event in graph.astream({"count": 0}, stream_mode="tasks") if event["name"] == "call"]

    begun, ended = asyncio.run(streamed())
    assert (begun["input"], ended["result"]) == ((("shown",), {}), {"__return__": 1})
