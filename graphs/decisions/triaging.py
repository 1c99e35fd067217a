"""Triage: the form of the decision, its examples, its record, and the call of the agent or planner it leads to."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.types import Overwrite
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents import Agent, Answer, Assignment
from agents.decisions import OneOf
from agents.runtime import Effects, SyncAsyncRunnable
from agents.usage import Usage, named
from graphs.decisions import prompts
from graphs.engine import describe, speaking

MAX_EXAMPLES = 3
"""Examples of each agent in the prompt."""


class Triage(TypedDict):
    """The sorting of a request; its cost is `usage["agents"]["triage"]`."""

    small: bool
    agent: str
    """The agent that suits the request best; empty if it could not be sorted."""
    reason: str


class Chosen(TypedDict):
    """One piece of work on the answer: how much orchestration it was, why, and what it cost."""

    shape: Literal["one agent", "plan", "baseline"]
    agent: str
    reason: str
    usage: Usage


class Delegate(SyncAsyncRunnable[dict[str, Any], Answer]):
    """Calls the agent that is named in its input."""

    def __init__(self, agents: dict[str, Agent]) -> None:
        self.team = agents
        self.agents = list(agents.values())

    async def run(self, effects: Effects, value: dict[str, Any], config: RunnableConfig) -> Answer:
        agent = self.team[value["agent"]]
        assignment: Assignment = value["assignment"]
        answer = await effects.invoke(agent, assignment, speaking(config, agent))
        return {**answer, "usage": named(answer["usage"], agent.name)}


class RunPlan(SyncAsyncRunnable[dict[str, Any], dict[str, Any]]):
    """Runs the planner's graph and returns its whole state, which the orchestrator's record takes over."""

    def __init__(self, planner: Agent) -> None:
        self.agents = [planner]
        self.speaker: Agent | None = planner
        self.graph: Any = planner.runnable

    async def run(self, effects: Effects, value: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        assignment: Assignment = value["assignment"]
        messages = [HumanMessage(assignment["task"])]
        asked: dict[str, object] = {"messages": messages, "assignment": assignment}
        asked |= {key: Overwrite(value[key]) for key in ("plan", "steps") if key in value}
        state: dict[str, Any] = await effects.invoke(self.graph, asked, config)
        return state


def triage_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of the triage: short, because a local model writes ten tokens a second."""

    class Triage(BaseModel):
        agent: Annotated[str, OneOf(names)]
        small: bool

    return Triage


def able_to_read(team: Mapping[str, Agent], name: str, request: str) -> str:
    """Return an agent's name, or the first of the team's that reads a file which the request names, if it cannot."""
    readers = [agent.name for agent in team.values() if any(_reads(tool, request) for tool in agent.tools)]
    is_able = name in readers or not team[name].is_chat_model  # what an agent of another kind can do is unknown
    return name if is_able or not readers else readers[0]


def _reads(tool: BaseTool, request: str) -> bool:
    named = (tool.metadata or {}).get("named_in")
    return named is not None and bool(named(request))


def _examples(team: Sequence[Agent]) -> str:
    """Make examples, up to three of each agent: a request for one agent is small, one for two agents is not."""
    able = [agent for agent in team if agent.examples]
    shown = [(request, True, agent.name) for agent in able for request in agent.examples[:MAX_EXAMPLES]]
    if len(able) > 1:  # One in the middle too: a small model leans to what it read last.
        far = max(1, (len(able) - 1) // 2)
        both = [
            (f"{able[place].examples[-1]} Then: {able[place - far].examples[-1]}", False, able[place].name)
            for place in (0, 1)
        ]
        shown = [*shown[:3], both[0], *shown[3:], both[1]]
    return "".join(
        prompts.TRIAGE_EXAMPLE.format(request=request, small=str(small).lower(), agent=name)
        for request, small, name in shown
    )


def triage_prompt(team: Sequence[Agent]) -> str:
    """Return the instructions of the decision."""
    return prompts.TRIAGE.format(team=describe(team), examples=_examples(team))
