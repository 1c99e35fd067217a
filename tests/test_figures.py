"""Figures of finished runs, and where the boxes of a graph go."""

import random
import time
from itertools import combinations
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

from graphs.show.course import Course, clock, spent
from graphs.show.items import DONE, FAILED, SENT_BACK
from graphs.show.layout import LANE, boxes, place
from graphs.show.report import cost_figure, graph_figure, timeline_figure
from tests.finished import PATTERNS, finished, large, timed
from tests.office import clean
from tests.processes import Processes

DRAW = (timeline_figure, graph_figure, cost_figure)
PNG = b"\x89PNG"


def words(figure: Figure) -> str:
    """Return all texts of a figure."""
    return "\n".join(one.get_text() for one in figure.findobj(Text))  # type: ignore[attr-defined]


def shown(figure: Any) -> bytes:
    """Draw a figure as a notebook does."""
    return bytes(figure._repr_png_())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_graph_has_its_pictures(pattern: str) -> None:
    for draw in DRAW:
        assert shown(draw(finished(pattern))).startswith(PNG)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("planner", ["weather · forecaster", ", 2 attempts", "✗ failed", "critical path"]),
        ("workflow", ["a · echo", "b · broken", "✗ failed"]),
        ("router", ["classify · classifier", "bank", "✗ failed", "travel", "critical path"]),
        ("supervisor", ["work 1 · worker", "review 1 · judge", "↩ sent back", "review 2 · judge"]),
        ("network", ["1. desk", "2. billing"]),
        ("orchestrator", ["triage", "plan · planner", "one · clock", "review 1 · reviewer", "critical path"]),
    ],
)
def test_the_timeline_says_who_did_what(pattern: str, told: list[str]) -> None:
    found = words(timeline_figure(finished(pattern)))
    for one in told:
        assert one in found


def test_the_timeline_is_to_scale() -> None:
    figure = timeline_figure(timed(("a", 0, 2, []), ("b", 3, 4, ["a"])))
    bars = [one for one in figure.axes[0].patches if isinstance(one, Rectangle) and 0 < one.get_height() < 1]
    assert [(one.get_x(), one.get_width()) for one in bars] == [(0, 2), (3, 1)]
    assert "waited for its turn" in words(figure)
    assert "nothing at work" in words(figure)


def test_the_graph_has_a_box_for_each_step_and_marks_the_critical_path() -> None:
    result = finished("planner")
    figure = graph_figure(result)
    drawn = [one for one in figure.axes[0].patches if isinstance(one, FancyBboxPatch)]
    assert len(drawn) == len(result["steps"]) + len(result["abandoned"]) == 4
    assert "✗ trains\nfailed · timetable" in words(figure)
    assert len({one.get_edgecolor() for one in drawn}) == 2


def test_the_cost_names_every_agent_with_its_tokens() -> None:
    found = words(cost_figure(finished("planner")))
    for name in ("planner", "synthesizer", "editor", "forecaster"):
        assert name in found
    tokens = finished("planner")["usage"]["agents"]["editor"]
    assert f"{tokens['input_tokens']} + {tokens['output_tokens']}" in found
    assert "no model" in found
    assert "seconds at work" in found


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize(
    "result",
    [
        {},
        {"steps": None, "usage": None},
        {"reviews": [{}]},
        {"said": [{}]},
        timed(("$\\frac{$", 0, 1, []), ("$x^2$", 1, 2, ["$\\frac{$"])),
        {"reviews": [{"by": "$\\frac{$"}], "usage": {"agents": {"$\\frac{$": {"calls": 1}}}},
        timed(("仕事🎭", 0, 1, []), ("a\ud800\x00b", 1, 2, [])),
        timed(("cut", 0, 0, []), status="running", ended=None),
        timed(("a", 0, 1, ["b"]), ("b", 1, 2, ["a"])),
    ],
)
def test_odd_states_are_drawn_without_a_warning(draw: Any, result: dict[str, Any]) -> None:
    assert shown(draw(result)).startswith(PNG)


def test_a_thousand_steps_are_drawn_soon_and_stay_few() -> None:
    result = large(1000)
    began = time.process_time()
    figures = [draw(result) for draw in DRAW]
    assert time.process_time() - began < 4
    assert "950 more steps are not drawn" in words(figures[0])
    assert sum(isinstance(one, FancyBboxPatch) for one in figures[1].axes[0].patches) <= 40
    assert max(figures[0].get_figheight(), figures[1].get_figheight()) < 20


def test_pictures_need_no_pyplot_and_importing_the_report_no_matplotlib(processes: Processes) -> None:
    script = """
import sys
from graphs.show import report
assert not any(one.startswith("matplotlib") for one in sys.modules)
report.graph_figure({"reviews": [{}]})._repr_png_()
assert "matplotlib.pyplot" not in sys.modules
"""
    assert clean(processes.start(script=script).wait()).code == 0


def test_without_matplotlib_it_is_said_what_to_install(processes: Processes) -> None:
    script = """
import sys
sys.modules["matplotlib"] = None
from graphs.show import report
report.html({})
try:
    report.timeline_figure({})
except ValueError as error:
    print(type(error).__name__, error)
"""
    told = clean(processes.start(script=script).wait()).out
    assert told == "ConfigurationError Figures need matplotlib: pip install -e '.[notebook]'\n"


def some_graph(seed: int) -> dict[str, tuple[str, ...]]:
    chance = random.Random(seed)
    nodes = [f"n{one}" for one in range(chance.randint(1, 25))]
    return {
        one: tuple(chance.sample(nodes[:place], min(place, chance.randint(0, 3)))) for place, one in enumerate(nodes)
    }


@pytest.mark.parametrize("in_a_row", [2, 5])
@pytest.mark.parametrize("seed", range(12))
def test_boxes_do_not_overlap_and_lines_pass_beside_them(seed: int, in_a_row: int) -> None:
    graph = some_graph(seed)
    placed = place(graph, in_a_row)
    rows: dict[int, list[float]] = {}
    for x, row in placed.at.values():
        rows.setdefault(row, []).append(x)
        assert 0.5 - 1e-9 <= x <= placed.width - 0.5 + 1e-9
    assert all(len(row) <= in_a_row for row in rows.values())
    assert all(abs(one - other) > 1 - 1e-9 for row in rows.values() for one, other in combinations(row, 2))
    for (upper, lower), points in placed.lines.items():
        assert (points[0], points[-1]) == (placed.at[upper], placed.at[lower])
        assert [row for _, row in points] == list(range(points[0][1], points[-1][1] + 1))
        between = [(x, row) for x, row in points[1:-1]]
        assert all(abs(x - other) > 0.5 + LANE / 2 - 1e-9 for x, row in between for other in rows[row])
    assert set(placed.lines) == {(before, one) for one, those in graph.items() for before in those}


def test_many_steps_are_folded_by_layer_and_status_and_none_is_lost() -> None:
    made = boxes(Course.of(large(500)).items)
    assert len(made) <= 40
    assert sum(len(one.items) for one in made) == 500
    assert all(len({item.status for item in one.items}) == 1 for one in made)
    place({one.id: one.after for one in made})


@pytest.mark.parametrize(
    ("pattern", "turns"),
    [
        ("router", [("classify", DONE, ()), ("bank", FAILED, ("classify",)), ("travel", DONE, ("bank",))]),
        (
            "supervisor",
            [
                ("work 1", DONE, ()),
                ("review 1", SENT_BACK, ("work 1",)),
                ("work 2", DONE, ("review 1",)),
                ("review 2", DONE, ("work 2",)),
            ],
        ),
        ("network", [("1. desk", DONE, ()), ("2. billing", DONE, ("1. desk",))]),
    ],
)
def test_turns_are_read_from_the_record(pattern: str, turns: list[Any]) -> None:
    assert [(one.id, one.status, one.after) for one in Course.of(finished(pattern)).items] == turns


def test_the_seconds_of_an_agent_are_those_of_its_steps() -> None:
    result = timed(("a", 0, 2, []), ("b", 3, 4, ["a"]))
    assert [(one.agent, one.calls, one.seconds) for one in spent(result, Course.of(result))] == [("worker", 0, 3.0)]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.25, "250 ms"), (1, "1.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (7265, "2 h 1 min")]
)
def test_durations_are_written_for_people(seconds: float, told: str) -> None:
    assert clock(seconds) == told
