"""Drawings with `xray`: in place of a node the agents or steps that are at work in it, patterns opened."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, takewhile
from typing import Any, cast

from langchain_core.runnables.graph import Edge, Graph
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph

from agents.agent import Agent
from graphs.engine.steps import Step

AnyGraph = CompiledStateGraph[Any, Any, Any, Any]

renderers: list[Callable[[AnyGraph], dict[str, str]]] = []
"""Renderers of a compiled graph for notebooks, by MIME type; `graphs` registers one, so that the engine needs none."""


@dataclass(frozen=True)
class Box:
    """An agent at work in a node."""

    agent: Agent
    label: str = ""
    """Name below the node's; empty: the agent is the node, and is drawn only if it is a graph to look into."""
    after: tuple[tuple[str, bool], ...] = ()
    """The boxes of the same node that come before it, and whether it may be passed over all the same."""


def boxes_in(nodes: Mapping[str, Any]) -> dict[str, list[Box]]:
    """Return the agents or steps that are at work in the nodes of a graph."""
    return {name: node.runnable.boxes(name) for name, node in nodes.items() if hasattr(node.runnable, "boxes")}


def each(agents: Collection[Agent], node: str = "") -> list[Box]:
    """Draw agents of which any may be asked in a node; one alone may be the node."""
    is_node = len(agents) == 1 and all(agent.name == node or _is_graph(agent) for agent in agents)
    return [Box(agent, "" if is_node else agent.name) for agent in agents]


def each_step(steps: Sequence[Step], team: Mapping[str, Agent]) -> list[Box]:
    """Draw steps and their dependencies."""
    return [
        Box(team[step.agent], step.id, tuple((name, _optional(step, name)) for name in step.dependencies))
        for step in steps
    ]


def _optional(step: Step, dependency: str) -> bool:
    return step.join == "any" or bool(step.when and step.when["step"] == dependency)


def look_into(graph: Graph, inside: Mapping[str, Sequence[Box]], xray: int | bool) -> Graph:
    """Return a drawing with what is inside its nodes in their place, so many levels deep (True: all)."""
    deeper = xray if isinstance(xray, bool) else xray - 1
    for name, boxes in inside.items():
        graph = _opened(graph, name, boxes, deeper) if name in graph.nodes else graph
    return _distinct(graph)


def _distinct(graph: Graph) -> Graph:
    """Give a group of nodes a name that no other has: LangChain's Mermaid refuses to draw two of one name."""
    new: dict[str, str] = {}
    taken: set[str] = set()
    for group in sorted({_group(edge) for edge in graph.edges} - {""}):
        name = group.rpartition(":")[2]
        labels = chain([name], (f"{name}_{number}" for number in count(2)))
        label = next(label for label in labels if label not in taken)
        taken.add(label)
        if label != name:
            new[group] = label

    def renamed(place: str) -> str:
        parts = place.split(":")
        return ":".join(new.get(":".join(parts[: end + 1]), part) for end, part in enumerate(parts))

    return _renamed(graph, renamed)


def _group(edge: Edge) -> str:
    source, target = (end.split(":")[:-1] for end in (edge.source, edge.target))
    return ":".join(takewhile(bool, (a if a == b else "" for a, b in zip(source, target, strict=False))))


def _opened(graph: Graph, name: str, boxes: Sequence[Box], deeper: int | bool) -> Graph:
    """Put boxes in the place of one node, with an edge from and to each where the node had one."""
    if not any(box.label or _opens(box.agent, deeper) for box in boxes):
        return graph
    drawn = Graph({key: node for key, node in graph.nodes.items() if key != name})
    first, last = _filled(drawn, name, boxes, deeper)
    for edge in graph.edges:
        sources = last if edge.source == name else [edge.source]
        targets = first if edge.target == name else [edge.target]
        drawn.edges += [edge.copy(source=source, target=target) for source in sources for target in targets]
    return drawn


def _filled(drawn: Graph, name: str, boxes: Sequence[Box], deeper: int | bool) -> tuple[list[str], list[str]]:
    """Draw the boxes of a node and return where the way leads in and out."""
    if len(boxes) == 1:
        place = name if _opens(boxes[0].agent, deeper) else f"{name}:{boxes[0].label}"
        first, last = _placed(drawn, place, boxes[0].agent, deeper)
        return [first], [last]
    ends = {box.label: _placed(drawn, f"{name}:{box.label}", box.agent, deeper) for box in boxes}
    if not any(box.after for box in boxes):
        # Not only tidier: LangChain's Mermaid leaves out the edges of a group in a group that has none of its own.
        start, end = (drawn.add_node(None, f"{name}:{end}").id for end in (START, END))
        drawn.edges += [Edge(start, first, conditional=True) for first, _ in ends.values()]
        drawn.edges += [Edge(last, end) for _, last in ends.values()]
        return [start], [end]
    used = {before for box in boxes for before, _ in box.after}
    for box in boxes:
        drawn.edges += [Edge(ends[before][1], ends[box.label][0], None, optional) for before, optional in box.after]
    return [ends[box.label][0] for box in boxes if not box.after], [
        ends[label][1] for label in ends if label not in used
    ]


def _placed(drawn: Graph, place: str, agent: Agent, deeper: int | bool) -> tuple[str, str]:
    if not _opens(agent, deeper):
        drawn.add_node(None, place, metadata={"agent": agent.name})
        return place, place
    inner = _graph(agent, deeper)
    inner.trim_first_node()
    inner.trim_last_node()
    ends = [node.id for node in drawn.extend(inner, prefix=place) if node]
    return ends[0], ends[-1]


def _opens(agent: Agent, deeper: int | bool) -> bool:
    """Return whether an agent is a graph of its own, drawn above the last level."""
    return bool(deeper) and _is_graph(agent)


def _is_graph(agent: Agent) -> bool:
    return isinstance(agent.runnable, CompiledStateGraph)


def _graph(agent: Agent, deeper: int | bool) -> Graph:
    inner = cast("AnyGraph", agent.runnable).get_graph(xray=deeper)
    # LangChain's Mermaid has no group for a lone node in a group: that node is drawn in its group's place.
    groups = {_group(edge) for edge in inner.edges}
    return _renamed(inner, lambda key: key if (place := key.rpartition(":")[0]) in groups else place or key)


def _renamed(graph: Graph, name: Callable[[str], str]) -> Graph:
    nodes = {name(key): node.copy(id=name(key), name=name(key)) for key, node in graph.nodes.items()}
    return Graph(nodes, [edge.copy(source=name(edge.source), target=name(edge.target)) for edge in graph.edges])
