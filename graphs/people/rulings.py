"""What a person rules on work that was not accepted: accept it, edit it, have it tried again, or abort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from agents.assignment import Assignment
from agents.runtime import Effects, SyncAsyncRunnable, Usage, clean_data, no_usage
from graphs.people.questions import ask_person

PEOPLE_MAY = ("accept", "edit", "retry", "abort")
BEST = "the best version so far"


class Ruling(TypedDict, total=False):
    """What became of work that was not accepted."""

    type: str
    """`accept`, `edit`, `retry` or `abort`."""
    text: str
    """The edited work."""
    feedback: str
    """What to do differently when it is tried again."""
    usage: Usage


class AskPerson(SyncAsyncRunnable[Assignment, Ruling]):
    """Interrupts the run with the case, and asks again until the answer can be used.

    Resume with `{"type": "accept"}`, `{"type": "edit", "text": …}`, `{"type": "retry", "feedback": …}` or
    `{"type": "abort"}`.
    """

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Ruling:
        """Return what the person ruled."""
        case = {"question": "Accept this work?", "task": value["task"], **value["context"]}
        may = [one for one in PEOPLE_MAY if one != "accept" or BEST in value["context"]]
        note = None
        while True:
            said = clean_data(ask_person({**case, "answers": may, **({"note": note} if note else {})}))
            ruling: Any = {"type": said} if isinstance(said, str) else said
            note = unusable(ruling, may)
            if note is None:
                kept = {key: ruling[key] for key in ("type", "text", "feedback") if key in ruling}
                return cast(Ruling, {**kept, "usage": no_usage()})


def unusable(ruling: Any, may: Sequence[str] = PEOPLE_MAY) -> str | None:
    """Return what a ruling lacks, in one sentence; None if it can be used."""
    kind = ruling.get("type") if isinstance(ruling, dict) else None
    if kind not in may:
        return f"Answer with a 'type' of {', '.join(may)}."
    needed = {"edit": "text", "retry": "feedback"}.get(str(kind))
    given = ruling.get(needed) if needed else None
    if needed and not (isinstance(given, str) and given.strip()):
        return f"An answer of type {kind!r} needs {needed!r}, a text."
    return None
