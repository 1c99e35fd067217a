"""Pictures of a run as matplotlib figures; importing this needs matplotlib (`podium[notebook]`).

The figures are made without pyplot: no global state, no window, no choice of a backend. In notebooks they show
themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path

from graphs.show.course import Course, Spent, clock, telling
from graphs.show.items import DONE, FAILED, MARKS, PENDING, SENT_BACK, SKIPPED, STOPPED, WAITING, Item
from graphs.show.layout import Box, boxes, place
from graphs.show.live import number, one_line

INK, FAINT, LINE = "#1f2933", "#5f6b7a", "#c3cad3"
FILLS = {
    DONE: "#9cc5e3",
    FAILED: "#e8875a",
    SENT_BACK: "#f0c95c",
    STOPPED: "#c9b3dc",
    WAITING: "#f7e3a6",
    SKIPPED: "#e3e6ea",
    PENDING: "#f4f5f7",
}
"""Told apart in every kind of colour blindness; yet marks say the same."""
CRITICAL, NEUTRAL, IDLE, ASKED = "#1b6ca8", "#b9c2cc", "#eef0f3", "#fbf3d9"
HATCHES = {FAILED: "////", SENT_BACK: "\\\\\\\\", STOPPED: "...."}

_WIDTH = 8.0
_LINE = 0.3
"""Inches: of all figures, and of a line of a chart."""
_MOST_LINES = 50
_MOST_TURNS = 40
_MOST_WORDS = 9
"""Turns that are named in a chart; of more there is only the mark."""
_MOST_AGENTS = 20
_LEGEND = 5
"""Marks on a line of the legend."""
_BAR, _HATCH = 0.62, 0.5
_LABEL = 26
"""Characters of a name that are shown."""
_BOX_WIDTH, _BOX_HEIGHT = 0.86, 0.56
"""Of a graph's boxes, in units of their distance."""


class Picture(Figure):
    """A figure that shows itself in a notebook, whether or not pyplot was imported there."""

    def _repr_png_(self) -> bytes:
        drawn = BytesIO()
        self.savefig(drawn, format="png", dpi=110)
        return drawn.getvalue()


def timeline(course: Course, title: str) -> Picture:
    """Draw who worked when; where no times are recorded, in which order."""
    shown = telling(course.timed, _MOST_LINES)
    if not shown:
        return _order(course.items[:_MOST_TURNS], title)
    more = len(course.timed) - len(shown)
    figure = _figure(_LINE * len(shown) + 1.4, title)
    axes = _axes(figure.add_subplot(), [_label(one) for one in shown])
    whole = max(course.ended - course.began, 1e-3)
    for gap in course.gaps:
        shade = ASKED if gap.asked else IDLE
        axes.axvspan(gap.started - course.began, gap.ended - course.began, facecolor=shade, lw=0)
    for row, one in enumerate(shown):
        _draw_work(axes, row, one, course)
    axes.set_xlim(0, whole * 1.28)
    axes.set_xlabel("seconds" + (f"; {more} more {course.unit} are not drawn" if more else ""), color=FAINT)
    drawn = {one.status for one in shown if one.status != DONE or not one.critical}
    marks: list[Artist] = [_patch(one) for one in MARKS if one in drawn]
    if any(one.critical for one in shown):
        marks.append(Patch(facecolor=CRITICAL, edgecolor=INK, lw=0.6, label="critical path"))
    if any(map(course.has_waited, shown)):
        marks.append(Line2D([], [], color=FAINT, ls=":", label="waited for its turn"))
    known = {gap.words: ASKED if gap.asked else IDLE for gap in course.gaps}
    marks += [Patch(facecolor=shade, label=words) for words, shade in known.items()]
    return _with_legend(figure, marks)


def _draw_work(axes: Axes, row: int, one: Item, course: Course) -> None:
    start, width = (one.started or 0) - course.began, max(one.seconds or 0, (course.ended - course.began) / 300)
    if course.has_waited(one):
        axes.plot([start - one.waited, start], [row, row], color=FAINT, lw=1, ls=":")
    smooth = one.critical and one.status == DONE
    axes.barh(
        row,
        width,
        left=start,
        height=_BAR,
        color=CRITICAL if smooth else FILLS[one.status],
        edgecolor=CRITICAL if one.critical else INK,
        hatch=HATCHES.get(one.status),
        hatch_linewidth=_HATCH,
        lw=1.6 if one.critical else 0.6,
    )
    tries = f", {one.attempts} attempts" if one.attempts > 1 else ""
    mark = "" if one.status == DONE else f"  {MARKS[one.status]} {one.status}"
    _say(axes, start + width, row, f" {clock(one.seconds or 0)}{tries}{mark}", va="center", size=8.5)


def _order(shown: Sequence[Item], title: str) -> Picture:
    """Draw the agents' turns, each agent on a line of its own."""
    agents = list(dict.fromkeys(one.agent for one in shown))
    figure = _figure(_LINE * 1.3 * len(agents) + 1.4, title)
    if not shown:
        return _empty(figure)
    axes = _axes(figure.add_subplot(), [_name(one) for one in agents])
    turns: dict[str, int] = {}
    for one in shown:
        turn = turns[one.id] = max([turns[name] + 1 for name in one.after if name in turns], default=0)
        row = agents.index(one.agent)
        axes.barh(row, 0.94, left=turn, height=0.7, edgecolor=INK, lw=0.6, **_surface(one.status))
        words = f"{MARKS[one.status]} {_name(one.name, 14)}" if len(shown) <= _MOST_WORDS else MARKS[one.status]
        back = {"facecolor": FILLS[one.status], "edgecolor": "none", "pad": 1.5}
        _say(axes, turn + 0.47, row, words, ha="center", va="center", size=8, bbox=back)
    axes.set_xlim(0, max(4, *(turn + 1 for turn in turns.values())))
    axes.set_xticks([])
    axes.set_xlabel("in this order; times are not recorded", color=FAINT)
    return _with_legend(figure, [_patch(one) for one in MARKS if any(item.status == one for item in shown)])


def graph(course: Course, title: str) -> Picture:
    """Draw what depends on what, and what became of it."""
    made = boxes(course.items)
    placed = place({one.id: one.after for one in made}, in_a_row=4)
    figure = _figure(placed.height * 0.9 + 0.5, title, min(_WIDTH, max(3.4, 2 * placed.width)))
    if not made:
        return _empty(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    width = max(placed.width, 1.6)
    axes.set_xlim((placed.width - width) / 2, (placed.width + width) / 2)
    axes.set_ylim(placed.height - 0.6, -0.4)
    critical = {(upper, one.id) for one in made for upper in one.critical_after}
    for ends, points in placed.lines.items():
        style = {"edgecolor": CRITICAL, "lw": 2.2, "zorder": 2} if ends in critical else {"edgecolor": LINE, "lw": 1.2}
        axes.add_patch(PathPatch(_curve(points), facecolor="none", **style))
    for one in made:
        _draw_box(axes, one, *placed.at[one.id])
    return figure


def _curve(points: Sequence[tuple[float, int]]) -> Path:
    half = _BOX_HEIGHT / 2
    vertices: list[tuple[float, float]] = [(points[0][0], points[0][1] + half)]
    codes: list[Any] = [Path.MOVETO]
    for x, row in points[1:]:
        before = vertices[-1]
        middle = (before[1] + row - half) / 2
        vertices += [(before[0], middle), (x, middle), (x, row - half), (x, row + half)]
        codes += [Path.CURVE4] * 3 + [Path.LINETO]
    return Path(vertices[:-1], codes[:-1])


def _draw_box(axes: Axes, box: Box, x: float, y: float) -> None:
    edge, width = (CRITICAL, 2.4) if box.critical else (INK, 0.8)
    drawn = FancyBboxPatch(
        (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2),
        _BOX_WIDTH,
        _BOX_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=FILLS[box.status],
        edgecolor=edge,
        lw=width,
        zorder=3,
    )
    axes.add_patch(drawn)
    middle = {"ha": "center", "va": "center", "zorder": 4}
    told = [one for one in ("" if box.status == DONE else box.status, box.detail) if one]
    up = 0.12 if told else 0.0
    _say(axes, x, y - up, f"{MARKS[box.status]} {_name(box.title, 20)}", size=9, weight="bold", **middle)
    _say(axes, x, y + up, _name(" · ".join(told), 26), size=8, **middle)


def cost(spent: Sequence[Spent], title: str) -> Picture:
    """Draw the tokens and the seconds of each agent, as far as there are any."""
    shown = spent[:_MOST_AGENTS]
    panels = [_draw_tokens] if any(one.calls for one in shown) else []
    panels += [_draw_seconds] if any(one.seconds is not None for one in shown) else []
    figure = _figure(_LINE * 1.2 * len(shown) + 1.3, title)
    if not panels:
        return _empty(figure, "No model was called.")
    for axes, draw in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        _axes(axes, [_name(one.agent) for one in shown])
        draw(axes, shown)
    more = f"and {len(spent) - len(shown)} more agents" if len(spent) > len(shown) else ""
    tokens = [
        Patch(facecolor=FILLS[DONE], edgecolor=INK, lw=0.6, label="read"),
        Patch(facecolor=CRITICAL, edgecolor=INK, lw=0.6, label="written"),
    ]
    return _with_legend(
        figure, [*(tokens if panels[0] is _draw_tokens else []), *([Patch(alpha=0, label=more)] if more else [])]
    )


def _draw_tokens(axes: Axes, shown: Sequence[Spent]) -> None:
    rows = range(len(shown))
    read = [one.read for one in shown]
    axes.barh(rows, read, color=FILLS[DONE], edgecolor=INK, lw=0.6, height=_BAR)
    axes.barh(rows, [one.written for one in shown], left=read, color=CRITICAL, edgecolor=INK, lw=0.6, height=_BAR)
    outer = {one.agent.rpartition("/")[0] for one in shown}
    for row, one in enumerate(shown):
        without = " that of its parts" if one.agent in outer else " no model"
        words = f" {number(one.read)} + {number(one.written)}" if one.calls else without
        _say(axes, one.read + one.written, row, words, va="center", size=8.5)
    axes.set_xlim(0, max(1, *(one.read + one.written for one in shown)) * 1.35)
    axes.set_xlabel("tokens read and written", color=FAINT)


def _draw_seconds(axes: Axes, shown: Sequence[Spent]) -> None:
    axes.barh(range(len(shown)), [one.seconds or 0 for one in shown], color=NEUTRAL, edgecolor=INK, lw=0.6, height=_BAR)
    known = {one.agent for one in shown}
    for row, one in enumerate(shown):
        outer = one.agent.rpartition("/")[0]
        without = f" within {_name(outer)}" if outer in known else " not recorded"
        words = without if one.seconds is None else f" {clock(one.seconds)}"
        _say(axes, one.seconds or 0, row, words, va="center", size=8.5)
    axes.set_xlim(0, max(1e-3, *(one.seconds or 0 for one in shown)) * 1.45)
    axes.set_xlabel("seconds at work", color=FAINT)


def _figure(height: float, title: str, width: float = _WIDTH) -> Picture:
    figure = Picture(figsize=(width, max(1.8, height)), layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", color=INK, size=12, weight="bold")
    return figure


def _axes(axes: Axes, labels: Sequence[str]) -> Axes:
    """Set up a chart with a line for each label."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=FAINT, length=0, labelsize=8.5)
    axes.xaxis.grid(visible=True, color=LINE, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)))
    for tick in axes.set_yticklabels(labels):
        tick.set_parse_math(False)
        tick.set_color(INK)
    return axes


def _patch(status: str) -> Patch:
    return Patch(edgecolor=INK, lw=0.6, label=f"{MARKS[status]} {status}", **_surface(status))


def _surface(status: str) -> dict[str, Any]:
    return {"facecolor": FILLS[status], "hatch": HATCHES.get(status), "hatch_linewidth": _HATCH}


def _with_legend(figure: Picture, marks: Sequence[Artist]) -> Picture:
    style = {"frameon": False, "fontsize": 8.5, "labelcolor": FAINT}
    figure.legend(handles=list(marks), loc="outside lower left", ncols=_LEGEND, **style)
    return figure


def _empty(figure: Picture, words: str = "Nothing has been worked at.") -> Picture:
    figure.text(0.5, 0.5, words, ha="center", color=FAINT)
    return figure


def _label(item: Item) -> str:
    return f"{_name(item.id)} · {_name(item.by, 18)}" if item.by else _name(item.id)


def _say(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    """Write a text as it stands: `$` means nothing in it."""
    axes.text(x, y, words, parse_math=False, color=INK, clip_on=False, **style)


def _name(words: str, most: int = _LABEL) -> str:
    """Return a name on one line, shortened, in characters that the font has."""
    line = one_line(words.encode("utf-8", "replace").decode())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return "".join(one if ord(one) in _glyphs() else "□" for one in line)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
