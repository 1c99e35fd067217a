"""What the tests of agents share: what they answer in turn, what a model calls, how a run ended."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from langchain_core.tools import tool
from pydantic import BaseModel

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel

AT_ONCE = Retry(wait=0)


class Killed(BaseException):
    """Ends a run as a kill would: nothing handles it."""


class LimitedError(Exception):
    """A rate limit, as SDKs raise it."""

    def __init__(self, seconds: str) -> None:
        super().__init__("too many requests")
        self.status_code = 429
        self.response = SimpleNamespace(status_code=429, headers={"Retry-After": seconds})


def in_turn(name: str, *replies: Any) -> Agent:
    """Make an agent that returns or raises one reply after the other."""
    left = iter(replies)

    def answer(task: str) -> Any:
        reply = next(left)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return Agent(name, function=answer)


def calling(name: str, /, **args: Any) -> Reply:
    return Reply(tool_calls=[{"name": name, "args": args, "id": "call_1"}])


def unable(*script: Any) -> ScriptedModel:
    """Make a model that cannot call tools."""
    return ScriptedModel(list(script), profile={"tool_calling": False})


def answer(state: Any) -> tuple[str, str]:
    return state["status"], state["messages"][-1].text


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADDING = calling("add", a=1, b=2)


async def weather(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0)
    return f"sunny in {city}"


class City(BaseModel):
    name: str
    people: int


ROME = {"name": "Rome", "people": 3}
JSON = json.dumps(ROME)
