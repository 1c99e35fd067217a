"""Answers in the form that a step `returns`."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from agents import Agent, Answer, Assignment, DecisionError
from agents.decisions import Form, read_json
from agents.runtime import Effects, SyncAsyncRunnable


class Returning(SyncAsyncRunnable[Assignment, Answer]):
    """An agent whose answers have a form: a chat model without one is asked for it, and every answer is validated.

    Raises:
        DecisionError: An answer is not of the form; the message says where.
    """

    def __init__(self, agent: Agent, form: type[BaseModel]) -> None:
        is_asked = agent.takes_tools and agent.response_format is None
        self.agent = agent.returning(form) if is_asked else agent
        self.form = Form(form)

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        answer = await effects.invoke(self.agent, value, config)
        if answer["status"] == "needs_input":
            return answer
        try:
            data = answer["data"] if answer["data"] is not None else read_json(answer["text"])
            return {**answer, "data": self.form.read(data)}
        except DecisionError as error:
            raise DecisionError(f"the result is not a {self.form.name}: {error}") from error
