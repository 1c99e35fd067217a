"""An agent: one Runnable for every kind of worker, from an assignment to an answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, is_dataclass
from typing import Any, NotRequired

from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel, BaseLanguageModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.tools import BaseTool
from langgraph.errors import GraphRecursionError
from langgraph.pregel.protocol import PregelProtocol
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents.assignment import Assignment, prompt
from agents.errors import AgentError, BudgetError, ConfigurationError
from agents.runtime import (
    AsyncEffects,
    Effects,
    SyncAsyncRunnable,
    SyncEffects,
    Tally,
    Usage,
    charge_earlier,
    check_reply,
    clean,
    clean_data,
    iterate,
    named,
    usage_of_messages,
)
from agents.settings import settings
from agents.workers import Function, Remote, Role, at_hand

MAX_TURNS = 25
"""Turns of a tool-using agent (a model call and its tools) before it is stopped as going in circles."""


class Answer(TypedDict):
    """What an agent gives back."""

    text: str
    data: Any
    """The JSON of a structured reply, else None."""
    status: str
    """`completed`; of an agent that is itself a pattern also `partial`, `escalated` or `needs_input`."""
    errors: list[dict[str, str]]
    """What went wrong inside, `{where, kind, message}` each, though there is an answer."""
    usage: Usage
    message_id: NotRequired[str | None]
    """The id of the chat message that holds the text, if one does: a pattern that answers with it keeps the id."""


class Agent(SyncAsyncRunnable["Assignment | str", Answer]):
    """A named worker: one of a chat model with a role, a Runnable or graph with messages, or a function.

    A function takes the task's text and, where it has parameters of that name, `context`, `request` and `config`; it
    returns text or JSON data, and may be async. A Runnable gets and gives `{"messages": [...]}`.

    Args:
        name: An identifier, unique in its team.
        description, examples: What it is for, and requests it is right for: by these it is chosen.
        instructions: The system prompt of a chat model with a role.
        model: Its chat model, or `provider:model`; None for that of the run.
        tools: LangChain tools, or functions with type hints and a docstring.
        response_format: The form of its reply, whose JSON is then the answer's `data`.
        runnable, function: The worker, in place of the four above.

    Raises:
        ConfigurationError: The name is no identifier, or there is more than one kind of worker.
        AgentError: (when called) there was no usable answer: empty, refused, filtered, cut off, or going in circles.
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        *,
        instructions: str = "",
        model: BaseChatModel | str | None = None,
        tools: Sequence[BaseTool | Callable[..., Any]] = (),
        response_format: type[BaseModel] | dict[str, Any] | None = None,
        runnable: Runnable[Any, Any] | None = None,
        function: Callable[..., Any] | None = None,
        examples: Sequence[str] = (),
    ) -> None:
        self.name: str = name
        self.description = description
        """What the agent is for; planners and routers choose by it."""
        self.examples = tuple(examples)
        """Requests this agent is right for; they help a small model to choose more than anything else."""
        self.function = function
        self._called = None if function is None else Function(function)
        self.runnable = at_hand(runnable)
        self.role = Role(name, instructions, model, tuple(tools), response_format)
        self._check(bool(instructions or model or tools or response_format))

    def _check(self, has_role: bool) -> None:
        if not self.name.isidentifier():
            raise ConfigurationError(f"Agent name {self.name!r} must be an identifier: letters, digits and _ only")
        kinds = sum((has_role, self.runnable is not None, self.function is not None))
        if kinds > 1:
            raise ConfigurationError(
                f"Agent {self.name!r} must be one of: a chat model (instructions, model, tools, response_format),"
                " a runnable, or a function"
            )

    async def run(self, effects: Effects, value: Assignment | str, config: RunnableConfig) -> Answer:
        """Do one assignment."""
        tally = Tally(settings().prices)
        with tally.counting():
            reply = await self.reply(effects, value, config, tally)
            return self.answer(reply, self.spent(reply, tally, config))

    def spent(self, reply: Any, tally: Tally, config: RunnableConfig) -> Usage:
        """Return what an assignment cost; calls on a server, or before a killed run was resumed, are in the reply."""
        if not isinstance(reply, dict) or not (self.is_role or isinstance(self.runnable, Remote)):
            return tally.usage
        is_pattern = reply.keys() >= _ENVELOPE
        told = reply["usage"] if is_pattern else usage_of_messages(reply.get("messages", ()), tally.prices)
        charge_earlier(config, told, tally.usage)
        return told if told["calls"] > tally.usage["calls"] else tally.usage

    async def reply(self, effects: Effects, value: Assignment | str, config: RunnableConfig, tally: Tally) -> Any:
        """Do one assignment and return what the worker itself gave back: a state, a message, a function's result."""
        assignment = _assignment(value)
        if self._called is not None:
            return await effects.invoke(self._called, assignment, self._configured(config, tally))
        worker = self.runnable or await self.role.worker(effects)
        try:
            return await effects.invoke(worker, _input(worker, assignment), self._configured(config, tally))
        except GraphRecursionError as error:
            raise self._in_circles() from error

    def stream(
        self,
        input: Assignment | str,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Yield `{"delta": text}` for each piece of text as it is written, then the whole `Answer`."""
        return iterate(self._chunks(SyncEffects(), input, ensure_config(config)))

    async def astream(
        self,
        input: Assignment | str,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Yield `{"delta": text}` for each piece of text as it is written, then the whole `Answer`."""
        async for chunk in self._chunks(AsyncEffects(), input, ensure_config(config)):
            yield chunk

    async def _chunks(self, effects: Effects, value: Assignment | str, config: RunnableConfig) -> AsyncIterator[Any]:
        worker = None if self.function is not None else self.runnable or await self.role.worker(effects)
        if not isinstance(worker, PregelProtocol | BaseLanguageModel):
            yield await self.run(effects, value, config)
            return
        tally = Tally(settings().prices)
        with tally.counting():
            try:
                given, configured = _input(worker, _assignment(value)), self._configured(config, tally)
                async for delta, so_far in _written(effects, worker, given, configured):
                    whole = so_far
                    if delta:
                        yield {"delta": delta}
            except GraphRecursionError as error:
                raise self._in_circles() from error
            yield self.answer(whole, self.spent(whole, tally, config))

    def _configured(self, config: RunnableConfig, tally: Tally) -> RunnableConfig:
        # A run named like a node would be taken for it by LangGraph, which streams the messages that nodes give back.
        configured = merge_configs(tally.watching(config), RunnableConfig(run_name=f"agent:{self.name}"))
        return configured if not self.is_role else {**configured, "recursion_limit": 2 * MAX_TURNS + 1}

    def with_tools(self, tools: Sequence[BaseTool], *middleware: AgentMiddleware[Any, Any]) -> Agent:
        """Return a copy that also has these tools; only an agent that is a chat model with a role can have any."""
        copied = copy(self)
        copied.role = self.role.with_tools(tools, middleware)
        return copied

    @property
    def is_role(self) -> bool:
        """Whether this is a chat model with a role, not a Runnable or a function."""
        return self.function is None and self.runnable is None

    def answer(self, reply: Any, usage: Usage) -> Answer:
        """Turn whatever a worker gave back into an answer, or say why it is none."""
        if isinstance(reply, dict) and reply.keys() >= _ENVELOPE:
            return self._from_pattern(reply)
        if isinstance(reply, dict) and isinstance(reply.get("messages"), list):
            data = reply.get("structured_response")
            return self._from_message(reply["messages"][-1] if reply["messages"] else AIMessage(""), data, usage)
        if isinstance(reply, BaseMessage):
            return self._from_message(reply, None, usage)
        if reply is None or (isinstance(reply, str) and not reply.strip()):
            raise AgentError(f"Agent {self.name!r} returned nothing", kind="empty")
        if isinstance(reply, str):
            return _completed(reply, None, usage)
        data = self._plain(reply)
        return _completed(json.dumps(data, ensure_ascii=False), data, usage)

    def _from_message(self, message: BaseMessage, data: Any, usage: Usage) -> Answer:
        if data is not None:
            data = self._plain(data)
            return _completed(json.dumps(data, ensure_ascii=False), data, usage)
        check_reply(message if isinstance(message, AIMessage) else AIMessage(message.content), self.name)
        return {**_completed(message.text, None, usage), "message_id": message.id}

    def _from_pattern(self, state: dict[str, Any]) -> Answer:
        usage: Usage = state["usage"]
        if state["status"] == "failed":
            reason = state.get("stop_reason") or "no reason given"
            failure = AgentError(f"Agent {self.name!r} failed: {reason}", usage=usage)
            if any(one["kind"] == BudgetError.__name__ for one in state["errors"]):
                raise BudgetError(reason) from failure  # so that nobody plans or tries anything else
            raise failure
        errors = clean_data(state["errors"])
        if state["status"] != "completed":
            errors.append(
                {"where": self.name, "kind": state["status"], "message": clean(state.get("stop_reason") or "")}
            )
        last = state["messages"][-1]
        return {
            "text": clean(last.text),
            "data": None,
            "status": state["status"],
            "errors": errors,
            "usage": usage,
            "message_id": last.id,
        }

    def _plain(self, data: Any) -> Any:
        """Turn what a worker gave back into JSON data that can be stored, or say what in it cannot."""
        said = f"Agent {self.name!r} returned {type(data).__name__}, which"
        try:
            if isinstance(data, BaseModel):
                data = data.model_dump(mode="json")
            elif is_dataclass(data) and not isinstance(data, type):
                data = asdict(data)
            plain = json.loads(json.dumps(data, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise AgentError(f"{said} is no JSON: {error}") from error
        try:
            return clean_data(plain)
        except ValueError as error:
            raise AgentError(f"{said} cannot be stored: {error}") from error

    def _in_circles(self) -> AgentError:
        return AgentError(f"Agent {self.name!r} gave no answer in {MAX_TURNS} turns of tool use", kind="loop")

    def booked(self, usage: Usage) -> Usage:
        """Book what an assignment cost on this agent's name."""
        return named(usage, self.name)


def _completed(text: str, data: Any, usage: Usage) -> Answer:
    return {"text": clean(text), "data": data, "status": "completed", "errors": [], "usage": usage}


def _assignment(value: Assignment | str) -> Assignment:
    return {"task": value} if isinstance(value, str) else value


_ENVELOPE = {"messages", "status", "errors", "usage"}
"""The keys by which the result of one of our own patterns is known."""


async def _written(effects: Effects, worker: Any, given: Any, config: RunnableConfig) -> AsyncIterator[tuple[str, Any]]:
    """Yield what a graph or chat model writes: each new piece of text, with all that there is so far."""
    whole: Any = None
    if isinstance(worker, BaseLanguageModel):
        async for chunk in effects.stream(worker, given, config):
            whole = chunk if whole is None else whole + chunk
            yield chunk.text, whole
        return
    async for mode, chunk in effects.stream(worker, given, config, stream_mode=["messages", "values"]):
        if mode == "values":
            whole = chunk
        is_new = mode == "messages" and isinstance(chunk[0], AIMessageChunk)
        yield chunk[0].text if is_new else "", whole


def _input(worker: Runnable[Any, Any], assignment: Assignment) -> Any:
    messages = [HumanMessage(prompt(assignment))]
    return messages if isinstance(worker, BaseLanguageModel) else {"messages": messages}
