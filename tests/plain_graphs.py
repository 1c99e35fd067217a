"""Plain LangGraph graphs: users' own, and what the contract tests try LangGraph itself with."""

from itertools import pairwise
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

THREAD: Any = {"configurable": {"thread_id": "t"}}


class Count(TypedDict, total=False):
    count: int


@task
def double(count: int) -> dict[str, int]:
    return {"doubled": 2 * count}


def own_graph(*nodes: Any, saver: Any = None, state: Any = MessagesState, context: Any = None, **options: Any) -> Any:
    """Compile a graph of a user's own, of nodes one after the other; a function is a node called `node`."""
    graph = StateGraph(state, context_schema=context)
    named = [node if isinstance(node, tuple) else ("node", node) for node in nodes]
    for node in named:
        graph.add_node(*node)
    names = [START, *(name for name, _ in named)]
    for before, after in pairwise(names):
        graph.add_edge(before, after)
    return graph.compile(saver, **options)


def compiled(*nodes: Any, **options: Any) -> Any:
    return own_graph(*nodes, state=Count, **options)


def add(state: Count) -> Count:
    return {"count": state["count"] + 1}


def ask(state: Count) -> Count:
    done = double(state["count"]).result()
    return {"count": done["doubled"] + interrupt("How many?")}


def history(graph: Any) -> list[CheckpointTuple]:
    return [*graph.checkpointer.list(THREAD)]
