"""What a planner does when a step fails: plan again, answer from what is done, and say what is not."""

from typing import Any

import pytest

from agents.testing import Reply
from tests.planned import ANSWER, APART, ASK, HALF, Team, plan, statuses, step


def test_after_a_failure_the_rest_is_planned_anew_and_what_is_done_stays(call: Any) -> None:
    team = Team()
    state = call(team.planner(HALF, plan(step("other", "red", task="with {red}")), ANSWER), ASK)
    assert team.tasks.count("do red") == 1
    assert statuses(state) == "red:completed other:completed"
    assert (state["status"], state["replans"]) == ("completed", 1)
    assert [(item["id"], item["status"]) for item in state["abandoned"]] == [("bad", "failed")]
    assert state["steps"]["other"]["result"] == "[with [do red]]"
    assert state["errors"][0]["where"] == "bad"


def test_a_new_plan_is_asked_for_with_what_is_done_and_what_failed() -> None:
    team = Team()
    team.planner(HALF, plan(step("other")), ANSWER).invoke(ASK)
    asked = team.prompts[1]
    assert "red:\n```\n[do red]\n```" in asked
    assert "too hard" in asked
    assert "it needs 'bad', which failed" in asked


@pytest.mark.parametrize("task", ["do red", "do it again"])
def test_a_done_step_that_is_planned_again_does_not_run_twice(call: Any, task: str) -> None:
    team = Team()
    state = call(team.planner(HALF, plan(step("red", task=task), step("other")), ANSWER), ASK)
    assert sorted(team.tasks) == ["do other", "do red", "fail"]
    assert statuses(state) == "red:completed other:completed"


def test_a_failed_step_may_be_planned_again_under_its_id(call: Any) -> None:
    team = Team(failures=1)
    state = call(team.planner(HALF, plan(step("bad", task="fail again"), step("end", "red", "bad")), ANSWER), ASK)
    assert statuses(state) == "red:completed bad:completed end:completed"
    assert sorted(team.tasks) == ["do end", "do red", "fail", "fail again"]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_new_plans_are_bounded(call: Any, most: int) -> None:
    team = Team()
    state = call(team.planner(*[HALF] * (most + 1), ANSWER, max_replans=most), ASK)
    assert (state["status"], state["replans"], len(team.model.calls)) == ("partial", most, most + 2)
    assert team.tasks.count("do red") == 1
    assert state["stop_reason"].startswith("Step 'bad' failed with agent 'ann'")
    assert state["messages"][-1].text == "The answer."


def test_the_answer_says_what_could_not_be_found_out() -> None:
    team = Team()
    team.planner(HALF, ANSWER, max_replans=0).invoke(ASK)
    assert "Not done: fail (Step 'bad' failed" in team.prompts[1]


def test_a_model_may_see_that_nothing_more_can_be_done(call: Any) -> None:
    team = Team()
    state = call(team.planner(HALF, plan(), ANSWER), ASK)
    assert (state["status"], statuses(state)) == ("partial", "red:completed")
    assert "Step 'bad' failed" in state["stop_reason"]
    assert [item["id"] for item in state["abandoned"]] == ["bad"]


def test_the_answer_says_what_was_given_up() -> None:
    team = Team()
    team.planner(plan(step("red"), step("blue"), step("bad", task="fail")), plan(), ANSWER).invoke(ASK)
    assert "Not done: fail" in team.prompts[2]


def test_one_result_of_a_larger_plan_is_not_the_answer() -> None:
    assert Team().planner(HALF, plan(), ANSWER).invoke(ASK)["messages"][-1].text == "The answer."


def test_when_nothing_is_done_and_nothing_more_planned_the_default_agent_gets_the_request(call: Any) -> None:
    team = Team(failures=1)
    state = call(team.planner(plan(step("a", task="fail")), *[plan()] * 3), ASK)
    assert (state["status"], statuses(state)) == ("partial", "answer:completed")
    assert team.tasks == ["fail", "Compare red and blue"]


def test_a_flawed_new_plan_is_mended_too(call: Any) -> None:
    team = Team()
    state = call(team.planner(HALF, plan(step("x", "z")), plan(step("x", "red")), ANSWER), ASK)
    assert (state["status"], statuses(state)) == ("completed", "red:completed x:completed")


def test_without_a_sound_new_plan_the_results_are_kept(call: Any) -> None:
    team = Team()
    state = call(team.planner(HALF, *[plan(step("x", "z"))] * 3, ANSWER), ASK)
    assert (state["status"], statuses(state)) == ("partial", "red:completed")
    assert state["stop_reason"] == "The rest could not be planned: no sound plan in 3 attempts"
    assert team.tasks.count("Compare red and blue") == 0


def test_a_part_does_not_replace_an_answer_that_is_too_long(call: Any) -> None:
    too_long = Reply("Red is done, but blue cannot be had.")
    ask = {"messages": "Compare red and blue in at most 3 words."}
    state = call(Team().planner(HALF, *[plan(step("x", "z"))] * 3, too_long), ask)
    assert (state["status"], state["messages"][-1].text) == ("partial", "Red is done, but blue cannot be had.")


def test_a_planner_that_breaks_down_while_replanning_keeps_the_results(call: Any) -> None:
    state = call(Team().planner(HALF, Reply(refusal="No more"), ANSWER), ASK)
    assert (state["status"], statuses(state)) == ("partial", "red:completed")
    assert state["stop_reason"].startswith("The rest could not be planned: ")


@pytest.mark.parametrize("reply", [Reply(refusal="No"), Reply("cut", finish_reason="length"), ValueError("bad")])
def test_when_the_answer_cannot_be_written_the_results_are_given(call: Any, reply: Any) -> None:
    state = call(Team().planner(plan(step("red"), step("blue")), reply), ASK)
    assert state["messages"][-1].text == "## red\n\n[do red]\n\n## blue\n\n[do blue]"
    assert state["status"] == "partial"
    assert state["stop_reason"].startswith("The results could not be put together: ")
    assert state["errors"][0]["where"] == "synthesize"


def test_of_steps_that_build_on_each_other_all_results_are_given_too(call: Any) -> None:
    team = Team()
    state = call(
        team.planner(plan(step("red"), step("both", "red"), step("bad", task="fail")), plan(), ValueError()), ASK
    )
    assert state["messages"][-1].text == "## red\n\n[do red]\n\n## both\n\n[do both]"


ECHO = " compare RED\n and blue "


def test_an_answer_that_only_repeats_the_request_is_asked_for_again(call: Any) -> None:
    state = call(Team().planner(APART, Reply(ECHO, usage=(50, 5)), ANSWER), ASK)
    assert (state["messages"][-1].text, state["status"]) == ("The answer.", "completed")
    assert [fault["recovered"] for fault in state["errors"]] == [True]
    assert state["usage"]["agents"]["synthesizer"] == {"calls": 2, "input_tokens": 100, "output_tokens": 10}


def test_a_run_in_which_everything_fails_has_failed(call: Any) -> None:
    team = Team()
    state = call(team.planner(plan(step("a", task="fail"), step("b", task="fail")), max_replans=0), ASK)
    assert (state["status"], len(team.model.calls)) == ("failed", 1)
    assert "2 of 2 steps failed" in state["messages"][-1].text


def test_options_of_workflows_hold(call: Any) -> None:
    team = Team()
    continued = team.planner(HALF, ANSWER, max_replans=0, on_failure="continue", max_parallel=1)
    assert statuses(call(continued, ASK)) == "red:completed bad:failed end:completed"
