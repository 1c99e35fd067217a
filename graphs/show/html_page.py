"""The HTML report: one page with everything in it, no script, and no address outside of it.

Texts of models are data: `html_tags` escapes them, and addresses in them are no links.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from graphs.show import html_pictures as pictures
from graphs.show.conversation import Conversation, questions
from graphs.show.course import STEPS, Course, clock, spent
from graphs.show.html_decisions import decisions
from graphs.show.html_steps import details
from graphs.show.html_tags import Html, joined, said, section, style, table, tag, tree
from graphs.show.items import DONE, listed, mapping, text

GENERATOR = "Podium"
"""What the page names as its maker; by it a report is known from other files."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_LONGEST_HEADING = 90
_LOOKS = {
    "completed": ("completed", "✓"),
    "failed": ("failed", "✗"),
    "partial": ("back", "◐"),
    "escalated": ("back", "↑"),
    "needs_input": ("waits", "?"),
}
"""By the run's status: how it is shown."""
_OTHERWISE = ("stopped", "■")
_PATTERNS = {
    "triage": "orchestrator",
    "route": "router",
    "plan_attempts": "planner",
    "revisions": "supervisor",
    "handoffs": "network",
    "steps": "workflow",
}
"""The first key that a result has tells its pattern."""


def page(result: Mapping[str, Any], title: str | None) -> str:
    """Return the report of a result as one HTML page."""
    if questions(result):
        result = {**result, "status": "needs_input"}
    conversation = Conversation.of(result)
    heading = title or _short(conversation.request) or "A run without a request"
    course = Course.of(result)
    sections = list(_sections(result, course, conversation, heading))
    body = (
        _header(result, course, heading, [name for name, _ in sections]),
        tag("main", *(section(name, content) for name, content in sections)),
        tag("footer", "Made by Podium from what the run has recorded. What models wrote stands as they wrote it."),
    )
    return f"<!doctype html>\n{tag('html', _head(heading), tag('body', *body), lang='en')}\n"


def is_report(text: str) -> bool:
    """Tell whether a text is such a page."""
    return str(tag("meta", name="generator", content=GENERATOR)) in text


def _head(heading: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=GENERATOR),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="format-detection", content="telephone=no, date=no, address=no, email=no"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", heading),
        style(Path(__file__).with_name("report.css").read_text(encoding="utf-8")),
    )


def _sections(
    result: Mapping[str, Any], course: Course, conversation: Conversation, heading: str
) -> Iterator[tuple[str, Html]]:
    """Yield the parts of the page that have content, by heading."""
    if conversation.before or conversation.request.strip() not in ("", heading):
        yield "Request", joined([said(conversation.request), _earlier(conversation.before)])
    asked = questions(result)
    if conversation.answer:
        ended = not asked and result.get("status") not in ("running", "stopped")
        question = result.get("status") == "needs_input"
        yield "So far" if not ended else "Question to you" if question else "Answer", said(conversation.answer)
    if asked:
        yield "Waits for", joined(map(tree, asked))
    links = {one.id: f"step-{number}" for number, one in enumerate(course.items, 1)}
    if course.items:
        yield "Timeline", pictures.timeline(course)
    if any(one.after for one in course.items):
        yield "Dependencies" if course.unit == STEPS else "Course", pictures.graph(course, links)
    if decided := list(decisions(result)):
        yield "Decisions", joined(decided)
    if errors := [mapping(one) for one in listed(result.get("errors"))]:
        rows = [(text(one.get("where")), text(one.get("kind")), said(one.get("message"))) for one in errors]
        yield "Errors", table(("where", "kind", "message"), rows)
    if costs := spent(result, course):
        yield "Cost by agent", pictures.costs(costs, _total(result))
    if course.items:
        yield course.unit.capitalize(), details(course, links)


def _total(result: Mapping[str, Any]) -> dict[str, int | float]:
    told = {**mapping(result.get("usage")), "seconds": result.get("seconds")}
    return {key: value for key, value in told.items() if isinstance(value, int | float)}


def _header(result: Mapping[str, Any], course: Course, heading: str, names: Sequence[str]) -> Html:
    pattern = text(result.get("pattern")) or next((name for key, name in _PATTERNS.items() if key in result), "")
    told = [GENERATOR, pattern, f"run {result['thread_id']}" if result.get("thread_id") else "", _when(result)]
    status = text(result.get("status")) or "unfinished"
    look, mark = _LOOKS.get(status, _OTHERWISE)
    pill = tag("span", f"{mark} {status.replace('_', ' ')}", class_=f"pill {look}")
    facts = (tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(result, course))
    contents = [tag("a", name, href=f"#{name.lower().replace(' ', '-')}") for name in names]
    return tag(
        "header",
        tag("p", " · ".join(filter(None, told)), class_="origin"),
        tag("h1", heading),
        tag("div", pill, tag("span", result.get("stop_reason")), class_="verdict"),
        tag("dl", *facts, class_="facts"),
        tag("nav", *contents, aria_label="Contents") if len(contents) > 1 else "",
    )


def _facts(result: Mapping[str, Any], course: Course) -> Iterator[tuple[str, str]]:
    total = _total(result)
    if "seconds" in total:
        yield "worked", clock(total["seconds"])
    if course.timed:
        yield "first to last", clock(course.ended - course.began)
    if course.unit == STEPS:
        done = sum(one.status == DONE for one in course.items)
        yield "steps done", f"{done} of {len(course.items)}"
    if total.get("calls"):
        yield "model calls", f"{total['calls']:,}"
        yield "tokens read", f"{total.get('input_tokens', 0):,}"
        yield "tokens written", f"{total.get('output_tokens', 0):,}"
    if total.get("cost"):
        yield "cost", f"{total['cost']:.4g}"
    if errors := listed(result.get("errors")):
        yield "errors", str(len(errors))


def _when(result: Mapping[str, Any]) -> str:
    try:
        return f"{datetime.fromisoformat(result['started']).astimezone():%d %B %Y, %H:%M}"
    except (KeyError, TypeError, ValueError):
        return ""


def _short(words: str) -> str:
    """Return a text as a heading."""
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST_HEADING else line[: _LONGEST_HEADING - 1] + "…"


def _earlier(before: Sequence[tuple[str, str]]) -> Html | None:
    if not before:
        return None
    told = [part for who, words in before if words for part in (tag("dt", who), tag("dd", said(words)))]
    count = f"{len(before)} earlier message{'s' if len(before) > 1 else ''} of this conversation"
    listing = tag("div", tag("dl", *told, class_="fields"), class_="body")
    return tag("details", tag("summary", count), listing)
