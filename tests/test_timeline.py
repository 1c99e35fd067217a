"""The timeline draws who worked when, to scale."""

import re

import pytest

from graphs.show.course import Course, Gap
from graphs.show.items import FAILED, PENDING, SKIPPED, STOPPED, Item
from graphs.show.timeline import bar, cost, in_ascii, lines
from tests.finished import finished, timed

ZERO = 1e9


@pytest.mark.parametrize(
    ("started", "ended", "drawn"),
    [
        (0, 10, "██████████"),
        (0, 5, "█████     "),
        (5, 10, "     █████"),
        (2, 4, "  ██      "),
        (9.99, 10, "         █"),
        (3, 3.001, "   █      "),
        (-5, 20, "██████████"),
    ],
)
def test_a_bar_is_to_scale_and_never_empty(started: float, ended: float, drawn: str) -> None:
    assert bar(Item("a", "w", started=started, ended=ended, critical=True), 0, 10, 10) == drawn


def test_a_run_of_no_length_has_bars_and_a_gap_looks_different() -> None:
    assert bar(Item("a", "w", started=ZERO, ended=ZERO), ZERO, ZERO, 4) == "▒   "
    assert bar(Gap(0, 5, asked=True), 0, 10, 4) == "··  "


def test_what_was_not_completed_says_so_and_what_never_began_comes_last() -> None:
    items = (
        Item("later", "worker", PENDING),
        Item("never", "worker", SKIPPED),
        Item("broken", "worker", FAILED, started=0, ended=1),
        Item("cut", "worker", STOPPED, started=0, ended=5),
    )
    drawn = lines(Course(items), 0, 5, 80)
    assert [(line.split()[0], line.rpartition("  ")[2]) for line in drawn] == [
        ("broken", "failed"),
        ("cut", "stopped"),
        ("later", "not begun"),
        ("never", "skipped"),
    ]


def test_a_step_that_was_cut_short_was_at_work_until_the_run_ended() -> None:
    result = timed(("a", 0, 3, []), status="running")
    result["steps"]["a"]["ended"] = None
    assert [(one.status, one.seconds) for one in Course.of(result, ZERO + 7).items] == [(STOPPED, 7.0)]


def test_the_fallback_that_answered_is_the_worker() -> None:
    course = Course.of(timed(("a", 0, 1, []), answered_by="deputy"))
    assert lines(course, ZERO, ZERO + 1, 60)[0].startswith("a  deputy  ")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_width_and_align(width: int) -> None:
    course = Course.of(timed(("short", 0, 2, []), ("a_very_long_name_of_a_step", 2, 10, ["short"])))
    drawn = lines(course, ZERO, ZERO + 10, width)
    assert max(map(len, drawn)) <= width
    assert drawn[0].startswith("short               worker  ██")
    assert drawn[1].startswith("a_very_long_name_…  worker   ")
    assert [line.split()[-2] for line in drawn] == ["2.0", "8.0"]


def test_work_beside_the_critical_path_is_drawn_lighter() -> None:
    course = Course.of(timed(("a", 0, 2, []), ("beside", 1, 3, []), ("c", 2, 9, ["a"])))
    assert ["█" in line for line in lines(course, ZERO, ZERO + 9, 80)] == [True, False, True]


def test_waiting_for_a_person_has_a_line_of_its_own() -> None:
    times = [("plan", 0, 2), ("approve", 6, 6)]
    worked = [{"node": node, "started": ZERO + start, "ended": ZERO + end} for node, start, end in times]
    drawn = lines(Course.of(timed(("a", 6, 8, [])) | {"worked": worked}), ZERO, ZERO + 8, 80)
    assert [re.sub(r"([ █·])\1+", r"\1", line) for line in drawn] == [
        "plan planner █ 2.0 s",
        "a person was asked · 4.0 s",
        "a worker █ 2.0 s",
    ]


def test_every_pattern_has_a_timeline_and_without_times_there_is_none() -> None:
    result = finished("supervisor")
    course = Course.of(result)
    drawn = lines(course, course.began, course.ended, 80)
    assert [line.split()[:3] for line in drawn] == [
        ["work", "1", "worker"],
        ["review", "1", "judge"],
        ["work", "2", "worker"],
        ["review", "2", "judge"],
    ]
    assert lines(Course.of({**result, "worked": []}), 0, 1, 80) == []


def test_the_cost_is_told_in_all_and_by_agent() -> None:
    one = {"calls": 1, "input_tokens": 1200, "output_tokens": 30}
    both = {"calls": 2, "input_tokens": 2400, "output_tokens": 60, "agents": {"writer": one, "critic": one}}
    assert [" ".join(line.split()) for line in cost(both)] == [  # type: ignore[arg-type]
        "2 calls 2,400 tokens read 60 written",
        "writer 1 call 1,200 tokens read 30 written",
        "critic 1 call 1,200 tokens read 30 written",
    ]


def test_a_run_without_models_cost_nothing() -> None:
    assert cost({"calls": 0, "input_tokens": 0, "output_tokens": 0, "agents": {}}) == ["No model answered."]


def test_there_is_a_drawing_for_terminals_without_unicode() -> None:
    assert in_ascii("long_na…  ██▒▒··  1.0 s").isascii()
