"""What graphs/engine/langgraph_internals.py needs of LangGraph beyond its documented interface, item by item."""

import time
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.base import id as ids
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.func import task
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from graphs.engine import langgraph_internals as internals
from tests.plain_graphs import THREAD, Count, add, ask, compiled, history


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
