"""A question to the user in the middle of a run."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents.once import IO, Once
from agents.texts import clean
from agents.usage import Usage, no_usage


class Clarified(TypedDict):
    """What the user answered."""

    text: str
    usage: Usage


class AskUser(Once[str, Clarified]):
    """Interrupts the run with a question, and asks again until there is an answer."""

    async def run(self, io: IO, value: str, config: RunnableConfig) -> Clarified:
        """Return the answer."""
        while not (text := clean(_text(interrupt(value))).strip()):
            continue
        return {"text": text, "usage": no_usage()}


def _text(answer: Any) -> str:
    """Return an answer as text; a front end may have read JSON in what the user wrote."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False) if answer else ""
