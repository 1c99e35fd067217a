"""The pictures of the HTML report: timeline, graph and shares, as HTML, CSS and inline SVG."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from graphs.show.course import Course, Gap, Spent, clock, telling
from graphs.show.html_tags import Html, escaped, joined, tag
from graphs.show.items import DONE, FAILED, MARKS, PENDING, SENT_BACK, SKIPPED, STOPPED, WAITING, Item
from graphs.show.layout import Box, Placed, boxes, place

CLASSES = {
    DONE: "completed",
    FAILED: "failed",
    SENT_BACK: "back",
    STOPPED: "stopped",
    WAITING: "waits",
    SKIPPED: "skipped",
    PENDING: "none",
}
MOST_LINES = 60
"""Lines of a timeline; of longer runs only the most telling."""
_TICKS = 6
_WIDE, _NARROW = 5, 2
"""Boxes in a row on wide screens and on phones."""
_UNIT, _ROW, _BOX_WIDTH, _BOX_HEIGHT = 162, 82, 148, 46
"""Pixels: distances of boxes, and their size."""
_SMALLEST = 0.8
"""To what part of its size a graph shrinks before it is scrolled."""
_TITLE, _DETAIL = 17, 21
"""Columns of text that fit into a box."""


def marked(status: str) -> Html:
    """Return what became of something, with its mark; colours alone say nothing."""
    return tag("b", f"{MARKS[status]} {status}", class_=CLASSES[status])


def timeline(course: Course) -> Html:
    """Draw who worked when: a line for each piece of work and each gap; without times the order of turns."""
    shown = telling(course.timed, MOST_LINES)
    if not shown:
        return _turns(course.items[:MOST_LINES])
    whole = max(course.ended - course.began, 1e-3)
    tick = _tick(whole)
    lines = sorted(
        chain(
            ((one.started or 0, _line(one, course, whole)) for one in shown),
            ((gap.started, _gap(gap, course.began, whole)) for gap in course.gaps),
        ),
        key=lambda line: line[0],
    )
    left = len(course.timed) - len(shown)
    never = sum(one.status in (SKIPPED, PENDING) for one in course.items)
    told = [f"{left} more {course.unit} are listed under {course.unit.capitalize()}."] if left else []
    told += [f"{never} never began."] if never else []
    told += [f"{one.id}: {one.status}." for one in course.items if one.started is None and one.status == WAITING]
    chart = tag("ol", _axis(whole, tick), *(line for _, line in lines), class_="times", style=_ticks(tick, whole))
    note = tag("p", " ".join(told), class_="soft small") if told else ""
    return joined([chart, _legend(course, shown), note])


def _tick(whole: float) -> float:
    """Return a round number of seconds of which there are a few in the whole."""
    power: float = 10.0 ** math.floor(math.log10(whole / _TICKS))
    return next((one * power for one in (1, 2, 5) if one * power * _TICKS >= whole), 10 * power)


def _ticks(tick: float, whole: float) -> str:
    return f"--tick:{100 * tick / whole:.4f}%"


def _axis(whole: float, tick: float) -> Html:
    ticks = [number * tick for number in range(int(whole / tick * 1.0001) + 1) if number * tick <= 0.96 * whole]
    shown = (tag("span", f"{one:g} s", style=f"left:{100 * one / whole:.2f}%") for one in ticks)
    cells = (tag("div", class_="who"), tag("div", *shown, class_="track"), tag("div", class_="fate"))
    return tag("li", *cells, class_="axis", aria_hidden="true")


def _stretch(kind: str, start: float, end: float, whole: float) -> Html:
    left = min(99.6, 100 * start / whole)
    return tag("i", class_=kind, style=f"left:{left:.2f}%;width:{max(0.0, 100 * (end - start) / whole):.2f}%")


def _line(one: Item, course: Course, whole: float) -> Html:
    start, end = (one.started or 0) - course.began, (one.ended or 0) - course.began
    waited = course.has_waited(one)
    kind = CLASSES[one.status] + (" critical" if one.critical else "")
    said = [clock(end - start)]
    said += [f"↻ {one.attempts} attempts"] if one.attempts > 1 else []
    said += [f"waited {clock(one.waited)}"] if waited else []
    words = f"from {start:.1f} s to {end:.1f} s{', on the critical path' if one.critical else ''}"
    bars = [_stretch("wait", start - one.waited, start, whole)] if waited else []
    bars.append(_stretch(kind, start, end, whole))
    fate = [marked(one.status), " · "] if one.status != DONE else []
    return tag(
        "li",
        _who(one),
        tag("div", *bars, class_="track", role="img", aria_label=words, title=words),
        tag("div", *fate, " · ".join(said), class_="fate"),
    )


def _who(one: Item) -> Html:
    return tag("div", one.id, tag("span", one.by) if one.by else "", class_="who")


def _gap(gap: Gap, began: float, whole: float) -> Html:
    bar = tag("div", _stretch("gap", gap.started - began, gap.ended - began, whole), class_="track", aria_hidden="true")
    who = tag("div", tag("span", gap.words), class_="who")
    return tag("li", who, bar, tag("div", clock(gap.ended - gap.started), class_="fate"))


def _turns(items: Sequence[Item]) -> Html:
    """Draw the order of turns, all of one length."""
    if not items:
        return tag("p", "Nothing has been worked at.", class_="soft")
    turns: dict[str, int] = {}
    for one in items:
        turns[one.id] = max([turns[name] + 1 for name in one.after if name in turns], default=0)
    whole = max(turns.values()) + 1
    lines = []
    for one in items:
        turn = turns[one.id]
        bar = _stretch(CLASSES[one.status], turn, turn + 0.94, whole)
        track = tag("div", bar, class_="track", role="img", aria_label=f"turn {turn + 1}")
        lines.append(tag("li", _who(one), track, tag("div", marked(one.status), class_="fate")))
    note = tag("p", "In this order; when each began is not recorded.", class_="soft small")
    return joined([tag("ol", *lines, class_="times", style=_ticks(1, whole)), note])


def _legend(course: Course, shown: Sequence[Item]) -> Html:
    drawn = {one.status for one in shown if one.status != DONE or not one.critical}
    entries = [(CLASSES[one], one) for one in MARKS if one in drawn]
    if any(one.critical for one in shown):
        entries.insert(0, ("critical", "on the critical path"))
    if any(map(course.has_waited, shown)):
        entries.append(("wait", "ready, but waited for its turn"))
    entries += [("gap", words) for words in dict.fromkeys(gap.words for gap in course.gaps)]
    return tag("ul", *(tag("li", tag("i", class_=kind), words) for kind, words in entries), class_="legend")


def graph(course: Course, links: Mapping[str, str]) -> Html:
    """Draw what depends on what, for wide and for narrow screens; a box leads to `links[its id]`."""
    made = boxes(course.items)
    if not made:
        return tag("p", "There is nothing to draw.", class_="soft")
    of = {one.id: one.after for one in made}
    drawn = [_svg(made, place(of, width), kind, links) for width, kind in ((_WIDE, "wide"), (_NARROW, "narrow"))]
    folded = len(made) < len(course.items)
    words = f"{len(course.items)} steps, drawn in groups of one status."
    return tag("div", *drawn, tag("p", words, class_="soft small") if folded else "", class_="drawing")


def _svg(made: Sequence[Box], placed: Placed, kind: str, links: Mapping[str, str]) -> Html:
    width = max(placed.width, 1) * _UNIT
    height = _top(placed.height - 1) + _BOX_HEIGHT + 4
    critical = {(upper, one.id) for one in made for upper in one.critical_after}
    lines = sorted((ends in critical, _way(points)) for ends, points in placed.lines.items())
    return tag(
        "svg",
        *(tag("path", d=way, class_="critical" if marks else None) for marks, way in lines),
        *(_box(one, *placed.at[one.id], links) for one in made),
        class_=kind,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        style=f"min-width:{_SMALLEST * width:.0f}px",
        role="group",
        aria_label=f"{len(made)} boxes: what depends on what",
    )


def _way(points: Sequence[tuple[float, int]]) -> str:
    """Lead a line from the bottom of a box, through lanes, to the top of another."""
    x, y = points[0][0] * _UNIT, _top(points[0][1]) + _BOX_HEIGHT
    way = [f"M{x:.1f} {y:.1f}"]
    for place_, row in points[1:]:
        across, top = place_ * _UNIT, _top(row)
        middle = (y + top) / 2
        way.append(f"C{x:.1f} {middle:.1f} {across:.1f} {middle:.1f} {across:.1f} {top:.1f}")
        x, y = across, top + _BOX_HEIGHT
        way.append(f"V{y:.1f}")
    return "".join(way[:-1])


def _top(row: int) -> float:
    return row * _ROW + 4


def _box(one: Box, x: float, row: int, links: Mapping[str, str]) -> Html:
    middle, top = x * _UNIT, _top(row)
    told = " · ".join(part for part in ("" if one.status == DONE else one.status, one.detail) if part)
    lift = 0 if told else 8
    words = f"{one.title}: {one.status}{', on the critical path' if one.critical else ''}"
    title = f"{MARKS[one.status]} {cut(one.title, _TITLE)}"
    drawn = tag(
        "g",
        tag("title", words),
        tag("rect", x=f"{middle - _BOX_WIDTH / 2:.1f}", y=f"{top:.1f}", width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=7),
        tag("text", title, x=f"{middle:.1f}", y=f"{top + 19 + lift:.1f}", class_="title"),
        tag("text", cut(told, _DETAIL), x=f"{middle:.1f}", y=f"{top + 36:.1f}", class_="detail"),
        class_=CLASSES[one.status] + (" critical" if one.critical else ""),
    )
    return tag("a", drawn, href=f"#{links[one.id]}") if len(one.items) == 1 and one.id in links else drawn


def cut(text: str, columns: int) -> str:
    """Shorten a text to so many columns; characters of East Asian scripts take two."""
    used = 0
    for place_, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return f"{text[: max(0, place_ - 1)]}…"
    return text


def costs(spent: Sequence[Spent], total: Mapping[str, int | float]) -> Html:
    """Draw each agent's share of the tokens, with the numbers, and the sum."""
    most = max((one.read + one.written for one in spent), default=0) or 1
    priced = any(one.cost is not None for one in spent) or "cost" in total
    head = ["agent", "calls", "tokens read", "written", "seconds", *(["cost"] if priced else [])]
    titles = [tag("th", one, scope="col", class_="number" if number else None) for number, one in enumerate(head)]
    lines = [tag("tr", *_cost_cells(one, most, priced=priced)) for one in spent]
    numbers = [total.get("calls", 0), total.get("input_tokens", 0), total.get("output_tokens", 0)]
    sums = [*(f"{int(one):,}" for one in numbers), "", *([f"{total.get('cost', 0):.4g}"] if priced else [])]
    foot = tag("tr", tag("td", "in all"), *(tag("td", one, class_="number") for one in sums))
    parts = (tag("thead", tag("tr", *titles)), tag("tbody", *lines), tag("tfoot", foot))
    drawn = tag("table", *parts, class_="counts", style=f"--columns:{len(head) - 1}")
    timed = any(one.seconds is not None for one in spent)
    note = "Agents work side by side, so their seconds do not add up to the time worked."
    return joined([drawn, tag("p", note, class_="soft small") if timed else ""])


def _cost_cells(one: Spent, most: int, *, priced: bool) -> Iterator[Html]:
    shares = (
        tag("i", class_=f"share{kind}", style=f"width:{100 * count / most:.2f}%")
        for kind, count in (("", one.read), (" of-written", one.written))
    )
    yield tag("td", one.agent, tag("div", *shares, class_="shares", aria_hidden="true") if one.calls else "")
    numbers: Iterable[str] = (f"{one.calls:,}", f"{one.read:,}", f"{one.written:,}")
    yield from (tag("td", number, class_="number") for number in numbers)
    yield tag("td", "" if one.seconds is None else f"{one.seconds:.1f}", class_="number")
    if priced:
        yield tag("td", escaped("" if one.cost is None else f"{one.cost:.4g}"), class_="number")
