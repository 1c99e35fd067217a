"""A graph or any other Runnable as a worker: a nested pattern, a user's own graph or chain, a graph on a server."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import AIMessageChunk, BaseMessageChunk, HumanMessage, messages_from_dict
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteException
from langgraph_sdk.errors import BadRequestError, NotFoundError, UnprocessableEntityError
from pydantic_core import to_jsonable_python

from agents.assignment import Assignment, messages_of
from agents.errors import AgentError
from agents.runtime import AnyRunnable, Effects, SyncAsyncRunnable, SyncAsyncStream, in_place, innermost
from agents.settings import context_of_run, max_history_tokens

_PATTERN = frozenset({"messages", "status", "errors", "usage", "assignment"})
"""State keys by which a pattern of ours is recognised."""


class GraphWorker:
    """Gives agents and nested patterns the assignment as it is, chat models messages, others `{"messages": [...]}`."""

    def __init__(self, graph: AnyRunnable) -> None:
        self.graph = graph
        self.reports_usage = is_remote = isinstance(graph, PregelProtocol) and not isinstance(graph, Pregel)
        inner = innermost(graph)
        self._is_agent = isinstance(inner, SyncAsyncStream)
        self.is_graph = isinstance(graph, PregelProtocol) and not is_remote
        self._is_pattern = isinstance(inner, Pregel) and inner.channels.keys() >= _PATTERN
        self._model = inner if isinstance(inner, BaseLanguageModel) else None
        self._runnable = RemoteGraphRun(graph) if is_remote else graph

    async def job(self, effects: Effects, assignment: Assignment, config: RunnableConfig) -> tuple[AnyRunnable, object]:
        """Return the graph and its input; every message has an id, so that new ones can be recognised."""
        if self._is_agent:
            return self._runnable, assignment
        if self._is_pattern:
            # It is stored with the pattern's state, which holds JSON and messages only.
            plain: Assignment = {**assignment, "data": to_jsonable_python(assignment.get("data", {}))}
            message = HumanMessage(assignment["task"], id=str(uuid4()))
            return self._runnable, {"messages": [message], "assignment": plain}
        messages = messages_of(assignment, max_tokens=max_history_tokens(self._model))
        if self._model is not None:
            return self._runnable, messages
        new = [message if message.id else message.model_copy(update={"id": str(uuid4())}) for message in messages]
        schema = self.graph.context_schema if isinstance(self.graph, Pregel) else None
        context = _in_form(schema, context_of_run())
        return self._runnable if context is None else self._runnable.bind(context=context), {"messages": new}


class RemoteGraphRun(SyncAsyncRunnable[Any, Any]):
    """Runs a graph on a server (LangGraph's `RemoteGraph`) and returns its state with real messages instead of JSON.

    Raises:
        AgentError: The graph failed there, or the server has none of that name; or it asks for a person, which can be
            answered only on that server.
    """

    def __init__(self, graph: AnyRunnable) -> None:
        self.graph = graph.bind(on_disconnect="cancel")  # so that nothing goes on there once it is cancelled here

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Any:
        # Without the local thread: the server would use one of that id for every assignment, and mix them up. It is
        # None, not left out, because LangChain would put it back from the config of the run around this one.
        own: RunnableConfig = {**config, "configurable": {**config.get("configurable", {}), "thread_id": None}}
        try:
            state = await effects.invoke(self.graph, value, own)
        except GraphInterrupt as question:
            raise AgentError(
                "The remote graph waits for a person, which it cannot do as an agent; turn that off"
            ) from question
        except RemoteException as failure:
            words = failure.args[0] if failure.args else ""
            words = f"{words.get('error')}: {words.get('message')}" if isinstance(words, dict) else words
            raise AgentError(f"The remote graph failed: {words}") from None
        except (BadRequestError, NotFoundError, UnprocessableEntityError) as refusal:
            raise AgentError(f"The server refused: {refusal}") from None
        if not isinstance(state, dict) or not isinstance(state.get("messages"), list):
            return state
        messages = [{"type": message["type"], "data": message} for message in state["messages"]]
        return {**state, "messages": messages_from_dict(messages)}


def newly_written(reply: object, asked: object) -> object:
    """Leave in a state only the messages written after a worker's input: an echo is not an answer, nor is a memory."""
    if not isinstance(reply, dict) or not isinstance(reply.get("messages"), list) or not isinstance(asked, dict):
        return reply
    before, messages = asked.get("messages", ()), reply["messages"]  # the assignment of a function has none
    ids = {message.id for message in before if message.id}
    objects = {id(message) for message in before}
    places = [place for place, message in enumerate(messages) if message.id in ids or id(message) in objects]
    return {**reply, "messages": messages[places[-1] + 1 if places else 0 :]}


async def written(
    effects: Effects, runnable: AnyRunnable, asked: object, config: RunnableConfig
) -> AsyncIterator[tuple[dict[str, str] | None, object]]:
    """Yield what a graph, chat model or chain writes, as `Agent.chunks` does, with all that there is so far."""
    whole: Any = None
    is_graph = isinstance(innermost(runnable), Pregel)
    shown, faults, failed = "", in_place(config).faults, 0
    options = {"stream_mode": ["messages", "values"]} if is_graph else {}
    async for chunk in effects.stream(runnable, asked, config, **options):
        if len(faults) > failed:  # a call broke off, and is made again
            failed, whole = len(faults), whole if is_graph else None
            if shown:
                yield {"void": shown}, whole
            shown = ""
        if not is_graph:
            is_piece = isinstance(chunk, str | BaseMessageChunk)
            whole = whole + chunk if is_piece and isinstance(whole, type(chunk)) else chunk
            text = (chunk if isinstance(chunk, str) else chunk.text) if is_piece else ""
        elif chunk[0] == "values":
            whole, shown, text = chunk[1], "", ""
        else:
            text = chunk[1][0].text if isinstance(chunk[1][0], AIMessageChunk) else ""
        shown += text
        yield {"delta": text} if text else None, whole


def _in_form(schema: Any, context: object) -> object:
    """Return a run's context as what a graph declares, if it is not that already and can be; else None.

    LangGraph does this for the context of a call, but not for that which a nested graph inherits.
    """
    if context is None or not isinstance(schema, type) or isinstance(context, schema):
        return None
    names = [field.name for field in fields(schema)] if is_dataclass(schema) else getattr(schema, "model_fields", ())
    own: Mapping[str, object] = context if isinstance(context, dict) else getattr(context, "__dict__", {})
    values = {name: own[name] for name in names if name in own}
    try:
        return schema(**values) if values else None
    except (TypeError, ValueError):
        return None
