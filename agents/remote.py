"""A graph on a server (LangGraph's `RemoteGraph`) as a worker among local ones."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import messages_from_dict
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol

from agents.errors import AgentError
from agents.once import IO, Once


class Remote(Once[Any, Any]):
    """Runs a remote graph for one assignment, and gives back its state with real messages instead of JSON.

    Raises:
        AgentError: The graph asks for a person, which only those who talk to its server themselves can answer.
    """

    def __init__(self, graph: Runnable[Any, Any]) -> None:
        self.graph = graph

    async def run(self, io: IO, value: Any, config: RunnableConfig) -> Any:
        """Have the server do one run."""
        try:
            state = await io.invoke(self.graph, value, _without_thread(config))
        except GraphInterrupt as asked:
            raise AgentError(
                "The remote graph waits for a person; turn that off, or run it on its own server"
            ) from asked
        if not isinstance(state, dict) or not isinstance(state.get("messages"), list):
            return state
        return {
            **state,
            "messages": messages_from_dict([{"type": one["type"], "data": one} for one in state["messages"]]),
        }


def at_hand(runnable: Runnable[Any, Any] | None) -> Runnable[Any, Any] | None:
    """Return a Runnable that can be called like any other: a remote graph wrapped, everything else as it is."""
    is_remote = isinstance(runnable, PregelProtocol) and not isinstance(runnable, Pregel)
    return Remote(runnable) if runnable is not None and is_remote else runnable


def _without_thread(config: RunnableConfig) -> RunnableConfig:
    """Leave out the local thread: the server would use one of that id for every assignment, and mix them up."""
    known = {key: value for key, value in config.get("configurable", {}).items() if key != "thread_id"}
    return {**config, "configurable": known}
