"""Triage, one agent or a plan, a final review: whatever fails, the request is answered, or the reason why it is not."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Orchestrator, Planner, Router
from graphs.orchestrator import ALONE
from tests import roles
from tests.supervised import ended

ASK = {"messages": "Find rain facts and write a poem of them."}
AT_ONCE = Retry(wait=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}

PROMPTS = {
    "triage": roles.TRIAGE,
    "plan": roles.PLANNER,
    "final": "directly usable",
    "step": "What it says",
    "answer": roles.SYNTHESIZER,
}
"""Words of the prompts by which the scripted model recognises who asks: reviews by their criteria."""
SMALL = {"small": True, "agent": "writer"}
LARGE = {"small": False, "agent": "finder"}
GOOD = {"criteria": {f"criterion_{number}": {"evidence": "e", "met": True} for number in (1, 2)}, "feedback": ""}


def bad(feedback: str) -> Any:
    unmet = {"evidence": "e", "met": False}
    return {"criteria": {"criterion_1": {"evidence": "e", "met": True}, "criterion_2": unmet}, "feedback": feedback}


def step(name: str, agent: str, *dependencies: str) -> dict[str, Any]:
    return {"id": name, "agent": agent, "task": f"do {name}", "dependencies": list(dependencies)}


TWO_STEPS = {"steps": [step("facts", "finder"), step("poem", "writer")]}
IN_A_ROW = {"steps": [step("facts", "finder"), step("poem", "writer", "facts")]}
ONE_STEP = {"steps": [step("poem", "writer")]}
FACTS = {"steps": [step("facts", "finder")]}


def model_of(**replies: Any) -> ScriptedModel:
    """Script a model by who asks; a list answers in turn."""
    script = {"triage": LARGE, "plan": TWO_STEPS, "final": GOOD, "step": GOOD, "answer": "the answer", **replies}
    return ScriptedModel({PROMPTS[who]: iter(r) if isinstance(r, list) else r for who, r in script.items()})


def asked(model: ScriptedModel, who: str) -> list[str]:
    """Return the prompts of one kind of call."""
    return [call.prompt for call in model.calls if PROMPTS[who] in call.messages[0].text]


FINDER = Agent("finder", "Finds facts.", function=lambda task: "it is wet", examples=["What is rain?"])
WRITER = Agent("writer", "Writes.", function=lambda task: f"a poem ({task.splitlines()[0]})", examples=["An ode."])


def fail(task: str) -> str:
    raise ValueError("ill")


ILL = Agent("writer", "Writes.", function=fail)


def orchestrator(model: ScriptedModel, *team: Agent, checkpointer: Any = None, **options: Any) -> Any:
    """Compile an orchestrator; options of the planner are passed to a planner of its own."""
    agents = team or (FINDER, WRITER)
    planning = {name: options.pop(name) for name in ("max_steps", "max_replans", "fallback") if name in options}
    if planning:
        options["planner"] = Planner(agents, model=model, retry=AT_ONCE, **planning)
    return Orchestrator(agents, model=model, retry=AT_ONCE, **options).compile(checkpointer)


# Triage


def test_a_small_request_goes_to_one_agent(call: Any) -> None:
    model = model_of(triage=SMALL)
    state = call(orchestrator(model), ASK)
    assert ended(state) == ("completed", f"a poem ({ASK['messages']})")
    assert (state["triage"], state["plan"], state["steps"]) == ({**SMALL, "reason": ALONE}, [], {})
    assert [chosen["shape"] for chosen in state["chosen"]] == ["one agent"]
    assert len(model.calls) == 1  # triage


@pytest.mark.parametrize("options", [{"criteria": ["It is directly usable.", "It rhymes."]}, {"reviewer": "critic"}])
def test_a_reviewer_or_criteria_of_ones_own_judge_single_agents_too(call: Any, options: dict[str, Any]) -> None:
    model = model_of(triage=SMALL)
    if "reviewer" in options:
        options = {"reviewer": Agent("critic", instructions="Be strict.", model=model)}
    state = call(orchestrator(model, **options), ASK)
    assert (state["status"], len(model.calls)) == ("completed", 2)


def test_triage_knows_the_team_and_examples_of_its_requests() -> None:
    model = model_of(triage=SMALL)
    orchestrator(model).invoke(ASK)
    prompt = model.calls[0].prompt
    assert "- finder: Finds facts.\n- writer: Writes." in prompt
    assert 'Example request: What is rain?\nExample answer: {"agent": "finder", "small": true}' in prompt
    assert 'Example request: An ode. Then: What is rain?\nExample answer: {"agent": "writer", "small": false}' in prompt
    assert model.calls[0].messages[-1].text == ASK["messages"]


@pytest.mark.parametrize(
    "triage",
    [Reply(error=ValueError("boom")), "no JSON", {**SMALL, "agent": "nobody"}, LARGE],
    ids=["exception", "free text", "unknown agent", "large"],
)
def test_what_cannot_be_sorted_is_planned(call: Any, triage: Any) -> None:
    state = call(orchestrator(model_of(triage=triage)), ASK)
    assert ended(state) == ("completed", "the answer")
    assert [error["where"] for error in state["errors"]] == ["triage"] * (triage is not LARGE)


def test_when_the_one_agent_fails_the_request_is_planned(call: Any) -> None:
    state = call(orchestrator(model_of(triage=SMALL, plan=FACTS), FINDER, ILL), ASK)
    assert ended(state) == ("completed", "it is wet")
    assert state["errors"] == [{"where": "agent", "kind": "ValueError", "message": "ValueError: ill"}]


def test_a_question_of_the_one_agent_goes_to_the_user(call: Any) -> None:
    desk = Router([FINDER], classifier=lambda text: [], model=False).as_agent("writer")
    model = model_of(triage=SMALL)
    state = call(orchestrator(model, FINDER, desk), ASK)
    assert (state["status"], len(model.calls)) == ("needs_input", 1)


# A plan


def test_a_planned_request_is_answered_from_its_steps_and_reviewed_once(call: Any) -> None:
    model = model_of()
    state = call(orchestrator(model), ASK)
    assert ended(state) == ("completed", "the answer")
    results = {name: record["result"] for name, record in state["steps"].items()}
    assert results == {"facts": "it is wet", "poem": "a poem (do poem)"}
    assert (len(asked(model, "step")), len(asked(model, "final"))) == (0, 1)


def test_a_reviewed_step_that_is_never_accepted_is_an_error_but_goes_on(call: Any) -> None:
    drafts = iter("ab")
    finder = Agent("finder", function=lambda task: next(drafts))
    model = model_of(step=[bad("Wrong."), bad("Still wrong."), GOOD], plan=IN_A_ROW)
    state = call(orchestrator(model, finder, WRITER, review_steps=True), ASK)
    reason = {"kind": "escalated", "message": "Not accepted after 1 revisions: Still wrong."}
    assert {"where": "plan/facts/finder", **reason} in state["errors"]
    assert (state["status"], len(asked(model, "final"))) == ("completed", 1)


# The final review


def test_a_planned_answer_that_a_check_rejects_goes_back_to_the_agent_of_its_last_step(call: Any) -> None:
    seen: list[dict[str, str]] = []
    writer = Agent("writer", function=lambda task, context: seen.append(context) or f"poem {'!' * (2 - len(seen))}")
    model = model_of(plan=IN_A_ROW)
    state = call(orchestrator(model, FINDER, writer, checks=[lambda text: "!" not in text or "Calmer."]), ASK)
    assert ended(state) == ("completed", "poem ")
    assert seen[1] == {"feedback": "Calmer.", "last_version": "poem !"}
    assert len(model.calls) == 3  # triage, plan, review


def test_a_rejected_answer_is_planned_again_with_the_feedback_and_what_is_done(call: Any) -> None:
    more = {"steps": [step("more", "finder")]}
    model = model_of(final=[bad("Add sources."), GOOD], plan=[TWO_STEPS, more], answer=["one", "two"])
    worked: list[str] = []
    finder = Agent("finder", function=lambda task: worked.append(task) or "it is wet")
    state = call(orchestrator(model, finder, WRITER), ASK)
    assert (state["status"], state["revisions"], list(state["steps"])) == ("completed", 1, ["facts", "poem", "more"])
    assert len(worked) == 2  # finished steps keep their results
    again = asked(model, "plan")[1]
    assert "feedback:\n```\nAdd sources.\n```" in again
    assert "last_version:\n```\none\n```" in again
    assert "facts:\n```\nit is wet\n```" in again
    assert ASK["messages"] in again


def test_a_small_answer_that_is_rejected_goes_back_to_its_agent_and_then_is_planned(call: Any) -> None:
    model = model_of(triage=SMALL, final=[bad("Add facts."), bad("More."), GOOD])
    seen: list[dict[str, str]] = []
    writer = Agent("writer", function=lambda task, context: seen.append(context) or f"poem {len(seen)}")
    state = call(orchestrator(model, FINDER, writer, max_revisions=2, criteria=["directly usable", "rhymes"]), ASK)
    assert ended(state) == ("completed", "the answer")
    assert [(chosen["shape"], chosen["reason"]) for chosen in state["chosen"]] == [
        ("one agent", ALONE),
        ("one agent", "sent back: Add facts."),
        ("plan", "sent back: More."),
    ]
    assert seen[1] == {"feedback": "Add facts.", "last_version": "poem 1"}
    assert list(state["steps"]) == ["facts", "poem"]


@pytest.mark.parametrize("final", ["Fine!", Reply(error=ValueError("boom"))], ids=["free text", "exception"])
def test_an_answer_that_could_not_be_reviewed_is_escalated(call: Any, final: Any) -> None:
    state = call(orchestrator(model_of(final=final)), ASK)
    assert ended(state) == ("escalated", "the answer")
    assert (state["revisions"], state["errors"][-1]["where"]) == (0, "review")


def test_an_agent_may_take_over(call: Any) -> None:
    master = Agent("master", function=lambda task, context: f"better than {context['best_version']}")
    state = call(orchestrator(model_of(final=bad("No.")), escalate=master, max_revisions=0), ASK)
    assert ended(state) == ("escalated", "better than the answer")


def rejected(feedback: str) -> Command[Any]:
    return Command(resume={"type": "reject", "message": feedback})


def test_a_person_may_have_it_planned_again(call: Any) -> None:
    more = {"steps": [step("more", "finder")]}
    model = model_of(final=[bad("No."), GOOD], plan=[TWO_STEPS, more], answer=["one", "two"])
    graph = orchestrator(model, escalate="human", max_revisions=0, checkpointer=InMemorySaver())
    (question,) = call(graph, ASK, THREAD)["__interrupt__"]
    assert question.value["description"].endswith("Feedback:\nNo.")
    state = call(graph, rejected("Shorter, please."), THREAD)
    assert (state["status"], list(state["steps"])) == ("completed", ["facts", "poem", "more"])
    assert "Shorter, please." in asked(model, "plan")[1]


def test_a_person_may_help_when_the_plan_has_failed(call: Any) -> None:
    model = model_of(plan=ONE_STEP)
    graph = orchestrator(model, FINDER, ILL, escalate="human", max_replans=0, checkpointer=InMemorySaver())
    call(graph, ASK, THREAD)
    call(graph, rejected("Ask the finder."), THREAD)
    assert "Ask the finder." in asked(model, "plan")[1]


def test_a_person_approves_the_plan_of_a_planner_of_ones_own(call: Any) -> None:
    model = model_of()
    planner = Planner([FINDER, WRITER], model=model, approval=True)
    graph = Orchestrator([FINDER, WRITER], planner=planner, model=model).compile(InMemorySaver())
    (question,) = call(graph, ASK, THREAD)["__interrupt__"]
    assert question.value["action_requests"][0]["name"] == "run_plan"
    assert ended(call(graph, Command(resume="approve"), THREAD)) == ("completed", "the answer")


# What fails on the way


def test_an_accepted_answer_from_part_of_the_steps_stays_partial(call: Any) -> None:
    state = call(orchestrator(model_of(), FINDER, ILL, max_replans=0), ASK)
    assert ended(state) == ("partial", "the answer")
    assert state["stop_reason"].startswith("Step 'poem' failed with agent 'writer'")


def test_without_a_sound_plan_the_fallback_answers(call: Any) -> None:
    state = call(orchestrator(model_of(plan="no plan"), fallback="writer"), ASK)
    assert state["status"] == "completed"  # by the final review
    assert state["messages"][-1].text.startswith("a poem")
    assert state["errors"][-1]["message"].startswith("The request went to 'writer' as a whole")


def test_nothing_works_without_a_model_and_the_reason_is_clear(call: Any) -> None:
    broken = ScriptedModel(lambda messages: ValueError("no such model"))
    state = call(orchestrator(broken, Agent("writer", model=broken)), ASK)
    assert state["status"] == "failed"
    assert "no such model" in state["stop_reason"]
    assert {error["where"].split("/")[0] for error in state["errors"]} == {"triage", "plan"}


# What it costs, and where


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


@pytest.mark.parametrize(
    "options",
    [{"max_revisions": -1}, {"criteria": []}, {"planner": Planner([WRITER], model=ScriptedModel()), "review_steps": 1}],
    ids=["revisions", "criteria", "planner"],
)
def test_an_orchestrator_put_together_wrongly_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Orchestrator([WRITER], model=ScriptedModel(), **options)
