"""Pictures of graphs and runs as SVG; one palette serves notebook, page and README.

A graph has layers from top to bottom, few boxes in a row, and lines that pass no box:
graph -> rows, by the longest way from a start -> lanes for long lines -> order, by the rows around -> places
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

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
_LANE = 0.2
"""Width of the lane that a line takes between boxes, in boxes."""
_SWEEPS = 3

Point = tuple[float, int]
"""x in boxes from the left (the centre), y in rows from the top."""
_Key = tuple[str, int]
"""A box in its row, or in a row above it the lane of all lines that end at the box."""


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
    boxes, lines, across, rows = _placed(above, in_a_row)
    order = sorted(arrows, key=lambda ends: arrows[ends].critical)
    return render(
        "graph.svg.j2",
        width=max(across, 1) * _COLUMN + 2 * _MARGIN,
        height=(rows - 1) * _ROW + _HIGH + 2 * _MARGIN,
        box=(_WIDE, _HIGH),
        in_a_row=in_a_row,
        lines=[(_path(lines[ends]), arrows[ends], *map(shape_of.__getitem__, ends)) for ends in order],
        shapes=[(shape, *_pixels(boxes[name])) for name, shape in shape_of.items()],
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


class _Grid(NamedTuple):
    """Boxes and lanes by rows, and what their lines lead to."""

    rows: list[list[_Key]]
    above: dict[_Key, list[_Key]]
    below: dict[_Key, list[_Key]]
    width: dict[_Key, float]


def _placed(
    graph: Mapping[str, Sequence[str]], in_a_row: int
) -> tuple[dict[str, Point], dict[tuple[str, str], tuple[Point, ...]], float, int]:
    """Arrange an acyclic graph, which maps each box to those it depends on; these come above it.

    Returns the places of boxes, those along lines by (from, to), and the width and height.
    """
    rows = [[(name, row) for name in names] for row, names in enumerate(_rows(graph, in_a_row))]
    box = {key[0]: key for row in rows for key in row}
    grid = _Grid(rows, {}, {}, dict.fromkeys(box.values(), 1.0))
    ways = {}
    for lower, before in graph.items():
        for upper in before:
            way = [box[upper], *((lower, row) for row in range(box[upper][1] + 1, box[lower][1] + 1))]
            ways[upper, lower] = way
            for start, end in pairwise(way):
                _join(grid, start, end)
    x = min((_spread(grid, backwards) for backwards in (False, True)), key=lambda x: _crossings(grid, x))
    left = min((x[key] - grid.width[key] / 2 for key in x), default=0.0)
    width = max((x[key] + grid.width[key] / 2 for key in x), default=0.0) - left
    points = {key: (x[key] - left, key[1]) for key in x}
    lines = {ends: tuple(points[key] for key in way) for ends, way in ways.items()}
    return {name: points[key] for name, key in box.items()}, lines, width, len(rows)


def _join(grid: _Grid, upper: _Key, lower: _Key) -> None:
    """Lead a line to the next row, where a lane begins unless there is one, or the box."""
    if lower not in grid.width:
        grid.width[lower] = _LANE
        grid.rows[lower[1]].append(lower)
    if lower not in grid.below.setdefault(upper, []):
        grid.below[upper].append(lower)
        grid.above.setdefault(lower, []).append(upper)


def _rows(graph: Mapping[str, Sequence[str]], in_a_row: int) -> list[list[str]]:
    """Return the layers, each on as many rows as it needs, boxes below what they depend on."""
    layers: dict[int, list[str]] = {}
    depth: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        depth[name] = 1 + max((depth[other] for other in graph[name]), default=-1)
        layers.setdefault(depth[name], []).append(name)
    rows: list[list[str]] = []
    where: dict[str, float] = {}
    number_of = {name: number for number, name in enumerate(graph)}
    for _, layer in sorted(layers.items()):
        layer.sort(key=lambda name: (fmean([where[other] for other in graph[name]] or [0]), number_of[name]))
        where |= {name: (place + 0.5) / len(layer) for place, name in enumerate(layer)}
        needed = -(-len(layer) // in_a_row)
        ends = [len(layer) * number // needed for number in range(needed + 1)]
        rows += [layer[start:end] for start, end in pairwise(ends)]
    return rows


def _spread(grid: _Grid, backwards: bool) -> dict[_Key, float]:
    """Give each box and lane its x: in the order and close to the middle of its neighbours, so that few lines cross."""
    rows = [row[::-1] if backwards else [*row] for row in grid.rows]
    x = {key: place - len(row) / 2 for row in rows for place, key in enumerate(row)}
    for near, ordered in [(grid.above, rows), (grid.below, rows[::-1])] * _SWEEPS:
        for row in ordered:
            wanted = {key: fmean([x[other] for other in near.get(key, [key])]) for key in row}
            row.sort(key=wanted.__getitem__)
            x |= _packed({key: wanted[key] for key in row}, grid.width)
    return x


def _crossings(grid: _Grid, x: Mapping[_Key, float]) -> int:
    crossings = 0
    for row in grid.rows:
        ends: list[float] = []
        for upper in sorted(row, key=x.__getitem__):
            for end in sorted(x[lower] for lower in grid.below.get(upper, ())):
                crossings += len(ends) - bisect_right(ends, end)
                insort(ends, end)
    return crossings


def _packed(wanted: Mapping[_Key, float], width: Mapping[_Key, float]) -> dict[_Key, float]:
    """Put the boxes of a row in their order, as close to where they want to be as the room allows."""
    centres: dict[_Key, float] = {}
    left = -math.inf
    for key, wish in wanted.items():
        centres[key] = max(wish, left + width[key] / 2)
        left = centres[key] + width[key] / 2
    shift = fmean([wanted[key] - centres[key] for key in wanted]) if wanted else 0.0
    return {key: centre + shift for key, centre in centres.items()}
