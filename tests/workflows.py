"""Steps, agents and states that the tests of workflows share."""

import asyncio
import json
import threading
from typing import Any

from agents import Agent, Retry
from graphs import Step, Workflow
from tests.waiting import PATIENCE

ASK = {"messages": "the request"}
AT_ONCE = Retry(wait=0)
THREAD = {"configurable": {"thread_id": "1"}}


def fail(task: str) -> str:
    raise ValueError(f"cannot do {task!r}")


ECHO = Agent("echo", function=lambda task: task)
CONTEXT = Agent("context", function=lambda task, context: context or "nothing")
FAIL = Agent("fail", function=fail)
LIST = Agent("list", function=lambda task: json.loads(task))


def step(id: str, *dependencies: str, agent: str = "echo", task: str = "", **more: Any) -> Step:  # noqa: A002
    return Step(id, agent, task or f"do {id}", dependencies, **more)


def graph_of(*steps: Step, agents: Any = (), **options: Any) -> Any:
    checkpointer = options.pop("checkpointer", None)
    team = {item.name: item for item in (ECHO, CONTEXT, FAIL, LIST, *agents)}
    return Workflow(steps, agents=team.values(), **options).compile(checkpointer)


def field(state: Any, name: str) -> dict[str, Any]:
    return {key: record[name] for key, record in state["steps"].items()}


def statuses(state: Any) -> str:
    return " ".join(f"{key}:{status}" for key, status in field(state, "status").items())


MANY = 40
"""More than the threads of an event loop's default pool, on any machine."""


def meeting(number: int) -> tuple[Any, Any]:
    """Make a function and an async function that return when so many calls are at work at once."""
    together = threading.Barrier(number, timeout=PATIENCE)
    arrived: list[str] = []
    all_arrived = asyncio.Event()

    def wait(task: str) -> str:
        together.wait()
        return task

    async def wait_async(task: str) -> str:
        arrived.append(task)
        if len(arrived) == number:
            all_arrived.set()
        await asyncio.wait_for(all_arrived.wait(), PATIENCE)
        return task

    return wait, wait_async
