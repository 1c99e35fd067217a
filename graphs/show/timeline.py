"""The timeline of a run as text: who worked when, to scale, with the critical path marked, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.usage import Tokens, Usage
from graphs.steps import StepRecord, critical_path

CRITICAL, OTHER = "█", "▒"
"""How work on the critical path is drawn, and all other work."""

_LABEL = 18
_WORKER = 14
_SECONDS = 11
_FATE = 9
"""Columns of the step, its worker, and after the bars its seconds and what became of it."""
_LEAST_BAR = 10
_INVISIBLE = 0.05
"""Seconds; a phase that was shorter has no line."""
_ASCII = str.maketrans({CRITICAL: "#", OTHER: "=", "…": "~"})


@dataclass(frozen=True)
class Span:
    """One stretch of work: who did what from when to when (seconds since the epoch)."""

    label: str
    worker: str
    started: float | None
    ended: float | None
    fate: str = ""
    """What became of it, unless it was completed."""
    critical: bool = False


def spans(records: Mapping[str, StepRecord], now: float) -> list[Span]:
    """Return the stretches of work of some steps in the order they began; steps that never began come last."""
    critical = set(critical_path(records))
    made = [
        Span(
            one["id"],
            one["answered_by"] or one["agent"],
            one["started"],
            now if one["started"] is not None and one["ended"] is None else one["ended"],
            {"completed": "", "running": "stopped", "pending": "not begun"}.get(one["status"], one["status"]),
            one["id"] in critical,
        )
        for one in records.values()
    ]
    return sorted(made, key=lambda span: (span.started is None, span.started or 0))


def around(phases: Iterable[tuple[str, float, float | None]], workers: Mapping[str, str], now: float) -> list[Span]:
    """Return what the pattern itself worked at (planning, answering), of the phases (name, start, end) it went through.

    Nothing else goes on meanwhile, so it is all on the critical path.
    """
    return [
        Span(name, workers[name], started, ended or now, critical=True)
        for name, started, ended in phases
        if name in workers and (ended or now) - started >= _INVISIBLE
    ]


def lines(spans: Sequence[Span], began: float, ended: float, width: int) -> list[str]:
    """Draw one line per span, the whole run across the bars' column."""
    label = min(_LABEL, max((len(span.label) for span in spans), default=0))
    worker = min(_WORKER, max((len(span.worker) for span in spans), default=0))
    cells = max(_LEAST_BAR, width - label - worker - _SECONDS - _FATE - 4)
    drawn = ((span, bar(span, began, ended, cells)) for span in spans)
    return [
        f"{_cut(span.label, label)}  {_cut(span.worker, worker)}  {drawing}{_fate(span)}".rstrip()
        for span, drawing in drawn
    ]


def bar(span: Span, began: float, ended: float, cells: int) -> str:
    """Draw a span to scale in so many cells, at least one of them filled; blank if it never began."""
    if span.started is None or span.ended is None:
        return " " * cells
    scale = cells / max(ended - began, 1e-9)
    first = min(cells - 1, max(0, int((span.started - began) * scale)))
    last = min(cells, max(first + 1, round((span.ended - began) * scale)))
    return " " * first + (CRITICAL if span.critical else OTHER) * (last - first) + " " * (cells - last)


def _fate(span: Span) -> str:
    if span.started is None or span.ended is None:
        return f"{'':{_SECONDS}}{span.fate}"
    return f" {span.ended - span.started:6.1f} s  {span.fate}"


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
