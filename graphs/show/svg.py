"""Pictures of graphs and runs as SVG; one palette serves notebook, page and README."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphs.show.layout import Point, place
from graphs.show.markup import render
from graphs.show.run_summary import RunSummary, Work
from graphs.show.wording import look

_WIDE, _HIGH, _COLUMN, _ROW = 136, 42, 152, 78
"""Pixels of a box, and from one box to the next."""
_MARGIN = 12
_MOST_BOXES, _MOST_BARS = 40, 60
_FIRST_BAR, _BAR_ROW, _SHORTEST_BAR = 30, 40, 3.0
"""Pixels above the first bar, from one to the next, and of the shortest."""
WIDTH = 860
"""Pixels of a timeline."""
_TICKS = 6


@dataclass(frozen=True)
class Shape:
    """A box with its name and a caption, an `end` of the graph, or a `dot` where lines meet."""

    id: str
    title: str
    caption: str = ""
    tone: str = "none"
    kind: str = "box"
    critical: bool = False


@dataclass(frozen=True)
class Arrow:
    """A line between two shapes, with a tip at one end or both; dots get no tips."""

    forward: bool = True
    back: bool = False
    dashed: bool = False
    critical: bool = False


def draw_svg(shapes: Iterable[Shape], arrows: Mapping[tuple[str, str], Arrow], in_a_row: int) -> str:
    """Draw shapes from top to bottom; the arrows, by (upper, lower), must have no circle."""
    shape_of = {shape.id: shape for shape in shapes}
    above: dict[str, list[str]] = {name: [] for name in shape_of}
    for upper, lower in arrows:
        above[lower].append(upper)
    layout = place(above, in_a_row)
    order = sorted(arrows, key=lambda ends: arrows[ends].critical)
    return render(
        "graph.svg.j2",
        width=max(layout.width, 1) * _COLUMN + 2 * _MARGIN,
        height=(layout.height - 1) * _ROW + _HIGH + 2 * _MARGIN,
        box=(_WIDE, _HIGH),
        in_a_row=in_a_row,
        lines=[(_path(layout.lines[ends]), arrows[ends], *map(shape_of.__getitem__, ends)) for ends in order],
        shapes=[(shape, *_pixels(layout.boxes[name])) for name, shape in shape_of.items()],
    )


def steps(summary: RunSummary, in_a_row: int = 5) -> str:
    """Draw the steps or turns of a run with their dependencies and status; of many the most telling."""
    shown = summary.most_telling(summary.steps, _MOST_BOXES)
    critical = {item.id: item.started or 0.0 for item in shown if item.critical}
    arrows: dict[tuple[str, str], Arrow] = {}
    for item in shown:
        before = [name for name in item.after if any(name == other.id for other in shown)]
        held_by = max((name for name in before if name in critical), key=lambda name: critical[name], default="")
        arrows |= {(name, item.id): Arrow(critical=item.critical and name == held_by) for name in before}
    return draw_svg(map(_work_box, shown), arrows, in_a_row) if arrows else ""


def _work_box(item: Work) -> Shape:
    sign, tone = look(item.status)
    status = "" if item.status == "completed" else item.status
    caption = " · ".join(part for part in (status, item.agent if item.agent != item.id else "") if part)
    return Shape(item.id, f"{sign} {item.id}", caption, tone, critical=item.critical)


def _pixels(at: Point) -> Point:
    return _MARGIN + at[0] * _COLUMN, _MARGIN + _HIGH // 2 + at[1] * _ROW


def _path(points: Sequence[Point]) -> str:
    """Lead a line from the lower edge of a box through lanes to the upper edge of another."""
    places = [*map(_pixels, points)]
    x, y = places[0]
    path = f"M{x:.0f} {y + _HIGH / 2:.0f}"
    for (x, y), (to_x, to_y) in pairwise(places):
        top, bottom = y + _HIGH / 2, to_y - _HIGH / 2
        path += f" C{x:.0f} {(top + bottom) / 2:.0f} {to_x:.0f} {(top + bottom) / 2:.0f} {to_x:.0f} {bottom:.0f}"
        path += f" V{to_y + _HIGH / 2:.0f}" if (to_x, to_y) != places[-1] else ""
    return path


def timeline(summary: RunSummary, width: int = WIDTH) -> str:
    """Draw a bar for each piece of work, to scale; of a long run the most telling work."""
    items = summary.most_telling(summary.timed, _MOST_BARS)
    if not items:
        return ""
    whole = max(summary.ended - summary.began, 1e-3)

    def bar(item: Work) -> tuple[Work, float, float]:
        start, end = (((time or 0.0) - summary.began) / whole * width for time in (item.started, item.ended))
        start = min(start, width - _SHORTEST_BAR)
        return item, start, max(_SHORTEST_BAR, end - start)

    return render(
        "timeline.svg.j2",
        width=width,
        height=_FIRST_BAR + _BAR_ROW * len(items),
        ticks=[(seconds / whole * width, seconds) for seconds in _ticks(whole)],
        bars=[*map(bar, items)],
        first_row=_FIRST_BAR,
        row=_BAR_ROW,
    )


def _ticks(whole: float) -> Iterator[float]:
    power: float = 10.0 ** math.floor(math.log10(whole / _TICKS))
    tick = next((step * power for step in (1, 2, 5) if step * power * _TICKS >= whole), 10 * power)
    yield from (number * tick for number in range(int(whole / tick * 0.97) + 1))
