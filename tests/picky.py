"""A provider that refuses what OpenAI and stricter servers refuse in a history and in tools."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from agents.testing import Fault, FaultyProvider

Message = Mapping[str, Any]
Rule = Callable[[Sequence[Message]], str | None]


class PickyProvider(FaultyProvider):
    """Refuses with 400 what OpenAI does, and what `rules` find wrong with the messages."""

    def __init__(self, script: Any = (), *, rules: Sequence[Rule] = (), **options: Any) -> None:
        super().__init__(script, **options)
        self.rules = [flaw_of_messages, *rules]
        self.refusals: list[str] = []

    def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Any:
        flaws = [rule(request["messages"]) for rule in self.rules] + [flaw_of_tools(request.get("tools") or [])]
        for flaw in filter(None, flaws):
            self.requests.append(request)
            self.refusals.append(flaw)
            return Fault.of(400, flaw, "invalid_request_error")
        return super().reply_to(request, headers)


def flaw_of_messages(messages: Sequence[Message]) -> str | None:
    open_calls: list[str] = []
    for message in messages:
        role, content = message["role"], message.get("content")
        if role == "tool" and message.get("tool_call_id") not in open_calls:
            return "a tool message must answer a tool call right before it"
        if role == "tool":
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return f"these tool calls were not answered: {open_calls}"
        if not content and not (role == "assistant" and message.get("tool_calls")):
            return f"content must not be empty, got {content!r}"
        if not re.fullmatch(r"[^\s<|\\/>]{1,64}", message.get("name") or "fine"):
            return f"name does not match a pattern: {message['name']!r}"
        for call in message.get("tool_calls") or ():
            if not call.get("id") or call["id"] in open_calls:
                return "every tool call needs an id of its own"
            json.loads(call["function"]["arguments"])
            open_calls.append(call["id"])
    return f"these tool calls were not answered: {open_calls}" if open_calls else None


def flaw_of_tools(tools: Sequence[Mapping[str, Any]]) -> str | None:
    names = [tool["function"]["name"] for tool in tools]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names):
        return f"tool names must match a pattern and be unique: {names}"
    too_long = [tool for tool in tools if len(tool["function"].get("description") or "") > 1024]
    return "a tool's description is too long" if too_long else None


def no_names(messages: Sequence[Message]) -> str | None:
    return "property 'name' is not supported" if any(message.get("name") for message in messages) else None


def text_only(messages: Sequence[Message]) -> str | None:
    has_list = any(isinstance(message.get("content"), list) for message in messages)
    return "invalid type: sequence, expected a string" if has_list else None


def in_turn(messages: Sequence[Message]) -> str | None:
    spoken = messages[1:] if messages[0]["role"] == "system" else messages
    kinds = ["call" if message.get("tool_calls") else message["role"] for message in spoken]
    twice = [kind for kind, following in pairwise(kinds) if kind == following and kind in ("user", "assistant")]
    if "system" in kinds or kinds[0] != "user" or twice:
        return "Conversation roles must alternate user/assistant/user/assistant/..."
    return None


def no_system(messages: Sequence[Message]) -> str | None:
    has_system = any(message["role"] == "system" for message in messages)
    return "System role not supported" if has_system else in_turn(messages)
