"""A chat model with a role: instructions, tools and perhaps a form for its reply, compiled to a graph."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as as_tool
from pydantic import BaseModel

from agents.assignment import Assignment, messages_of
from agents.models import model_of_run
from agents.runtime import Effects, check_reply
from agents.settings import max_history_tokens
from agents.workers.tool_choice import tool_choice_graph


class _WholeReplies(AgentMiddleware[Any, Any]):
    """Makes no tool call of a reply that was cut off: the arguments may be half of what the model meant."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    def wrap_model_call(self, request: Any, handler: Callable[[Any], ModelResponse[Any]]) -> ModelResponse[Any]:
        return self._checked(handler(request))

    async def awrap_model_call(
        self, request: Any, handler: Callable[[Any], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return self._checked(await handler(request))

    def _checked(self, response: ModelResponse[Any]) -> ModelResponse[Any]:
        for message in response.result:
            if isinstance(message, AIMessage) and message.tool_calls:
                check_reply(message, self.who)
        return response


class Role:
    """Builds the graph of a role when it is first needed, so that constructing an agent needs no model."""

    def __init__(
        self,
        name: str,
        instructions: str,
        model: BaseChatModel | str | None,
        tools: tuple[BaseTool | Callable[..., Any], ...],
        response_format: type[BaseModel] | dict[str, Any] | None,
        middleware: tuple[AgentMiddleware[Any, Any], ...] = (),
    ) -> None:
        self.name = name
        self.instructions = instructions
        self.model = model
        self.tools = [one if isinstance(one, BaseTool) else as_tool(one) for one in tools]
        self.response_format = response_format
        self.middleware = middleware
        self._built: tuple[BaseChatModel, Runnable[Any, Any]] | None = None
        self._lock = threading.Lock()

    def with_tools(self, tools: Iterable[BaseTool], middleware: Iterable[AgentMiddleware[Any, Any]] = ()) -> Role:
        """Return the same role with more tools, and middleware around its model and tools."""
        every = (*self.tools, *tools)
        return Role(self.name, self.instructions, self.model, every, self.response_format, tuple(middleware))

    def input(self, assignment: Assignment) -> dict[str, Any]:
        """Return the messages for the model of this run."""
        model = self._built[0] if self._built else None
        return {"messages": messages_of(assignment, max_tokens=max_history_tokens(model))}

    async def runnable(self, effects: Effects) -> Runnable[Any, Any]:
        """Return the graph for the model of this run, built once per model."""
        model = await model_of_run(effects, self.model)
        with self._lock:
            if self._built is None or self._built[0] is not model:
                self._built = (model, self._build(model))
            return self._built[1]

    def _build(self, model: BaseChatModel) -> Runnable[Any, Any]:
        if self.tools and (model.profile or {}).get("tool_calling") is False:
            return tool_choice_graph(model, self.tools, self.instructions, name=self.name)
        return create_agent(
            model,
            self.tools,
            system_prompt=self.instructions or None,
            response_format=self.response_format,
            middleware=(_WholeReplies(self.name), *self.middleware),
            name=self.name,
        )
