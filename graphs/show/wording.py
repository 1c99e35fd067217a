"""Words and signs of a run for people: status, durations, counts, texts on one line, and the outcome of a node."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from langgraph.types import Overwrite
from rich.text import Text

from agents.runtime import reads_foreign_text, visible

Record = Mapping[str, Any]
"""Plain JSON: the update of a node, the record of a step, or the result of a run."""

SENT_BACK, STOPPED, WAITING = "sent back", "stopped", "waits for you"
"""Statuses of work that no record has: rejected by a reviewer, cut short, and a question to a person."""


class Look(NamedTuple):
    """Display of a status in every output: a sign, so that colours are not needed, and a tone of the palette."""

    sign: str
    tone: str


_LOOKS = {
    "completed": Look("✓", "done"),
    "running": Look("…", "done"),
    "partial": Look("◐", "back"),
    "failed": Look("✗", "failed"),
    SENT_BACK: Look("↩", "back"),
    "escalated": Look("↑", "back"),
    "needs_input": Look("?", "back"),
    WAITING: Look("?", "back"),
    "skipped": Look("-", "none"),
    "pending": Look("·", "none"),
}


def look(status: str) -> Look:
    """Return how a status is shown; an unknown status looks like stopped work."""
    return _LOOKS.get(status, Look("■", "stopped"))


def signed(status: str) -> str:
    """Return a status with its sign."""
    return f"{look(status).sign} {status.replace('_', ' ')}" if status else ""


@reads_foreign_text()
def one_line(text: str, most: int = 500) -> str:
    """Return the beginning of a text on one line, hidden characters made visible."""
    line = " ".join(visible(text[: 2 * most]).split())
    return line if len(line) <= most and len(text) <= 2 * most else f"{line[: most - 1]}…"


def cut(text: str, columns: int) -> str:
    """Shorten a text to so many columns; characters of East Asian scripts take two."""
    shown = Text(text)
    shown.truncate(columns, overflow="ellipsis")
    return shown.plain


def duration(seconds: float) -> str:
    """Write a duration, such as `40 ms`, `3.2 s` or `4 min 5 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def count(number: int, noun: str) -> str:
    """Write how many there are of a thing."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def update_of(result: object) -> Record:
    """Return a step's record, or a node's update without LangGraph's marks."""
    update = result.get("__return__", result) if isinstance(result, Mapping) else {}
    pairs = update.items() if isinstance(update, Mapping) else ()
    return {key: value.value if isinstance(value, Overwrite) else value for key, value in pairs}


def outcome(update: Record) -> tuple[str, str, str]:
    """Return a node's status, its decision or answer, and the agents that worked in it."""
    try:
        errors = [error for error in update.get("errors") or [] if not error.get("recovered")]
        note = _decision(update) or (errors[-1]["message"] if errors else "") or _answer(update)
        status = SENT_BACK if _is_rejection(update) else "failed" if errors else "completed"
        return status, str(note), _agents(update)
    except (AttributeError, IndexError, KeyError, TypeError):  # another graph uses a key of ours for something else
        return "completed", "", ""


def _is_rejection(update: Record) -> bool:
    reviews, handoffs = update.get("reviews"), update.get("handoffs")
    refused = handoffs and handoffs[-1].get("refused")
    return bool(update.get("flaws") or refused or (reviews and not reviews[-1]["acceptable"]))


def _decision(update: Record) -> str:
    if flaws := update.get("flaws"):
        return f"the plan is flawed: {' '.join(flaws)}"
    if triage := update.get("triage"):
        return f"{triage['agent'] if triage['small'] else 'a plan'}: {triage['reason']}"
    if handoffs := update.get("handoffs"):
        last = handoffs[-1]
        return f"refused: {last['refused']}" if last.get("refused") else f"over to {last['to']}: {last['reason']}"
    if reviews := update.get("reviews"):
        return "accepted" if reviews[-1]["acceptable"] else f"sent back: {reviews[-1]['feedback']}"
    if route := update.get("route"):
        return f"{', '.join(route['chosen']) or 'nobody'} ({route['reason']})"
    if "plan_attempts" in update and update.get("plan"):
        return ", ".join(step["id"] for step in update["plan"])
    if said := update.get("replies") or update.get("said"):
        return said[-1]["text"] or ""
    if draft := update.get("draft") or update.get("merged"):
        return str(draft["text"])
    return update.get("work") or ""


def _answer(update: Record) -> str:
    return getattr(messages[-1], "text", "") if (messages := update.get("messages")) and "status" not in update else ""


def _agents(update: Record) -> str:
    reviewed = [update["reviews"][-1]["by"]] if update.get("reviews") else []  # the checks, where they reject
    worked = [stretch.get("agent") for stretch in update.get("worked") or ()]
    booked = [name.partition("/")[0] for name in (update.get("usage") or {}).get("agents", ())]
    return ", ".join(dict.fromkeys(filter(None, reviewed or worked or booked)))
