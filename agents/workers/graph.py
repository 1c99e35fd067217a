"""A graph on a server (LangGraph's `RemoteGraph`) as a worker among local ones."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import messages_from_dict
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteException
from langgraph_sdk.errors import BadRequestError, NotFoundError, UnprocessableEntityError

from agents.errors import AgentError
from agents.runtime import Effects, SyncAsyncRunnable


class Remote(SyncAsyncRunnable[Any, Any]):
    """Runs a remote graph for one assignment, and gives back its state with real messages instead of JSON.

    Raises:
        AgentError: The graph failed there, or the server knows none of that name; or it asks for a person, which can be
            answered only on that server.
    """

    def __init__(self, graph: Runnable[Any, Any]) -> None:
        self.graph = graph.bind(on_disconnect="cancel")  # so that nothing goes on there once it is given up here

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Any:
        """Have the server do one run."""
        try:
            state = await effects.invoke(self.graph, value, _without_thread(config))
        except GraphInterrupt as asked:
            raise AgentError(
                "The remote graph waits for a person, which it cannot do as an agent; turn that off"
            ) from asked
        except RemoteException as failed:
            raise AgentError(f"The remote graph failed: {_told(failed)}") from None
        except (BadRequestError, NotFoundError, UnprocessableEntityError) as refused:
            raise AgentError(f"The server refused: {refused}") from None
        if not isinstance(state, dict) or not isinstance(state.get("messages"), list):
            return state
        messages = messages_from_dict([{"type": one["type"], "data": one} for one in state["messages"]])
        return {**state, "messages": messages}


def at_hand(runnable: Runnable[Any, Any] | None) -> Runnable[Any, Any] | None:
    """Return a Runnable that can be called like any other: a remote graph wrapped, everything else as it is."""
    is_remote = isinstance(runnable, PregelProtocol) and not isinstance(runnable, Pregel)
    return Remote(runnable) if runnable is not None and is_remote else runnable


def _told(failed: RemoteException) -> str:
    """Return what a server told of a failure: `{"error": kind, "message": text}`."""
    told = failed.args[0] if failed.args else ""
    return f"{told.get('error')}: {told.get('message')}" if isinstance(told, dict) else str(told)


def _without_thread(config: RunnableConfig) -> RunnableConfig:
    """Leave out the local thread: the server would use one of that id for every assignment, and mix them up."""
    # None, not left out: LangChain would put it back from the config of the run around this one.
    return {**config, "configurable": {**config.get("configurable", {}), "thread_id": None}}
