"""A person approves, edits or rejects a plan; what was approved runs as it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent, Settings
from agents.testing import ScriptedModel
from graphs import Planner, Step
from graphs.people.approvals import plan_question
from graphs.storage import sqlite

ASK = {"messages": "the request"}
THREAD = {"configurable": {"thread_id": "1"}}


def step(name: str, *dependencies: str, task: str = "") -> dict[str, Any]:
    return {"id": name, "agent": "worker", "task": task or f"do {name}", "dependencies": list(dependencies)}


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"steps": list(steps)}


class Case:
    """A planner with a person, and what its agent was asked to do."""

    def __init__(self, *script: Any, saver: Any = None, approval: bool = True, max_steps: int = 10) -> None:
        self.done: list[str] = []
        self.model = ScriptedModel(list(script))
        team = [Agent("worker", function=self.work)]
        planner = Planner(team, model=self.model, approval=approval, max_steps=max_steps)
        self.graph = planner.compile(saver or InMemorySaver())

    def work(self, task: str) -> str:
        self.done.append(task)
        if "fail" in task:
            raise ValueError("it failed")
        return f"did {task}"


def question(state: Any) -> str:
    return str(state["__interrupt__"][0].value["action_requests"][0]["description"])


def test_nothing_runs_before_it_is_approved(call: Any) -> None:
    case = Case(plan(step("a")))
    state = call(case.graph, ASK, THREAD)
    assert (case.done, question(state)) == ([], "a (worker): do a")
    assert call(case.graph, Command(resume={"decisions": [{"type": "approve"}]}), THREAD)["status"] == "completed"


def test_an_edited_plan_runs_as_edited(call: Any) -> None:
    case = Case(plan(step("a")))
    call(case.graph, ASK, THREAD)
    edited = {"name": "run_plan", "args": {"steps": [step("b")]}}
    state = call(case.graph, Command(resume={"type": "edit", "edited_action": edited}), THREAD)
    assert (case.done, list(state["steps"])) == (["do b"], ["b"])


def test_a_rejected_plan_is_written_again_with_the_feedback(call: Any) -> None:
    case = Case(plan(step("a")), plan(step("b")))
    call(case.graph, ASK, THREAD)
    state = call(case.graph, Command(resume={"type": "reject", "message": "Use b instead."}), THREAD)
    assert question(state) == "b (worker): do b"
    assert "Use b instead." in case.model.calls[1].prompt


@pytest.mark.parametrize("answer", ["perhaps", {"type": "reject"}, {"type": "edit", "edited_action": 7}, 5])
def test_an_answer_that_cannot_be_used_is_asked_again(answer: Any, call: Any) -> None:
    case = Case(plan(step("a")))
    call(case.graph, ASK, THREAD)
    assert question(call(case.graph, Command(resume=answer), THREAD)).count("\n") > 0
    assert case.done == []


@pytest.mark.parametrize(
    ("answer", "done"),
    [
        ({"type": "accept", "args": None}, ["do a"]),
        ({"type": "edit", "args": {"action": "run_plan", "args": {"steps": [step("b")]}}}, ["do b"]),
        ({"type": "edit", "args": {"action": "run_plan", "args": {"steps": json.dumps([step("b")])}}}, ["do b"]),
        ({"type": "edit", "args": {"action": "run_plan", "args": {"steps": "[broken"}}}, []),
        ({"type": "response", "args": "Use b instead."}, []),
    ],
)
def test_answers_in_the_form_of_agent_inbox_are_read(answer: Any, done: list[str], call: Any) -> None:
    case = Case(plan(step("a")), plan(step("b")))
    value = call(case.graph, ASK, THREAD)["__interrupt__"][0].value
    assert value["action_request"] == {"action": "run_plan", "args": value["action_requests"][0]["args"]}
    state = call(case.graph, Command(resume=[answer]), THREAD)
    assert case.done == done
    if answer["type"] == "response":
        assert question(state) == "b (worker): do b"
        assert "Use b instead." in case.model.calls[1].prompt


def test_a_flawed_edit_is_shown_with_its_flaws(call: Any) -> None:
    case = Case(plan(step("a")))
    call(case.graph, ASK, THREAD)
    edited = {"name": "run_plan", "args": {"steps": [step("b", "c")]}}
    state = call(case.graph, Command(resume={"type": "edit", "edited_action": edited}), THREAD)
    assert "depends on 'c'" in question(state)


def test_a_changed_plan_is_shown_as_a_diff_and_asked_again(call: Any) -> None:
    case = Case(plan(step("a"), step("b", "a", task="fail")), plan(step("c", "a")), "The answer.")
    call(case.graph, ASK, THREAD)
    state = call(case.graph, Command(resume="approve"), THREAD)
    assert "- b (worker): fail" in question(state)
    assert "+ c (worker): do c" in question(state)
    state = call(case.graph, Command(resume="approve"), THREAD)
    assert (state["status"], case.done) == ("completed", ["do a", "fail", "do c"])


def test_the_settings_of_a_run_can_ask_for_approval(call: Any) -> None:
    case = Case(plan(step("a")), approval=False)
    assert "__interrupt__" in call(case.graph, ASK, THREAD, context=Settings(approval=True))


def test_a_person_may_answer_tomorrow(tmp_path: Path) -> None:
    with sqlite(tmp_path / "runs.sqlite") as saver:
        Case(plan(step("a")), saver=saver).graph.invoke(ASK, THREAD)
    with sqlite(tmp_path / "runs.sqlite") as saver:
        case = Case(saver=saver)
        assert case.graph.invoke(Command(resume="approve"), THREAD)["status"] == "completed"
    assert (case.done, case.model.calls) == (["do a"], [])


def test_the_wish_for_approval_stays_with_the_run(call: Any) -> None:
    case = Case(plan(step("a")), plan(step("b")), approval=False)
    call(case.graph, ASK, THREAD, context=Settings(approval=True))
    state = call(case.graph, Command(resume={"type": "reject", "message": "Use b."}), THREAD)
    assert (case.done, question(state)) == ([], "b (worker): do b")


def test_what_is_done_cannot_be_edited(call: Any) -> None:
    case = Case(plan(step("a"), step("b", task="fail")), plan(step("c", "a")), "The answer.")
    call(case.graph, ASK, THREAD)
    call(case.graph, Command(resume="approve"), THREAD)
    edited = {"name": "run_plan", "args": {"steps": [step("a", task="do it over"), step("c", "a")]}}
    state = call(case.graph, Command(resume={"type": "edit", "edited_action": edited}), THREAD)
    assert "Step 'a' is done and cannot be changed" in question(state)
    assert call(case.graph, Command(resume="approve"), THREAD)["steps"]["a"]["result"] == "did do a"


def test_steps_that_are_done_do_not_count_against_an_edited_plan(call: Any) -> None:
    case = Case(plan(step("a"), step("b", task="fail")), plan(step("c"), step("d")), "The answer.", max_steps=2)
    call(case.graph, ASK, THREAD)
    call(case.graph, Command(resume="approve"), THREAD)
    edited = {"name": "run_plan", "args": {"steps": [step("a"), step("c"), step("e")]}}
    state = call(case.graph, Command(resume={"type": "edit", "edited_action": edited}), THREAD)
    assert (state["status"], case.done) == ("completed", ["do a", "fail", "do c", "do e"])


def test_nobody_is_asked_about_a_plan_that_is_done(call: Any) -> None:
    case = Case(plan(step("a"), step("b", task="fail")), plan(), "The answer.")
    call(case.graph, ASK, THREAD)
    state = call(case.graph, Command(resume="approve"), THREAD)
    assert ("__interrupt__" in state, state["status"]) == (False, "partial")


def test_a_person_is_shown_the_fields_of_a_step_that_matter() -> None:
    plan = [Step("a", "b", "x").as_dict(), Step("c", "b", "y", ["a"], timeout=3).as_dict()]
    question = plan_question(plan, approved=[], done=[], agents=["b"], max_steps=9)
    first, second = question["args"]["steps"]
    assert first == {"id": "a", "agent": "b", "task": "x", "dependencies": []}
    assert second["timeout"] == 3
