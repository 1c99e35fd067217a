"""Triage: the form of the decision, its examples, and the call of the agent that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from agents.agent import Agent, Answer
from agents.assignment import Assignment
from agents.forms import OneOf, Short
from agents.runtime import Effects, SyncAsyncRunnable
from graphs.decisions import prompts
from graphs.engine import speaking


class Delegate(SyncAsyncRunnable[dict[str, Any], Answer]):
    """Calls the agent that is named in its input."""

    def __init__(self, agents: dict[str, Agent]) -> None:
        self.agents = agents

    async def run(self, effects: Effects, value: dict[str, Any], config: RunnableConfig) -> Answer:
        """Return that agent's answer, booked on its name."""
        agent = self.agents[value["agent"]]
        assignment: Assignment = value["assignment"]
        answer = await effects.invoke(agent, assignment, speaking(config, agent))
        return {**answer, "usage": agent.booked(answer["usage"])}


def triage_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of the triage."""

    class Triage(BaseModel):
        reason: Short
        small: bool
        agent: Annotated[str, OneOf(names)]

    return Triage


def triage_examples(team: Sequence[Agent]) -> str:
    """Make examples: what one agent is right for is small; what needs two of them is not."""
    able = [agent for agent in team if agent.examples]
    shown = [(agent.examples[0], True, agent.name) for agent in able[:3]]
    if len(able) > 1:
        shown.append((f"{able[0].examples[-1]} Then: {able[-1].examples[-1]}", False, able[0].name))
    return "".join(
        prompts.TRIAGE_EXAMPLE.format(request=request, small=str(small).lower(), agent=name)
        for request, small, name in shown
    )
