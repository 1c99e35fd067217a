"""The report of a run as one HTML page: no script, nothing loaded from elsewhere, texts of models escaped."""

from datetime import datetime

from agents.usage import plausible
from graphs.show import svg
from graphs.show.markup import html_of, render
from graphs.show.run_summary import RunSummary
from graphs.show.tables import costs, decisions, table_of
from graphs.show.wording import Record, one_line

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
    seconds = result.get("seconds")
    return render(
        "page.html.j2",
        summary=summary,
        heading=one_line(summary.request, _LONGEST_HEADING) or "A run without a request",
        result=result,
        started=_started(result),
        worked=seconds if isinstance(seconds, int | float) else None,
        usage=plausible(result.get("usage")),
        answer=html_of(summary.answer),
        timelines=[svg.timeline(summary, width) for width in (svg.WIDTH, _PHONE)],
        graphs=[svg.steps(summary, in_a_row) for in_a_row in (_WIDE, _NARROW)],
        decisions=decisions(result),
        errors=table_of("errors", result.get("errors")),
        costs=costs(summary) if summary.costs else None,
    )


def _started(result: Record) -> str:
    try:
        return f"{datetime.fromisoformat(result['started']).astimezone():%d %B %Y, %H:%M}"
    except (KeyError, TypeError, ValueError):
        return ""
