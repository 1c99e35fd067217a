"""The view of a chat front end on a graph at work: its steps as tool calls, and its answer word by word.

Front ends show the `messages` stream of the outermost graph only; what models write in graphs inside does not get there
by itself. Nothing of this is kept in a state, but for the messages of `shown_call`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.message import push_message

from agents.agent import Agent
from agents.models import VisibleText, without_thinking
from agents.runtime import current, extended
from graphs.engine.langgraph_internals import (
    NAMESPACE,
    namespace_of,
    node_of,
    one_deeper,
    parts_of,
    place_in_run,
    push_event,
    streams_messages,
)

_SHOWN = "podium_shown"
"""Marks messages, in their `response_metadata`, that a thread holds for its readers and not for agents."""

ANSWERS_FOR = "__answers_for"
"""Config key that says which graph inside answers for the one that calls it: its namespace, and where it is heard."""

WRITING = ("model", "answer")
"""The nodes in which agents write that are graphs: of LangChain's `create_agent`, and of `agents.workers.tool_choice`.

An agent without tools is not a graph: its model is called in the pattern's node."""


class Voice(BaseCallbackHandler):
    """Streams the words of one agent as those of the graph whose node calls it, without thinking."""

    run_inline = True
    ignore_chain = True

    def __init__(self, config: RunnableConfig) -> None:
        self.config = config
        self.depth = len(parts_of(namespace_of(config)))
        self.speaking: dict[object, VisibleText] = {}

    def on_chat_model_start(self, serialized: object, messages: object, *, run_id: object, **about: Any) -> None:
        """Listen to what the agent itself writes, not to models that its tools or parts ask."""
        metadata: Mapping[str, Any] = about.get("metadata") or {}
        depth = len(parts_of(str(metadata.get(NAMESPACE)))) - self.depth
        if depth == 0 or (depth == 1 and node_of(metadata) in WRITING):
            self.speaking[run_id] = VisibleText()

    def on_llm_new_token(self, token: object, *, run_id: object, **about: object) -> None:
        message = getattr(about.get("chunk"), "message", None)
        # A chunk without an id is of a model that streams for itself, though the caller asked for none.
        if run_id in self.speaking and isinstance(message, AIMessageChunk) and message.id:
            if isinstance(message.content, str) and message.content:
                seen = self.speaking[run_id].see(message.content)
                message = message.model_copy(update={"content": seen})
            show_message(self.config, message)

    def on_stream_event(self, event: object, *, run_id: object, **about: object) -> None:
        """Pass an event of LangChain's v3 protocol on, which takes the place of pieces where that is streamed."""
        if run_id in self.speaking and NAMESPACE in self.config.get("metadata", {}):
            push_event(_heard(self.config), _visible(event, self.speaking[run_id]), run_id)

    def on_llm_end(self, response: object, *, run_id: object, **about: object) -> None:
        self.speaking.pop(run_id, None)

    def on_llm_error(self, error: BaseException, *, run_id: object, **about: object) -> None:
        self.speaking.pop(run_id, None)


def speaking(config: RunnableConfig, agent: Agent) -> RunnableConfig:
    """Return the config of a node with which an agent is heard as the graph of that node.

    An agent whose answers are checked is heard when they have passed, with the graph's answer.
    """
    if agent.guardrails.of_answer or not streams_messages(config):
        return config
    if agent.is_chat_model:
        # Without the tag its words came twice; the JSON of a form without tools is not for readers.
        is_heard = agent.worker.is_graph or agent.response_format is None
        return extended(config, tags=[TAG_NOSTREAM], callbacks=[Voice(config)] if is_heard else [])
    answers_for = (namespace_of(config), _heard_in(config))
    return {**config, "configurable": {**config.get("configurable", {}), ANSWERS_FOR: answers_for}}


def inside(config: RunnableConfig, agent: Agent) -> RunnableConfig:
    """Return the config of an agent whose words are not the graph's answer: streamed with `subgraphs=True` only.

    A model that is called without a graph of its own would pass for the node or step.
    """
    if not streams_messages(config):
        return config
    return {**config, "metadata": one_deeper(config.get("metadata", {}), agent.name)}


def _visible(event: Any, visible: VisibleText) -> object:
    if event["event"] == "content-block-delta" and event["delta"]["type"] == "text-delta":
        return {**event, "delta": {**event["delta"], "text": visible.see(event["delta"]["text"])}}
    if event["event"] == "content-block-finish" and event["content"]["type"] == "text":
        return {**event, "content": {**event["content"], "text": without_thinking(event["content"]["text"])}}
    return event


def show_message(config: RunnableConfig, message: BaseMessage) -> None:
    """Stream a message of the graph whose node has this config."""
    if NAMESPACE not in config.get("metadata", {}) or not streams_messages(config):
        return
    with current(_heard(config)):
        push_message(message, state_key=None)


def _heard(config: RunnableConfig) -> RunnableConfig:
    """Return the config of a node as it would be in the graph as which the node is heard."""
    heard = "|".join(filter(None, (_heard_in(config), namespace_of(config).rpartition("|")[2])))
    return {**config, "metadata": {**config["metadata"], NAMESPACE: heard}}


def begin_call(config: RunnableConfig, name: str, label: str, shown: Mapping[str, object]) -> str:
    """Show that work begins, as the call of a tool; return the call's id, which begins with the label."""
    if not streams_messages(config):
        return label
    known_as = f"{label}-{uuid4().hex[:8]}"
    asked = AIMessage("", id=str(uuid4()), tool_calls=[{"name": name, "args": shown, "id": known_as}])
    show_message(config, asked)
    return known_as


def end_call(config: RunnableConfig, name: str, known_as: str, text: str, *, failed: bool = False) -> None:
    """Show the result of the call."""
    if not streams_messages(config):
        return
    status: Any = "error" if failed else "success"
    show_message(config, ToolMessage(text, id=str(uuid4()), name=name, tool_call_id=known_as, status=status))


def shown_call(
    messages: Sequence[BaseMessage],
    by: str,
    call: tuple[str, dict[str, Any]],
    result: str,
    message_id: str | None = None,
) -> list[BaseMessage]:
    """Return the messages with which a thread shows a decision, as the call of a tool; agents do not see them.

    Args:
        messages: The thread so far.
        by: The agent that decided.
        call: The tool's name and arguments.
        result: Its result.
        message_id: The id of the message with which a model has streamed the call.
    """
    mark, (name, args) = {_SHOWN: True}, call
    shown: ToolCall = {"name": name, "args": args, "id": f"{by}-{uuid4().hex[:8]}"}
    return [
        AIMessage("", name=by, id=free_id(messages, message_id), tool_calls=[shown], response_metadata=mark),
        ToolMessage(result, name=name, id=str(uuid4()), tool_call_id=shown["id"], response_metadata=mark),
    ]


def is_shown(message: BaseMessage) -> bool:
    """Return whether a message of a thread is there for its readers, not for agents."""
    return _SHOWN in message.response_metadata


def free_id(messages: Sequence[BaseMessage], message_id: str | None) -> str:
    """Return a message's id, or another one if the thread has that already."""
    return message_id if message_id and all(message.id != message_id for message in messages) else str(uuid4())


def _heard_in(config: RunnableConfig) -> str:
    """Return the namespace of the graph as which a node is heard: its own, or the one that it answers for."""
    inside, outside = config.get("configurable", {}).get(ANSWERS_FOR, ("", ""))
    here = place_in_run(config)
    return outside if inside and parts_of(inside) == parts_of(here) else here
