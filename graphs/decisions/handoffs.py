"""Handing work to a peer: the tools by which models do it, and one turn of an agent that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.errors import ParentCommand
from langgraph.types import Command
from pydantic import create_model
from typing_extensions import TypedDict

from agents import Agent, AgentError, Assignment
from agents.runtime import Effects, SyncAsyncRunnable, clean, clean_data
from agents.settings import settings
from agents.usage import Tally, Usage
from graphs.engine import Update

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware, AgentState

HANDOFF = "podium_handoff"
"""Key in a tool message's artifact under which a handoff, or the end of a group chat, is kept."""
FINISH = "finish"
"""Name of the handoff by which a peer ends a group chat."""
HANDOFF_TOOL = "handoff_to_"
"""Beginning of the names of handoff tools; the peer's name follows."""

_Result = tuple[str, Mapping[str, object]]


class Handoff(TypedDict):
    """A handoff to another peer. Functions return one as a plain dict, in which `task` and `reason` may be missing."""

    to: str
    task: str
    reason: str


class Turn(TypedDict):
    """The outcome of a peer's turn, an answer or a handoff; `ignored` are further handoffs in the same turn."""

    text: str
    message_id: str | None
    """The id of the chat message that holds the text or the handoff, if one does."""
    handoff: Handoff | None
    ignored: list[Handoff]
    status: str
    errors: list[dict[str, str]]
    usage: Usage


def handoff_tool(to: str, description: str = "") -> BaseTool:
    """Return the tool `handoff_to_<to>`, for agents that a user builds with `create_agent` and puts in a network.

    Args:
        to: The peer's name, to which the network must have a link.
        description: What the peer is for; the model reads it.
    """

    def hand_over(task: str, reason: str) -> _Result:
        return f"Handed over to {to}.", {HANDOFF: {"to": to, "task": task, "reason": reason}}

    about = f"Hand the work over to {to}. {description} Say what it is to do, completely, and why.".strip()
    return _returning(f"{HANDOFF_TOOL}{to}", about, hand_over, "task", "reason")


def finish_tool() -> BaseTool:
    """Return the tool `finish`, by which a peer ends a group chat with the final answer."""

    def finish(answer: str) -> _Result:
        return "Finished.", {HANDOFF: {"to": FINISH, "task": answer, "reason": "finished"}}

    about = "End the conversation with the final answer, when nothing is left to be added."
    return _returning(FINISH, about, finish, "answer")


def _returning(name: str, description: str, function: Callable[..., _Result], *arguments: str) -> BaseTool:
    fields: dict[str, Any] = dict.fromkeys(arguments, str)

    async def coroutine(**arguments: str) -> _Result:  # without it, async code would call the function in a thread
        return function(**arguments)

    return StructuredTool.from_function(
        function,
        coroutine,
        name=name,
        description=description,
        args_schema=create_model(name, **fields),  # seven times faster than LangChain's reading of the function
        return_direct=True,
        response_format="content_and_artifact",
    )


def turn_tools(descriptions: Mapping[str, str]) -> list[BaseTool]:
    """Return these tools by name, with descriptions, for an agent that takes its turn in another process."""
    tools = {
        name: finish_tool() if name == FINISH else handoff_tool(name.removeprefix(HANDOFF_TOOL))
        for name in descriptions
    }
    return [tool.model_copy(update={"description": descriptions[name]}) for name, tool in tools.items()]


def stop_after_handoff() -> AgentMiddleware:
    """Return the middleware that ends a turn after a handoff, even if other tools were called in the same turn."""
    from langchain.agents.middleware import AgentMiddleware, hook_config

    class StopAfterHandoff(AgentMiddleware):
        @hook_config(can_jump_to=["end"])
        def before_model(self, state: AgentState[Any], runtime: object) -> Update | None:
            return {"jump_to": "end"} if _handoffs(state["messages"]) else None

        @hook_config(can_jump_to=["end"])
        async def abefore_model(self, state: AgentState[Any], runtime: object) -> Update | None:
            return self.before_model(state, runtime)

    return StopAfterHandoff()


def _since_last(kind: type[BaseMessage], messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    places = [place for place, message in enumerate(messages) if isinstance(message, kind)]
    return messages[places[-1] + 1 :] if places else messages


def _handoffs(messages: Sequence[BaseMessage]) -> list[Handoff]:
    """Return the handoffs made since the last message to the agent, in the order of the calls."""
    results = [message.artifact for message in _since_last(HumanMessage, messages) if isinstance(message, ToolMessage)]
    return [artifact[HANDOFF] for artifact in results if isinstance(artifact, dict) and HANDOFF in artifact]


class TakeTurn(SyncAsyncRunnable[Assignment, Turn]):
    """Lets an agent take one turn; chat models with a role get those of the `tools` that they do not have."""

    def __init__(self, agent: Agent, tools: Sequence[BaseTool]) -> None:
        own = {tool.name for tool in agent.tools}
        new = [tool for tool in tools if tool.name not in own]
        # LangChain ends the loop by itself where all calls are handoffs; the hook costs a node for each model call.
        ending = [stop_after_handoff()] if agent.has_tools else []
        self.agent = agent.with_tools(new, *ending) if agent.takes_tools else agent
        self.books = agent.name
        self.agents = [agent]
        self.speaker: Agent | None = agent

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Turn:
        tally = Tally(settings().prices)
        try:
            outcome: Any = await self.agent.work(effects, value, config, tally, self._handed_over)
        except ParentCommand as command:
            return _turn("", _of_command(command.args[0]), tally.usage)
        if "handoff" in outcome:
            turn: Turn = outcome
            return turn
        inside: Any = {key: outcome.get(key) for key in ("message_id", "status", "errors")}
        return {**_turn(outcome["text"], [], outcome["usage"]), **inside}

    def _handed_over(self, reply: Any, usage: Usage) -> Turn | None:
        messages = _messages(reply)
        wishes = clean_data(self._wishes(reply) or _handoffs(messages))
        if not wishes:
            return None
        called = [message.id for message in messages if isinstance(message, AIMessage)][-1:]
        return {**_turn(clean(_said_beside(messages)), wishes, usage), "message_id": called[0] if called else None}

    def _wishes(self, reply: object) -> list[Handoff]:
        if self.agent.function is None or not isinstance(reply, dict) or "to" not in reply:
            return []
        if not isinstance(reply["to"], str):
            raise AgentError(f"Agent {self.agent.name!r} handed over to {reply['to']!r}, which is not a name")
        return [{"to": reply["to"], "task": str(reply.get("task", "")), "reason": str(reply.get("reason", ""))}]


def _messages(reply: object) -> list[BaseMessage]:
    messages = reply.get("messages") if isinstance(reply, dict) else None
    return messages if isinstance(messages, list) else []


def _of_command(command: Command[object]) -> list[Handoff]:
    """Read `Command(goto=peer, graph=Command.PARENT)`, by which the handoff tools of langgraph-swarm go to a peer."""
    places: Any = command.goto if isinstance(command.goto, list | tuple) else [command.goto]
    return [{"to": getattr(target, "node", target), "task": "", "reason": ""} for target in places]


def _turn(text: str, wishes: list[Handoff], usage: Usage) -> Turn:
    first, others = (wishes[0], wishes[1:]) if wishes else (None, [])
    return Turn(text=text, message_id=None, handoff=first, ignored=others, status="completed", errors=[], usage=usage)


def _said_beside(messages: Sequence[BaseMessage]) -> str:
    """Return the words with which a model handed over, and results of other tools, which it has not seen."""
    words = [message.text for message in messages if isinstance(message, AIMessage)][-1:]
    results = [message for message in _since_last(AIMessage, messages) if isinstance(message, ToolMessage)]
    unseen = [
        f"{result.name}: {result.text}" for result in results if result.status != "error" and not _handoffs([result])
    ]
    return "\n\n".join(text for text in (*words, *unseen) if text)
