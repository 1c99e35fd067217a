"""The steps of a run in full: what each was told, what it gave, what went wrong in it; folded up in the HTML report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agents.runtime import COUNTS
from graphs.show.course import Course, clock
from graphs.show.html_pictures import marked
from graphs.show.html_tags import Html, fields, joined, tag
from graphs.show.items import DONE, Item, mapping, text

_BAND = 50
"""Steps of a long run that are folded up together."""


def details(course: Course, links: Mapping[str, str]) -> Html:
    """Return all steps; `links` are the names by which they are reached, by id."""
    shown = [_detail(one, course, links) for one in course.items]
    if len(shown) <= _BAND:
        return joined(shown)
    bands = range(0, len(shown), _BAND)
    return joined(_band(course.items[start : start + _BAND], shown[start : start + _BAND], start) for start in bands)


def _band(items: Sequence[Item], shown: Sequence[Html], start: int) -> Html:
    fates = Counter(one.status for one in items)
    told = (part for status, count in fates.items() for part in (" · ", f"{count} ", marked(status)))
    heading = tag("b", f"{start + 1} to {start + len(items)}")
    names = tag("span", f"{items[0].id} … {items[-1].id}", class_="soft")
    summary = tag("summary", heading, names, tag("span", *list(told)[1:], class_="fate"))
    return tag("details", summary, tag("div", *shown, class_="body"))


def _detail(one: Item, course: Course, links: Mapping[str, str]) -> Html:
    """Return what is known of a step."""
    known = {
        "after": _links(one, links),
        "began": f"{one.started - course.began:.1f} s after the start" if one.started is not None else "",
        "waited for its turn": clock(one.waited) if course.has_waited(one) else "",
        "task": one.task,
        "reason" if one.status == DONE else "what was wrong": one.note,
        "result": one.result,
        "what went wrong inside": [
            _problem(told) for told in map(mapping, one.problems) if told.get("message") != one.note
        ],
        "agents inside it": {name: _tokens(mapping(cost)) for name, cost in one.inside.items() if "/" in name},
    }
    told = [clock(one.seconds)] if one.seconds is not None else []
    told += [f"{one.attempts} attempts"] if one.attempts > 1 else []
    told += [f"{one.tokens:,} tokens"] if one.tokens else []
    agent = tag("span", one.by, class_="soft") if one.by else ""
    fate = tag("span", marked(one.status), *(f" · {part}" for part in told), class_="fate")
    body = tag("div", fields(known), class_="body", id=links[one.id])
    return tag("details", tag("summary", tag("b", one.id), agent, fate), body)


def _links(one: Item, links: Mapping[str, str]) -> Html | None:
    listed = [tag("li", tag("a", name, href=f"#{links[name]}")) for name in one.after]
    return tag("ul", *listed, class_="inline") if listed else None


def _problem(told: Mapping[str, Any]) -> str:
    return f"{text(told.get('where'))}: {text(told.get('message'))}"


def _tokens(cost: Mapping[str, Any]) -> str:
    calls, read, written = (cost.get(key) or 0 for key in COUNTS)
    return f"{calls} call{'s' if calls != 1 else ''}, {read:,} tokens read, {written:,} written"
