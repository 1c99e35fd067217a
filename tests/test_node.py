"""Nodes: what they ask, whom, and what they make of the answer."""

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from agents import AgentError, Retry, TransientError
from agents.usage import no_usage
from graphs.engine import Node

STATE = {"messages": [("user", "x")]}


def node(*replies: Any, question: Any = "question", **options: Any) -> Node[Any, Any]:
    """Make a node whose work returns or raises one reply after the other."""
    left = iter(replies)

    def work(asked: Any) -> Any:
        reply = next(left)
        if isinstance(reply, Exception):
            raise reply
        return {"text": reply, "usage": {**no_usage(), "calls": 1}, "asked": asked}

    made = Node(lambda state: question, RunnableLambda(work), lambda state, reply: {"reply": reply}, **options)
    made.retry = Retry(wait=0)
    return made


def test_a_node_asks_and_takes_the_reply(call: Any) -> None:
    update = call(node("fine"), STATE)
    assert (update["reply"]["text"], update["reply"]["asked"]) == ("fine", "question")
    assert update["usage"]["calls"] == 1
    assert [worked["started"] <= worked["ended"] for worked in update["worked"]] == [True]


def test_a_node_with_nothing_to_ask_does_not_work(call: Any) -> None:
    update = call(node(question=None), STATE)
    assert (update["reply"], "usage" in update) == (None, False)


def test_a_node_repeats_a_fault_that_may_pass(call: Any) -> None:
    assert call(node(TransientError("busy"), "fine"), STATE)["reply"]["text"] == "fine"


def test_a_node_turns_a_fault_into_an_update_or_raises_it(call: Any) -> None:
    failed = node(AgentError("no"), failed=lambda state, error: {"error": str(error)})
    assert call(failed, STATE)["error"] == "no"
    with pytest.raises(AgentError, match="no"):
        call(node(AgentError("no")), STATE)
