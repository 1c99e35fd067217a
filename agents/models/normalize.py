"""A history as servers accept it: normalised before each call, simplified further where a server refuses it.

as it is -> valid text and names, no empty content or call ids, every tool call answered -> PLAIN -> NO_SYSTEM
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    merge_message_runs,
)

from agents.models.thinking import answer_only
from agents.runtime import clean

AS_IT_IS, PLAIN, NO_SYSTEM = range(3)
"""Levels of simplification: PLAIN has no names, no lists of text, one system message and roles in turn (servers of
text-only models and chat templates want that); NO_SYSTEM has the system message in the first message of the user."""

EMPTY_RESULT = "(no output)"
NOT_CALLED = "This call was not made."
EARLIER = "(Earlier messages are left out.)"

_NO_MEDIA = ("text", "thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call", "function_call")
"""Types of blocks that are in the text or the calls of a message, or that no model reads again."""
_NAME = re.compile(r"[^\s<|\\/>]{1,64}")


def normalised(messages: Sequence[BaseMessage], level: int = AS_IT_IS) -> list[BaseMessage]:
    """Return the messages as a server accepts them; the ones that need no change are the same objects."""
    valid = [message for message in _paired(map(_valid, messages)) if not _is_blank(message)]
    if level == AS_IT_IS:
        return valid
    plain = _in_turn([plain for message in valid if not _is_blank(plain := _plain(message))])
    if level == NO_SYSTEM and plain and isinstance(plain[0], SystemMessage):
        return _in_turn([HumanMessage(plain[0].content), *plain[1:]])
    return plain


def whole_calls(message: AIMessage) -> AIMessage:
    """Return a model's message whose tool calls have ids, each its own, and arguments that can be sent.

    Gemini's endpoint gives no ids.
    """
    ids = [call["id"] for call in message.tool_calls]
    if not all(ids) or len(set(ids)) < len(ids):
        ids = [f"call_{uuid4().hex[:24]}" for _ in ids]
    calls = [
        {**call, "id": call_id, "args": _sendable(call["args"])}
        for call, call_id in zip(message.tool_calls, ids, strict=True)
    ]
    return message if calls == message.tool_calls else message.model_copy(update={"tool_calls": calls})


def _sendable(arguments: dict[str, object]) -> object:
    written = json.dumps(arguments, ensure_ascii=False, default=str)
    cleaned = clean(written)
    return arguments if cleaned == written else json.loads(cleaned)


def _valid(message: BaseMessage) -> BaseMessage:
    change: dict[str, object] = {}
    if isinstance(message, AIMessage):
        message = answer_only(message)
        if message.invalid_tool_calls:
            change["invalid_tool_calls"] = []
    content = EMPTY_RESULT if isinstance(message, ToolMessage) and _is_blank(message) else _bare(message)
    if content != message.content:
        change["content"] = content
    if message.name is not None and not _NAME.fullmatch(message.name):
        change["name"] = re.sub(r"[\s<|\\/>]+", "_", message.name)[:64] or None
    return message.model_copy(update=change) if change else message


def _bare(message: BaseMessage) -> object:
    """Return the content of a message as it can be sent; blocks that are nothing but text are one text.

    A block of text with more (a cache mark, an annotation) is left to its provider.
    """
    if isinstance(message.content, str):
        return clean(message.content)
    blocks = [{"type": "text", "text": block} if isinstance(block, str) else block for block in message.content]
    full = [block for block in blocks if block.get("type") != "text" or str(block.get("text") or "").strip()]
    if all(block.get("type") == "text" and block.keys() <= {"type", "text", "index", "id"} for block in full):
        return clean(message.text)
    return [{**block, "text": clean(block["text"])} if isinstance(block.get("text"), str) else block for block in full]


def _has_media(message: BaseMessage) -> bool:
    """Tell a message that says something by other means than text."""
    blocks = [] if isinstance(message.content, str) else message.content
    return any(isinstance(block, dict) and block.get("type") not in _NO_MEDIA for block in blocks)


def _is_blank(message: BaseMessage) -> bool:
    has_calls = isinstance(message, AIMessage) and bool(message.tool_calls)
    return not (message.text.strip() or has_calls or _has_media(message))


def _paired(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    """Give every tool call its result right after it; results without a call are left out."""
    waiting: list[tuple[str | None, str]] = []  # the id that its result has, and the one that is sent
    for message in messages:
        if isinstance(message, ToolMessage):
            answered = message.tool_call_id
            if call := next((call for call in waiting if answered in ("", *call)), None):
                waiting.remove(call)
                yield message if call[1] == answered else message.model_copy(update={"tool_call_id": call[1]})
            continue
        yield from _not_called(waiting)
        waiting = []
        if isinstance(message, AIMessage) and message.tool_calls:
            before, message = message, whole_calls(message)
            waiting = [
                (old["id"], str(new["id"])) for old, new in zip(before.tool_calls, message.tool_calls, strict=True)
            ]
        yield message
    yield from _not_called(waiting)


def _not_called(waiting: Iterable[tuple[str | None, str]]) -> Iterator[ToolMessage]:
    return (ToolMessage(NOT_CALLED, tool_call_id=call_id, status="error") for _, call_id in waiting)


def _plain(message: BaseMessage) -> BaseMessage:
    """Leave out everything but text, except what a user or tool shows: that must not be lost in silence."""
    is_shown = _has_media(message) and not isinstance(message, AIMessage)
    content = message.content if is_shown else message.text
    return message.model_copy(update={"name": None, "additional_kwargs": {}, "content": content})


def _in_turn(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Merge system messages into the first place, and what one role says twice in a row into one message."""
    system = [message.text for message in messages if isinstance(message, SystemMessage)]
    others = [message for message in messages if not isinstance(message, SystemMessage)]
    turns = merge_message_runs(others, chunk_separator="\n\n")
    if turns and not isinstance(turns[0], HumanMessage):
        turns.insert(0, HumanMessage(EARLIER))
    for turn in turns:
        if isinstance(turn.content, list):
            turn.content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in turn.content]
    return [SystemMessage("\n\n".join(system)), *turns] if system else turns
