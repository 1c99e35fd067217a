"""Agents that tests have work elsewhere: workers find them here by name."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from pydantic import BaseModel

from agents import Agent, TransientError
from agents.settings import context_of_run
from agents.testing import ScriptedModel
from graphs import Workflow


class Sum(BaseModel):
    total: int


def where(task: str) -> dict[str, Any]:
    """Name the process that does the work, and when it does it."""
    began = time.monotonic()
    time.sleep(0.2)
    return {"process": os.getpid(), "began": began, "ended": time.monotonic()}


async def double(task: str, data: dict[str, Any]) -> int:
    """Double a sum that is an object."""
    return int(data["sum"].total) * 2


def run_of(task: str, config: RunnableConfig) -> dict[str, Any]:
    """Return what an agent sees of its run."""
    context: Any = context_of_run()
    known = config["configurable"]
    return {"tenant": known.get("tenant"), "thread": known.get("thread_id"), "model": context["model"]}


def ask(task: str) -> str:
    return str(interrupt("Which one?"))


def die_once(task: str) -> str:
    """End the process unless the file that the task names is there."""
    mark = Path(task)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def busy(task: str) -> str:
    """Succeed the second time; the task names a file that counts."""
    calls = Path(task)
    calls.write_text(calls.read_text() + "." if calls.exists() else ".")
    if len(calls.read_text()) == 1:
        raise TransientError("busy, try again")
    return "done"


def broken(task: str) -> str:
    try:
        raise KeyError("shelf")
    except KeyError as error:
        raise ValueError("no such shelf") from error


def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


def clerk(task: str) -> dict[str, str]:
    return {"to": "writer", "task": "Write about chairs", "reason": "it writes"}


def calling(tool: str, **args: object) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": "1"}])


writer = Agent("writer", "Writes", model=ScriptedModel(default="Text"), examples=["Write a note"])
handing_over = calling("handoff_to_where", task="Look", reason="it looks")
paying = [calling("pay", amount=3), TransientError("gone"), TransientError("gone"), TransientError("gone")]
agents = [
    writer,
    Agent("payer", "Pays, then its model fails", tools=[pay], model=ScriptedModel(paying, repeat=True)),
    Agent("desk", "Hands over", model=ScriptedModel(default=handing_over)),
    *(where, double, run_of, ask, die_once, busy, broken, clerk),
    Workflow([{"id": "draft", "agent": "writer", "task": "Draft it"}], agents=[writer]),
]
met = {"evidence": "it is so", "met": True}
verdict = json.dumps({"criteria": {"criterion_1": met, "criterion_2": met}, "feedback": ""})
summing = [Agent("clerk", "Adds", model=ScriptedModel(default='{"total": 3}')), double]
reviewed = [writer, Agent("critic", "Reviews", model=ScriptedModel(default=verdict))]
