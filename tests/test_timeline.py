"""The timeline draws who worked when, to scale."""

from typing import Any

import pytest

from graphs import Step, StepRecord
from graphs.show.timeline import Span, around, bar, cost, in_ascii, lines, spans
from graphs.steps import new_record

ZERO = 1_000.0


def done(name: str, began: float, finished: float, *dependencies: str, **known: Any) -> StepRecord:
    step = Step(name, "worker", "Work", dependencies=dependencies)
    known = {"answered_by": "worker", "started": ZERO + began, "ended": ZERO + finished, **known}
    return new_record(step, known.pop("status", "completed"), **known)


def by_id(*records: StepRecord) -> dict[str, StepRecord]:
    return {one["id"]: one for one in records}


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
    assert bar(Span("a", "w", ZERO + started, ZERO + ended, critical=True), ZERO, ZERO + 10, 10) == drawn


def test_a_run_of_no_length_has_bars() -> None:
    assert bar(Span("a", "w", ZERO, ZERO), ZERO, ZERO, 4) == "▒   "


def test_steps_come_in_the_order_they_began_with_the_critical_path_marked() -> None:
    late, early = done("late", 2, 9, "early"), done("early", 0, 2)
    found = spans(by_id(late, early, done("beside", 1, 3)), ZERO + 9)
    assert [(one.label, one.critical) for one in found] == [("early", True), ("beside", False), ("late", True)]


def test_what_was_not_completed_says_so() -> None:
    records = by_id(
        done("broken", 0, 1, status="failed", answered_by=None),
        done("cut", 0, 0, status="running", ended=None),
        new_record(Step("never", "worker", "Work"), "skipped"),
        new_record(Step("later", "worker", "Work")),
    )
    found = spans(records, ZERO + 5)
    assert {one.label: one.fate for one in found} == {
        "broken": "failed",
        "cut": "stopped",
        "never": "skipped",
        "later": "not begun",
    }
    assert next(one.ended for one in found if one.label == "cut") == ZERO + 5


def test_the_fallback_that_answered_is_the_worker() -> None:
    assert spans(by_id(done("a", 0, 1, answered_by="deputy")), ZERO)[0].worker == "deputy"


def test_phases_of_the_pattern_itself_are_on_the_critical_path() -> None:
    phases = [("planning", ZERO, ZERO + 2), ("working", ZERO + 2, ZERO + 5), ("answering", ZERO + 5, None)]
    found = around(phases, {"planning": "planner", "answering": "writer"}, ZERO + 6)
    assert [(one.label, one.worker, one.ended, one.critical) for one in found] == [
        ("planning", "planner", ZERO + 2, True),
        ("answering", "writer", ZERO + 6, True),
    ]


def test_a_phase_too_short_to_see_has_no_line() -> None:
    assert around([("answering", ZERO, ZERO + 0.01)], {"answering": "writer"}, ZERO) == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_width_and_align(width: int) -> None:
    made = spans(by_id(done("short", 0, 2), done("a_very_long_name_of_a_step", 2, 10, "short")), ZERO + 10)
    drawn = lines(made, ZERO, ZERO + 10, width)
    assert max(map(len, drawn)) <= width
    assert drawn[0].startswith("short               worker  ██")
    assert drawn[1].startswith("a_very_long_name_…  worker   ")
    assert [line.split()[-2] for line in drawn] == ["2.0", "8.0"]


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
    assert in_ascii("long_na…  ██▒▒  1.0 s").isascii()
