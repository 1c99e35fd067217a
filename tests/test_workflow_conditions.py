"""Workflows: when, join, for_each."""

import json
import threading
import time
from typing import Any

import pytest

from agents import Agent
from agents.assignment import quote
from agents.testing import ScriptedModel
from tests.waiting import PATIENCE
from tests.workflows import ASK, fail, field, graph_of, meeting, statuses, step


@pytest.mark.parametrize(("result", "ran"), [("bug", "b"), ("Question", "c")])
def test_a_condition_chooses_the_way(call: Any, result: str, ran: str) -> None:
    bug, other = ({"step": "a", key: "bug"} for key in ("equals", "not_equals"))
    ways = [step("b", "a", when=bug), step("c", "a", when=other)]
    state = call(graph_of(step("a", task=result), *ways, step("d", "b", "c", join="any")), ASK)
    assert {key for key, status in field(state, "status").items() if status == "skipped"} == {"b", "c"} - {ran}
    assert (state["status"], state["steps"]["d"]["status"]) == ("completed", "completed")


def test_a_run_in_which_nothing_had_to_be_done_is_completed(call: Any) -> None:
    never = {"step": "a", "equals": "never"}
    state = call(graph_of(step("a"), step("b", "a", when=never), step("c", "b")), ASK)
    assert (state["status"], statuses(state)) == ("completed", "a:completed b:skipped c:skipped")


def test_join_any_starts_with_the_first_that_completes(call: Any) -> None:
    started = threading.Event()

    def work(task: str) -> str:
        if task == "do slow":
            return task if started.wait(PATIENCE) else "stuck"
        if task.startswith("got"):
            started.set()
        return task

    steps = [step("fast"), step("slow"), step("s", "fast", "slow", join="any", task="got {fast}, {slow}")]
    state = call(graph_of(*steps, agents=[Agent("echo", function=work)]), ASK)
    assert field(state, "result") == {"fast": "do fast", "slow": "do slow", "s": "got do fast, (no result yet)"}


def test_join_any_waits_for_the_list_and_the_condition_it_needs(call: Any) -> None:
    waiting = Agent("echo", function=lambda task: time.sleep(0.02) or task)
    quick = [step("q", agent="list", task="[]"), step("l", task='["x"]'), step("w", task="no")]
    each = step("s", "q", "l", join="any", for_each="l", task="{item}")
    never = step("t", "q", "w", join="any", when={"step": "w", "equals": "yes"})
    state = call(graph_of(*quick, each, never, agents=[waiting]), ASK)
    assert (state["steps"]["s"]["data"], state["steps"]["t"]["status"]) == (["x"], "skipped")


@pytest.mark.parametrize(
    ("listed", "results"),
    [
        ('["x", "y"]', ["<x>", "<y>"]),
        ("[]", []),
        ('[{"a": ["ü"]}, [1], 2, null]', ['<{"a": ["ü"]}>', "<[1]>", "<2>", "<null>"]),
        ('Here you are:\n```json\n["x"]\n```', ["<x>"]),
        ('{"items": ["x", "y"]}', ["<x>", "<y>"]),
    ],
)
def test_a_step_runs_for_each_item(call: Any, listed: str, results: list[str]) -> None:
    each = step("b", "a", for_each="a", task="<{item}>")
    state = call(graph_of(step("a", agent="say"), each, agents=[Agent("say", function=lambda task: listed)]), ASK)
    record = state["steps"]["b"]
    assert (record["status"], record["data"], record["attempts"]) == ("completed", results, len(results))
    assert json.loads(record["result"]) == results


def test_data_of_items_stays_data(call: Any) -> None:
    each = step("b", "a", for_each="a", agent="list", task="[{item}]")
    state = call(graph_of(step("a", agent="list", task="[1, 2]"), each, step("c", "b", task="{b}")), ASK)
    assert (state["steps"]["b"]["data"], state["steps"]["c"]["result"]) == ([[1], [2]], "[[1], [2]]")


def test_a_chat_model_gets_each_item() -> None:
    model = ScriptedModel("fine")
    each = step("b", "a", for_each="a", agent="ann", task="Judge {item}")
    graph_of(step("a", agent="list", task='["red", "blue"]'), each, agents=[Agent("ann", model=model)]).invoke(ASK)
    assert sorted(quote("item", item) in call.prompt for call in model.calls for item in ("red", "blue")) == [
        *[False, False, True, True]
    ]


@pytest.mark.parametrize("listed", ["no list", '{"a": 1, "b": 2}', "5", '{"a": 1}'])
def test_without_a_list_the_step_fails(call: Any, listed: str) -> None:
    each = step("b", "a", for_each="a", task="{item}")
    state = call(graph_of(step("a", agent="say"), each, agents=[Agent("say", function=lambda task: listed)]), ASK)
    assert (state["status"], statuses(state)) == ("partial", "a:completed b:failed")
    assert "Step 'b'" in state["stop_reason"]
    assert "the result of 'a' is not a JSON list" in state["stop_reason"]


def test_one_failing_item_fails_the_step_and_keeps_the_others(call: Any) -> None:
    picky = Agent("picky", function=lambda task: task if task != "2" else fail(task))
    each = step("b", "a", for_each="a", agent="picky", task="{item}")
    state = call(graph_of(step("a", agent="list", task="[1, 2, 3]"), each, agents=[picky]), ASK)
    record = state["steps"]["b"]
    assert (record["status"], record["data"], record["attempts"]) == ("failed", ["1", None, "3"], 3)
    assert record["error"].startswith("Step 'b' failed for item 2 of 3: ")
    assert "cannot do '2'" in record["error"]


def test_items_work_at_once(call: Any) -> None:
    _, wait_async = meeting(5)
    each = step("b", "a", for_each="a", agent="meet", task="{item}")
    graph = graph_of(step("a", agent="list", task="[1, 2, 3, 4, 5]"), each, agents=[Agent("meet", function=wait_async)])
    assert call(graph, ASK)["status"] == "completed"


def test_each_item_has_its_own_fallback(call: Any) -> None:
    each = step("b", "a", for_each="a", agent="fail", fallback="echo", task="{item}")
    state = call(graph_of(step("a", agent="list", task="[1, 2]"), each), ASK)
    assert (state["steps"]["b"]["data"], len(state["errors"])) == (["1", "2"], 2)
