"""What every graph takes and gives: messages in, and out the same envelope of plain JSON."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from agents.assignment import Assignment, quote
from agents.runtime import Usage, add_usage, explain
from graphs.errors import BudgetError


class Problem(TypedDict):
    """One thing that went wrong: `where` it did, what `kind` of error it was, and a sentence for people."""

    where: str
    kind: str
    message: str


class Worked(TypedDict):
    """When a node of the graph was at work; `started` and `ended` in seconds since the epoch."""

    node: str
    agent: str
    """The agent at work, by the name under which its cost is booked; empty where a person was asked."""
    started: float
    ended: float


class Input(TypedDict):
    """The input of every graph; a plain string will do for `messages`."""

    messages: Annotated[list[AnyMessage], add_messages]


class Envelope(Input, total=False):
    """The result of every graph."""

    status: str
    """`completed`, `partial`, `failed`, `escalated` or `needs_input`; `running` while it runs."""
    stop_reason: str | None
    """Why it ended otherwise than completed, in one sentence."""
    errors: Annotated[list[Problem], operator.add]
    usage: Annotated[Usage, add_usage]
    seconds: Annotated[float, operator.add]
    """Seconds worked; waiting for a person or for being resumed does not count."""
    worked: Annotated[list[Worked], operator.add]
    """When which node was at work; a node that asks a person is at work only as long as it takes the answer."""
    turn: str
    """The id of the message that is being answered; a new one in the same thread starts a new record."""


def request(messages: Sequence[Any]) -> HumanMessage:
    """Return the message that is being answered: the last one a person wrote, or an empty one."""
    return next((one for one in reversed(messages) if isinstance(one, HumanMessage)), HumanMessage("", id=""))


def asks_something(message: HumanMessage) -> bool:
    """Tell whether there is text in a message, or anything else than text: a picture alone may be a request."""
    return bool(message.text.strip()) or any(
        isinstance(part, dict) and part.get("type") != "text" for part in message.content
    )


def assignment(messages: Sequence[Any]) -> Assignment:
    """Return the request as a task for one agent, with what was said before it in the same thread as context."""
    asked, told = request(messages), _told_before(messages)
    return {"task": asked.text, "context": {"the conversation before": told} if told else {}}


def question(messages: Sequence[Any]) -> HumanMessage:
    """Return the request for a model that decides about it, with what was said before it quoted above.

    What agents answered earlier is nothing that the model has said itself: it is data here as everywhere.
    """
    asked, told = request(messages), _told_before(messages)
    if not told:
        return asked
    above = f"{quote('The conversation before', told)}\n\nThe user's last message:"
    if isinstance(asked.content, str):
        return HumanMessage(f"{above}\n{asked.content}")
    return HumanMessage([{"type": "text", "text": above}, *asked.content])


def _told_before(messages: Sequence[Any]) -> str:
    last = max((place for place, one in enumerate(messages) if isinstance(one, HumanMessage)), default=0)
    return "\n\n".join(f"{_speaker(one)}: {one.text}" for one in messages[:last] if one.text)


def closing(messages: Sequence[Any], text: str, message_id: str | None = None) -> AIMessage:
    """Return the message that ends a graph, under the id of the one that a model has streamed with this text.

    Chat front ends then know the two as one. An id that the thread has already would replace an earlier message.
    """
    known = {one.id for one in messages}
    return AIMessage(text, id=message_id if message_id and message_id not in known else str(uuid4()))


def _speaker(message: Any) -> str:
    return "User" if isinstance(message, HumanMessage) else "Assistant"


def problem(where: str, error: BaseException) -> Problem:
    """Record an error."""
    return {"where": where, "kind": type(error).__name__, "message": explain(error)}


def out_of_budget(errors: Sequence[Problem]) -> bool:
    """Tell whether a run ended because its budget was used up."""
    return any(one["kind"] == BudgetError.__name__ for one in errors)
