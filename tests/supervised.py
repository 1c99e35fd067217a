"""Workers and reviewers for the tests of supervisors."""

from itertools import count
from typing import Any

from agents import Agent, Retry
from graphs import Supervisor
from tests.chat import in_turn

ASK = {"messages": "Write a haiku."}
AT_ONCE = Retry(wait=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}
GOOD = {"acceptable": True, "evidence": "It has 17 syllables."}


def bad(feedback: str = "Shorter.") -> Any:
    return {"acceptable": False, "feedback": feedback}


def part(met: int, feedback: str) -> Any:
    """Return a rejection with so many criteria of four met."""
    judged = [{"criterion": str(number), "met": number < met, "evidence": "e"} for number in range(4)]
    return {"criteria": judged, "feedback": feedback}


def worker(*replies: Any) -> Agent:
    return in_turn("writer", *replies)


def critic(*replies: Any) -> Agent:
    return in_turn("critic", *replies)


def endless() -> Agent:
    numbers = count(1)
    return Agent("writer", function=lambda task: f"draft {next(numbers)}")


def supervised(work: Agent, judge: Agent | None = None, *, checkpointer: Any = None, **options: Any) -> Any:
    return Supervisor(work, reviewer=judge, retry=AT_ONCE, **options).compile(checkpointer)


def ended(state: Any) -> tuple[str, str]:
    return state["status"], state["messages"][-1].text


def edited(text: str) -> dict[str, Any]:
    """Return a person's decision to accept the work with another text."""
    return {"type": "edit", "edited_action": {"name": "accept_work", "args": {"text": text}}}
