"""What a planner's model is shown and gives: the form of a plan, the team's examples, the account of what is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, WithJsonSchema

from agents.agent import Agent, Answer
from agents.assignment import Assignment, quote
from agents.errors import EmptyReplyError
from agents.runtime import Effects, SyncAsyncRunnable
from graphs.decisions import prompts
from graphs.engine import RESERVED, StepRecord


def plan_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a plan. The model sees the team's names as the only choice; `findings` explains others."""

    class PlannedStep(BaseModel):
        id: str
        task: str
        # Behind the task: a model writes in this order, and chooses better when it has said what is to be done.
        agent: Annotated[str, WithJsonSchema({"type": "string", "enum": list(names)})]
        dependencies: list[str]

    class Plan(BaseModel):
        steps: list[PlannedStep]

    return Plan


def examples_of(agents: Sequence[Agent]) -> str:
    """List a request that each agent is right for, as far as they bring any."""
    listed = "\n".join(f"- {one.name}: {one.examples[0]}" for one in agents if one.examples)
    return prompts.PLAN_EXAMPLES.format(examples=listed) if listed else ""


def briefly(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step as models write them."""
    return {key: step[key] for key in ("id", "agent", "task", "dependencies")}


def told_of(record: StepRecord) -> str:
    """Return a step's result, or why there is none."""
    if record["status"] == "completed":
        return record["result"] or ""
    return prompts.MISSING.format(what=record["task"], why=record["error"])


def replan_text(steps: Mapping[str, StepRecord]) -> str:
    """Tell the model which steps are done, with their results, and which failed and why."""
    done = [quote(one["id"], one["result"] or "") for one in steps.values() if one["status"] == "completed"]
    failed = [f"- {quote(one['id'], told_of(one))}" for one in steps.values() if one["status"] != "completed"]
    return prompts.REPLAN.format(done="\n".join(done) or "nothing", failed="\n".join(failed))


class Synthesis(SyncAsyncRunnable[Assignment, Answer]):
    """Has an agent write the final answer; a small model may give the request back word for word.

    Raises:
        EmptyReplyError: It only repeated the request.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.reserved = agent.with_config(tags=[RESERVED])

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        """Return the answer."""
        answer = await effects.invoke(self.reserved, value, config)
        if _words(answer["text"]) == _words(value["request"].text):
            said = f"Agent {self.agent.name!r} only repeated the request; ask again or use another model."
            raise EmptyReplyError(said, usage=answer["usage"])
        return answer


def _words(text: str) -> list[str]:
    return text.casefold().split()
