"""A request is planned, the plan is checked, run and answered from, whatever the model writes."""

import json
from typing import Any

import pytest

from agents import Agent
from agents.testing import Reply, ScriptedModel
from agents.tools import calculator
from graphs import ConfigurationError, Planner, UnknownAgentError
from graphs.decisions.plans import with_named_results
from tests.planned import ANSWER, APART, ASK, SOUND, Team, plan, statuses, step

# Sound plans


def test_a_request_is_planned_done_and_answered(call: Any) -> None:
    team = Team()
    state = call(team.planner(APART, ANSWER), ASK)
    assert (state["status"], state["stop_reason"], state["errors"]) == ("completed", None, [])
    assert state["messages"][-1].text == "The answer."
    assert statuses(state) == "red:completed blue:completed"
    assert sorted(team.tasks) == ["do blue", "do red"]


def test_the_result_of_the_step_that_all_others_lead_to_is_the_answer(call: Any) -> None:
    team = Team()
    state = call(team.planner(SOUND), ASK)
    assert (state["messages"][-1].text, state["status"]) == ("[[do red] or [do blue]]", "completed")
    assert sorted(team.tasks) == ["[do red] or [do blue]", "do blue", "do red"]
    assert len(team.model.calls) == 1


def test_work_that_the_last_step_has_checked_is_sent_back_with_its_faults(call: Any) -> None:
    team = Team()
    call(team.planner(plan(step("red"), step("check", "red", task="Check it for faults.")), ANSWER), ASK)
    assert "change what the feedback says:\n```\n[do red]\n```" in team.prompts[-1]
    assert "Feedback:\n```\n[Check it for faults.]\n```" in team.prompts[-1]


def test_a_last_result_without_what_the_request_states_is_sent_back_once(call: Any) -> None:
    team = Team()
    ask = {"messages": "Compare red and blue in at most 3 words."}
    state = call(team.planner(plan(step("red"), step("end", "red", task="Compare them at length.")), ANSWER), ask)
    assert state["messages"][-1].text == "The answer."
    assert "It has 4 words, but at most 3 are allowed." in team.prompts[-1]


@pytest.mark.parametrize("last", ["Compare red and blue", "Check both for faults.", "Have it checked."])
def test_a_last_step_that_is_not_an_answer_is_followed_by_one(call: Any, last: str) -> None:
    echo = Agent("echo", function=lambda task: task)
    steps = plan(step("red", agent="echo"), step("both", "red", agent="echo", task=last))
    state = call(Planner([echo], model=ScriptedModel([steps, ANSWER])).compile(), ASK)
    assert state["messages"][-1].text == "The answer."


@pytest.mark.parametrize(
    ("note", "answer"), [("It is good.", "The answer."), ("They cost 546.00.", "They cost 546.00.")]
)
def test_an_answer_that_loses_what_a_step_calculated_is_written_again(call: Any, note: str, answer: str) -> None:
    model = ScriptedModel("total = 12 * 45.50", profile={"tool_calling": False})
    team = [Agent("clerk", model=model, tools=[calculator]), Agent("writer", function=lambda task: note)]
    steps = plan(
        step("cost", agent="clerk", task="What do 12 chairs at 45.50 cost?"), step("note", "cost", agent="writer")
    )
    planner = ScriptedModel([steps, ANSWER])
    state = call(Planner(team, model=planner).compile(), {"messages": "Note what 12 chairs at 45.50 cost."})
    assert state["messages"][-1].text == answer
    assert ("It leaves out: 546." in planner.calls[-1].prompt) is (answer == "The answer.")
    assert state["steps"]["cost"]["result"] == "What do 12 chairs at 45.50 cost?\ntotal: 546"


def test_an_answer_that_breaks_a_limit_is_replaced_by_the_last_result_with_the_figures_it_lost(call: Any) -> None:
    model = ScriptedModel("total_cost = 12 * 45.50", profile={"tool_calling": False})
    team = [Agent("clerk", model=model, tools=[calculator]), Agent("writer", function=lambda task: "It is good.")]
    steps = plan(
        step("cost", agent="clerk", task="What do 12 chairs at 45.50 cost?"), step("note", "cost", agent="writer")
    )
    planner = ScriptedModel([steps, "The twelve chairs cost 546 in all, which is good."])
    state = call(
        Planner(team, model=planner).compile(), {"messages": "Note in at most 8 words what 12 chairs at 45.50 cost."}
    )
    assert state["messages"][-1].text == "It is good.\n\ntotal cost: 546"


@pytest.mark.parametrize(
    ("task", "added"),
    [
        ("Write a note with both.", ["red", "blue"]),
        ("Write of red.", ["red"]),
        ("Write from all results.", ["red", "blue"]),
        ("Write a note.", []),
    ],
)
def test_a_last_step_gets_the_results_that_it_speaks_of(task: str, added: list[str]) -> None:
    first, second = ({"id": name, "task": "", "dependencies": []} for name in ("red", "blue"))
    last = {"id": "note", "task": task, "dependencies": []}
    assert with_named_results([first, second, last])[-1]["dependencies"] == added
    chain = [first, {**second, "dependencies": ["red"]}, {**last, "dependencies": ["blue"]}]
    assert with_named_results(chain)[-1]["dependencies"] == (["blue", "red"] if "both" in task else ["blue"])
    used = {**second, "dependencies": ["note"]}
    assert with_named_results([first, last, used]) == [first, last, used]


def test_the_planner_is_told_of_the_team_and_the_form() -> None:
    team = Team()
    team.planner(SOUND, ANSWER, max_steps=7).invoke(ASK)
    assert "- ann: Knows red.\n- bob: Knows blue." in team.prompts[0]
    assert "at most 7" in team.prompts[0]
    assert team.prompts[0].endswith("Compare red and blue")
    schema = json.dumps(team.model.calls[0].kwargs["response_format"])
    assert '"enum": ["ann", "bob"]' in schema


def test_examples_of_the_team_make_example_plans() -> None:
    agents = [Agent(name, "", function=str.upper, examples=[f"Ask {name}."]) for name in ("ann", "bob", "cid")]
    system = Planner(agents, model=ScriptedModel()).system
    assert "- ann: Ask ann.\n- bob: Ask bob.\n- cid: Ask cid." in system


def test_the_answer_is_written_from_all_results_quoted() -> None:
    team = Team()
    team.planner(APART, ANSWER).invoke(ASK)
    asked = team.prompts[1]
    for said in ("Compare red and blue", "red:\n```\n[do red]\n```", "blue:"):
        assert said in asked


def test_a_plan_of_one_step_needs_no_synthesis(call: Any) -> None:
    team = Team()
    state = call(team.planner(plan(step("red"))), ASK)
    assert (state["messages"][-1].text, len(team.model.calls)) == ("[do red]", 1)


def test_usage_is_counted_per_agent(call: Any) -> None:
    cid = Agent("cid", model=ScriptedModel(Reply("fine", usage=(7, 3))))
    model = ScriptedModel([plan(step("a", agent="cid"), step("b", agent="cid")), ANSWER])
    usage = call(Planner([cid], model=model).compile(), ASK)["usage"]
    assert usage["agents"] == {
        "planner": {"calls": 1, "input_tokens": 100, "output_tokens": 10},
        "cid": {"calls": 2, "input_tokens": 14, "output_tokens": 6},
        "synthesizer": {"calls": 1, "input_tokens": 50, "output_tokens": 5},
    }
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (4, 164, 21)


def test_a_synthesizer_of_ones_own_writes_the_answer(call: Any) -> None:
    own = Agent("own", function=lambda task, context: " and ".join(context))
    assert call(Team().planner(SOUND, synthesizer=own), ASK)["messages"][-1].text == "red and blue and both"


@pytest.mark.parametrize("text", ['Explain {{x}}, {y} and {"a": {}}', "{request}"])
def test_a_request_with_braces_reaches_agents_as_it_is(call: Any, text: str) -> None:
    team = Team()
    call(team.planner(plan(step("a", task="{request}"))), {"messages": text})
    call(team.planner(*["no plan"] * 3), {"messages": text})
    assert team.tasks == [text, text]


# Flawed plans


FLAWS = {
    "no steps": plan(),
    "needs agent 'eve'; known: ann, bob": plan(step("a", agent="eve")),
    "depends on 'z', which is not a step": plan(step("a", "z")),
    "There are 4 steps; use at most 3": plan(*[step(f"s{at}") for at in range(4)]),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_plan_goes_back_with_what_is_wrong_and_is_mended(call: Any, flaw: str) -> None:
    team = Team()
    state = call(team.planner(FLAWS[flaw], plan(step("red")), max_steps=3), ASK)
    assert flaw in team.prompts[1]
    assert (state["status"], statuses(state), state["plan_attempts"]) == ("completed", "red:completed", 2)
    assert (team.tasks, state["errors"], state["flaws"]) == (["do red"], [], [])


def test_the_flawed_plan_itself_is_shown_to_the_model() -> None:
    team = Team()
    team.planner(plan(step("a", "z", task="the flawed one")), plan(step("red"))).invoke(ASK)
    assert [message.type for message in team.model.calls[1].messages] == ["system", "human", "ai", "human"]
    assert "the flawed one" in team.model.calls[1].messages[2].text


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_plan_that_is_never_mended_goes_to_the_default_agent(call: Any, attempts: int) -> None:
    team = Team()
    state = call(team.planner(*[plan()] * attempts, max_plan_attempts=attempts), ASK)
    assert team.tasks == ["Compare red and blue"]
    assert state["status"] == "partial"
    assert state["stop_reason"] == f"The request went to 'ann' as a whole: no sound plan in {attempts} attempts"
    assert state["messages"][-1].text == "[Compare red and blue]"
    assert "no steps" in state["errors"][0]["message"]
    assert len(team.model.calls) == attempts


def test_the_fallback_can_be_chosen() -> None:
    state = Team().planner(*[plan()] * 3, fallback="bob").invoke(ASK)
    assert state["steps"]["answer"]["agent"] == "bob"
    with pytest.raises(UnknownAgentError, match="fallback 'eve' is not in the team; known: ann, bob"):
        Team().planner(fallback="eve")


def test_when_the_default_agent_fails_too_the_run_has_failed(call: Any) -> None:
    state = call(Team().planner(*[plan()] * 3), {"messages": "fail"})
    assert (state["status"], statuses(state)) == ("failed", "answer:failed")
    assert "no sound plan" in state["stop_reason"]
    assert {error["where"] for error in state["errors"]} == {"check", "answer"}


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (["no plan"] * 3, "DecisionError"),
        ([Reply(refusal="I will not")], "AgentError"),
        ([Reply('{"steps": [', finish_reason="length")], "AgentError"),
        ([ConnectionError("gone")] * 3, "ConnectionError"),
        ([ValueError("bad")], "ValueError"),
    ],
)
def test_without_any_plan_the_request_goes_to_the_default_agent(call: Any, script: Any, kind: str) -> None:
    team = Team()
    state = call(team.planner(*script), ASK)
    assert (state["status"], state["errors"][0]["where"], state["errors"][0]["kind"]) == ("partial", "plan", kind)
    assert state["stop_reason"].startswith("The request went to 'ann' as a whole: ")
    assert (team.tasks, len(team.model.calls)) == (["Compare red and blue"], len(script))


def test_a_model_that_is_busy_is_asked_again(call: Any) -> None:
    assert call(Team().planner(ConnectionError("gone"), Reply(""), plan(step("red"))), ASK)["status"] == "completed"


def test_the_calls_of_failed_planning_count(call: Any) -> None:
    usage = call(Team().planner(*[Reply("no plan", usage=(1, 1))] * 3), ASK)["usage"]
    assert usage["agents"]["planner"]["calls"] == 3


@pytest.mark.parametrize("wrong", [{"max_parallel": 0}, {"on_failure": "explode"}, {"agents": []}])
def test_senseless_options_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        Planner(**{"agents": [Agent("ann", function=str.upper)], "model": ScriptedModel(), **wrong})
