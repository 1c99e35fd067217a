"""A history as servers accept it: normalised before each call, simplified further where a server refuses it.

as it is -> no empty content or call ids, every tool call answered, valid names -> PLAIN -> NO_SYSTEM
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.models.thinking import answer_only

AS_IT_IS, PLAIN, NO_SYSTEM = range(3)
"""Levels of simplification: PLAIN has no names, no lists of text, one system message and roles in turn (servers of
text-only models and chat templates want that); NO_SYSTEM has the system message in the first message of the user."""

EMPTY_RESULT = "(no output)"
NOT_CALLED = "This call was not made."
EARLIER = "(Earlier messages are left out.)"

_NAME = re.compile(r"[^\s<|\\/>]{1,64}")


def normalised(messages: Sequence[BaseMessage], level: int = AS_IT_IS) -> list[BaseMessage]:
    """Return the messages as a server accepts them; the ones that need no change are the same objects."""
    valid = [message for message in _paired(map(_valid, messages)) if not _is_blank(message)]
    if level == AS_IT_IS:
        return valid
    plain = _in_turn([_plain(message) for message in valid])
    if level == NO_SYSTEM and isinstance(plain[0], SystemMessage):
        return _in_turn([HumanMessage(plain[0].content), *plain[1:]])
    return plain


def whole_calls(message: AIMessage) -> AIMessage:
    """Return a model's message whose tool calls have ids, each its own; Gemini's endpoint gives none."""
    ids = [call["id"] for call in message.tool_calls]
    if all(ids) and len(set(ids)) == len(ids):
        return message
    calls = [{**call, "id": f"call_{uuid4().hex[:24]}"} for call in message.tool_calls]
    return message.model_copy(update={"tool_calls": calls})


def _valid(message: BaseMessage) -> BaseMessage:
    change: dict[str, Any] = {}
    if isinstance(message, AIMessage):
        message = answer_only(message)
        if message.invalid_tool_calls:
            change["invalid_tool_calls"] = []
    if isinstance(message.content, list) and all(_is_bare_text(block) for block in message.content):
        change["content"] = message.text
    if isinstance(message, ToolMessage) and not (message.text.strip() or _has_other_than_text(message)):
        change["content"] = EMPTY_RESULT
    if message.name is not None and not _NAME.fullmatch(message.name):
        change["name"] = re.sub(r"[\s<|\\/>]+", "_", message.name)[:64] or None
    return message.model_copy(update=change) if change else message


def _is_bare_text(block: Any) -> bool:
    """Tell a block that is nothing but text; one with more (a cache mark, an annotation) is left to its provider."""
    return isinstance(block, str) or (block.get("type") == "text" and block.keys() <= {"type", "text", "index", "id"})


def _has_other_than_text(message: BaseMessage) -> bool:
    return isinstance(message.content, list) and any(
        isinstance(block, dict) and block.get("type") != "text" for block in message.content
    )


def _is_blank(message: BaseMessage) -> bool:
    has_calls = isinstance(message, AIMessage) and bool(message.tool_calls)
    return not (message.text.strip() or has_calls or _has_other_than_text(message))


def _paired(messages: Iterator[BaseMessage]) -> Iterator[BaseMessage]:
    """Give every tool call its result right after it; results without a call are left out."""
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            answered = message.tool_call_id or next(iter(waiting), "")
            if answered in waiting:
                waiting.remove(answered)
                same = answered == message.tool_call_id
                yield message if same else message.model_copy(update={"tool_call_id": answered})
            continue
        yield from (ToolMessage(NOT_CALLED, tool_call_id=call, status="error") for call in waiting)
        waiting = []
        if isinstance(message, AIMessage) and message.tool_calls:
            message = whole_calls(message)
            waiting = [str(call["id"]) for call in message.tool_calls]
        yield message
    yield from (ToolMessage(NOT_CALLED, tool_call_id=call, status="error") for call in waiting)


def _plain(message: BaseMessage) -> BaseMessage:
    content = message.content if _has_media(message) else message.text
    return message.model_copy(update={"name": None, "content": content})


def _has_media(message: BaseMessage) -> bool:
    """Tell a message that says something by other means than text, which must not be lost in silence."""
    if isinstance(message, AIMessage) or not isinstance(message.content, list):
        return False
    return _has_other_than_text(message)


def _in_turn(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Merge system messages into the first place, and what one role says twice in a row into one message."""
    system = [message for message in messages if isinstance(message, SystemMessage)]
    turns: list[BaseMessage] = []
    for message in (message for message in messages if not isinstance(message, SystemMessage)):
        if turns and _is_same_turn(turns[-1], message):
            turns[-1] = turns[-1].model_copy(update={"content": _joined(turns[-1].content, message.content)})
        else:
            turns.append(message)
    if turns and not isinstance(turns[0], HumanMessage):
        turns.insert(0, HumanMessage(EARLIER))
    return [*([SystemMessage("\n\n".join(message.text for message in system))] if system else []), *turns]


def _is_same_turn(message: BaseMessage, following: BaseMessage) -> bool:
    calls = [call for turn in (message, following) if isinstance(turn, AIMessage) for call in turn.tool_calls]
    return message.type == following.type and message.type in ("human", "ai") and not calls


def _joined(content: str | list[Any], more: str | list[Any]) -> str | list[Any]:
    if isinstance(content, str) and isinstance(more, str):
        return f"{content}\n\n{more}"
    blocks = ([{"type": "text", "text": part}] if isinstance(part, str) else part for part in (content, more))
    return [block for part in blocks for block in part]
