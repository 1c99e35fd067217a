"""What was decided in a run, as tables: the triage, the route, the plan, reviews, rulings and handoffs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphs.show.html_pictures import marked
from graphs.show.html_tags import Html, fields, joined, said, table, tag
from graphs.show.items import FAILED, MARKS, SENT_BACK, listed, mapping, text


def decisions(result: Mapping[str, Any]) -> Iterator[Html]:
    """Yield what there is of each kind, under a heading."""
    parts = {
        "Triage": _triage(mapping(result.get("triage"))),
        "Route": _route(mapping(result.get("route")), result),
        "Plan": _plan(result),
        "Reviews": joined(_review(mapping(one)) for one in listed(result.get("reviews"))),
        "Ruling of a person": _ruling(mapping(result.get("ruling"))),
        "Handoffs": _handoffs(result),
        "What was said": _said(result),
    }
    for title, content in parts.items():
        if content:
            yield tag("h3", title)
            yield content


def _triage(triage: Mapping[str, Any]) -> Html | None:
    if not triage:
        return None
    goes = f"small: to {text(triage.get('agent'))}" if triage.get("small") else "large: to a plan"
    return fields({"decision": goes, "reason": triage.get("reason")})


def _route(route: Mapping[str, Any], result: Mapping[str, Any]) -> Html | None:
    if not route:
        return None
    chosen = [text(one) for one in listed(route.get("chosen"))]
    replies = {text(one.get("agent")): one for one in map(mapping, listed(result.get("replies")))}
    candidates = {text(one.get("agent")): one for one in map(mapping, listed(route.get("candidates")))}
    rows = []
    for name in dict.fromkeys([*candidates, *chosen]):
        sure = mapping(candidates.get(name)).get("confidence")
        place = f"asked, number {chosen.index(name) + 1}" if name in chosen else "not asked"
        fate = replies.get(name)
        status = "" if fate is None else marked(FAILED) if fate.get("text") is None else _status(fate)
        rows.append((name, f"{sure:.0%}" if isinstance(sure, int | float) else "", place, status))
    about = {
        "reason": route.get("reason"),
        "decided by": route.get("decided_by"),
        "least confidence wanted": f"{route['threshold']:.0%}"
        if isinstance(route.get("threshold"), int | float)
        else "",
    }
    listing = table(("candidate", "confidence", "what was done", "what came of it"), rows)
    return joined([listing, fields(about)])


def _status(reply: Mapping[str, Any]) -> Html | str:
    status = text(reply.get("status"))
    return marked(status) if status in MARKS else status


def _plan(result: Mapping[str, Any]) -> Html | None:
    plan = [mapping(one) for one in listed(result.get("plan"))]
    about = {
        "new plans after failures": result.get("replans") or None,
        "what was wrong with it": result.get("flaws"),
        "why a person rejected it": result.get("feedback"),
    }
    if not plan and not any(about.values()):
        return None
    rows = [
        (
            text(one.get("id")),
            text(one.get("agent")),
            said(one.get("task")),
            ", ".join(map(text, listed(one.get("dependencies")))),
        )
        for one in plan
    ]
    return joined([table(("step", "agent", "task", "after"), rows), fields(about)])


def _review(review: Mapping[str, Any]) -> Html:
    good = bool(review.get("acceptable"))
    verdict = tag("b", "✓ accepted", class_="met") if good else marked(SENT_BACK)
    score = review.get("score")
    about = [f" by {text(review.get('by')) or 'the reviewer'}"]
    about += [f", {score:.0%} of the criteria met"] if isinstance(score, int | float) else []
    rows = [
        (
            said(one.get("criterion")),
            tag("span", "✓ met", class_="met") if one.get("met") else tag("span", "✗ not met", class_="unmet"),
            said(one.get("evidence")),
        )
        for one in map(mapping, listed(review.get("criteria")))
    ]
    revision = review.get("revision")
    heading = f"Version {revision + 1}: " if isinstance(revision, int) else ""
    told = joined([table(("criterion", "verdict", "evidence"), rows), fields({"feedback": review.get("feedback")})])
    summary = tag("summary", tag("span", heading, verdict, *about, class_="fate-line"))
    return tag("details", summary, tag("div", told, class_="body"), open=None if good else "")


def _ruling(ruling: Mapping[str, Any]) -> Html | None:
    told = {key: value for key, value in ruling.items() if key != "usage"}
    return fields(told) if any(told.values()) else None


def _handoffs(result: Mapping[str, Any]) -> Html | None:
    handed = [mapping(one) for one in listed(result.get("handoffs"))]
    if not handed:
        return None
    rows = []
    for number, one in enumerate(handed, 1):
        others = ", ".join(text(mapping(other).get("to")) for other in listed(one.get("ignored")))
        fate = (
            tag("span", "✗ refused: ", text(one["refused"]), class_="unmet")
            if one.get("refused")
            else tag("span", "✓ followed", class_="met")
        )
        way = f"{text(one.get('by'))} → {text(one.get('to'))}"
        rows.append((number, way, said(one.get("task")), said(one.get("reason")), fate, others))
    return table(("number", "from and to", "task", "reason", "what came of it", "also wished, not followed"), rows)


def _said(result: Mapping[str, Any]) -> Html | None:
    rows = [(text(one.get("by")), said(one.get("text"))) for one in map(mapping, listed(result.get("said")))]
    return table(("who", "what"), rows)
