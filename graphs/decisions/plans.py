"""What a planner's model reads and writes: the form of a plan, examples of the team, the results so far."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from agents.agent import Agent, Answer
from agents.assignment import Assignment, quote
from agents.errors import EmptyReplyError
from agents.figures import unknown_figures
from agents.forms import OneOf, Paragraph, Short
from agents.runtime import Effects, SyncAsyncRunnable
from graphs.decisions import prompts
from graphs.engine import RESERVED, StepRecord, inside


def plan_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a plan. The model sees the team's names as the only choice; `findings` explains others."""

    class PlannedStep(BaseModel):
        id: Short
        task: Paragraph
        # Behind the task: a model writes in this order, and chooses better when it has said what is to be done.
        agent: Annotated[str, OneOf(names, others=True)]
        dependencies: list[Short]

    class Plan(BaseModel):
        steps: list[PlannedStep]

    return Plan


def team_examples(agents: Sequence[Agent]) -> str:
    """List a request that each agent is right for, as far as they bring any."""
    listed = "\n".join(f"- {agent.name}: {agent.examples[0]}" for agent in agents if agent.examples)
    return prompts.PLAN_EXAMPLES.format(examples=listed) if listed else ""


_CHECKS = re.compile(
    r"(check|review|proofread|verify|critici[sz]e|judge|(list|find)\b.*\b(fault|mistake|error)s)\b", re.I
)


def final_step(plan: Sequence[Mapping[str, Any]]) -> Mapping[str, object] | None:
    """Return the step that all others lead to, whose result answers the request; None if there is none.

    A last step that only checks is not an answer: its result is a list of faults.
    """
    used = {name for step in plan for name in step["dependencies"]}
    last = [step for step in plan if step["id"] not in used]
    return last[0] if len(last) == 1 and not _CHECKS.match(last[0]["task"]) else None


def made_up(plan: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> list[str]:
    """Return which tasks have figures without a source: mostly results that no step has worked out yet."""
    unknown = {step["id"]: unknown_figures(step["task"], sources, derived=False) for step in plan}
    return [
        f"The task of step {name!r} has figures that the request does not: {', '.join(figures)}. Leave results to the"
        " steps that work them out."
        for name, figures in unknown.items()
        if figures
    ]


def briefly(step: Mapping[str, object]) -> Mapping[str, object]:
    """Return a step as models write them."""
    return {key: step[key] for key in ("id", "agent", "task", "dependencies")}


def result_text(record: StepRecord) -> str:
    """Return a step's result, or why there is none."""
    if record["status"] == "completed":
        return record["result"] or ""
    return prompts.MISSING.format(what=record["task"], why=record["error"])


def replan_text(steps: Mapping[str, StepRecord]) -> str:
    """Return which steps are done, with their results, and which failed and why."""
    records = steps.values()
    done = [quote(record["id"], record["result"] or "") for record in records if record["status"] == "completed"]
    failed = [f"- {quote(record['id'], result_text(record))}" for record in records if record["status"] != "completed"]
    return prompts.REPLAN.format(done="\n".join(done) or "nothing", failed="\n".join(failed))


class Synthesis(SyncAsyncRunnable[Assignment, Answer]):
    """Has an agent write the final answer; a small model may give the request back word for word.

    Raises:
        EmptyReplyError: It only repeated the request.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.books = agent.name
        self.uses_reserve = True
        self.speaker: Agent | None = agent
        self.reserved = agent.with_config(tags=[RESERVED])

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        """Return the answer."""
        answer = await effects.invoke(self.reserved, value, config)
        request = value.get("request")
        if request is not None and repeats(answer["text"], str(request.text)):
            reason = f"Agent {self.agent.name!r} only repeated the request; ask again or use another model."
            raise EmptyReplyError(reason, usage=answer["usage"])
        return answer


class Quiet(SyncAsyncRunnable[Assignment, Answer]):
    """An agent whose words are not streamed as the graph's answer."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.books = agent.name

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        """Return the agent's answer."""
        return await effects.invoke(self.agent, value, inside(config, self.agent))


def repeats(text: str, request: str) -> bool:
    """Tell whether a text is the request, word for word."""
    return text.casefold().split() == request.casefold().split()
