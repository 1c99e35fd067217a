"""Tools as agents call them: names that providers accept, sync and async alike, errors as answers for the model.

And calls and results as plain text, for models whose template knows neither.
"""

import asyncio
import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Protocol, TypeVar, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langchain_core.tools import tool as as_tool
from langgraph.errors import GraphBubbleUp

from agents.assignment import quote
from agents.errors import AgentError, BudgetError, ConfigurationError, StorageError, TransientError
from agents.runtime import AnyRunnable, Effects, OwnRun, effects_of, explain, in_place, is_exhausted, run_in_background

T = TypeVar("T")

MAX_NAME, MAX_DESCRIPTION = 64, 1024
"""Limits of OpenAI for a tool's name (ASCII letters, digits, _ and -) and its description."""

NOT_ANSWERS = (BudgetError, StorageError)
"""Errors of a tool that end the run; all others are answers for the model."""

USE_RESULT = """Now do the task. Use this result where it helps, as it stands, and else what you know; do not mention
the tool."""
NO_RESULT = """There is no result. Do the task without it, from what is said above and what you know. Only if it is
about that file or page, say that it could not be read, and do not make up what it says."""


@runtime_checkable
class Toolset(Protocol):
    """Tools that are known only when a run begins, such as those of a server."""

    def load(self, config: RunnableConfig) -> Sequence[BaseTool]:
        """Return the tools; may block."""
        ...


def safe_name(name: str, taken: Collection[str] = ()) -> str:
    """Return a tool's name as providers accept it, and as none of those that are taken.

    Raises:
        ConfigurationError: No ASCII letter or digit is left of it.
    """
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^a-zA-Z0-9_-]+", "_", plain)[:MAX_NAME]
    is_lost = plain.endswith("_") and not name.endswith("_")  # the last part: that of a peer in `handoff_to_…`
    if is_lost or not re.search(r"[a-zA-Z0-9]", safe):
        raise ConfigurationError(f"The tool {name!r} needs a name with ASCII letters; providers refuse others")
    endings = ("" if number == 1 else f"_{number}" for number in count(1))
    return next(new for ending in endings if (new := safe[: MAX_NAME - len(ending)] + ending) not in taken)


def usable_tools(tools: Sequence[Any]) -> list[Any]:
    """Return tools with names and descriptions that providers accept; functions become tools.

    Tools of a provider, which are dicts, stay as they are.
    """
    usable: list[Any] = []
    taken: set[str] = set()
    for item in tools:
        tool = item if isinstance(item, BaseTool | dict) else _as_tool(item)
        if isinstance(tool, BaseTool):
            name = safe_name(tool.name, taken)
            taken.add(name)
            about = tool.description
            if len(about) > MAX_DESCRIPTION:
                about = f"{about[: MAX_DESCRIPTION - 1].rstrip()}…"
            if (name, about) != (tool.name, tool.description):
                tool = tool.model_copy(update={"name": name, "description": about})
        usable.append(tool)
    return usable


def _as_tool(function: object) -> BaseTool:
    if not callable(function):
        raise ConfigurationError(
            "Tools are LangChain's, functions with type hints and a docstring, or those of a server (MCPTools), not"
            f" {function!r:.80}"
        )
    try:
        return as_tool(function)
    except Exception as error:  # the signature, its hints and pydantic raise errors of their own
        raise ConfigurationError(f"{function!r:.80} cannot be a tool: {error}") from error


class SyncTool:
    """A tool that sync code can call too; one that is only async, as every MCP tool is, runs on the background loop."""

    def __init__(self, tool: BaseTool) -> None:
        self.name = tool.name
        self._tool = tool
        self.ainvoke = tool.ainvoke

    def invoke(self, call: Any, config: RunnableConfig | None = None) -> Any:
        if isinstance(self._tool, Tool | StructuredTool):
            return self._tool.invoke(call, config) if self._tool.func else self._in_background(call, config)
        try:
            return self._tool.invoke(call, config)
        except NotImplementedError:  # the usual `_run` of a class that is only async
            if type(self._tool)._arun is BaseTool._arun:
                raise
            return self._in_background(call, config)

    def _in_background(self, call: object, config: RunnableConfig | None) -> object:
        return run_in_background(lambda: effects_of(ensure_config(config)).coroutine(self.ainvoke, call, config))


async def retried(effects: Effects, config: RunnableConfig, call: Callable[[], Awaitable[T]]) -> T:
    """Call a tool; only where it raises `TransientError` it is called again, by itself."""
    inside = in_place(config)
    attempt = 1
    while True:
        try:
            return await call()
        except TransientError as error:
            if is_exhausted(error):  # of a model call in the tool
                raise
            attempt = await inside.again(effects, error, attempt)


def error_message(error: BaseException, call: Any) -> ToolMessage:
    """Return a tool's exception as an answer for the model; raise what ends or interrupts the run."""
    task = None
    with suppress(RuntimeError):  # in sync code, which is not cancelled by exceptions
        task = asyncio.current_task()
    is_cancelled = task is not None and task.cancelling() > 0
    is_own = isinstance(error, asyncio.CancelledError) and not is_cancelled
    if not (is_own or isinstance(error, Exception)) or isinstance(error, (GraphBubbleUp, *NOT_ANSWERS)):
        raise error
    words = f"Error: {explain(error)}"
    return ToolMessage(words, name=call["name"], tool_call_id=call["id"], status="error")


class EndingTools(OwnRun[Any, object]):
    """Calls a model until it answers or calls one of its tools, which all end its turn, as handoffs do."""

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


def without_calls(messages: Sequence[BaseMessage], advice: str | None = None) -> list[BaseMessage]:
    """Rewrite tool calls and results as plain text, for models whose template knows neither.

    `advice` says what to do with results; None for how to answer with them.
    """
    plain: list[BaseMessage] = []
    calls: dict[str, Any] = {}
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            calls |= {call["id"] or "": call for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            call = calls.get(message.tool_call_id, {"name": message.name, "args": {}})
            label, usual = ("Failure", NO_RESULT) if message.status == "error" else ("Result", USE_RESULT)
            label = f"{label} of {call['name']} for {json.dumps(call['args'], ensure_ascii=False)}"
            words = f"{quote(label, message.text)}\n\n{usual if advice is None else advice}"
            plain.append(HumanMessage(words.strip()))
        else:
            plain.append(message)
    return plain
