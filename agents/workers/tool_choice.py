"""Tool use for chat models that cannot call tools: choose a tool by a typed decision, call it, answer without tools.

choose -> answer: models of this kind (the local one among them) repeat a call or make needless ones while tools are on
offer after a result; they answer well when the tools are taken away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, Field, create_model

from agents.assignment import quote
from agents.decisions import Decision
from agents.runtime import Effects, SyncAsyncRunnable
from agents.workers.tool_calls import call_tool

CHOOSE_TOOL = """{instructions}

Before you answer you may use one tool. Choose the tool that the task needs, or none.
{tools}
- none: the task needs no tool.

Choose none for common knowledge, opinions and writing, and for what is said already. Name only files and addresses
that the task names; never invent one.

Answer as JSON: {{"choice": {{"tool": the name, "arguments": its arguments}}}}
{examples}"""

EXAMPLE = """
Example task: {task}
Example answer: {answer}"""

TASKS_WITHOUT_TOOL = (
    "Research the cost and the upkeep of a garden pond.",
    "Compare the pond and the lawn: cost, upkeep and looks.",
    "Write a short note of thanks to a neighbour.",
)
"""Examples of tasks for which the choice is none; without them a small model finds a use for some tool every time."""

USE_RESULT = """Now do the task. Use this result where it helps, as it stands, and else what you know; do not mention
the tool."""
NO_RESULT = """There is no result. Do the task without it, from what is said above and what you know. Only if it is
about that file or page, say that it could not be read, and do not make up what it says."""


class NoTool(BaseModel):
    """The choice to answer without a tool."""

    tool: Literal["none"]


def choice_form(tools: Sequence[BaseTool]) -> type[BaseModel]:
    """Return the form of a choice among some tools, with the arguments that each of them takes."""
    kinds: list[Any] = [NoTool]
    for tool in tools:
        fields: dict[str, Any] = {"tool": Literal[tool.name], "arguments": tool.get_input_schema()}
        kinds.append(create_model(f"Use_{tool.name}", **fields))
    choice: Any = Union[tuple(kinds)]  # noqa: UP007 - the members are known at run time only
    form: type[BaseModel] = create_model("ToolChoice", choice=(choice, Field(discriminator="tool")))
    return form


def examples_of(tools: Sequence[BaseTool]) -> str:
    """Write example choices: none, each tool that brings an example in its `metadata`, and none again.

    A tool's example is `metadata["example_task"]` and `metadata["example_arguments"]`.
    """
    first, *last = ((task, {"tool": "none"}) for task in TASKS_WITHOUT_TOOL)
    middle = [
        (about["example_task"], {"tool": tool.name, "arguments": about.get("example_arguments", {})})
        for tool in tools
        if "example_task" in (about := tool.metadata or {})
    ]
    return "".join(
        EXAMPLE.format(task=task, answer=json.dumps({"choice": choice}, ensure_ascii=False))
        for task, choice in (first, *middle, *last)
    )


class Choose(SyncAsyncRunnable[MessagesState, dict[str, Any]]):
    """Asks which tool to use and calls it; the call and its result are added to the messages."""

    def __init__(self, model: BaseChatModel, tools: Sequence[BaseTool], instructions: str) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.decision = Decision(choice_form(tools), model=model)
        listed = "\n".join(f"- {tool.name}: {tool.description.splitlines()[0]}" for tool in tools)
        text = CHOOSE_TOOL.format(instructions=instructions, tools=listed, examples=examples_of(tools))
        self.system = SystemMessage(text.lstrip())

    async def run(self, effects: Effects, value: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        """Return the messages of one tool call, or none."""
        decided = await effects.invoke(self.decision, [self.system, *value["messages"]], config)
        choice = decided["value"]["choice"]
        if choice["tool"] == "none":
            return {"messages": []}
        call = {"name": choice["tool"], "args": choice["arguments"], "id": "choice", "type": "tool_call"}
        result = await call_tool(effects, self.tools[choice["tool"]], call, config)
        return {"messages": [AIMessage("", tool_calls=[call]), result]}


class AnswerWithoutTools(SyncAsyncRunnable[MessagesState, dict[str, Any]]):
    """Asks for the answer, with the tool's result quoted as data; `answering` gives a message or a state."""

    def __init__(self, answering: Runnable[Any, Any]) -> None:
        self.answering = answering

    async def run(self, effects: Effects, value: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        """Return the model's answer."""
        reply = await effects.invoke(self.answering, without_calls(value["messages"]), config)
        return reply if isinstance(reply, dict) else {"messages": [reply]}


def without_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Rewrite tool calls and results as plain text, for models whose template knows neither."""
    plain: list[BaseMessage] = []
    calls: dict[str, Any] = {}
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            calls |= {call["id"] or "": call for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            call = calls.get(message.tool_call_id, {"name": message.name, "args": {}})
            plain.append(HumanMessage(_in_words(call, message)))
        else:
            plain.append(message)
    return plain


def _after(tools: Sequence[BaseTool]) -> Callable[[MessagesState], str]:
    """Return the route that ends where the result of a `return_direct` tool is the answer, or a handoff."""
    direct = {tool.name for tool in tools if tool.return_direct}

    def after_choice(state: MessagesState) -> str:
        last = state["messages"][-1]
        is_result = isinstance(last, ToolMessage) and last.name in direct and last.status != "error"
        return END if is_result else "answer"

    return after_choice


def _in_words(call: Mapping[str, Any], result: ToolMessage) -> str:
    label, advice = ("Failure", NO_RESULT) if result.status == "error" else ("Result", USE_RESULT)
    label = f"{label} of {call['name']} for {json.dumps(call['args'], ensure_ascii=False)}"
    return f"{quote(label, result.text)}\n\n{advice}"


class ToolChoiceState(MessagesState, total=False):
    """The messages, and the data of an answer that has a form."""

    structured_response: Any


def tool_choice_graph(
    model: BaseChatModel, tools: Sequence[BaseTool], instructions: str, answering: Runnable[Any, Any], *, name: str
) -> Runnable[Any, Any]:
    """Compile the graph of an agent that uses at most one tool per answer."""
    graph = StateGraph(ToolChoiceState)
    graph.add_node("choose", Choose(model, tools, instructions))
    graph.add_node("answer", AnswerWithoutTools(answering))
    graph.add_edge(START, "choose")
    graph.add_conditional_edges("choose", _after(tools), ["answer", END])
    return graph.compile(name=name)
