"""Steps, agents and states that the tests of workflows share."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agents import Agent, Retry
from graphs import Step, Workflow
from tests.waiting import PATIENCE, until

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


class Counter:
    """Counts how many calls are at work at once, of which none ends before as many as expected were, and all calls."""

    def __init__(self, expected: int = 1) -> None:
        self.expected = expected
        self.now = self.peak = self.calls = 0
        self._lock = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.calls += 1
            self.peak = max(self.peak, self.now)
        yield
        with self._lock:
            self.now -= 1

    def blocking(self, task: str) -> str:
        with self.working():
            until(lambda: self.peak >= self.expected)
            time.sleep(0.005)  # for more than are allowed
        return f"{task} is done"

    async def waiting(self, task: str) -> str:
        with self.working():
            async with asyncio.timeout(PATIENCE):
                while self.peak < self.expected:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.005)
        return f"{task} is done"
