"""Places for the boxes of a graph: layers from top to bottom, few boxes in a row, lines that pass no box.

graph -> rows, by the longest way from a start -> lanes for long lines -> order, by the rows around -> places
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf
from statistics import fmean
from typing import NamedTuple

LANE = 0.2
"""Width of the lane that a line takes between boxes, in boxes."""
_SWEEPS = 3

Point = tuple[float, int]
"""x in boxes from the left (the centre), y in rows from the top."""
_Key = tuple[str, int]
"""A box in its row, or in a row above it the lane of all lines that end at the box."""


class Layout(NamedTuple):
    """The places of boxes and lines."""

    boxes: Mapping[str, Point]
    lines: Mapping[tuple[str, str], tuple[Point, ...]]
    """Points of each arrow by (from, to): the boxes' places, and those of the lanes between them."""
    width: float
    height: int


class _Grid(NamedTuple):
    """Boxes and lanes by rows, and what their lines lead to."""

    rows: list[list[_Key]]
    above: dict[_Key, list[_Key]]
    below: dict[_Key, list[_Key]]
    width: dict[_Key, float]


def place(graph: Mapping[str, Sequence[str]], in_a_row: int) -> Layout:
    """Arrange an acyclic graph; it maps each box to those it depends on, which come above it."""
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
    return Layout({name: points[key] for name, key in box.items()}, lines, width, len(rows))


def _join(grid: _Grid, upper: _Key, lower: _Key) -> None:
    """Lead a line to the next row, where a lane begins unless there is one, or the box."""
    if lower not in grid.width:
        grid.width[lower] = LANE
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
    left = -inf
    for key, wish in wanted.items():
        centres[key] = max(wish, left + width[key] / 2)
        left = centres[key] + width[key] / 2
    shift = fmean([wanted[key] - centres[key] for key in wanted]) if wanted else 0.0
    return {key: centre + shift for key, centre in centres.items()}
