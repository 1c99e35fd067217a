"""The drawing of a compiled graph for people: LangChain's drawing -> shapes and arrows without circles -> SVG."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

from langchain_core.runnables.graph import Graph, Node

from graphs.engine import CompiledPattern
from graphs.show.svg import Arrow, Shape, draw_svg

_START, _END = "__start__", "__end__"
_HUB = "hand over or end"
"""Stands for the ways between peers, and from all of them to the end; unseen where other ways meet."""
_FEW = 20
"""Boxes that can be taken in at a glance."""
_CROWD = 4
"""Peers that all hand over to each other are drawn around one box from this number on."""
_IN_A_ROW = 6

_Way = tuple[str, str]


def pictures(graph: Any) -> dict[str, str]:
    """Return the pictures of a compiled graph by MIME type, for notebooks."""
    graph_drawing = for_people(graph)
    plain = f"{graph.name}: {', '.join(graph_drawing.nodes)}"
    return {"text/plain": plain, "text/vnd.mermaid": graph_drawing.draw_mermaid(), "image/svg+xml": draw_graph(graph)}


def for_people(graph: Any) -> Graph:
    """Return LangChain's drawing with agents and steps, and with what is inside of them as long as that is few."""
    whole: Graph = graph.get_graph(xray=True)
    outer: Graph = graph.get_graph(xray=1)
    return whole if len(whole.nodes) <= _FEW else outer


def draw_graph(graph: object) -> str:
    """Draw a compiled graph from top to bottom as SVG; ways that a run need not take are dashed."""
    drawn = for_people(graph)
    inside = graph.inside if isinstance(graph, CompiledPattern) else {}
    agents = {name: box.agent.name for name, boxes in inside.items() for box in boxes if not box.label}
    teams = Counter(
        ":".join(parts[:end]) for parts in (name.split(":") for name in drawn.nodes) for end in range(1, len(parts))
    )
    shapes = [_shape(node, agents.get(node.id, ""), teams) for node in drawn.nodes.values()]
    edges = {(edge.source, edge.target): edge.conditional for edge in drawn.edges if edge.source != edge.target}
    sources, targets = _hub(edges)
    if sources:
        shapes.append(Shape(_HUB, _HUB, kind="box" if sources <= targets else "dot"))
        edges = {way: may for way, may in edges.items() if way[0] not in sources or way[1] not in targets}
        edges |= {(source, _HUB): False for source in sorted(sources)}
        edges |= {(_HUB, target): True for target in sorted(targets)}
    for dot in [shape for shape in shapes if shape.kind == "dot"]:
        edges, is_gone = _without(dot.id, edges)
        shapes = [shape for shape in shapes if shape is not dot or not is_gone]
    return draw_svg(shapes, _arrows([shape.id for shape in shapes], edges), _IN_A_ROW)


def _shape(node: Node, agent: str, teams: Mapping[str, int]) -> Shape:
    """Title a box with its node or step, one of a team with its agent; the caption is the agent, if that is another."""
    before, _, name = node.id.rpartition(":")
    if name in (_START, _END):
        return Shape(node.id, name.strip("_"), kind="dot" if before else "end")
    agent = (node.metadata or {}).get("agent", "") or agent
    alone = bool(node.metadata) and agent == name and teams[before] == 1 and bool(before)
    title = before.rpartition(":")[2] if alone else name
    return Shape(node.id, title, agent if agent != title else "", "done" if agent else "none")


def _hub(edges: Mapping[_Way, bool]) -> tuple[set[str], set[str]]:
    """Return the nodes that lead to the same others, or all to each other too, where a hub between saves most ways."""
    after: dict[str, set[str]] = {}
    for source, target in edges:
        after.setdefault(source, {source}).add(target)
    best, saved = (set[str](), set[str]()), 0
    wide = [targets for targets in after.values() if len(targets) > 2]
    for shared in (first & second for first, second in combinations(wide, 2)):
        if len(shared) < 2:
            continue
        sources = {name for name in after if shared <= after[name]}
        ways = {way for way in product(sources, shared) if way in edges}
        lines = {frozenset(way) for way in ways if way[::-1] in ways or way[::-1] not in edges}
        is_crowd = sources <= shared and len(sources) >= _CROWD
        if (is_crowd or not sources & shared) and len(lines) - len(sources | shared) > saved:
            best, saved = (sources, shared), len(lines) - len(sources | shared)
    return best


def _without(dot: str, edges: Mapping[_Way, bool]) -> tuple[dict[_Way, bool], bool]:
    """Replace the ways through a dot by direct ones, if that makes no more of them."""
    into = {source: may for (source, target), may in edges.items() if target == dot}
    out = {target: may for (source, target), may in edges.items() if source == dot}
    if min(len(into), len(out)) != 1:
        return {**edges}, False
    direct = {(source, target): may or also for source, may in into.items() for target, also in out.items()}
    return {way: may for way, may in edges.items() if dot not in way} | direct, True


def _arrows(names: Sequence[str], edges: Mapping[_Way, bool]) -> dict[_Way, Arrow]:
    """Turn ways back around, so that there are layers; a way there and back is one arrow with two tips."""
    left = {name: number for number, name in enumerate(_left(names, edges))}
    arrows: dict[_Way, Arrow] = {}
    for way in edges:
        upper, lower = sorted(way, key=lambda name: -left[name])
        there, back = edges.get((upper, lower)), edges.get((lower, upper))
        arrows[upper, lower] = Arrow(there is not None, back is not None, there is not False and back is not False)
    return arrows


def _left(names: Sequence[str], edges: Mapping[_Way, bool]) -> list[str]:
    """Return the nodes in the order in which a walk in depth leaves them; a way back leads to one left later."""
    # Between two nodes the way that must be taken leads on, the one that may be taken leads back.
    onward = [way for way, may in edges.items() if not (may and edges.get((way[1], way[0])) is False)]
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in onward:
        after[source].append(target)
    nearest = [_START] if _START in after else [*names]
    for name in nearest:
        nearest += [target for target in after[name] if target not in nearest]
    far = {name: place for place, name in enumerate(dict.fromkeys([*nearest, *names]))}
    left: list[str] = []
    seen: set[str] = set()
    ahead = [(name, False) for name in reversed(far)]
    while ahead:
        name, is_left = ahead.pop()
        if is_left:
            left.append(name)
        elif name not in seen:
            seen.add(name)
            ahead.append((name, True))
            ahead += [(target, False) for target in sorted(after[name], key=far.__getitem__, reverse=True)]
    return left
