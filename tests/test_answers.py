"""An answer is what a worker newly wrote: no echo, no tool call alone, no empty text."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from agents import Agent, AgentError, Assignment, EmptyReplyError
from agents.testing import Reply, ScriptedModel
from tests.plain_graphs import own_graph

CALL: Any = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}
TALK: Assignment = {
    "task": "And now?",
    "request": HumanMessage("And now?"),
    "conversation": [HumanMessage("Hi", id="1"), AIMessage("Hello", id="2")],
}


def graph_of(*new: Any, saver: Any = None) -> Any:
    return own_graph(lambda state: {"messages": list(new)}, saver=saver)


@pytest.mark.parametrize(
    ("new", "kind", "reason"),
    [
        ([], AgentError, "ended without a new message"),
        ([HumanMessage("And now?")], AgentError, "ended with a HumanMessage"),
        ([SystemMessage("so")], AgentError, "ended with a SystemMessage"),
        ([AIMessage("", tool_calls=[CALL])], EmptyReplyError, "without text"),
        (
            [AIMessage("Look", tool_calls=[CALL]), ToolMessage("3", tool_call_id="1")],
            EmptyReplyError,
            "result of a tool",
        ),
        ([AIMessage(" ")], EmptyReplyError, "without text"),
        ([AIMessage([])], EmptyReplyError, "without text"),
    ],
)
def test_what_a_graph_did_not_newly_write_is_not_its_answer(call: Any, new: Any, kind: Any, reason: str) -> None:
    with pytest.raises(kind, match=reason):
        call(Agent("own", runnable=graph_of(*new)), TALK)


def test_a_graph_that_remembers_does_not_answer_with_what_it_said_before(call: Any) -> None:
    config = {"configurable": {"thread_id": "1"}}
    saver = InMemorySaver()
    assert call(Agent("own", runnable=graph_of(AIMessage("fine"), saver=saver)), "one", config)["text"] == "fine"
    with pytest.raises(AgentError, match="ended without a new message"):
        call(Agent("own", runnable=graph_of(saver=saver)), "two", config)


@tool(return_direct=True)
def look() -> str:
    """Look at it."""
    return "It is red."


def test_the_result_of_a_tool_that_returns_directly_is_an_answer(call: Any) -> None:
    agent = Agent("a", model=ScriptedModel([Reply(tool_calls=[{"name": "look", "args": {}}])]), tools=[look])
    assert call(agent, "Which colour?")["text"] == "It is red."


class Weather(BaseModel):
    degrees: int


def test_a_structured_reply_of_a_users_graph_is_data(call: Any) -> None:
    own = create_agent(ScriptedModel([{"degrees": 3}]), response_format=Weather)
    assert call(Agent("own", runnable=own), "How warm?")["data"] == {"degrees": 3}


def test_a_message_knows_which_chat_message_it_is(call: Any) -> None:
    assert call(Agent("own", runnable=graph_of(AIMessage("fine", id="7"))), TALK)["message_id"] == "7"


def test_a_user_graph_gets_conversation_request_and_task_as_messages(call: Any) -> None:
    seen: list[Any] = []
    graph = own_graph(lambda state: seen.extend(state["messages"]) or {"messages": [AIMessage("fine")]})
    call(Agent("own", runnable=graph), TALK)
    assert [(message.type, message.text) for message in seen] == [
        ("human", "Hi"),
        ("ai", "Hello"),
        ("human", "And now?"),
    ]


def test_a_function_gets_data_message_and_conversation_as_they_are(call: Any) -> None:
    seen: list[Any] = []

    def work(task: str, data: Any, message: HumanMessage, conversation: Any) -> str:
        seen.extend([data, message, conversation])
        return "done"

    weather = Weather(degrees=3)
    call(Agent("a", function=work), {**TALK, "data": {"w": weather}})
    assert seen == [{"w": weather}, TALK["request"], TALK["conversation"]]


def test_only_what_this_assignment_cost_is_counted() -> None:
    spent: Any = {"input_tokens": 500, "output_tokens": 500, "total_tokens": 1000}
    before = AIMessage("Hello", id="2", usage_metadata=spent)
    model = ScriptedModel([Reply("fine", usage=(1, 2))])
    usage = Agent("a", instructions="Talk.", model=model).invoke({"task": "x", "conversation": [before]})["usage"]
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (1, 1, 2)
