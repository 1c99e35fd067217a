"""What the tests of agents that are chat models share: what a model calls, what they ask for, how a run ended."""

import asyncio
import json
from typing import Any

from pydantic import BaseModel

from agents import Retry
from agents.testing import Reply

AT_ONCE = Retry(wait=0)


def calling(name: str, /, **args: Any) -> Reply:
    return Reply(tool_calls=[{"name": name, "args": args, "id": "call_1"}])


def answer(state: Any) -> tuple[str, str]:
    return state["status"], state["messages"][-1].text


async def weather(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0)
    return f"sunny in {city}"


class City(BaseModel):
    name: str
    people: int


ROME = {"name": "Rome", "people": 3}
JSON = json.dumps(ROME)
