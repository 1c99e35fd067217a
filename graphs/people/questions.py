"""Questions to people in the middle of a run, and the one in words that a router asks."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents.errors import ConfigurationError
from agents.runtime import Effects, SyncAsyncRunnable, Usage, clean, no_usage


def ask_person(question: Any) -> Any:
    """Interrupt the run with a question; return the answer when the run is resumed with one.

    Raises:
        ConfigurationError: The run belongs to no thread, so nobody could ever resume it.
    """
    about = get_runtime().execution_info
    if about is not None and about.thread_id is None:
        raise ConfigurationError(
            "A person is to be asked, but the run could not go on with an answer: compile the graph with a checkpointer"
            ' (compile(checkpointer=InMemorySaver())) and run it with {"configurable": {"thread_id": "..."}}'
        )
    return interrupt(question)


class Clarified(TypedDict):
    """What the user answered."""

    text: str
    usage: Usage


class AskUser(SyncAsyncRunnable[str, Clarified]):
    """Interrupts the run with a question, and asks again until there is an answer."""

    async def run(self, effects: Effects, value: str, config: RunnableConfig) -> Clarified:
        """Return the answer."""
        while not (text := clean(_text(ask_person(value))).strip()):
            continue
        return {"text": text, "usage": no_usage()}


def _text(answer: Any) -> str:
    """Return an answer as text; a front end may have read JSON in what the user wrote."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False) if answer else ""
