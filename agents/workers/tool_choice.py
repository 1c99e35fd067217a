"""Tool use for chat models that cannot call tools: call what is obvious or chosen, then answer without tools.

choose (read the files that are named, calculate in lines, or choose by a typed decision) -> answer

Models of this kind (the local one among them) repeat a call or make needless ones while tools are on offer after a
result; they answer well when the tools are taken away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.json_schema import dereference_refs
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel, Field, WithJsonSchema, create_model

from agents.assignment import message_parts, quote
from agents.checks import (
    asks_for_figures,
    asks_for_names,
    asks_for_order,
    asks_for_words,
    by_figure,
    with_count,
    with_named,
)
from agents.decisions import Decision
from agents.errors import ConfigurationError
from agents.runtime import AnyRunnable, Effects, SyncAsyncRunnable, calculated
from agents.workers.lines import (
    LINE_RULES,
    USE_VALUES,
    asked_values,
    in_lines,
    lines_in,
    lines_wanted,
    plainly,
    values_of,
    with_results,
)
from agents.workers.tool_calls import SyncTool, error_message, retried, without_calls

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

IN_ORDER = "From most to least: "
"""Prefix of what a file lists, put in order for a task that asks for it: a small model does not see the order."""
LINES = "lines"
"""The id of a call that the model wrote as lines of text."""
AS_LINES = "Write that as lines `name = formula`, with figures, names, + - * / and parentheses only."
"""Repetition of the rules without the word `none`, with which a small model would reply."""
_READING = {"read", "open", "load", "the", "file", "files", "content", "contents", "text", "of", "from", "and"}
ADDRESS = "://"
"""Mark of a task that names a page too, which is not read without asking."""


class NoTool(BaseModel):
    """The choice to answer without a tool."""

    tool: Literal["none"]


def choice_form(tools: Sequence[BaseTool]) -> type[BaseModel]:
    """Return the form of a choice among some tools, with the arguments that each of them takes."""
    kinds: list[object] = [NoTool]
    for tool in tools:
        schema = tool.tool_call_schema  # of a server's tool JSON, whose references would lead to another place here
        arguments: Any = schema
        if isinstance(schema, dict):
            arguments = Annotated[dict[str, object], WithJsonSchema(dereference_refs(schema))]
        fields: dict[str, Any] = {"tool": Literal[tool.name], "arguments": arguments}
        kinds.append(create_model(f"Use_{tool.name}", **fields))
    choice: Any = Union[tuple(kinds)]  # noqa: UP007 - the members are known at run time only
    return create_model("ToolChoice", choice=(choice, Field(discriminator="tool")))


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


class Choose(SyncAsyncRunnable[MessagesState, Mapping[str, object]]):
    """Calls what the task needs; the calls and their results are added to the messages.

    Files that the task names are read, and a task with figures is calculated in lines, without asking which tool to
    use. Else the model chooses one.
    """

    def __init__(
        self, model: BaseChatModel, tools: Sequence[BaseTool], instructions: str, call: Callable[[str], AnyRunnable]
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        about = {tool.name: tool.metadata or {} for tool in tools}
        self.calls = ToolNode(
            tools,
            handle_tool_errors=False,
            wrap_tool_call=_sync,
            awrap_tool_call=lambda request, call: call(request),  # else the sync one, which would block the loop
        )
        self.readers = {name: metadata["named_in"] for name, metadata in about.items() if "named_in" in metadata}
        self.chosen = [tool for tool in tools if "in_lines" not in about[tool.name]]
        self.calculator = next((tool for tool in tools if tool not in self.chosen), None)
        self.decision = Decision(choice_form(self.chosen), model=model)
        listed = "\n".join(f"- {tool.name}: {next(iter(tool.description.splitlines()), '')}" for tool in self.chosen)
        text = CHOOSE_TOOL.format(instructions=instructions, tools=listed, examples=examples_of(self.chosen))
        self.system = SystemMessage(text.lstrip())
        self.instructions = instructions
        self.calculation = call(LINE_RULES)

    async def run(self, effects: Effects, value: MessagesState, config: RunnableConfig) -> Mapping[str, object]:
        text = value["messages"][-1].text
        request, context, task = message_parts(text)
        earlier = [message.text for message in value["messages"][:-1]]
        added: list[BaseMessage] = []
        reads = [(name, arguments) for name, named in self.readers.items() for arguments in named(task) or named(text)]
        for name, arguments in reads:
            added += await self._call(effects, name, arguments, f"read_{len(added)}", config)
            content = str(added[-1].text)
            if asks_for_order(text) and (listed := by_figure(content)):
                content = f"{content.rstrip()}\n{IN_ORDER}{listed}"
            elif asks_for_figures(task) and not asks_for_order(text):
                content = with_named(content if asks_for_names(task) else with_count(content), task)
            added[-1] = added[-1].model_copy(update={"content": content})
        messages = [*value["messages"], *added]
        read = "\n".join(message.text for message in added)
        around = "\n".join([*earlier, request, context])
        if self.calculator and not _only_reads(task) and lines_wanted(task, read, around):
            lines = await self._lines(effects, messages, self.calculator, config)
            if lines:
                added += await self._call(effects, self.calculator.name, {"expression": lines}, LINES, config)
            return {"messages": added, "lines": lines or "none"}
        around = "\n".join([*earlier, text])
        # A tool that does not say when it is wanted may always be of use.
        tests = [(tool.metadata or {}).get("wanted") for tool in self.chosen]
        if (added and ADDRESS not in text) or not any(test is None or test(around) for test in tests):
            return {"messages": added, "lines": ""}
        decided = await effects.invoke(self.decision, [self.system, *without_calls(messages)], config)
        choice = decided["value"]["choice"]
        if choice["tool"] != "none":
            added += await self._call(effects, choice["tool"], choice["arguments"], "choice", config)
        return {"messages": added, "lines": ""}

    def after(self, state: MessagesState) -> str:
        """End where the result of a `return_direct` tool is the answer, or a handoff."""
        last = state["messages"][-1]
        tool = self.tools.get(last.name or "") if isinstance(last, ToolMessage) and last.status != "error" else None
        return END if tool and tool.return_direct else "answer"

    async def _lines(
        self, effects: Effects, messages: Sequence[BaseMessage], calculator: BaseTool, config: RunnableConfig
    ) -> str:
        asked, compute = in_lines(_as_task(messages), self.instructions), (calculator.metadata or {})["in_lines"]
        written = await effects.invoke(self.calculation, asked, config)
        lines = lines_in(written.text, calculated(config), compute)
        if lines or set(written.text).isdisjoint("=0123456789"):
            return lines
        written = await effects.invoke(self.calculation, [*asked, written, HumanMessage(AS_LINES)], config)
        return lines_in(written.text, calculated(config), compute)

    async def _call(
        self, effects: Effects, name: str, arguments: dict[str, object], call_id: str, config: RunnableConfig
    ) -> list[BaseMessage]:
        asked = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id}])
        state = {"messages": [asked]}
        try:
            called = await retried(effects, config, lambda: effects.invoke(self.calls, state, config))
        except BaseException as failure:
            return [asked, error_message(failure, asked.tool_calls[0])]
        if isinstance(called, dict):
            return [asked, *called["messages"]]
        error = ConfigurationError("A tool that returns a Command needs a model that calls tools")
        return [asked, error_message(error, asked.tool_calls[0])]


def _sync(request: Any, call: Callable[[Any], Any]) -> Any:
    return call(request.override(tool=SyncTool(request.tool)))


class AnswerWithoutTools(SyncAsyncRunnable["ToolChoiceState", dict[str, Any]]):
    """Asks for the answer, with the results of tools quoted as data.

    After a calculation it goes on from the lines, so that a local runtime has read the prompt already.
    """

    def __init__(self, instructions: str, answering: Callable[[str], AnyRunnable]) -> None:
        self.instructions = instructions
        self.answering, self.after_lines = answering(instructions), answering(LINE_RULES)

    async def run(self, effects: Effects, value: ToolChoiceState, config: RunnableConfig) -> dict[str, Any]:
        messages = value["messages"]
        task = message_parts(messages[0].text)[2]
        results = [message for message in messages[1:] if isinstance(message, ToolMessage)]
        is_brief = value.get("brief") and len(messages) == 1 + 2 * len(results)  # without a conversation before it
        if is_brief and results and _only_reads(task) and all(result.status == "success" for result in results):
            return {"messages": [AIMessage("\n\n".join(result.text for result in results))]}
        # After `none` a small model that still has the rules of lines says `none` again.
        if value["lines"] in ("", "none"):
            reply = await effects.invoke(self.answering, without_calls(messages), config)
            return reply if isinstance(reply, dict) else {"messages": [reply]}
        wanted = asked_values(value["lines"], messages[-1].text, task)
        if is_brief and asks_for_figures(task) and not asks_for_words(task):  # the results alone do it
            return {"messages": [AIMessage(f"{task}\n{plainly(wanted)}")]}
        computed = values_of(value["lines"], messages[-1].text)
        listed = quote("Computed", "\n".join(f"{name} = {result}" for name, result in computed.items()))
        asked = HumanMessage("\n\n".join(filter(None, [listed, self.instructions, USE_VALUES])))
        shown = [*in_lines(_as_task(messages[:-2]), self.instructions), AIMessage(value["lines"]), asked]
        reply = await effects.invoke(self.after_lines, shown, config)
        if isinstance(reply, dict):
            return reply
        return {"messages": [with_results(reply, wanted, [message.text for message in shown[-3:]])]}


def _only_reads(task: str) -> bool:
    """Return whether others need what files say; a small model would conclude something from them."""
    words = [word.strip(".,:") for word in task.split()]
    return all("." in word or word.casefold() in _READING for word in words)


def _as_task(messages: Sequence[BaseMessage]) -> str:
    return "\n\n".join(message.text for message in without_calls(messages, advice=""))


class ToolChoiceState(MessagesState, total=False):
    """The messages, the lines of a calculation, and the data of an answer that has a form."""

    brief: bool
    """Whether only other agents read the answer: results that are all it asks for need no sentence around them."""
    lines: str
    """Lines as the model wrote them; `none` without a calculation, empty if the model was not asked."""
    structured_response: object


def tool_choice_graph(
    model: BaseChatModel,
    tools: Sequence[BaseTool],
    instructions: str,
    call: Callable[[str], AnyRunnable],
    answering: Callable[[str], AnyRunnable],
    *,
    name: str,
) -> AnyRunnable:
    """Compile the graph of an agent that uses the tools which the task obviously needs, or one that it chooses.

    With some instructions, `call` makes what calls the model, and `answering` what answers in the agent's form.
    """
    graph, choose = StateGraph(ToolChoiceState), Choose(model, tools, instructions, call)
    graph.add_node("choose", choose)
    graph.add_node("answer", AnswerWithoutTools(instructions, answering))
    graph.add_edge(START, "choose")
    graph.add_conditional_edges("choose", choose.after, ["answer", END])
    return graph.compile(name=name)
