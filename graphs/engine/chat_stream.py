"""What a chat front end sees of a graph at work: its steps as tool calls, and its answer word by word.

Front ends show the `messages` stream of the outermost graph only; what models write in graphs inside does not get there
by itself. Nothing of this is kept in a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.message import push_message

from agents.agent import Agent
from agents.workers import current
from graphs.engine.progress import place

ANSWERS_FOR = "__answers_for"
"""Where a config says which graph inside answers for the one that calls it: its namespace, and where it is heard."""

WRITING = ("model", "answer")
"""The nodes in which agents write: that of LangChain's `create_agent`, and that of `agents.workers.tool_choice`."""

_METADATA = "langgraph_checkpoint_ns"


class Voice(BaseCallbackHandler):
    """Streams the words of one agent as those of the graph whose node calls it."""

    run_inline = True

    def __init__(self, config: RunnableConfig) -> None:
        self.config = config
        self.depth = len(_parts(_namespace(config))) + 1
        self.speaking: set[Any] = set()

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **about: Any) -> None:
        """Listen to what the agent itself writes, not to models that its tools or parts ask."""
        metadata: Mapping[str, Any] = about.get("metadata") or {}
        own = len(_parts(str(metadata.get(_METADATA)))) == self.depth
        if own and metadata.get("langgraph_node") in WRITING:
            self.speaking.add(run_id)

    def on_llm_new_token(self, token: Any, *, run_id: Any, **about: Any) -> None:
        """Pass a piece on."""
        if run_id in self.speaking and isinstance(about.get("chunk"), ChatGenerationChunk):
            say(self.config, about["chunk"].message)

    def on_llm_end(self, response: Any, *, run_id: Any, **about: Any) -> None:
        """Forget the call."""
        self.speaking.discard(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: Any, **about: Any) -> None:
        """Forget the call."""
        self.speaking.discard(run_id)


def speaking(config: RunnableConfig, agent: Agent) -> RunnableConfig:
    """Return the config of a node with which an agent is heard as the graph of that node.

    An agent whose answers are checked is heard when they have passed, with the graph's answer.
    """
    if agent.guardrails.of_answer:
        return config
    if agent.is_role:
        voice = RunnableConfig(callbacks=[Voice(config)], tags=[TAG_NOSTREAM])  # else its words came twice
        return merge_configs(config, voice)
    answers_for = (_namespace(config), _heard_in(config))
    return {**config, "configurable": {**config.get("configurable", {}), ANSWERS_FOR: answers_for}}


def say(config: RunnableConfig, message: BaseMessage) -> None:
    """Stream a message of the graph whose node has this config."""
    metadata = config.get("metadata", {})
    if _METADATA not in metadata or not isinstance(config.get("callbacks"), BaseCallbackManager):
        return  # called outside of any graph
    heard = "|".join(filter(None, (_heard_in(config), _namespace(config).rpartition("|")[2])))
    with current({**config, "metadata": {**metadata, _METADATA: heard}}):
        push_message(message, state_key=None)


def begin_call(config: RunnableConfig, name: str, label: str, shown: dict[str, Any]) -> str:
    """Show that work begins, as the call of a tool; return the call's id, which begins with the label."""
    known_as = f"{label}-{uuid4().hex[:8]}"
    asked = AIMessage("", id=str(uuid4()), tool_calls=[{"name": name, "args": shown, "id": known_as}])
    say(config, asked)
    return known_as


def end_call(config: RunnableConfig, name: str, known_as: str, text: str, *, failed: bool = False) -> None:
    """Show what has come of it."""
    status: Any = "error" if failed else "success"
    say(config, ToolMessage(text, id=str(uuid4()), name=name, tool_call_id=known_as, status=status))


def _heard_in(config: RunnableConfig) -> str:
    """Return the namespace of the graph as which a node is heard: its own, or the one that it answers for."""
    inside, outside = config.get("configurable", {}).get(ANSWERS_FOR, ("", ""))
    here = place(config)
    return outside if inside and _parts(inside) == _parts(here) else here


def _parts(namespace: str) -> list[str]:
    """Return the parts of a namespace, without the numbers that LangGraph puts in when a call is made again."""
    return [one for one in namespace.split("|") if not one.isdigit()]


def _namespace(config: RunnableConfig) -> str:
    namespace: str = config.get("configurable", {}).get("checkpoint_ns", "")
    return namespace
