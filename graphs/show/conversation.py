"""What was asked and answered in a run, read from its messages: LangChain's own, or what JSON made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from graphs.show.items import listed, mapping, text

_PEOPLE = ("human", "user", "HumanMessage")
_MODELS = ("ai", "assistant", "AIMessage", "AIMessageChunk")
_PAIR = 2


@dataclass(frozen=True)
class Conversation:
    """The last request and its answer, and what was said before."""

    before: tuple[tuple[str, str], ...]
    """Earlier messages of the thread: who, and what."""
    request: str
    answer: str | None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Conversation:
        """Read a result's messages."""
        said = [_message(one) for one in listed(result.get("messages"))]
        asked = next((place for place in reversed(range(len(said))) if said[place][0] in _PEOPLE), -1)
        request = said[asked][1] if asked >= 0 else text(result.get("request"))
        answer = next((words for who, words in reversed(said[asked + 1 :]) if who in _MODELS), None)
        return cls(tuple(said[: max(asked, 0)]), request, answer)


def _message(one: Any) -> tuple[str, str]:
    """Return who said what."""
    if isinstance(one, BaseMessage):
        return one.type, one.text
    if isinstance(one, str):
        return "user", one
    if isinstance(one, list | tuple) and len(one) == _PAIR:
        return text(one[0]), _words(one[1])
    told = mapping(one)
    content = mapping(told.get("data")).get("content", told.get("content"))
    return text(told.get("role") or told.get("type")), _words(content)


def _words(content: Any) -> str:
    """Return the text of a message's content, which may be a list of blocks."""
    if isinstance(content, list | tuple):
        blocks = (one if isinstance(one, str) else text(mapping(one).get("text")) for one in content)
        return "\n".join(filter(None, blocks))
    return text(content)


def questions(result: Mapping[str, Any]) -> list[Any]:
    """Return what a run waits for: as it is stored, or as LangGraph returns it."""
    asked = listed(result.get("questions")) or listed(result.get("__interrupt__"))
    return [getattr(one, "value", None) or mapping(one).get("value") for one in asked]
