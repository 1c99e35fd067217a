"""Triage, a plan of supervised steps, a final review: whatever fails, the request is answered, or said to be not."""

import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Orchestrator, Router

ASK = {"messages": "Find rain facts and write a poem of them."}
AT_ONCE = Retry(wait=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}

TRIAGE, PLAN, FINAL, STEP, ANSWER = (
    "how a team",
    "You are the planner",
    "directly usable",
    "What it says",
    "final answer",
)
"""Words of the prompts by which the scripted model tells who asks: the final review and that of steps by criteria."""
SMALL = {"reason": "one thing", "small": True, "agent": "writer"}
LARGE = {"reason": "two things", "small": False, "agent": "finder"}
GOOD = {"criteria": {f"criterion_{one}": {"evidence": "e", "met": True} for one in (1, 2)}, "feedback": ""}


def bad(feedback: str) -> Any:
    unmet = {"evidence": "e", "met": False}
    return {"criteria": {"criterion_1": {"evidence": "e", "met": True}, "criterion_2": unmet}, "feedback": feedback}


def step(name: str, agent: str, *dependencies: str) -> dict[str, Any]:
    return {"id": name, "agent": agent, "task": f"do {name}", "dependencies": list(dependencies)}


TWO_STEPS = {"steps": [step("facts", "finder"), step("poem", "writer", "facts")]}
ONE_STEP = {"steps": [step("poem", "writer")]}


def model_of(**replies: Any) -> ScriptedModel:
    """Script a model by who asks; a list answers in turn."""
    given = {"triage": LARGE, "plan": TWO_STEPS, "final": GOOD, "step": GOOD, "answer": "the answer", **replies}
    keys = {"triage": TRIAGE, "plan": PLAN, "final": FINAL, "step": STEP, "answer": ANSWER}
    return ScriptedModel({keys[one]: iter(r) if isinstance(r, list) else r for one, r in given.items()})


def asked(model: ScriptedModel, words: str) -> list[str]:
    """Return the prompts of the calls with these words in the system message."""
    return [one.prompt for one in model.calls if words in one.messages[0].text]


def first_line(text: str) -> str:
    return text.splitlines()[0]


FINDER = Agent("finder", "Finds facts.", function=lambda task: "it is wet", examples=["What is rain?"])
WRITER = Agent(
    "writer", "Writes.", function=lambda task: f"a poem ({task.splitlines()[0]})", examples=["Write an ode."]
)


def fail(task: str) -> str:
    raise ValueError("ill")


ILL = Agent("writer", "Writes.", function=fail)


def orchestrator(model: ScriptedModel, *team: Agent, checkpointer: Any = None, **options: Any) -> Any:
    agents = team or (FINDER, WRITER)
    return Orchestrator(agents, model=model, retry=AT_ONCE, **options).compile(checkpointer)


def ended(state: Any) -> tuple[str, str]:
    return state["status"], state["messages"][-1].text


# Triage


def test_a_small_request_goes_to_one_agent(call: Any) -> None:
    model = model_of(triage=SMALL)
    state = call(orchestrator(model), ASK)
    assert ended(state) == ("completed", f"a poem ({ASK['messages']})")
    assert (state["triage"], state["plan"], state["steps"]) == (SMALL, [], {})
    assert len(model.calls) == 2  # triage and review


def test_triage_knows_the_team_and_examples_of_its_requests(call: Any) -> None:
    model = model_of(triage=SMALL)
    call(orchestrator(model), ASK)
    assert "- finder: Finds facts.\n- writer: Writes." in model.calls[0].prompt
    assert 'Example request: What is rain?\nExample answer: {"reason": "…", "small": true, "agent": "finder"}' in (
        model.calls[0].prompt
    )
    assert "Example request: What is rain? Then: Write an ode.\n" in model.calls[0].prompt
    assert model.calls[0].messages[-1].text == ASK["messages"]


@pytest.mark.parametrize(
    "triage",
    [Reply(error=ValueError("boom")), "no JSON", Reply(refusal="no"), {**SMALL, "agent": "nobody"}, LARGE],
    ids=["exception", "free text", "refusal", "unknown agent", "large"],
)
def test_what_cannot_be_sorted_is_planned(call: Any, triage: Any) -> None:
    state = call(orchestrator(model_of(triage=triage)), ASK)
    assert ended(state) == ("completed", "the answer")
    assert [one["where"] for one in state["errors"]] == ["triage"] * isinstance(triage, str | Reply)


def test_when_the_one_agent_fails_the_request_is_planned(call: Any) -> None:
    model = model_of(triage=SMALL, plan={"steps": [step("facts", "finder")]})
    state = call(orchestrator(model, FINDER, ILL), ASK)
    assert ended(state) == ("completed", "it is wet")
    assert state["errors"] == [{"where": "agent", "kind": "ValueError", "message": "ValueError: ill"}]


def test_a_question_of_the_one_agent_goes_to_the_user(call: Any) -> None:
    desk = Router([FINDER], classifier=lambda text: [], model=False).as_agent("writer")
    model = model_of(triage=SMALL)
    state = call(orchestrator(model, FINDER, desk), ASK)
    assert (state["status"], len(model.calls)) == ("needs_input", 1)


# A plan with supervised steps


def test_a_planned_request_is_answered_from_steps_that_were_reviewed(call: Any) -> None:
    model = model_of()
    state = call(orchestrator(model), ASK)
    assert ended(state) == ("completed", "the answer")
    assert {one: record["result"] for one, record in state["steps"].items()} == {
        "facts": "it is wet",
        "poem": "a poem (Request, for orientation:)",
    }
    assert len(asked(model, STEP)) == 2
    assert len(asked(model, FINAL)) == 1


def test_a_step_is_sent_back_before_others_build_on_it(call: Any) -> None:
    facts = iter(["dry", "it is wet"])
    finder = Agent("finder", function=lambda task: next(facts))
    model = model_of(step=[bad("Wrong."), GOOD, GOOD])
    state = call(orchestrator(model, finder, WRITER), ASK)
    assert (state["steps"]["facts"]["result"], state["status"]) == ("it is wet", "completed")
    assert len(asked(model, STEP)) == 3


def test_a_step_that_does_not_get_good_is_told_in_the_errors(call: Any) -> None:
    drafts = iter("ab")
    finder = Agent("finder", function=lambda task: next(drafts))
    model = model_of(step=[bad("Wrong."), bad("Still wrong."), GOOD])
    state = call(orchestrator(model, finder, WRITER), ASK)
    told = {"kind": "escalated", "message": "Not accepted after 1 revisions: Still wrong."}
    assert {"where": "plan/facts/finder", **told} in state["errors"]
    assert (state["status"], len(asked(model, FINAL))) == ("completed", 1)


def test_unsupervised_steps_are_not_reviewed(call: Any) -> None:
    model = model_of()
    state = call(orchestrator(model, review_steps=False), ASK)
    assert ended(state) == ("completed", "the answer")
    assert (len(asked(model, STEP)), len(asked(model, FINAL))) == (0, 1)


def test_options_of_the_planner_are_passed_on(call: Any) -> None:
    model = model_of(plan=[TWO_STEPS, ONE_STEP])
    state = call(orchestrator(model, max_steps=1), ASK)
    assert (state["status"], list(state["steps"])) == ("completed", ["poem"])
    with pytest.raises(TypeError):
        orchestrator(model, max_stepz=1)


# The final review


def test_a_rejected_answer_is_planned_again_with_the_feedback(call: Any) -> None:
    model = model_of(final=[bad("Add the sources."), GOOD], plan=[TWO_STEPS, ONE_STEP])
    state = call(orchestrator(model), ASK)
    assert (state["status"], state["revisions"], list(state["steps"])) == ("completed", 1, ["poem"])
    again = asked(model, PLAN)[1]
    assert "Feedback:\n```\nAdd the sources.\n```" in again
    assert "your last version:\n```\nthe answer\n```" in again
    assert ASK["messages"] in again


def test_a_small_answer_that_is_rejected_is_planned(call: Any) -> None:
    state = call(orchestrator(model_of(triage=SMALL, final=[bad("Add facts."), GOOD])), ASK)
    assert ended(state) == ("completed", "the answer")
    assert list(state["steps"]) == ["facts", "poem"]


def test_an_answer_rejected_to_the_end_is_escalated(call: Any) -> None:
    model = model_of(final=[bad("Add sources."), bad("Add names.")], answer=["one", "two"])
    state = call(orchestrator(model), ASK)
    assert ended(state) == ("escalated", "two")
    assert state["stop_reason"] == "Not accepted after 1 revisions: Add names."


def test_checks_come_before_the_final_review(call: Any) -> None:
    model = model_of(answer=["ONE", "two"])
    state = call(orchestrator(model, checks=[str.islower]), ASK)
    assert ended(state) == ("completed", "two")
    assert (len(asked(model, FINAL)), state["reviews"][0]["by"]) == (1, "checks")


@pytest.mark.parametrize("final", ["Fine!", Reply(error=ValueError("boom"))], ids=["free text", "exception"])
def test_an_answer_that_could_not_be_reviewed_is_escalated(call: Any, final: Any) -> None:
    state = call(orchestrator(model_of(final=final)), ASK)
    assert ended(state) == ("escalated", "the answer")
    assert (state["revisions"], state["errors"][-1]["where"]) == (0, "review")


def test_an_agent_may_take_over(call: Any) -> None:
    master = Agent("master", function=lambda task, context: f"better than {context['the best version so far']}")
    state = call(orchestrator(model_of(final=bad("No.")), escalate=master, max_revisions=0), ASK)
    assert ended(state) == ("escalated", "better than the answer")


def test_a_person_may_have_it_planned_again(call: Any) -> None:
    model = model_of(final=[bad("No."), GOOD], plan=[TWO_STEPS, ONE_STEP])
    graph = orchestrator(model, escalate="human", max_revisions=0, checkpointer=InMemorySaver())
    assert call(graph, ASK, THREAD)["__interrupt__"][0].value["feedback"] == "No."
    state = call(graph, Command(resume={"type": "retry", "feedback": "Shorter, please."}), THREAD)
    assert (state["status"], list(state["steps"])) == ("completed", ["poem"])
    assert "Shorter, please." in asked(model, PLAN)[1]


def test_a_person_may_help_when_the_plan_has_failed(call: Any) -> None:
    model = model_of(plan=ONE_STEP)
    graph = orchestrator(model, FINDER, ILL, escalate="human", max_replans=0, checkpointer=InMemorySaver())
    call(graph, ASK, THREAD)
    call(graph, Command(resume={"type": "retry", "feedback": "Ask the finder."}), THREAD)
    assert "Ask the finder." in asked(model, PLAN)[1]


# What fails on the way


def test_a_plan_whose_steps_all_fail_is_a_failure(call: Any) -> None:
    model = model_of(plan=ONE_STEP)
    state = call(orchestrator(model, FINDER, ILL, max_replans=0), ASK)
    status, text = ended(state)
    assert (status, text) == ("failed", state["stop_reason"])
    assert state["stop_reason"].startswith("The plan failed: Step 'poem' failed with agent 'writer'")
    assert [one["where"] for one in state["errors"]] == ["plan/poem"]
    assert state["steps"]["poem"]["status"] == "failed"
    assert asked(model, FINAL) == []


def test_a_second_plan_that_fails_leaves_the_first_answer(call: Any) -> None:
    model = model_of(final=bad("No."), plan=[{"steps": [step("facts", "finder")]}, ONE_STEP])
    state = call(orchestrator(model, FINDER, ILL, max_replans=0), ASK)
    assert ended(state) == ("escalated", "it is wet")
    assert state["stop_reason"].startswith("The plan failed: ")


def test_a_question_of_the_only_step_goes_to_the_user(call: Any) -> None:
    desk = Router([FINDER], classifier=lambda text: [], model=False).as_agent("writer")
    model = model_of(plan=ONE_STEP)
    state = call(orchestrator(model, FINDER, desk), ASK)
    assert (state["status"], asked(model, FINAL), asked(model, STEP)) == ("needs_input", [], [])
    assert state["messages"][-1].text.startswith("I am not sure who can help")


def test_an_accepted_answer_from_part_of_the_steps_stays_partial(call: Any) -> None:
    state = call(orchestrator(model_of(), FINDER, ILL, max_replans=0), ASK)
    assert ended(state) == ("partial", "the answer")
    assert state["stop_reason"].startswith("Step 'poem' failed with agent 'writer'")


def test_without_a_sound_plan_the_default_agent_answers(call: Any) -> None:
    model = model_of(plan="no plan")
    state = call(orchestrator(model, fallback="writer"), ASK)
    assert state["status"] == "completed"  # by the final review
    assert state["messages"][-1].text.startswith("a poem")
    assert state["errors"][-1]["message"].startswith("The request went to 'writer' as a whole")


def test_nothing_works_without_a_model_and_that_is_said(call: Any) -> None:
    broken = ScriptedModel(lambda messages: ValueError("no such model"))
    state = call(orchestrator(broken, Agent("writer", model=broken)), ASK)
    assert state["status"] == "failed"
    assert "no such model" in state["stop_reason"]
    assert {one["where"].split("/")[0] for one in state["errors"]} == {"triage", "plan"}


# What it costs, and where


def test_usage_adds_up_through_all_levels(call: Any) -> None:
    model = model_of(step=[bad("No."), *[GOOD] * 4], final=[bad("Again."), GOOD], answer=["one", "two"])
    drafts = iter(range(9))
    team = [Agent("finder", function=lambda task: f"{next(drafts)}"), WRITER]
    usage = call(orchestrator(model, *team), ASK)["usage"]
    assert usage["calls"] == len(model.calls) == sum(one["calls"] for one in usage["agents"].values())
    assert {name: one["calls"] for name, one in usage["agents"].items()} == {
        "triage": 1,
        "planner": 2,
        "finder/reviewer": 3,
        "writer/reviewer": 2,
        "synthesizer": 2,
        "reviewer": 2,
    }


def test_events_name_the_way_to_a_step() -> None:
    events = list(orchestrator(model_of()).stream(ASK, stream_mode="custom", subgraphs=True))
    paths = {event["step"]: event["path"] for _, event in events if event["event"] == "step"}
    assert paths == {"facts": "plan/execute/facts", "poem": "plan/execute/poem"}


def test_a_second_message_in_a_thread_starts_anew() -> None:
    graph = orchestrator(model_of(triage=[LARGE, SMALL]), checkpointer=InMemorySaver())
    assert list(graph.invoke(ASK, THREAD)["steps"]) == ["facts", "poem"]
    state = graph.invoke({"messages": "Now an ode."}, THREAD)
    assert (state["status"], state["steps"], state["plan"], len(state["reviews"])) == ("completed", {}, [], 1)


def test_the_state_is_plain_json(call: Any) -> None:
    state = call(orchestrator(model_of()), ASK)
    json.dumps({key: value for key, value in state.items() if key != "messages"})


# The baseline


def test_the_baseline_is_one_agent_and_one_call(call: Any) -> None:
    model = ScriptedModel(["alone"])
    state = call(orchestrator(model, baseline=True), ASK)
    assert ended(state) == ("completed", "alone")
    assert (len(model.calls), model.calls[0].messages[-1].text) == (1, ASK["messages"])
    assert state["usage"]["agents"]["assistant"]["calls"] == state["usage"]["calls"] == 1


def test_a_baseline_that_fails_says_so(call: Any) -> None:
    state = call(orchestrator(ScriptedModel([ValueError("boom")]), baseline=True), ASK)
    assert ended(state) == ("failed", "'assistant' failed: ValueError: boom")
    assert len(state["errors"]) == 1


def test_the_baseline_is_drawn_as_what_it_is() -> None:
    drawn = orchestrator(ScriptedModel([]), baseline=True).get_graph()
    assert set(drawn.nodes) == {"__start__", "assistant", "__end__"}


@pytest.mark.parametrize("options", [{"max_revisions": -1}, {"step_revisions": -1}, {"criteria": []}])
def test_an_orchestrator_put_together_wrongly_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Orchestrator([WRITER], **options)
