"""A chat model whose tools all end its turn, as handoffs do: called without LangChain's graph around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from agents.errors import AgentError
from agents.runtime import AnyRunnable, Effects, OwnRun
from agents.workers.tool_calls import SyncTool, error_message, retried


class EndingTools(OwnRun[Any, object]):
    """Calls a model, to which the tools are bound, until it answers or calls one of them."""

    def __init__(self, model: AnyRunnable, tools: Sequence[BaseTool], who: str, max_turns: int) -> None:
        self.model = model
        self.tools: dict[str, Any] = {tool.name: SyncTool(tool) for tool in tools}
        self.who = who
        self.max_turns = max_turns

    async def run(self, effects: Effects, value: Mapping[str, Any], config: RunnableConfig) -> object:
        messages = [*value["messages"]]
        for _ in range(self.max_turns):
            reply = await effects.invoke(self.model, messages, config)
            results = [await self._called(effects, call, config) for call in reply.tool_calls]
            messages += [reply, *results]
            if not results or any(call["name"] in self.tools for call in reply.tool_calls):
                return {"messages": messages}
        raise AgentError(f"Agent {self.who!r} gave no answer in {self.max_turns} model calls", kind="loop")

    async def _called(self, effects: Effects, call: ToolCall, config: RunnableConfig) -> ToolMessage:
        if (tool := self.tools.get(call["name"])) is None:
            words = f"Error: {call['name']} is not a tool; the tools are {', '.join(self.tools)}"
            return ToolMessage(words, name=call["name"], tool_call_id=str(call["id"]), status="error")
        try:
            return await retried(effects, config, lambda: effects.invoke(tool, {**call, "type": "tool_call"}, config))
        except BaseException as error:
            return error_message(error, call)
