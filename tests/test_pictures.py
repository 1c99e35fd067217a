"""The picture of a graph: SVG with every node and edge, drawn without a network."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Supervisor
from graphs.show import draw_graph
from graphs.show.drawing import for_people
from tests.plain_graphs import own_graph
from tests.shown import PATTERNS, UPPER, accepting, bundle

SVG = "{http://www.w3.org/2000/svg}"


def ids(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_graph_draws_itself_without_a_network(name: str) -> None:
    graph = PATTERNS[name].compile()
    shown = bundle(graph)
    assert shown["text/vnd.mermaid"] == for_people(graph).draw_mermaid()
    assert ids(shown["image/svg+xml"])[0] == "start"
    assert len(re.findall("<rect", shown["image/svg+xml"])) >= len(graph.nodes)


def test_steps_and_dependencies_are_in_the_picture() -> None:
    graph = PATTERNS["workflow"].compile()
    svg = draw_graph(graph)
    drawing = graph.get_graph(xray=True)
    assert ids(svg).count("one") == ids(svg).count("two") == 1
    assert len(re.findall("<path d=", svg)) - 2 == len(drawing.edges)  # two are the arrows' heads
    assert svg.count("stroke-dasharray") == sum(edge.conditional for edge in drawing.edges)


def test_ways_there_and_back_are_one_line_with_two_heads() -> None:
    svg = draw_graph(PATTERNS["network"].compile())
    assert len([line for line in svg.splitlines() if "marker-start" in line and "marker-end" in line]) == 1


@pytest.mark.parametrize("name", PATTERNS)
def test_no_arrow_ends_in_empty_space(name: str) -> None:
    picture = ElementTree.fromstring(draw_graph(PATTERNS[name].compile()))
    boxes = [
        {key: float(rect.attrib[key]) for key in ("x", "y", "width", "height")} for rect in picture.iter(f"{SVG}rect")
    ]

    def at_a_box(x: str, y: str) -> bool:
        return any(
            box["x"] <= float(x) <= box["x"] + box["width"] and float(y) in (box["y"], box["y"] + box["height"])
            for box in boxes
        )

    for path in picture.iter(f"{SVG}path"):
        numbers = re.findall(r"[\d.]+", path.attrib["d"])
        ends = [("marker-start", numbers[:2]), ("marker-end", numbers[-2:])]
        assert all(at_a_box(*place) for marker, place in ends if marker in path.attrib)


def crossings(svg: str) -> int:
    """Count the pairs of lines that change sides between two rows; lines that share a lane are one."""
    rows: dict[str, set[tuple[int, int]]] = {}
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        x, *parts = re.findall(r"[MCV]([\d. ]+)", path.attrib["d"]) if "C" in path.attrib["d"] else ["0 0"]
        left, top = x.split()
        for numbers in map(str.split, parts):
            if len(numbers) > 1:
                rows.setdefault(top, set()).add((int(left), int(numbers[-2])))
                left = numbers[-2]
            top = numbers[-1]
    return sum((a - c) * (b - d) < 0 for lines in rows.values() for (a, b), (c, d) in combinations(lines, 2))


def test_few_lines_of_a_drawing_cross() -> None:
    team = [Agent(name, function=str) for name in ("ann", "bob", "cy", "dan", "eve")]
    assert crossings(draw_graph(Orchestrator(team, model=ScriptedModel()).compile())) == 2
    assert {name for name in PATTERNS if crossings(draw_graph(PATTERNS[name].compile()))} == {"orchestrator"}


def test_captions_are_agents_and_agents_have_one_colour() -> None:
    careful = Supervisor(UPPER, reviewer=Agent("judge", function=accepting)).as_agent("careful")
    for pattern in (PATTERNS["router"], Planner([careful, UPPER], model=ScriptedModel()), PATTERNS["workflow"]):
        picture = ElementTree.fromstring(draw_graph(pattern.compile()))
        for group in picture.iter(f"{SVG}g"):
            names = [text.text for text in group.iter(f"{SVG}text")]
            is_agent = "done" in str(next(group.iter(f"{SVG}rect")).attrib["class"])
            assert is_agent == ({"upper", "judge", "synthesizer"} & {*names} != set())


def test_peers_that_all_hand_over_to_each_other_are_drawn_around_one_box() -> None:
    peers = [Agent(name, function=str) for name in ("ann", "bob", "cy", "dan", "eve")]
    svg = draw_graph(Network(peers).compile())
    assert "hand over or end" in ids(svg)
    assert svg.count("<path d=") - 2 == 5 + 5 + 2  # from the start, to and from the box, to the answer and the end
    assert "hand over or end" not in ids(draw_graph(Network(peers, links={"ann": ["bob"]}).compile()))


def test_names_in_a_picture_are_escaped_and_short() -> None:
    graph = own_graph(("a<b & a name that is far too long", lambda state: {}))
    assert ids(draw_graph(graph))[1] == "a<b & a name tha…"


def test_a_large_graph_is_drawn_without_the_insides() -> None:
    shown = ids(bundle(Orchestrator([UPPER, Agent("other", function=str)]).compile())["image/svg+xml"])
    assert "plan" in shown
    assert "synthesizer" not in shown
