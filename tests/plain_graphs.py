"""Plain LangGraph graphs: what the contract tests try LangGraph itself with."""

from itertools import pairwise
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.func import task
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

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


def add(state: Count) -> Count:
    return {"count": state["count"] + 1}


def ask(state: Count) -> Count:
    done = double(state["count"]).result()
    return {"count": done["doubled"] + interrupt("How many?")}


def history(graph: Any) -> list[CheckpointTuple]:
    return [*graph.checkpointer.list(THREAD)]
