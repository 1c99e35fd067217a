"""A question to the user in the middle of a run."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents.once import IO, Once
from agents.usage import Usage, no_usage


class Clarified(TypedDict):
    """What the user answered."""

    text: str
    usage: Usage


class AskUser(Once[str, Clarified]):
    """Interrupts the run with a question, and asks again until there is an answer."""

    async def run(self, io: IO, value: str, config: RunnableConfig) -> Clarified:
        """Return the answer."""
        while not (text := str(interrupt(value) or "").strip()):
            continue
        return {"text": text, "usage": no_usage()}
