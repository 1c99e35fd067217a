"""Words and signs of a run for people: status, durations, counts, and the text of others on one line."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text

from agents.runtime import reads_foreign_text, visible

SENT_BACK, STOPPED, WAITING = "sent back", "stopped", "waits for you"
"""Statuses of work that no record has: rejected by a reviewer, cut short, and a question to a person."""


class Look(NamedTuple):
    """How every output shows a status: a sign, so that colours are not needed, and a tone of the palette."""

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
