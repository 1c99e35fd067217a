"""Pictures of graphs and runs as SVG, drawn here: no service is asked and nothing has to be installed.

One palette serves notebook, page and README; a page may override the colours by the classes of the shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from agents.runtime import visible
from graphs.show.layout import Point, place
from graphs.show.run_summary import RunSummary
from graphs.show.turns import Work
from graphs.show.wording import cut, duration, look, signed

PALETTE: Mapping[str, tuple[str, str]] = {
    "ink": ("#1d2630", "#e7ebef"),
    "soft": ("#55616e", "#a8b3be"),
    "line": ("#d9dfe5", "#343e48"),
    "edge": ("#7d8996", "#73808d"),
    "accent": ("#1b6ca8", "#82bdec"),
    "done": ("#1b6ca8", "#82bdec"),
    "done-fill": ("#d9eaf7", "#1d3547"),
    "failed": ("#a63c0f", "#f4a27c"),
    "failed-fill": ("#fbe1d4", "#472618"),
    "back": ("#7a5900", "#e8c766"),
    "back-fill": ("#fbeec4", "#413510"),
    "stopped": ("#6a4590", "#c9a8e8"),
    "stopped-fill": ("#ece1f5", "#36264a"),
    "none": ("#616c78", "#a3adb8"),
    "none-fill": ("#eef0f3", "#272e36"),
}
"""Colours by name, on light and on dark ground; distinct in every kind of colour blindness."""

_WIDE, _HIGH, _COLUMN, _ROW = 136, 42, 152, 78
"""Pixels of a box, and from one box to the next."""
_MARGIN = 12
_TITLE, _CAPTION = 17, 21
"""Columns of text that fit into a box."""
_MOST_BOXES, _MOST_BARS = 40, 60
_BAR_ROW = 40
WIDTH = 860
"""Pixels of a timeline, and of each of its rows."""
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
    """A line between two shapes, with a tip at one end or both."""

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
    width, height = max(layout.width, 1) * _COLUMN + 2 * _MARGIN, (layout.height - 1) * _ROW + _HIGH + 2 * _MARGIN
    order = sorted(arrows, key=lambda ends: arrows[ends].critical)
    tips = {name: f"tip-{name}-{in_a_row}" for name in ("edge", "accent")}
    ways = ((layout.lines[ends], arrows[ends], shape_of[ends[0]], shape_of[ends[1]]) for ends in order)
    lines = [_tips(tips), *(_line(*way, tips) for way in ways)]
    return _frame(width, height, [*lines, *(_shape(shape, layout.boxes[name]) for name, shape in shape_of.items())])


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


def _frame(width: float, height: float, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    style = 'font-family="system-ui, sans-serif" font-size="13"'
    inside = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{inside}\n</svg>'


def _tips(ids: Mapping[str, str]) -> str:
    """Define the tips of arrows, with ids of this picture: a browser takes none from a picture that is hidden."""
    shape = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse"'
    tips = (
        f'<marker id="{id_}" {shape} orient="auto-start-reverse">'
        f'<path d="M0 0 8 4 0 8z" class="tip {name}" fill="{PALETTE[name][0]}"/></marker>'
        for name, id_ in ids.items()
    )
    return f"<defs>{''.join(tips)}</defs>"


def _text(words: str, x: float, y: float, colour: str = "ink", size: int = 13, anchor: str = "middle") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} class="{colour}" fill="{PALETTE[colour][0]}">{escape(visible(words))}</text>'


def _rect(x: float, y: float, width: float, height: float, tone: str, kind: str) -> str:
    """Draw a box or bar: `critical` has a thick edge, `solid` is filled with the tone itself."""
    fill, stroke = PALETTE[tone if kind == "solid" else f"{tone}-fill"][0], PALETTE[_edge(tone, kind)][0]
    place = (
        f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{_HIGH / 2 if kind == "end" else 5}"'
    )
    edge = f'stroke="{stroke}" stroke-width="{2.5 if kind == "critical" else 1}"'
    return f'<rect {place} class="{tone} {kind}" fill="{fill}" {edge}/>'


def _edge(tone: str, kind: str) -> str:
    return "accent" if kind == "critical" else tone


def _point(at: Point) -> tuple[float, float]:
    return _MARGIN + at[0] * _COLUMN, _MARGIN + _HIGH / 2 + at[1] * _ROW


def _shape(shape: Shape, at: Point) -> str:
    x, y = _point(at)
    if shape.kind == "dot":
        return f'<line x1="{x}" x2="{x}" y1="{y - _HIGH / 2}" y2="{y + _HIGH / 2}" {_stroke(Arrow())}/>'
    wide = 72 if shape.kind == "end" else _WIDE
    box = _rect(x - wide / 2, y - _HIGH / 2, wide, _HIGH, shape.tone, "critical" if shape.critical else shape.kind)
    title = _text(cut(shape.title, _TITLE), x, y + (-2 if shape.caption else 5))
    caption = _text(cut(shape.caption, _CAPTION), x, y + 13, "soft", 11) if shape.caption else ""
    return f"<g><title>{escape(visible(' '.join((shape.title, shape.caption))))}</title>{box}{title}{caption}</g>"


def _stroke(arrow: Arrow) -> str:
    name, width = ("accent", 2.4) if arrow.critical else ("edge", 1.3)
    dashes = ' stroke-dasharray="4 3"' if arrow.dashed else ""
    return f'class="{name}" fill="none" stroke="{PALETTE[name][0]}" stroke-width="{width}"{dashes}'


def _line(points: Sequence[Point], arrow: Arrow, upper: Shape, lower: Shape, tips: Mapping[str, str]) -> str:
    """Draw a line from the lower edge of a box through lanes to the upper edge of another; dots get no tips."""
    tip = f'"url(#{tips["accent" if arrow.critical else "edge"]})"'
    ends = f" marker-end={tip}" if arrow.forward and lower.kind != "dot" else ""
    ends += f" marker-start={tip}" if arrow.back and upper.kind != "dot" else ""
    x, y = _point(points[0])
    path = f"M{x:.0f} {y + _HIGH / 2:.0f}"
    for (x, y), (to_x, to_y) in pairwise(map(_point, points)):
        top, bottom = y + _HIGH / 2, to_y - _HIGH / 2
        path += f" C{x:.0f} {(top + bottom) / 2:.0f} {to_x:.0f} {(top + bottom) / 2:.0f} {to_x:.0f} {bottom:.0f}"
        path += f" V{to_y + _HIGH / 2:.0f}" if (to_x, to_y) != _point(points[-1]) else ""
    return f'<path d="{path}" {_stroke(arrow)}{ends}/>'


def timeline(summary: RunSummary, width: int = WIDTH) -> str:
    """Draw a bar for each piece of work, to scale; of a long run the most telling work."""
    bars = summary.most_telling(summary.timed, _MOST_BARS)
    whole, height = max(summary.ended - summary.began, 1e-3), 30 + _BAR_ROW * len(bars)
    parts = [*_axis(whole, width, height)]
    for number, item in enumerate(bars):
        y = 30.0 + _BAR_ROW * number
        start, end = (((time or 0.0) - summary.began) / whole * width for time in (item.started, item.ended))
        start, kind = min(start, width - 3.0), "solid" if item.critical else "bar"
        parts.append(_rect(start, y + 18, max(3.0, end - start), 13, look(item.status).tone, kind))
        parts += _bar_words(item, y + 13, width)
    return _frame(width, height + 4, parts) if bars else ""


def _axis(whole: float, width: int, height: float) -> Iterator[str]:
    power: float = 10.0 ** math.floor(math.log10(whole / _TICKS))
    tick = next((step * power for step in (1, 2, 5) if step * power * _TICKS >= whole), 10 * power)
    for number in range(int(whole / tick * 0.97) + 1):
        x = number * tick / whole * width
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="24" y2="{height}" class="line" stroke="{PALETTE["line"][0]}"/>'
        yield _text(f"{number * tick:g} s", x, 16, "soft", 11, "middle" if number else "start")


def _bar_words(item: Work, y: float, width: int) -> Iterator[str]:
    name, agent = cut(item.id, width // 18), cut(item.agent, width // 24) if item.agent != item.id else ""
    notes = [duration(item.seconds or 0.0), *([f"{item.attempts} attempts"] if item.attempts > 1 else [])]
    notes = notes if item.status == "completed" else [signed(item.status), *notes]
    tone = "soft" if item.status == "completed" else look(item.status).tone
    yield f'<text y="{y}" class="ink" fill="{PALETTE["ink"][0]}">{escape(visible(name))}' + (
        f'<tspan dx="8" font-size="11" class="soft" fill="{PALETTE["soft"][0]}">{escape(visible(agent))}</tspan></text>'
    )
    yield _text(" · ".join(notes), width, y, tone, 11, "end")
