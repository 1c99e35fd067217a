"""A chat model as a worker: alone, with a form for its reply, or in LangChain's loop of tools and middleware."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from agents.arguments import check_limits
from agents.assignment import Assignment, messages_of
from agents.decisions import IN_WORDS, Decision
from agents.errors import ConfigurationError
from agents.models import (
    VisibleText,
    WrittenArguments,
    as_chat_model,
    beginning_with,
    call_once,
    calls_tools,
    habits_of,
    is_same,
    model_of_run,
    read_reply,
    refuses_tools,
)
from agents.runtime import AnyRunnable, Effects, OwnRun, SyncAsyncStream, extended, in_place
from agents.settings import max_history_tokens
from agents.workers.tool_calls import EndingTools, Toolset, usable_tools

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware

MAX_TURNS = 25
"""Model calls of an agent with tools before it is stopped as going in circles."""

NEEDS_CALLS = (
    "Agent {name!r}: tools of a provider, and middleware beside tools, need a model that calls tools; leave them out,"
    " or choose another model"
)
FORM = "Give your final answer in this way. "
"""Prefix of the schema in the instructions of an agent that has tools and a form."""

Middleware = Sequence["AgentMiddleware[Any, Any]"]


class ChatModelWorker:
    """Builds what does the work when it is first needed, so that constructing an agent needs no model.

    A model alone is called and nothing else, also with tools that end its turn; a form is a decision; other tools or
    middleware make it `create_agent`'s graph.

    Its arguments are those of `Agent`. `inner` is the middleware of a pattern, inside the user's; with `tools_end` each
    tool ends the turn.

    Raises:
        ConfigurationError: The model is not one, a tool cannot be named, or the form is not that of an object.
    """

    reports_usage = True
    """Whether replies have usage of calls that were not made here: before a killed run was resumed, or on a server."""

    def __init__(
        self,
        name: str,
        instructions: str = "",
        model: BaseChatModel | str | None = None,
        tools: Sequence[BaseTool | Toolset | Callable[..., object]] = (),
        response_format: type[BaseModel] | Mapping[str, object] | None = None,
        middleware: Middleware = (),
        *,
        inner: Middleware = (),
        max_turns: int = MAX_TURNS,
        tools_end: bool = False,
    ) -> None:
        check_limits(1, max_turns=max_turns)
        self.name, self.instructions, self.max_turns = name, instructions, max_turns
        self.model = as_chat_model(model)
        self.toolsets = [tool for tool in tools if isinstance(tool, Toolset)]
        self.tools = usable_tools([tool for tool in tools if not isinstance(tool, Toolset)])
        self.middleware, self.inner = tuple(middleware), tuple(inner)
        self._tools_end = tools_end and bool(tools)
        self.is_graph = bool(tools or middleware or inner)
        form: Any = response_format
        attempts = 2 if self.is_graph else 3
        self._decision = Decision(form, model=self.model, attempts=attempts, name=name) if form else None
        self._built: tuple[BaseChatModel, Runnable[object, object]] | None = None
        self._lock = threading.Lock()

    def _input(self, assignment: Assignment, model: BaseChatModel) -> object:
        max_tokens = max_history_tokens(model)
        if not self.is_graph:  # results by name are for a calculator
            return messages_of({**assignment, "figures": {}}, max_tokens=max_tokens)
        messages = messages_of(assignment, max_tokens=max_tokens)
        is_brief = bool(assignment.get("intermediate")) and not self._decision and not calls_tools(model)
        return {"messages": messages, "brief": True} if is_brief else {"messages": messages}

    async def job(self, effects: Effects, assignment: Assignment, config: RunnableConfig) -> tuple[AnyRunnable, object]:
        """Return what works with the model of this run, built once per model, and its input; toolsets are loaded."""
        model = await model_of_run(effects, self.model)
        loaded = [await effects.function(toolset.load, config) for toolset in self.toolsets]
        with self._lock:
            if self.toolsets:
                self.tools, self.toolsets = usable_tools([*self.tools, *chain.from_iterable(loaded)]), []
            if self._built is None or not is_same(self._built[0], model):
                self._built = (model, self._build(model))
            runnable = self._built[1]
        return runnable, self._input(assignment, model)

    def _build(self, model: BaseChatModel) -> Runnable[object, object]:
        offers_tools = calls_tools(model) and not habits_of(model).no_tools
        if self._tools_end and offers_tools:
            asked = ModelCall(model, self.name, self.instructions, self.tools)
            return EndingTools(asked, self.tools, self.name, self.max_turns)
        if self.is_graph and (offers_tools or not self.tools):
            return self._loop(model)

        def call(instructions: str) -> AnyRunnable:
            return ModelCall(model, self.name, instructions)

        def answering(instructions: str) -> AnyRunnable:
            return FormedReply(self._decision, instructions) if self._decision else call(instructions)

        if not self.is_graph:
            return answering(self.instructions)
        if self.middleware or not all(isinstance(tool, BaseTool) for tool in self.tools):
            raise ConfigurationError(NEEDS_CALLS.format(name=self.name))
        from agents.workers.tool_choice import tool_choice_graph  # brings in what most agents do not need

        return tool_choice_graph(model, self.tools, self.instructions, call, answering, name=self.name)

    def does_without_tools(self, error: Exception) -> bool:
        """Return whether a server has refused tools, and the next `runnable` works without offering them."""
        with self._lock:
            if self._built is None or not (self.tools or self.middleware) or not refuses_tools(error):
                return False
            if self.middleware:
                raise ConfigurationError(NEEDS_CALLS.format(name=self.name)) from error
            habits_of(self._built[0]).no_tools = True
            self._built = None
            return True

    def _loop(self, model: BaseChatModel) -> Runnable[Any, object]:
        from langchain.agents import create_agent

        from agents.workers.middleware import FormedAnswer, ModelCalls, ToolErrors

        rules, last = self.instructions, []
        if self._decision is not None:
            last = [FormedAnswer(self._decision, FormedReply(self._decision, rules))]
            words = FORM + IN_WORDS.format(schema=json.dumps(self._decision.form.schema))
            rules = f"{rules}\n\n{words}".strip()
        calls = ModelCalls(self.name, self.max_turns)
        middleware = [ToolErrors(), *self.middleware, *self.inner, calls, *last]
        return create_agent(model, self.tools, system_prompt=rules or None, middleware=middleware, name=self.name)


class ModelCall(OwnRun[Sequence[BaseMessage], AIMessage], SyncAsyncStream[Sequence[BaseMessage], AIMessage]):
    """Calls a chat model with instructions and some messages, retried in place; streams its words without thinking."""

    def __init__(self, model: BaseChatModel, who: str, instructions: str = "", tools: Sequence[BaseTool] = ()) -> None:
        self.model = model
        self.who = who
        self.tools = tools
        self._bound = model.bind_tools(tools) if tools else model
        self.rules = [SystemMessage(instructions)] if instructions else []

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> AIMessage:
        written = WrittenArguments()
        own = extended(config, callbacks=[written]) if self.tools else config

        async def call(model: Any, sent: list[BaseMessage]) -> AIMessage:
            other = model.bind_tools(self.tools) if self.tools and model is not self.model else model
            reply: AIMessage = await effects.invoke(self._bound if model is self.model else other, sent, own)
            return reply

        async def once(attempt: int) -> AIMessage:
            model = beginning_with(self.model, attempt)
            reply = await call_once(model, [*self.rules, *value], call, self.who)
            written.check(self.who)
            return read_reply(reply, self.who, calls=bool(self.tools))

        return await in_place(config).call(effects, self.model, once)

    async def chunks(
        self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig
    ) -> AsyncIterator[object]:
        """Yield the reply in pieces; those of a call that broke off come first, and do not count."""
        inside = in_place(config)
        attempt = inside.attempt
        while True:
            try:
                async with inside.turn(effects, self.model, attempt):
                    async for chunk in self._once(effects, value, config, beginning_with(self.model, attempt)):
                        yield chunk
            except Exception as error:
                attempt = await inside.again(effects, error, attempt)
            else:
                return

    async def _once(
        self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig, asked: AnyRunnable
    ) -> AsyncIterator[object]:
        """Yield the pieces of one reply; nothing before there is a word to show."""

        async def call(model: AnyRunnable, sent: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
            chunks = effects.stream(model, sent, config)
            return _with_first(await anext(chunks), chunks)

        reply, visible = AIMessageChunk(content=""), VisibleText()
        held: list[AIMessageChunk] = []
        has_words = False
        async for chunk in await call_once(asked, [*self.rules, *value], call, self.who):
            reply += chunk
            if isinstance(chunk.content, str) and chunk.content:
                chunk = chunk.model_copy(update={"content": visible.see(chunk.content)})
            held.append(chunk)
            if has_words := has_words or bool(held[-1].text):
                for piece in held:
                    yield piece
                held = []
        read_reply(reply, self.who)
        for piece in held:
            yield piece


async def _with_first(first: AIMessageChunk, chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
    yield first
    async for chunk in chunks:
        yield chunk


class FormedReply(OwnRun[Sequence[BaseMessage], Mapping[str, object]]):
    """Asks for a reply of a form, by a decision."""

    def __init__(self, decision: Decision, instructions: str) -> None:
        self.decision = decision
        self.rules = [SystemMessage(instructions)] if instructions else []

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> Mapping[str, object]:
        data = (await effects.invoke(self.decision, [*self.rules, *value], config))["value"]
        return {"messages": [AIMessage(json.dumps(data, ensure_ascii=False))], "structured_response": data}
