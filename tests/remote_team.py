"""Agents that tests have work elsewhere: workers find them here by name."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from pydantic import BaseModel

from agents import Agent, TransientError
from agents.runtime import is_cancelled
from agents.settings import context_of_run
from agents.testing import ScriptedModel
from graphs import Workflow
from tests.waiting import until


class Sum(BaseModel):
    total: int


def where(task: str) -> dict[str, int]:
    """Name the process that does the work."""
    return {"process": os.getpid()}


def meet(task: str) -> int:
    """Return the process once two are at work at a time; the task names their folder."""
    Path(task, str(os.getpid())).touch()
    until(lambda: len(os.listdir(task)) >= 2)
    return os.getpid()


def keep_notes(file: str) -> None:
    """Have this process write its notes into a file."""
    os.environ["PODIUM_NOTES"] = file


def until_there(file: str) -> None:
    """Wait for a file."""
    until(Path(file).exists)


def note(text: str) -> str:
    """Write a line into the file that PODIUM_NOTES names."""
    with Path(os.environ["PODIUM_NOTES"]).open("a") as file:
        file.write(f"{text}\n")
    return text


def until_cancelled(config: RunnableConfig) -> str:
    """Wait until the work is cancelled."""
    note("at work")
    until(lambda: is_cancelled(config))
    return note("cancelled")


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
held_up = [calling("until_cancelled"), calling("note", text="after the end")]
checked: list[str] = []


def keep(text: str) -> None:
    """Check an answer; it passes."""
    checked.append(text)


agents = [
    writer,
    Agent("checked", function=str.upper, checks=[keep]),
    Agent("patient", "Waits", tools=[until_cancelled, note], model=ScriptedModel(held_up)),
    Agent("payer", "Pays, then its model fails", tools=[pay], model=ScriptedModel(paying, repeat=True)),
    Agent("desk", "Hands over", model=ScriptedModel(default=handing_over)),
    *(where, meet, note, double, run_of, ask, die_once, busy, broken, clerk),
    Workflow([{"id": "draft", "agent": "writer", "task": "Draft it"}], agents=[writer]),
]
met = {"evidence": "it is so", "met": True}
verdict = json.dumps({"criteria": {"criterion_1": met, "criterion_2": met}, "feedback": ""})
summing = [Agent("clerk", "Adds", model=ScriptedModel(default='{"total": 3}')), double]
reviewed = [writer, Agent("critic", "Reviews", model=ScriptedModel(default=verdict))]
