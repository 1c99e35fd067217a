"""What graphs/engine/langgraph_internals.py needs of LangGraph beyond its documented interface, item by item."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.base import id as ids
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_config
from langgraph.func import task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from graphs.engine import langgraph_internals as internals

THREAD: Any = {"configurable": {"thread_id": "t"}}


class Count(TypedDict, total=False):
    count: int


@task
def double(count: int) -> dict[str, int]:
    return {"doubled": 2 * count}


def compiled(*nodes: Any, saver: Any = None, **options: Any) -> Any:
    graph = StateGraph(Count)
    for node in nodes:
        graph.add_node(*node)
    names = [START, *(name for name, _ in nodes)]
    for before, after in pairwise(names):
        graph.add_edge(before, after)
    return graph.compile(saver, **options)


class Log(TypedDict):
    lines: Annotated[list[str], DeltaChannel(lambda lines, writes: [*lines, *chain(*writes)])]


def add(state: Count) -> Count:
    return {"count": state["count"] + 1}


def ask(state: Count) -> Count:
    done = double(state["count"]).result()
    return {"count": done["doubled"] + interrupt("How many?")}


def test_a_task_finds_its_namespace_in_its_config() -> None:
    seen: list[Any] = []

    @task
    def look() -> None:
        seen.append(get_config())

    def node(state: Count) -> Count:
        seen.append(get_config())
        look().result()
        return {"count": 1}

    compiled(("outer", compiled(("node", node)))).invoke({"count": 0})
    of_node, of_task = seen
    outer, inside = internals.parts_of(internals.namespace_of(of_node))
    assert (outer.split(":")[0], inside.split(":")[0]) == ("outer", "node")
    assert internals.namespace_of(of_task).startswith(f"{internals.namespace_of(of_node)}|look:")


def test_a_call_finds_in_its_config_whether_its_graph_is_nested_and_which_node_it_is_in() -> None:
    seen: list[tuple[bool, str]] = []

    class Listener(BaseCallbackHandler):
        run_inline = True

        def on_chat_model_start(self, *args: Any, metadata: Any, **about: Any) -> None:
            seen.append((True, internals.node_of(metadata)))

    def node(state: Count, config: RunnableConfig) -> Count:
        seen.append((internals.is_nested(config), internals.node_of(config["metadata"])))
        FakeListChatModel(responses=["hi"]).invoke("hello")
        return {}

    def run(config: RunnableConfig) -> None:
        seen.append((internals.is_nested(config), internals.node_of(config.get("metadata", {}))))
        compiled(("node", node)).invoke({"count": 0}, config)

    run({"callbacks": [Listener()]})
    assert seen == [(False, ""), (True, "node"), (True, "node")]


def test_messages_of_a_deeper_namespace_are_streamed_with_subgraphs_only() -> None:
    def node(state: Count, config: RunnableConfig) -> Count:
        deeper: Any = {**config, "metadata": internals.one_deeper(config["metadata"], "ann")}
        FakeListChatModel(responses=["hi"]).invoke("hello", deeper)
        return {}

    graph = compiled(("node", node))
    assert [*graph.stream({"count": 0}, stream_mode="messages")] == []
    spaces = {space[-1] for space, _ in graph.stream({"count": 0}, stream_mode="messages", subgraphs=True)}
    assert {space.partition(":")[0] for space in spaces} == {"node"}


def history(graph: Any) -> list[CheckpointTuple]:
    return [*graph.checkpointer.list(THREAD)]


def test_the_state_is_in_channels_without_reserved_names() -> None:
    graph = compiled(("add", add), ("more", add), saver=InMemorySaver())
    graph.invoke({"count": 1}, THREAD)
    assert internals.state_values(history(graph)[0]) == {"count": 3}


def test_the_next_node_is_in_the_name_of_a_channel() -> None:
    graph = compiled(("add", add), ("more", add), saver=InMemorySaver())
    graph.invoke({"count": 1}, THREAD)
    last, between, first, before = history(graph)
    assert [internals.next_nodes(checkpoint) for checkpoint in (last, between, first)] == [[], ["more"], ["add"]]
    assert internals.awaits_first_node(before)
    assert not internals.awaits_first_node(first)


def test_the_first_checkpoint_of_a_turn_is_one_of_source_input() -> None:
    begun = []

    class Saver(InMemorySaver):
        def put(self, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
            begun.append(internals.begins_turn(config, metadata))
            return super().put(config, checkpoint, metadata, versions)

    inner = compiled(("add", add))
    graph = compiled(("inner", inner), ("ask", ask), saver=Saver())
    graph.invoke({"count": 1}, THREAD)
    graph.invoke(Command(resume=1), THREAD)
    assert begun[0]
    assert sum(begun) == 1


def test_interrupts_and_task_results_are_pending_writes() -> None:
    graph = compiled(("ask", ask), saver=InMemorySaver())
    graph.invoke({"count": 1}, THREAD)
    (waiting,) = internals.open_interrupts(history(graph)[0])
    assert waiting.value == "How many?"
    assert {"doubled": 2} in internals.task_results(history(graph)[0])
    assert graph.invoke(Command(resume={waiting.id: 3}), THREAD) == {"count": 5}
    assert internals.open_interrupts(history(graph)[0]) == []


def test_a_nested_interrupt_is_listed_by_the_graph_around_it_until_it_is_answered() -> None:
    graph = compiled(("inner", compiled(("ask", ask), ("again", ask))), saver=InMemorySaver())
    graph.invoke({"count": 1}, THREAD)
    (first,) = internals.open_interrupts(history(graph)[0])
    graph.invoke(Command(resume={first.id: 0}), THREAD)
    (second,) = internals.open_interrupts(graph.checkpointer.get_tuple(THREAD))
    assert second.value == "How many?"


def test_a_nested_graph_names_the_outermost_checkpoint_and_its_depth() -> None:
    innermost = compiled(("add", add))
    inner = compiled(("innermost", innermost))
    graph = compiled(("inner", inner), saver=InMemorySaver())
    graph.invoke({"count": 1}, THREAD)
    spaces = {item.config["configurable"]["checkpoint_ns"]: item for item in history(graph)}
    outer = {item.checkpoint["id"] for item in history(graph) if not item.config["configurable"]["checkpoint_ns"]}
    nested = [space for space in spaces if space]
    assert [internals.is_nested_once(space) for space in sorted(nested, key=len)] == [True, False]
    assert all(internals.outermost_checkpoint_id(spaces[space]) in outer for space in nested)


# SQLite


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "runs.sqlite", check_same_thread=False)) as made:
        yield made


def saver(connection: sqlite3.Connection) -> Any:
    made = internals.sqlite_saver(connection, JsonPlusSerializer())
    internals.make_sqlite_tables(made, 1)
    return made


def test_sqlite_has_the_tables_and_columns_that_are_read(connection: sqlite3.Connection) -> None:
    assert internals.sqlite_tables_exist(connection) is False
    graph = compiled(("add", add), saver=saver(connection))
    graph.invoke({"count": 1}, THREAD)
    assert internals.sqlite_tables_exist(connection)
    ((thread, first, last),) = connection.execute(internals.THREADS).fetchall()
    assert (thread, last, first) == ("t", history(graph)[0].checkpoint["id"], history(graph)[-1].checkpoint["id"])


def test_older_sqlite_tables_are_recognised(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE checkpoints (thread_id TEXT, thread_ts TEXT, checkpoint BLOB)")
    assert internals.sqlite_tables_exist(connection) is None


def test_sqlite_goes_without_setup_where_the_tables_are(connection: sqlite3.Connection) -> None:
    saver(connection)
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE else 0)
    made = internals.sqlite_saver(connection, JsonPlusSerializer())
    internals.skip_sqlite_setup(made)
    assert made.get_tuple(THREAD) is None


def test_a_failed_sqlite_transaction_leaves_nothing(connection: sqlite3.Connection) -> None:
    made = saver(connection)
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "1"}}
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON writes WHEN NEW.idx > 0 BEGIN SELECT RAISE(FAIL, 'x'); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        made.put_writes(config, [("count", 1), ("count", 2)], "task")
    assert connection.execute("SELECT COUNT(*) FROM writes").fetchone() == (0,)


def test_a_reduced_sqlite_thread_goes_on(connection: sqlite3.Connection) -> None:
    stateful = compiled(("add", add), saver=True)
    inner = compiled(("ask", ask))
    graph = compiled(("stateful", stateful), ("inner", inner), saver=saver(connection))
    graph.invoke({"count": 1}, THREAD)
    graph.checkpointer.prune(["t"])
    assert sorted(item.config["configurable"]["checkpoint_ns"].partition(":")[0] for item in history(graph)) == [
        *("", "inner", "stateful")
    ]
    assert graph.invoke(Command(resume=3), THREAD) == {"count": 7}
    graph.checkpointer.prune(["t"])
    assert [item.config["configurable"]["checkpoint_ns"] for item in history(graph)] == ["", "stateful"]
    assert graph.invoke({"count": 2}, THREAD)["count"] == 3


def test_a_thread_with_a_delta_channel_is_not_reduced(connection: sqlite3.Connection) -> None:
    graph = StateGraph(Log)
    graph.add_node("write", lambda state: {"lines": [str(len(state["lines"]))]})
    graph.add_edge(START, "write")
    made = graph.compile(saver(connection))
    made.invoke({"lines": ["a"]}, THREAD)
    with pytest.raises(NotImplementedError):
        made.checkpointer.prune(["t"])
    assert made.invoke({"lines": ["b"]}, THREAD)["lines"] == ["a", "1", "b", "3"]


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
        count = 0

        def note(frame: Any, event: str, argument: Any) -> Any:
            nonlocal count
            name = frame.f_code.co_filename
            count += event == "line"
            return note if name.endswith(("pregel/_loop.py", "pregel/_algo.py", "pregel/_runner.py")) else None

        graph = calling(number, [], asks=7)
        before = sys.gettrace()
        sys.settrace(note)
        try:
            run_to_end(graph, by_id=True)
        finally:
            sys.settrace(before)
        return count / number

    assert lines_per_call(160) < 1.2 * lines_per_call(40)


def test_a_call_may_call_tasks_of_langgraph_and_interrupt_in_them() -> None:
    ran: list[str] = []

    @task
    async def inner(value: str) -> str:
        ran.append(value)
        return f"{value}{interrupt('?')}" if value == "b" else value

    async def work() -> str:
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


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
def test_what_a_run_puts_into_configurable_for_nested_graphs(saver: Any) -> None:
    seen: list[dict[str, Any]] = []
    cache: Any = InMemoryCache()

    def note(state: Count, config: RunnableConfig) -> Count:
        seen.append(config["configurable"])
        return {"count": 1 if len(seen) > 1 else interrupt("How many?")}

    inner = compiled(("note", note))
    graph = compiled(("inner", inner), saver=saver)
    config: Any = {"configurable": {"thread_id": "t", internals.CACHE: cache}}
    graph.invoke({"count": 0}, config)
    assert seen[0][internals.CACHE] is cache
    assert not seen[0].get(internals.RESUMING)
    if saver:
        graph.invoke(Command(resume=1), config)
        assert seen[1][internals.RESUMING]


def test_every_run_has_a_stream_writer_of_its_own() -> None:
    writers: list[Any] = []

    def note(state: Count, runtime: Runtime[Any]) -> Count:
        writers.append(runtime.stream_writer)
        return {}

    graph = compiled(("one", note), ("two", note))
    for _ in range(2):
        graph.invoke({"count": 0})
    assert [first is second for first, second in pairwise(writers)] == [True, False, True]


def test_ids_of_checkpoints_come_after_those_of_a_machine_whose_clock_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    graph, saver = compiled(("add", add), saver=InMemorySaver()), InMemorySaver()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)
        graph.invoke({"count": 1}, THREAD)
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    written: Any = graph.checkpointer.get_tuple(THREAD)  # type: ignore[union-attr]
    own = compiled(("add", add), saver=saver)
    own.invoke({"count": 1}, THREAD)
    assert saver.get_tuple(THREAD).checkpoint["id"] < written.checkpoint["id"]  # type: ignore[union-attr]
    internals.count_from(written)
    own.invoke({"count": 1}, THREAD)
    assert saver.get_tuple(THREAD).checkpoint["id"] > written.checkpoint["id"]  # type: ignore[union-attr]
    for damaged in ("not an id", f"{2**128 - 1:x}"):
        written.checkpoint["id"] = damaged
        internals.count_from(written)
