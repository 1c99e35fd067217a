"""A workflow of two steps, and the threads that the tests of storages store it under."""

from typing import Any

from agents import Agent
from graphs import Step, Workflow


def echo(task: str) -> str:
    return f"{task}!"


def two_steps(*agents: Agent) -> Workflow:
    steps = [Step("one", "echo", "one"), Step("two", agents[-1].name if agents else "echo", "two", ["one"])]
    return Workflow(steps, agents=[Agent("echo", function=echo), *agents])


def config(thread: str = "t", **metadata: str) -> Any:
    return {"configurable": {"thread_id": thread}, "metadata": metadata}
