"""Places for the boxes of a graph: layers from top to bottom, few boxes in a row, lines that pass no box.

graph -> rows, by the longest way from a start -> lanes for long lines -> order, by the rows around -> places
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf
from statistics import fmean

LANE = 0.2
"""Width of the lane that a line takes between boxes, in boxes."""
_SWEEPS = 3

Point = tuple[float, int]
Key = tuple[str, int, str]
"""A box is (id, -1, ""); a lane is (id, row, "from" or "to"), shared by lines that start, or end, at the same box."""


@dataclass(frozen=True)
class Layout:
    """The places: x in boxes from the left (the centre), y in rows from the top."""

    boxes: Mapping[str, Point]
    lines: Mapping[tuple[str, str], tuple[Point, ...]]
    """By (from, to): the boxes' places, and those of the lanes between them."""
    width: float
    height: int


@dataclass
class _Grid:
    """The boxes and lanes by rows while they are being arranged."""

    rows: list[list[Key]]
    above: dict[Key, list[Key]] = field(default_factory=dict)
    below: dict[Key, list[Key]] = field(default_factory=dict)

    def join(self, upper: Key, lower: Key) -> None:
        if lower not in self.below.setdefault(upper, []):
            self.below[upper].append(lower)
            self.above.setdefault(lower, []).append(upper)


def place(graph: Mapping[str, Sequence[str]], in_a_row: int) -> Layout:
    """Arrange an acyclic graph; it maps each box to those it depends on, which come above it."""
    rows = _rows(graph, in_a_row)
    row_of = {name: number for number, row in enumerate(rows) for name in row}
    grid = _Grid([[_box(name) for name in row] for row in rows])
    leaving = Counter(upper for before in graph.values() for upper in before)
    ways = {}
    for lower, before in graph.items():
        for upper in before:
            owner, side = (upper, "from") if leaving[upper] > len(before) else (lower, "to")
            lanes = [(owner, row, side) for row in range(row_of[upper] + 1, row_of[lower])]
            ways[upper, lower] = _join(grid, upper, lower, lanes)
    x = _spread(grid)
    left = min((x[key] - _width(key) / 2 for key in x), default=0.0)
    width = max((x[key] + _width(key) / 2 for key in x), default=0.0) - left

    def point(key: Key) -> Point:
        return x[key] - left, key[1] if key[2] else row_of[key[0]]

    boxes = {name: point(_box(name)) for name in graph}
    return Layout(boxes, {ends: tuple(map(point, way)) for ends, way in ways.items()}, width, len(rows))


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


def _join(grid: _Grid, upper: str, lower: str, lanes: Sequence[Key]) -> list[Key]:
    """Lead a line down from box to box, through lanes in the rows between them."""
    for lane in lanes:
        if lane not in grid.rows[lane[1]]:
            grid.rows[lane[1]].append(lane)
    way = [_box(upper), *lanes, _box(lower)]
    for start, end in pairwise(way):
        grid.join(start, end)
    return way


def _spread(grid: _Grid) -> dict[Key, float]:
    """Give each box and lane its x: in the order and close to the middle of its neighbours, so that few lines cross."""
    x = {key: place - len(row) / 2 for row in grid.rows for place, key in enumerate(row)}
    for near, rows in [(grid.above, grid.rows), (grid.below, grid.rows[::-1])] * _SWEEPS:
        for row in rows:
            wanted = {key: fmean([x[other] for other in near.get(key, [key])]) for key in row}
            row.sort(key=wanted.__getitem__)
            x |= _packed({key: wanted[key] for key in row})
    return x


def _packed(wanted: Mapping[Key, float]) -> dict[Key, float]:
    """Put the boxes of a row in their order, as close to where they want to be as the room allows."""
    centres: dict[Key, float] = {}
    left = -inf
    for key, wish in wanted.items():
        centres[key] = max(wish, left + _width(key) / 2)
        left = centres[key] + _width(key) / 2
    shift = fmean([wanted[key] - centres[key] for key in wanted]) if wanted else 0.0
    return {key: centre + shift for key, centre in centres.items()}


def _box(name: str) -> Key:
    return name, -1, ""


def _width(key: Key) -> float:
    return LANE if key[2] else 1.0
