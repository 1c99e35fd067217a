"""The report of a run as one HTML page: no script, nothing loaded from elsewhere, texts of models escaped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agents.runtime import plausible
from graphs.show import svg
from graphs.show.markup import html_of, render
from graphs.show.run_summary import RunSummary, text
from graphs.show.tables import costs, decisions, table_of
from graphs.show.wording import Record, duration, look, one_line

_LONGEST_HEADING = 90
_WIDE, _NARROW = 5, 2
"""Boxes in a row on wide screens and on phones."""
_PHONE = 340
"""Pixels of a timeline on a phone."""


def page(result: Record) -> str:
    """Return the report of any graph's result, finished or waiting for a person, as one HTML page.

    A stored run's `thread_id`, `pattern`, `started` and `questions` are shown too.
    """
    summary = RunSummary.of(result)
    return render(
        "page.html.j2",
        summary=summary,
        heading=one_line(summary.request, _LONGEST_HEADING) or "A run without a request",
        origin=[part for part in ("Podium", *_origin(result)) if part],
        stop_reason=text(result.get("stop_reason")),
        facts=list(_facts(result, summary)),
        answer=html_of(summary.answer),
        timelines=[svg.timeline(summary, width) for width in (svg.WIDTH, _PHONE)],
        graphs=[svg.steps(summary, in_a_row) for in_a_row in (_WIDE, _NARROW)],
        decisions=decisions(result),
        errors=table_of("errors", result.get("errors")),
        costs=costs(summary) if summary.costs else None,
        tone=look(summary.status).tone,
    )


def _origin(result: Record) -> Iterator[str]:
    yield text(result.get("pattern"))
    yield f"run {result['thread_id']}" if result.get("thread_id") else ""
    try:
        yield f"{datetime.fromisoformat(result['started']).astimezone():%d %B %Y, %H:%M}"
    except (KeyError, TypeError, ValueError):
        return


def _facts(result: Record, summary: RunSummary) -> Iterator[tuple[str, str]]:
    if isinstance(seconds := result.get("seconds"), int | float):
        yield "worked", duration(seconds)
    if summary.timed:
        yield "first to last", duration(summary.ended - summary.began)
    if summary.has_steps:
        yield "steps done", f"{sum(step.status == 'completed' for step in summary.steps)} of {len(summary.steps)}"
    usage = plausible(result.get("usage"))
    for name, key in (("model calls", "calls"), ("tokens read", "input_tokens"), ("tokens written", "output_tokens")):
        if number := usage[key]:  # type: ignore[literal-required]
            yield name, f"{number:,}"
    if "cost" in usage:
        yield "cost", f"{usage['cost']:.4g}"
