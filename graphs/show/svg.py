"""The drawing of a graph as one SVG picture, made here: no service is asked and nothing has to be installed.

LangChain's drawing -> ways back turned around, so that there are layers -> layout.place -> boxes and lines
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import Any

from langchain_core.runnables.graph import Graph, Node

from graphs.show.layout import place

_START, _END = "__start__", "__end__"
_WIDE, _HIGH = 136, 42
_COLUMN, _ROW = 152, 78
"""Pixels of a box, and from one box to the next."""
_MARGIN = 12
_IN_A_ROW = 6
_FEW = 24
"""Boxes that can be taken in at a glance."""
_LONGEST = 19
"""Characters of a name that fit into a box."""

_FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" \
height="{height:.0f}" font-family="system-ui, sans-serif" font-size="13" text-anchor="middle">
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>
<g fill="none" stroke="#64748b" stroke-width="1.3">
{lines}
</g>
{boxes}
</svg>"""

_Way = tuple[str, str]


def for_people(graph: Any) -> Graph:
    """Return a graph's drawing with its agents and steps, and with what is inside of them as long as that is few."""
    whole: Graph = graph.get_graph(xray=True)
    outer: Graph = graph.get_graph(xray=1)
    return whole if len(whole.nodes) <= _FEW else outer


def drawn(graph: Graph) -> str:
    """Draw a graph from top to bottom; ways that a run need not take are dashed."""
    edges = {(one.source, one.target): one.conditional for one in graph.edges if one.source != one.target}
    forward = _acyclic(graph, edges)
    placed = place({one: tuple(upper for upper, lower in forward if lower == one) for one in graph.nodes}, _IN_A_ROW)
    lines = (_line(way, edges, placed.lines[way]) for way in forward)
    boxes = (_box(one, placed.at[one.id]) for one in graph.nodes.values())
    return _FRAME.format(
        width=placed.width * _COLUMN + 2 * _MARGIN,
        height=(placed.height - 1) * _ROW + _HIGH + 2 * _MARGIN,
        lines="\n".join(lines),
        boxes="\n".join(boxes),
    )


def _acyclic(graph: Graph, edges: Mapping[_Way, bool]) -> list[_Way]:
    """Return the ways with those turned around that lead back; a way there and back is one."""
    # Between two nodes the way that must be taken leads on, the one that may be taken leads back.
    on = [one for one, may in edges.items() if not (may and edges.get((one[1], one[0])) is False)]
    after = {one: [other for other in graph.nodes if (one, other) in on] for one in graph.nodes}
    number = {one: place for place, one in enumerate(_finished(after))}
    ways = [(source, target) if number[source] > number[target] else (target, source) for source, target in edges]
    return list(dict.fromkeys(ways))


def _finished(after: Mapping[str, list[str]]) -> list[str]:
    """Return the nodes as a walk in depth from the start leaves them; a way back leads to one left later."""
    left: list[str] = []
    seen: set[str] = set()
    for start in sorted(after, key=lambda one: one != _START):
        path: list[tuple[str, Iterator[str]]] = [] if start in seen else [(start, iter(after[start]))]
        seen.add(start)
        while path:
            _, ways = path[-1]
            following = next((one for one in ways if one not in seen), None)
            if following is None:
                left.append(path.pop()[0])
            else:
                seen.add(following)
                path.append((following, iter(after[following])))
    return left


def _point(at: tuple[float, float]) -> tuple[float, float]:
    return _MARGIN + at[0] * _COLUMN, _MARGIN + _HIGH / 2 + at[1] * _ROW


def _line(way: _Way, edges: Mapping[_Way, bool], points: tuple[tuple[float, int], ...]) -> str:
    """Draw a line from the lower edge of a box through lanes to the upper edge of another."""
    there, back = edges.get(way), edges.get((way[1], way[0]))
    tips = f"{'' if there is None else ' marker-end=' + _TIP}{'' if back is None else ' marker-start=' + _TIP}"
    dashed = "" if there is False or back is False else ' stroke-dasharray="4 3"'
    x, y = _point(points[0])
    path = f"M{x:.0f} {y + _HIGH / 2:.0f}"
    for one, other in pairwise(_point(at) for at in points):
        top, bottom = one[1] + _HIGH / 2, other[1] - _HIGH / 2
        middle = (top + bottom) / 2
        path += f" C{one[0]:.0f} {middle:.0f} {other[0]:.0f} {middle:.0f} {other[0]:.0f} {bottom:.0f}"
        if other != _point(points[-1]):
            path += f" V{other[1] + _HIGH / 2:.0f}"
    return f'<path d="{path}"{dashed}{tips}/>'


_TIP = '"url(#tip)"'


def _box(node: Node, at: tuple[float, float]) -> str:
    x, y = _point(at)
    before, _, name = node.id.rpartition(":")
    if name in (_START, _END):
        return _end(x, y, name, inner=bool(before))
    about = (node.metadata or {}).get("agent", "")
    below = about if about != name else before.rpartition(":")[2]
    frame = f'<rect x="{x - _WIDE / 2:.0f}" y="{y - _HIGH / 2:.0f}" width="{_WIDE}" height="{_HIGH}" rx="6"'
    colours = 'fill="#dbeafe" stroke="#3b82f6"' if about else 'fill="#f8fafc" stroke="#64748b"'
    text = f'<text x="{x:.0f}" y="{y + (0 if below else 5):.0f}" fill="#0f172a">{_fitting(name)}</text>'
    small = f'<text x="{x:.0f}" y="{y + 14:.0f}" fill="#475569" font-size="10">{_fitting(below)}</text>'
    return f"{frame} {colours}/>{text}{small if below else ''}"


def _end(x: float, y: float, name: str, *, inner: bool) -> str:
    if inner:  # where an inner graph begins or ends there is nothing to see but that ways meet
        up = f'y1="{y - _HIGH / 2:.0f}" y2="{y + _HIGH / 2:.0f}"'
        return f'<line x1="{x:.0f}" x2="{x:.0f}" {up} stroke="#64748b" stroke-width="1.3"/>'
    word = {_START: "start", _END: "end"}[name]
    frame = f'<rect x="{x - 36:.0f}" y="{y - _HIGH / 2:.0f}" width="72" height="{_HIGH}" rx="{_HIGH / 2:.0f}"'
    text = f'<text x="{x:.0f}" y="{y + 5:.0f}" fill="#0f172a">{word}</text>'
    return f'{frame} fill="#e2e8f0" stroke="#64748b"/>{text}'


def _fitting(text: str) -> str:
    return escape(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def pictures(graph: Any) -> dict[str, str]:
    """Return the pictures of a compiled graph by MIME type, for notebooks."""
    drawing = for_people(graph)
    plain = f"{graph.name}: {', '.join(drawing.nodes)}"
    return {"text/plain": plain, "text/vnd.mermaid": drawing.draw_mermaid(), "image/svg+xml": drawn(drawing)}
