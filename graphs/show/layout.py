"""Where the boxes of a graph go: layers from top to bottom, few boxes in a row, lines that pass no box.

graph -> rows (by the longest way from a start) -> lanes for long lines -> order by what is above and below -> places
Large graphs are folded first, so that a picture never has more than a few dozen boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean

from graphs.show.items import Item

LANE = 0.2
"""Width of the lane that a line takes between boxes, in boxes."""
MOST_BOXES = 40
_BANDS = 10
"""Rows of a folded graph."""
_SWEEPS = 4

Key = tuple[str, int, str]
"""A box is (id, -1, ""); a lane is (id, row, "from" or "to"), shared by lines that start, or end, at the same box."""


@dataclass(frozen=True)
class Box:
    """One item of a picture, or several of one status that are drawn as one."""

    items: tuple[Item, ...]
    after: tuple[str, ...]
    critical_after: tuple[str, ...] = ()
    """Those of `after` from which the critical path comes."""

    @property
    def id(self) -> str:
        """That of the first item."""
        return self.items[0].id

    @property
    def title(self) -> str:
        """The step, or how many steps."""
        return self.items[0].id if len(self.items) == 1 else f"{len(self.items)} steps"

    @property
    def detail(self) -> str:
        """The agent, or the first and last step."""
        first, last = self.items[0], self.items[-1]
        if first is not last:
            return f"{first.id} … {last.id}"
        return first.by

    @property
    def status(self) -> str:
        """What became of it."""
        return self.items[0].status

    @property
    def critical(self) -> bool:
        """Whether the critical path leads through it."""
        return any(one.critical for one in self.items)


@dataclass(frozen=True)
class Placed:
    """Where everything is: x in boxes from the left (the centre), y in rows from the top."""

    at: Mapping[str, tuple[float, int]]
    lines: Mapping[tuple[str, str], tuple[tuple[float, int], ...]]
    """By (from, to): the boxes' places, and those of the lanes between them."""
    width: float
    height: int


def boxes(items: Sequence[Item], most: int = MOST_BOXES) -> list[Box]:
    """Return a box per item, or if there are too many one per status and band of layers."""
    if len(items) <= most:
        return [Box((one,), one.after, _held((one,))) for one in items]
    depth = depths({one.id: one.after for one in items})
    deepest = max(depth.values()) + 1
    groups: dict[tuple[int, str], list[Item]] = {}
    for one in items:
        groups.setdefault((depth[one.id] * min(_BANDS, deepest) // deepest, one.status), []).append(one)
    key_of = {one.id: key for key, group in groups.items() for one in group}
    made = []
    for key in sorted(groups):
        group = groups[key]
        before = dict.fromkeys(key_of[name] for one in group for name in one.after)
        first = {name: groups[key_of[name]][0].id for name in _held(group)}
        after = tuple(groups[one][0].id for one in before if one[0] < key[0])
        made.append(Box(tuple(group), after, tuple(first.values())))
    return made


def _held(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(one.held_by for one in items if one.critical and one.held_by)


def depths(graph: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return how many layers are above each node of an acyclic graph."""
    found: dict[str, int] = {}
    for one in TopologicalSorter(graph).static_order():
        found[one] = 1 + max((found[name] for name in graph[one]), default=-1)
    return found


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


def place(graph: Mapping[str, Sequence[str]], in_a_row: int = 4) -> Placed:
    """Arrange an acyclic graph, given as the dependencies of each node."""
    rows = _rows(graph, in_a_row)
    row_of = {one: number for number, row in enumerate(rows) for one in row}
    grid = _Grid([[_box(one) for one in row] for row in rows])
    leaving = Counter(upper for before in graph.values() for upper in before)
    ways = {}
    for lower, before in graph.items():
        for upper in before:
            shared = (upper, "from") if leaving[upper] > len(before) else (lower, "to")
            ways[upper, lower] = _way(grid, upper, lower, row_of, *shared)
    _order(grid)
    x, width = _spread(grid)

    def point(key: Key) -> tuple[float, int]:
        return x[key], key[1] if key[2] else row_of[key[0]]

    return Placed(
        {one: point(_box(one)) for one in graph},
        {ends: tuple(point(key) for key in way) for ends, way in ways.items()},
        width,
        len(rows),
    )


def _rows(graph: Mapping[str, Sequence[str]], in_a_row: int) -> list[list[str]]:
    """Return the layers, each on as many rows as it needs, boxes below what they depend on."""
    layers: dict[int, list[str]] = {}
    for one, depth in depths(graph).items():
        layers.setdefault(depth, []).append(one)
    rows: list[list[str]] = []
    where: dict[str, float] = {}
    given = {one: number for number, one in enumerate(graph)}
    for _, layer in sorted(layers.items()):
        layer.sort(key=lambda one: (fmean([where[name] for name in graph[one]] or [0]), given[one]))
        where |= {one: (place + 0.5) / len(layer) for place, one in enumerate(layer)}
        needed = -(-len(layer) // in_a_row)
        ends = [len(layer) * number // needed for number in range(needed + 1)]
        rows += [layer[start:end] for start, end in pairwise(ends)]
    return rows


def _way(grid: _Grid, upper: str, lower: str, row_of: Mapping[str, int], owner: str, side: str) -> list[Key]:
    """Lead a line down from box to box, through lanes in the rows between them."""
    lanes = [(owner, row, side) for row in range(row_of[upper] + 1, row_of[lower])]
    for lane in lanes:
        if lane not in grid.rows[lane[1]]:
            grid.rows[lane[1]].append(lane)
    way = [_box(upper), *lanes, _box(lower)]
    for one, other in pairwise(way):
        grid.join(one, other)
    return way


def _order(grid: _Grid) -> None:
    """Sort each row by the middle of its neighbours, downwards and upwards in turn, so that few lines cross."""
    where = {key: (place + 0.5) / len(row) for row in grid.rows for place, key in enumerate(row)}
    for sweep in range(_SWEEPS):
        near, rows = (grid.above, grid.rows) if sweep % 2 == 0 else (grid.below, grid.rows[::-1])
        for row in rows:
            row.sort(key=lambda key: fmean([where[one] for one in near.get(key, [key])]))
            where |= {key: (place + 0.5) / len(row) for place, key in enumerate(row)}


def _spread(grid: _Grid) -> tuple[dict[Key, float], float]:
    """Give each row its x: close to the middle of the neighbours, without overlap, within the widest row."""
    width = max((sum(map(_width, row)) for row in grid.rows), default=0.0)
    x: dict[Key, float] = {}
    for row in grid.rows:
        x |= _packed(row, [width / 2] * len(row), width)
    for sweep in range(_SWEEPS):
        near, rows = (grid.below, grid.rows[::-1]) if sweep % 2 == 0 else (grid.above, grid.rows)
        for row in rows:
            x |= _packed(row, [fmean([x[one] for one in near.get(key, [key])]) for key in row], width)
    return x, width


def _packed(row: Sequence[Key], wanted: Sequence[float], width: float) -> dict[Key, float]:
    """Put a row's boxes in their order as close to where they want to be as the room allows."""
    centres: list[float] = []
    left = 0.0
    for key, wish in zip(row, wanted, strict=True):
        centres.append(max(wish, left + _width(key) / 2))
        left = centres[-1] + _width(key) / 2
    shift = fmean([wish - centre for wish, centre in zip(wanted, centres, strict=True)]) if row else 0.0
    right = width
    placed: dict[Key, float] = {}
    for number in reversed(range(len(row))):
        half = _width(row[number]) / 2
        placed[row[number]] = right = min(centres[number] + shift, right - half)
        right -= half
    left = 0.0
    for key in row:
        placed[key] = max(placed[key], left + _width(key) / 2)
        left = placed[key] + _width(key) / 2
    return placed


def _box(name: str) -> Key:
    return name, -1, ""


def _width(key: Key) -> float:
    return LANE if key[2] else 1.0
