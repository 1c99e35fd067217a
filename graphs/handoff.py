"""Handing work to a peer: the tools by which models do it, and one turn of an agent that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool

from agents.agent import Agent
from agents.errors import AgentError
from agents.once import IO, Once
from agents.prompts import Assignment
from agents.usage import Tally, Usage

HANDOFF = "podium_handoff"
"""Key in a tool message's artifact under which a handoff, or the end of a group chat, is found."""
FINISH = "finish"
"""What a peer of a group chat hands to in order to end it."""


class Handoff(TypedDict):
    """A peer's wish that another goes on. Functions return one as a plain dict; `task` and `reason` may be missing."""

    to: str
    task: str
    reason: str


class Turn(TypedDict):
    """What a peer did with its turn: it answered, or handed off; `ignored` are further handoffs in the same turn."""

    text: str
    handoff: Handoff | None
    ignored: list[Handoff]
    status: str
    errors: list[dict[str, str]]
    usage: Usage


def handoff_tool(to: str, description: str = "") -> BaseTool:
    """Return the tool `handoff_to_<peer>`, for agents that a user builds with `create_agent` and puts in a network."""

    def hand_over(task: str, reason: str) -> tuple[str, dict[str, Any]]:
        return f"Handed over to {to}.", {HANDOFF: {"to": to, "task": task, "reason": reason}}

    return StructuredTool.from_function(
        hand_over,
        name=f"handoff_to_{to}",
        description=f"Hand the work over to {to}. {description} Say what it is to do, completely, and why.".strip(),
        return_direct=True,
        response_format="content_and_artifact",
    )


def finish_tool() -> BaseTool:
    """Return the tool `finish`, by which a peer ends a group chat with the final answer."""

    def finish(answer: str) -> tuple[str, dict[str, Any]]:
        return "Finished.", {HANDOFF: {"to": FINISH, "task": answer, "reason": "finished"}}

    return StructuredTool.from_function(
        finish,
        name=FINISH,
        description="End the conversation with the final answer, when nothing is left to be said.",
        return_direct=True,
        response_format="content_and_artifact",
    )


class StopAfterHandoff(AgentMiddleware[Any, Any]):
    """Ends an agent's turn once it has handed over, also when it called other tools in the same turn."""

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: AgentState[Any], runtime: Any) -> dict[str, Any] | None:
        """Leave when one of the tool results since the last model reply is a handoff."""
        return {"jump_to": "end"} if _last_results(state["messages"]) else None


def _last_results(messages: Sequence[BaseMessage]) -> list[Handoff]:
    """Return the handoffs among the tool results at the end of a conversation, in the order of the calls."""
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            order = {call["id"]: place for place, call in enumerate(message.tool_calls)}
            results.sort(key=lambda one: order.get(one.tool_call_id, len(order)))
            break
        if isinstance(message, ToolMessage):
            results.append(message)
    return [one.artifact[HANDOFF] for one in results if isinstance(one.artifact, dict) and HANDOFF in one.artifact]


class TakeTurn(Once[Assignment, Turn]):
    """Lets an agent take one turn; chat models with a role get `tools` for handing over."""

    def __init__(self, agent: Agent, tools: Sequence[BaseTool]) -> None:
        self.agent = agent.with_tools(tools, StopAfterHandoff()) if agent.is_role else agent

    async def run(self, io: IO, value: Assignment, config: RunnableConfig) -> Turn:
        """Return the answer or the handoff."""
        tally = Tally()
        with tally.counting():
            reply = await self.agent.reply(io, value, config, tally)
            wishes = self._wishes(reply)
            if not wishes:
                answer = self.agent.answer(reply, tally.usage)
                return {**_turn(answer["text"], [], answer["usage"]), **_inside(answer)}  # type: ignore[typeddict-item]
            return _turn(_said_beside(reply), wishes, tally.usage)

    def _wishes(self, reply: Any) -> list[Handoff]:
        if isinstance(reply, dict) and "to" in reply and self.agent.function is not None:
            if not isinstance(reply["to"], str):
                raise AgentError(f"Agent {self.agent.name!r} handed over to {reply['to']!r}, which is no name")
            return [{"to": reply["to"], "task": str(reply.get("task", "")), "reason": str(reply.get("reason", ""))}]
        return _last_results(reply["messages"]) if isinstance(reply, dict) and "messages" in reply else []


def _inside(answer: Any) -> dict[str, Any]:
    return {"status": answer["status"], "errors": answer["errors"]}


def _turn(text: str, wishes: list[Handoff], usage: Usage) -> Turn:
    first = wishes[0] if wishes else None
    return {
        "text": text,
        "handoff": first,
        "ignored": wishes[1:],
        "status": "completed",
        "errors": [],
        "usage": usage,
    }


def _said_beside(reply: Any) -> str:
    """Return what a model said in the reply in which it handed over."""
    messages = reply.get("messages", []) if isinstance(reply, dict) else []
    return next((one.text for one in reversed(messages) if isinstance(one, AIMessage)), "")
