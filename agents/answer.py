"""Answers: what an agent returns, read from the reply of its worker."""

import json
from collections import ChainMap
from collections.abc import Collection, Mapping
from typing import Any, NotRequired, TypeGuard, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict

from agents.errors import AgentError, BudgetError, EmptyReplyError
from agents.runtime import check_reply, clean, clean_data
from agents.usage import Tally, Usage, charge_earlier, plausible, usage_of_messages

ENVELOPE = frozenset({"messages", "status", "stop_reason", "errors", "usage"})
"""The keys that the result of every pattern of ours has."""

_ANSWER = frozenset({"text", "data", "status", "errors", "usage"})

MAX_FIGURES = 40
"""Named results that an answer passes on, the latest."""
_EXACT = 2**53
"""Larger whole numbers become floats, as in storages and JSON readers."""


class Answer(TypedDict):
    """The result of an assignment."""

    text: str
    data: Any
    """The JSON of a structured reply, else None."""
    status: str
    """`completed`; of an agent that is itself a pattern also `partial`, `escalated` or `needs_input`."""
    errors: list[dict[str, str]]
    """Failures inside, `{where, kind, message}` each, in spite of which there is an answer."""
    usage: Usage
    figures: NotRequired[dict[str, float]]
    """The results of its calculations by name, latest last."""
    message_id: NotRequired[str | None]
    """The id of the chat message that holds the text, if one does: a pattern that answers with it keeps the id."""


def is_envelope(reply: object) -> TypeGuard[Mapping[str, object]]:
    """Return whether a reply is the result of a pattern."""
    return isinstance(reply, dict) and reply.keys() >= ENVELOPE


def with_figures(answer: Answer, figures: ChainMap[str, float]) -> Answer:
    """Return an answer with the results of its own calculations, the first of the maps."""
    own = list(figures.maps[0].items())[-MAX_FIGURES:]
    exact = {name: figure if abs(figure) < _EXACT else float(figure) for name, figure in own}
    return {**answer, "figures": exact} if exact else answer


def usage_of_reply(reply: object, tally: Tally, config: RunnableConfig) -> Usage:
    """Return what an assignment cost; calls on a server, or before a killed run was resumed, are in the reply only."""
    if not isinstance(reply, dict):
        return tally.usage
    reported = reply["usage"] if is_envelope(reply) else usage_of_messages(reply.get("messages", ()), tally.prices)
    usage = plausible(reported)
    charge_earlier(config, usage, tally.usage)
    return usage if usage["calls"] > tally.usage["calls"] else tally.usage


def read_answer(name: str, reply: object, usage: Usage, direct: Collection[str] = ()) -> Answer:
    """Read the reply of an agent's worker: a state with its new messages, a message, text or data.

    The result of a tool in `direct` is an answer too.

    Raises:
        AgentError: The reply is not an answer: empty, refused, filtered, cut off, a tool call alone, or not JSON data.
    """
    if is_envelope(reply):
        return _from_pattern(name, reply)
    if isinstance(reply, dict) and reply.keys() >= _ANSWER:  # of an agent that the worker called
        return cast("Answer", {**reply, "usage": usage})
    if isinstance(reply, dict) and reply.get("__interrupt__"):
        raise AgentError(f"Agent {name!r} asks a person; let it work in a pattern compiled with a checkpointer")
    if isinstance(reply, BaseMessage):
        reply = {"messages": [reply]}
    if isinstance(reply, dict) and isinstance(reply.get("messages"), list):
        if (data := reply.get("structured_response")) is not None:
            return _from_data(name, data, usage)
        message = _last(name, reply["messages"], direct)
        check_reply(message, name, calls=False)
        return {**_completed(message.text, None, usage), "message_id": message.id}
    if reply is None or (isinstance(reply, str) and not reply.strip()):
        raise AgentError(f"Agent {name!r} returned nothing; an answer is text or data", kind="empty")
    if isinstance(reply, str):
        return _completed(reply, None, usage)
    return _from_data(name, reply, usage)


def _last(name: str, messages: list[BaseMessage], direct: Collection[str]) -> AIMessage:
    """Return the message that answers: a new one of an AI, or the result of a tool that returns directly."""
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage):
        return last
    if isinstance(last, ToolMessage):
        if last.name in direct and last.status != "error":
            return AIMessage(last.content, id=last.id)
        raise EmptyReplyError(f"Agent {name!r} ended with the result of a tool instead of an answer: {last.text:.200}")
    end = "without a new message" if last is None else f"with a {type(last).__name__}"
    raise AgentError(f"Agent {name!r} ended {end}; an answer is a new AIMessage with content", kind="empty")


def _from_data(name: str, data: object, usage: Usage) -> Answer:
    data = plain_data(name, data)
    return _completed(json.dumps(data, ensure_ascii=False), data, usage)


def _from_pattern(name: str, state: Mapping[str, Any]) -> Answer:
    usage = plausible(state["usage"])
    if state["status"] == "failed":
        reason = state["stop_reason"] or "no reason given"
        failure = AgentError(f"Agent {name!r} failed: {reason}", usage=usage)
        if any(error["kind"] == BudgetError.__name__ for error in state["errors"]):
            raise BudgetError(reason) from failure  # so that no other plan or agent is tried
        raise failure
    errors = clean_data(state["errors"])
    if state["status"] != "completed":
        errors.append({"where": name, "kind": state["status"], "message": clean(state["stop_reason"] or "")})
    last = _last(name, list(state["messages"]), ())
    if not last.text.strip():
        raise AgentError(f"Agent {name!r} ended as {state['status']} with an empty text", kind="empty", usage=usage)
    answer = _completed(last.text, None, usage)
    return {**answer, "status": state["status"], "errors": errors, "message_id": last.id}


def _completed(text: str, data: object, usage: Usage) -> Answer:
    return {"text": clean(text), "data": data, "status": "completed", "errors": [], "usage": usage}


def plain_data(name: str, data: object) -> object:
    """Turn an agent's data into JSON data that can be stored: also dates, decimals, sets, pydantic objects in lists.

    Raises:
        AgentError: It cannot be; the message says which part of it.
    """
    try:
        return clean_data(json.loads(json.dumps(to_jsonable_python(clean_data(data)), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(data).__name__
        raise AgentError(f"Agent {name!r} returned {kind}, which cannot be stored as JSON: {error}") from error
