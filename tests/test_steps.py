"""The rules of a workflow, on plain data."""

from itertools import pairwise
from typing import Any

import pytest

from agents import Retry
from graphs import Step
from graphs.engine import StepRecord, findings, new_record, read_plan
from graphs.engine.step_inputs import inputs_of
from graphs.engine.steps import fill_task, find_cycle, holds, may_start, reason_to_skip
from tests.tables import each

AGENTS = ("ann", "bob")


def step(id: str = "s", *dependencies: str, **more: Any) -> Step:  # noqa: A002
    return Step(id, **{"agent": "ann", "task": "Do it", "dependencies": dependencies, **more})


def done(id: str, result: str = "fine", **more: Any) -> StepRecord:  # noqa: A002
    return new_record(step(id), "completed", result=result, **more)


def failed(id: str) -> StepRecord:  # noqa: A002
    return new_record(step(id), "failed", error="it broke")


def skipped(id: str) -> StepRecord:  # noqa: A002
    return new_record(step(id), "skipped", error="not needed")


def settled(*records: StepRecord) -> dict[str, StepRecord]:
    return {record["id"]: record for record in records}


FLAWED: dict[str, tuple[list[Any], list[str]]] = {
    "none": ([], ["no steps"]),
    "unknown agent": ([step(agent="eve")], ["Step 's' needs agent 'eve'; known: ann, bob."]),
    "unknown fallback": ([step(fallback="eve")], ["Step 's' needs agent 'eve'"]),
    "duplicate": ([step("a"), step("a"), step("b")], ["Two steps are called 'a'"]),
    "unknown dependency": ([step("a", "z")], ["Step 'a' depends on 'z', which is not a step."]),
    "self": ([step("a", "a")], ["Step 'a' depends on itself"]),
    "cycle": ([step("a", "b"), step("b", "a")], ["wait for each other: a -> b -> a;"]),
    "empty task": ([step(task=" \n")], ["Step 's' has an empty task"]),
    "time-out": ([step(timeout=0)], ["timeout of 0"]),
    "odd id": ([step("a b")], ["Step 'a b' needs an id"]),
    "reserved id": ([step("request"), step("item")], ["Step 'request' needs an id", "Step 'item' needs an id"]),
    "unknown placeholder": ([step(task="Use {z}")], ["quotes {z}, which is neither", "write {{z}}"]),
    "no dependency": ([step("a"), step("b", task="Use {a}")], ["quotes {a} but does not depend on it"]),
    "circle": ([step("a", task="Use {b}"), step("b", "a")], ["quotes {b}, which waits for 'a' itself; take the"]),
    "item without for_each": ([step(task="Do {item}")], ["quotes {item}"]),
    "for_each": ([step("a"), step("b", for_each="a")], ["runs for each of 'a': not a dependency"]),
    "for_each of nothing": ([step(for_each="z")], ["runs for each of 'z'"]),
    "condition": ([step("a"), step("b", "a", when={"step": "a"})], ["has the condition {'step': 'a'}"]),
    "two conditions": (
        [step("a"), step("b", "a", when={"step": "a", "equals": "x", "contains": "y"})],
        ["one of equals, not_equals, contains, not_contains"],
    ),
    "condition on no dependency": ([step("a"), step("b", when={"step": "a", "equals": "x"})], ["has the condition"]),
    "no step": (["nonsense"], ["Step number 1 is not a step"]),
    "missing field": ([{"id": "a", "agent": "ann"}], ["Step number 1 is not a step: task: "]),
    "misspelt field": ([{"id": "a", "agent": "ann", "task": "x", "depends_on": []}], ["depends_on: "]),
    "wrong type": ([step(), step("a", task=5)], ["Step number 2 is not a step: task: "]),
    "text for a list": ([{"id": "a", "agent": "ann", "task": "x", "dependencies": "b"}], ["dependencies: "]),
    "unknown join": ([step(join="some")], ["join: Input should be 'all' or 'any'"]),
    "retry": ([{"id": "a", "agent": "ann", "task": "x", "retry": {"attempts": 0}}], ["attempts >= 1"]),
}


@each("flaw", FLAWED)
def test_flaws_are_found(flaw: str) -> None:
    steps, sentences = FLAWED[flaw]
    found = "\n".join(findings(steps, AGENTS))
    for sentence in sentences:
        assert sentence in found


@each("flaw", sorted(set(FLAWED) - {"reserved id"}))
def test_each_flaw_is_told_once(flaw: str) -> None:
    assert len(findings(FLAWED[flaw][0], AGENTS)) == 1


@pytest.mark.parametrize("plan", [None, 5, "steps", {"steps": []}])
def test_steps_that_are_no_list_are_refused(plan: Any) -> None:
    assert findings(plan, AGENTS) == [f"The steps must be a list, not {type(plan).__name__}."]


SOUND = [
    step("1"),
    step("a-b", "1", task="Use {1}"),
    step("c.d", "a-b", "1", task="Use {a-b} for {request}", fallback="bob", timeout=0.5),
    step("e_f", "1", task="Do {item} of {{plain}}", for_each="1", retry=Retry(attempts=2)),
    step("g", "1", "c.d", when={"step": "1", "contains": "x"}, join="any"),
    step("über", task='Answer {"as": ["json", {}]}, \\d{3}'),
]


def test_nothing_is_wrong_with_sound_steps() -> None:
    assert findings(SOUND, AGENTS) == []
    assert findings([item.as_dict() for item in SOUND], AGENTS) == []


def test_the_plain_form_reads_back_the_same() -> None:
    steps, flaws = read_plan([item.as_dict() for item in SOUND])
    assert ([step.as_dict() for step in steps], flaws) == ([item.as_dict() for item in SOUND], [])


@pytest.mark.parametrize(("most", "found"), [(None, 0), (3, 0), (2, 1)])
def test_too_many_steps(most: int | None, found: int) -> None:
    flaws = findings([step("a"), step("b"), step("c")], AGENTS, most=most)
    assert flaws == ["There are 3 steps; use at most 2."] * found


def test_all_flaws_are_told_together() -> None:
    flaws = findings([step("a", "a"), step("b", "z", agent="eve"), step("c", "d"), step("d", "c")], AGENTS)
    assert len(flaws) == 4


def test_very_many_flaws_are_cut_short() -> None:
    flaws = findings([step(f"s{number}", agent="eve") for number in range(50)], AGENTS)
    assert (len(flaws), flaws[-1]) == (21, "And 30 more like these.")


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({}, []),
        ({"a": "b", "b": "c", "c": ""}, []),
        ({"a": "b", "b": "c", "c": "a"}, ["a", "b", "c", "a"]),
        ({"x": "a", "a": "b", "b": "a", "y": "x"}, ["a", "b", "a"]),
        ({"a": "a"}, []),
    ],
)
def test_a_cycle_is_named_in_waiting_order(edges: dict[str, str], cycle: list[str]) -> None:
    found = find_cycle([step(key, *others) for key, others in edges.items()])
    assert found[:1] == found[-1:]
    assert set(found) == set(cycle)
    assert all(edges[earlier] == other for earlier, other in pairwise(found))


@each(
    ("waiting", "records", "starts"),
    [
        (step(), [], True),
        (step("s", "a", "b"), [done("a")], False),
        (step("s", "a", "b"), [done("a"), failed("b")], True),
        (step("s", "a", "b", join="any"), [], False),
        (step("s", "a", "b", join="any"), [done("a")], True),
        (step("s", "a", "b", join="any"), [failed("a")], False),
        (step("s", "a", "b", join="any"), [failed("a"), skipped("b")], True),
        (step("s", "a", "b", join="any", for_each="b"), [done("a")], False),
        (step("s", "a", "b", join="any", for_each="a"), [done("a")], True),
        (step("s", "a", "b", join="any", when={"step": "b", "not_equals": "x"}), [done("a")], False),
        (step("s", "a", "b", join="any", when={"step": "b", "equals": "x"}), [done("a"), failed("b")], True),
    ],
)
def test_when_a_step_may_start(waiting: Step, records: list[StepRecord], starts: bool) -> None:
    ended = settled(*records)
    is_answered = any(record["status"] == "completed" for record in records)
    assert may_start(waiting, ended, len({*waiting.dependencies} - ended.keys()), is_answered) is starts


ON_A = {"step": "a", "equals": "yes"}


@each(
    ("waiting", "records", "on_failure", "reason"),
    [
        (step(), [], "skip", None),
        (step("s", "a"), [done("a")], "skip", None),
        (step("s", "a"), [failed("a")], "skip", "it needs 'a', which failed"),
        (step("s", "a"), [failed("a")], "stop", "it needs 'a', which failed"),
        (step("s", "a"), [failed("a")], "continue", None),
        (step("s", "a"), [skipped("a")], "skip", "it needs 'a', which was skipped"),
        (step("s", "a"), [skipped("a")], "continue", "it needs 'a', which was skipped"),
        (step("s", "a", "b"), [skipped("a"), failed("b")], "continue", None),
        (step("s", "a", "b"), [failed("a"), skipped("b")], "skip", "'a', which failed, 'b', which was skipped"),
        (step("s", "a", "b", join="any"), [done("a"), failed("b")], "skip", None),
        (step("s", "a", "b", join="any"), [failed("a"), failed("b")], "skip", "'a', which failed, 'b', which failed"),
        (step("s", "a", when=ON_A), [done("a", " YES\n")], "skip", None),
        (step("s", "a", when=ON_A), [done("a", "no")], "skip", "condition is not met: 'a' equals 'yes'"),
        (step("s", "a", when=ON_A), [failed("a")], "continue", "condition is not met"),
    ],
)
def test_when_a_step_is_skipped(waiting: Step, records: Any, on_failure: Any, reason: str | None) -> None:
    found = reason_to_skip(waiting, settled(*records), on_failure)
    assert (found is None) if reason is None else (reason in (found or ""))


@each(
    ("test", "wanted", "result", "met"),
    [
        ("equals", "bug", "Bug ", True),
        ("equals", "bug", "a bug", False),
        ("not_equals", "bug", "BUG", False),
        ("not_equals", "bug", "question", True),
        ("contains", "bug", "A Bug indeed", True),
        ("contains", "bug", "question", False),
        ("not_contains", "bug", "a bug", False),
        ("not_contains", "bug", "question", True),
        ("equals", "straße", "STRASSE", True),
    ],
)
def test_conditions(test: str, wanted: str, result: str, met: bool) -> None:
    assert holds({"step": "a", test: wanted}, result) is met


def test_a_step_is_told_of_its_own_dependencies_only() -> None:
    inputs = inputs_of(step("s", "a", "b", "c"), settled(done("a", "A"), failed("b"), done("z", "Z")), {})
    assert inputs.context == {"a": "A", "b": "(no result: it broke)", "c": "(no result yet)"}


def test_a_task_is_filled_in_once() -> None:
    task = step(task="{a} for {request}: {{a}}")
    assert fill_task(task, {"a": "{request}"}, "{a}") == "{request} for {a}: {a}"
