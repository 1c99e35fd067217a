"""The summary of a run: steps, turns, critical path and costs, of every pattern and of odd records."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Pattern, Router, Supervisor
from graphs.show.run_summary import RunSummary
from graphs.show.wording import SENT_BACK
from tests.finished import asking, finished, large, timed

ZERO = 1e9
BAD = {"criteria": [{"criterion": "polite", "met": False, "evidence": "Hi"}], "feedback": "Greet properly."}
GOOD = {"acceptable": True, "evidence": "all is well"}


def work(result: Any) -> list[tuple[str, str, str]]:
    return [(item.id, item.agent, item.status) for item in RunSummary.of(result).work]


def worked(*times: tuple[str, str, float, float]) -> list[dict[str, Any]]:
    return [{"node": node, "agent": agent, "started": ZERO + a, "ended": ZERO + b} for node, agent, a, b in times]


def answered(pattern: Pattern, answer: Any) -> Any:
    """Return the result of a run in which a person was asked once."""
    graph, thread = pattern.compile(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    assert "__interrupt__" in graph.invoke({"messages": "Do it"}, thread)  # type: ignore[arg-type]
    return graph.invoke(Command(resume=answer), thread)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("planner", "plan trains weather plan 2 bus day synthesize"),
        ("workflow", "a b c"),
        ("router", "classify bank travel"),
        ("supervisor", "work review work 2 review 2"),
        ("network", "desk billing"),
        ("orchestrator", "triage plan one review"),
    ],
)
def test_the_work_of_every_pattern_is_in_the_order_it_began(pattern: str, expected: str) -> None:
    summary = RunSummary.of(finished(pattern))
    assert sorted(" ".join(item.id for item in summary.work).split()) == sorted(expected.split())
    assert [item.started for item in summary.timed] == sorted(item.started or 0 for item in summary.timed)
    assert summary.has_steps == (pattern in ("planner", "workflow", "orchestrator"))


@pytest.mark.parametrize(
    ("pattern", "agents"),
    [
        ("planner", {"planner", "forecaster", "timetable", "editor", "synthesizer"}),
        ("workflow", {"echo", "broken"}),
        ("router", {"classifier", "bank", "travel"}),
        ("supervisor", {"writer", "judge"}),
        ("network", {"desk", "billing"}),
        ("orchestrator", {"triage", "planner", "clock", "reviewer"}),
    ],
)
def test_every_agent_has_one_row_of_costs_with_its_seconds_and_tokens(pattern: str, agents: set[str]) -> None:
    result = finished(pattern)
    costs = RunSummary.of(result).costs
    assert sorted(cost.agent for cost in costs) == sorted(agents)
    assert all(cost.seconds is not None for cost in costs)
    assert sum(cost.usage["calls"] for cost in costs) == result["usage"]["calls"]
    assert sum(cost.usage["input_tokens"] for cost in costs) == result["usage"]["input_tokens"]


def test_outcomes_of_turns_are_those_of_the_record() -> None:
    assert work(finished("router")) == [
        ("classify", "classifier", "completed"),
        ("bank", "bank", "failed"),
        ("travel", "travel", "completed"),
    ]
    assert [status for *_, status in work(finished("supervisor"))] == ["completed", SENT_BACK, "completed", "completed"]


def test_a_handoff_that_was_refused_is_sent_back() -> None:
    to = {"ann": "bob", "bob": "ann"}
    peers = [
        Agent(name, name, function=lambda task, name=name: {"to": to[name], "task": "this", "reason": "not mine"})  # type: ignore[misc]
        for name in to
    ]
    result = Network(peers).compile().invoke({"messages": "Do it"})
    assert work(result) == [("ann", "ann", "completed"), ("bob", "bob", "completed"), ("ann 2", "ann", SENT_BACK)]


def test_a_turn_with_an_error_has_failed() -> None:
    broken = Agent("writer", instructions="Write.", model=ScriptedModel([ValueError("out of ink")]))
    result = Supervisor(broken, reviewer=Agent("judge", function=lambda: GOOD)).compile().invoke({"messages": "Write"})
    assert work(result) == [("work", "writer", "failed")]


def test_a_step_that_was_abandoned_twice_is_shown_each_time() -> None:
    failed = {"id": "a", "agent": "w", "status": "failed", "attempts": 1}
    summary = RunSummary.of({"abandoned": [failed, failed], "steps": {"a": failed}})
    assert {item.id for item in summary.work} == {"a", "a (abandoned)", "a (abandoned 2)"}


def test_a_person_has_no_turn() -> None:
    verdicts, versions = iter([BAD, GOOD]), iter(["Hi", "Dear Ms Lee"])
    judge = Agent("judge", function=lambda: next(verdicts))
    pattern = Supervisor(
        Agent("writer", function=lambda: next(versions)), reviewer=judge, max_revisions=0, escalate="human"
    )
    result = answered(pattern, {"type": "retry", "feedback": "Greet."})
    assert [name for name, *_ in work(result)] == ["work", "review", "work 2", "review 2"]
    assert {cost.agent for cost in RunSummary.of(result).costs} == {"writer", "judge"}


def test_a_request_that_a_person_made_clear_is_classified_twice() -> None:
    unsure = {"reason": "who knows", "candidates": [{"agent": "bank", "confidence": 0.1}]}
    sure = {"reason": "it is about money", "candidates": [{"agent": "bank", "confidence": 0.9}]}
    bank = Agent("bank", "Accounts.", function=lambda: "12 euros")
    result = answered(Router([bank], model=ScriptedModel([unsure, sure]), clarify="human"), "My account.")
    assert [name for name, *_ in work(result)] == ["classify", "classify 2", "bank"]


def test_the_critical_path_leads_through_steps_and_new_plans() -> None:
    result = timed(("a", 1, 3, []), ("b", 1, 2, []), ("c", 3, 5, ["a"]), ("d", 6, 8, ["b"]))
    times = worked(("plan", "planner", 0, 1), ("plan", "planner", 5, 6))
    summary = RunSummary.of(result | {"worked": times})
    assert [item.id for item in summary.work if item.critical] == ["plan", "a", "c", "plan 2", "d"]


def test_steps_that_only_ended_before_are_not_on_the_critical_path() -> None:
    summary = RunSummary.of(timed(("a", 0, 1, []), ("x", 0, 2, []), ("c", 2, 5, ["a"])))
    assert [item.id for item in summary.work if item.critical] == ["a", "c"]


def test_agents_asked_side_by_side_follow_the_same_turn_and_lead_to_the_next() -> None:
    times = [("classify", "c", 0, 1), ("ann", "ann", 1, 3), ("bob", "bob", 1, 2), ("merge", "merger", 3, 4)]
    after = {item.id: item.after for item in RunSummary.of({"worked": worked(*times)}).work}
    assert after == {"classify": (), "ann": ("classify",), "bob": ("classify",), "merge": ("ann", "bob")}


def test_work_that_was_cut_short_lasted_until_the_run_ended() -> None:
    result = timed(("a", 0, 3, []), status="running")
    result["steps"]["a"]["ended"] = None
    assert [(item.status, item.seconds) for item in RunSummary.of(result, ZERO + 7).work] == [("stopped", 7.0)]


def test_a_run_that_waits_for_approval_has_a_question() -> None:
    summary = RunSummary.of(asking())
    assert (summary.status, [item.id for item in summary.timed]) == ("needs_input", ["plan"])
    assert "weather" in str(summary.questions[0])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"messages": None, "steps": None, "usage": None, "errors": None, "reviews": [None, {}], "worked": [None, {}]},
        {"worked": [{"node": None, "started": "x"}], "handoffs": [{}], "replies": ["x"], "abandoned": [{}]},
        {"messages": [{"type": "human", "content": [{"type": "text"}]}], "usage": {"agents": {"a": 1}}},
        timed(("a", 0, 1, ["b"]), ("b", 1, 2, ["a"])),
    ],
)
def test_odd_records_are_summarised(odd: dict[str, Any]) -> None:
    assert isinstance(RunSummary.of(odd).status, str)


def test_a_large_run_is_cut_to_what_tells_most() -> None:
    summary = RunSummary.of(large(5_000))
    shown = summary.most_telling(summary.steps, 60)
    assert len(shown) == 60
    assert all(item.status == "failed" for item in shown)
