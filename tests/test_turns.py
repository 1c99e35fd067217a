"""What is known of the turns of a run, and of what a pattern does around its steps, with their times."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Pattern, Router, Supervisor
from graphs.show.course import Course, spent
from graphs.show.items import DONE, FAILED, SENT_BACK, WAITING
from tests.finished import asking, finished, timed

BAD = {"criteria": [{"criterion": "polite", "met": False, "evidence": "Hi"}], "feedback": "Greet properly."}
GOOD = {"acceptable": True, "evidence": "all is well"}
THREAD: Any = {"configurable": {"thread_id": "1"}}


def told(result: Any) -> list[tuple[str, str, str]]:
    return [(one.id, one.agent, one.status) for one in Course.of(result).items]


def worked(*times: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"node": node, "started": 1e9 + start, "ended": 1e9 + end} for node, start, end in times]


def answered(pattern: Pattern, answer: Any) -> Any:
    """Return the result of a run in which a person was asked once."""
    graph = pattern.compile(InMemorySaver())
    assert "__interrupt__" in graph.invoke({"messages": "Do it"}, THREAD)
    return graph.invoke(Command(resume=answer), THREAD)


@pytest.mark.parametrize("pattern", ["router", "supervisor", "network"])
def test_every_turn_has_the_time_at_which_its_node_was_at_work(pattern: str) -> None:
    result = finished(pattern)
    times = [(one["started"], one["ended"]) for one in result["worked"]]
    assert [(one.started, one.ended) for one in Course.of(result).items] == times


@pytest.mark.parametrize("pattern", ["router", "supervisor", "network"])
def test_where_a_time_is_missing_there_is_the_order_only(pattern: str) -> None:
    result = finished(pattern)
    course = Course.of({**result, "worked": result["worked"][1:]})
    assert [one.id for one in course.items] == [one.id for one in Course.of(result).items]
    assert course.timed == ()


@pytest.mark.parametrize(
    ("pattern", "around"),
    [
        ("planner", [("plan", "planner"), ("plan 2", "planner"), ("synthesize", "synthesizer")]),
        ("orchestrator", [("triage", "triage"), ("plan", "planner"), ("review 1", "reviewer")]),
        ("workflow", []),
    ],
)
def test_what_a_pattern_does_around_its_steps_is_on_the_critical_path(pattern: str, around: list[Any]) -> None:
    course = Course.of(finished(pattern))
    assert [(one.id, one.agent) for one in course.around] == around
    assert all(one.critical for one in course.around)
    assert [one.started for one in course.timed] == sorted(one.started or 0 for one in course.timed)


@pytest.mark.parametrize(
    ("pattern", "agents"),
    [
        ("planner", {"planner", "forecaster", "timetable", "editor", "synthesizer"}),
        ("router", {"classifier", "bank", "travel"}),
        ("supervisor", {"worker", "judge"}),
        ("network", {"desk", "billing"}),
        ("orchestrator", {"triage", "planner", "clock", "reviewer"}),
    ],
)
def test_every_agent_has_its_seconds(pattern: str, agents: set[str]) -> None:
    result = finished(pattern)
    assert {one.agent for one in spent(result, Course.of(result)) if one.seconds is not None} == agents


def test_a_run_that_waits_for_approval_has_only_been_planned() -> None:
    assert [(one.id, one.agent, one.status) for one in Course.of(asking()).timed] == [("plan", "planner", DONE)]


@pytest.mark.parametrize(
    ("asked", "gaps"),
    [
        ([("approve", 5, 5)], [(2, 5, "a person was asked")]),
        ([("approve", 2, 2)], [(2, 5, "nothing at work")]),
        ([], [(2, 5, "nothing at work")]),
    ],
)
def test_a_gap_is_a_question_to_a_person_where_the_answer_ends_it(asked: list[Any], gaps: list[Any]) -> None:
    result = timed(("a", 5, 8, [])) | {"worked": worked(("plan", 0, 2), *asked)}
    found = [(one.started - 1e9, one.ended - 1e9, one.words) for one in Course.of(result).gaps]
    assert found == gaps


def test_a_person_that_was_asked_is_a_turn_but_has_no_time_at_work() -> None:
    verdicts = iter([BAD, GOOD])
    versions = iter(["Hi", "Dear Ms Lee"])
    judge = Agent("judge", function=lambda context: next(verdicts))
    writer = Agent("writer", function=lambda task: next(versions))
    pattern = Supervisor(writer, reviewer=judge, max_revisions=0, escalate="human")
    result = answered(pattern, {"type": "retry", "feedback": "Greet."})
    assert told(result) == [
        ("work 1", "worker", DONE),
        ("review 1", "judge", SENT_BACK),
        ("escalate", "you", DONE),
        ("work 2", "worker", DONE),
        ("review 2", "judge", DONE),
    ]
    course = Course.of(result)
    assert [one.after for one in course.items] == [(), ("work 1",), ("review 1",), ("escalate",), ("work 2",)]
    assert "escalate" not in [one.id for one in course.timed]
    assert "you" not in [one.agent for one in spent(result, course)]


def test_a_request_that_a_person_made_clear_is_classified_twice() -> None:
    unsure = {"reason": "who knows", "candidates": [{"agent": "bank", "confidence": 0.1}]}
    sure = {"reason": "it is about money", "candidates": [{"agent": "bank", "confidence": 0.9}]}
    bank = Agent("bank", "Accounts.", function=lambda task: "12 euros")
    result = answered(Router([bank], model=ScriptedModel([unsure, sure]), clarify="human"), "My account.")
    assert told(result) == [
        ("classify", "classifier", DONE),
        ("clarify", "you", DONE),
        ("classify 2", "classifier", DONE),
        ("bank", "bank", DONE),
    ]


def test_the_fallback_is_called_by_the_name_under_which_its_cost_is_booked() -> None:
    helper = Agent("helper", instructions="Help.", model=ScriptedModel(["Here you are."]))
    other = Agent("bank", "Accounts.", function=lambda task: task)
    router = Router([other], fallback=helper, classifier=lambda text: "nobody", model=False)
    result = router.compile().invoke({"messages": "Sing"})
    assert told(result) == [("classify", "classifier", DONE), ("fallback", "helper", DONE)]


def test_a_turn_of_which_only_the_time_and_an_error_are_recorded_has_failed() -> None:
    broken = Agent("writer", instructions="Write.", model=ScriptedModel([ValueError("out of ink")]))
    judge = Agent("judge", function=lambda context: GOOD)
    result = Supervisor(broken, reviewer=judge).compile().invoke({"messages": "Write"})
    assert told(result) == [("work", "writer", FAILED)]


def test_a_handoff_that_ended_the_run_is_the_last_turn() -> None:
    to = {"ann": "bob", "bob": "ann"}
    peers = [
        Agent(name, name, function=lambda task, name=name: {"to": to[name], "task": "this", "reason": "not mine"})  # type: ignore[misc]
        for name in to
    ]
    result = Network(peers).compile().invoke({"messages": "Do it"})
    assert told(result) == [("1. ann", "ann", DONE), ("2. bob", "bob", DONE), ("3. ann", "ann", SENT_BACK)]
    assert len(Course.of(result).timed) == 3


def test_what_still_waits_for_a_person_has_no_time() -> None:
    result = {"status": "needs_input", "reviews": [{"by": "judge"}], "work": "Hi"}
    course = Course.of({**result, "worked": worked(("work", 0, 1), ("review", 1, 2))})
    assert [(one.id, one.status, one.started is None) for one in course.items] == [
        ("work 1", DONE, False),
        ("review 1", SENT_BACK, False),
        ("escalate", WAITING, True),
    ]


def test_the_steps_that_a_new_plan_had_to_wait_for_are_on_the_critical_path() -> None:
    result = timed(("a", 1, 3, []), ("b", 1, 2, []), ("c", 3, 5, ["a"]), ("d", 6, 8, ["b"]))
    course = Course.of(result | {"worked": worked(("plan", 0, 1), ("plan", 5, 6))})
    assert [one.id for one in course.timed if one.critical] == ["plan", "a", "c", "plan 2", "d"]
