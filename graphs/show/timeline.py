"""The timeline of a run as text: who worked when, to scale, with the critical path marked, and what it cost."""

from __future__ import annotations

from agents.runtime import Tokens, Usage
from graphs.show.course import STEPS, Course, Gap
from graphs.show.items import DONE, Item

CRITICAL, OTHER, IDLE = "█", "▒", "·"
"""How work on the critical path is drawn, all other work, and times without any."""

_LABEL = 18
_WORKER = 14
_SECONDS = 11
_FATE = 9
"""Columns of the step, its worker, and after the bars its seconds and what became of it."""
_LEAST_BAR = 10
_ASCII = str.maketrans({CRITICAL: "#", OTHER: "=", IDLE: ".", "…": "~"})


def lines(course: Course, began: float, ended: float, width: int) -> list[str]:
    """Draw one line for each piece of work and each gap, the whole run across the bars' column; none without times."""
    if course.unit != STEPS and not course.timed:
        return []
    parts: list[Item | Gap] = [*course.timed, *course.gaps]
    parts.sort(key=lambda one: one.started or 0)
    parts += [one for one in course.items if one.started is None]
    label = min(_LABEL, max((len(_label(one)) for one in parts), default=0))
    worker = min(_WORKER, max((len(_worker(one)) for one in parts), default=0))
    cells = max(_LEAST_BAR, width - label - worker - _SECONDS - _FATE - 4)
    heads = (f"{_cut(_label(one), label)}  {_cut(_worker(one), worker)}" for one in parts)
    drawn = (f"{bar(one, began, ended, cells)}{_fate(one)}" for one in parts)
    return [f"{head}  {rest}".rstrip() for head, rest in zip(heads, drawn, strict=True)]


def bar(part: Item | Gap, began: float, ended: float, cells: int) -> str:
    """Draw a stretch to scale in so many cells, at least one of them filled; blank if it never began."""
    if part.started is None or part.ended is None:
        return " " * cells
    scale = cells / max(ended - began, 1e-9)
    first = min(cells - 1, max(0, int((part.started - began) * scale)))
    last = min(cells, max(first + 1, round((part.ended - began) * scale)))
    fill = IDLE if isinstance(part, Gap) else CRITICAL if part.critical else OTHER
    return " " * first + fill * (last - first) + " " * (cells - last)


def _label(part: Item | Gap) -> str:
    return part.words if isinstance(part, Gap) else part.name


def _worker(part: Item | Gap) -> str:
    return "" if isinstance(part, Gap) else part.agent


def _fate(part: Item | Gap) -> str:
    told = "" if isinstance(part, Gap) or part.status == DONE else part.status
    if part.started is None or part.ended is None:
        return f"{'':{_SECONDS}}{told}"
    return f" {part.ended - part.started:6.1f} s  {told}"


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def cost(usage: Usage) -> list[str]:
    """Say what a run cost: in all, then by agent if there were several."""
    if not usage["calls"]:
        return ["No model answered."]
    if len(usage["agents"]) < 2:
        return [tokens(usage)]
    name = max(len(name) for name in usage["agents"])
    return [tokens(usage), *(f"  {one:<{name}}  {tokens(spent)}" for one, spent in usage["agents"].items())]


def tokens(spent: Tokens) -> str:
    """Say how many calls and tokens."""
    calls = "call " if spent["calls"] == 1 else "calls"
    return f"{spent['calls']:>3} {calls} {spent['input_tokens']:>7,} tokens read {spent['output_tokens']:>6,} written"


def in_ascii(text: str) -> str:
    """Draw the same with characters that every terminal has."""
    return text.translate(_ASCII)
