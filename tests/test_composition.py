"""Every pattern is an agent of every other: answers, events, usage, status, errors and questions come through."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Pattern, Step, Workflow
from tests import roles
from tests.nested import (
    ASK,
    ASKING,
    ESCALATED,
    FAILED,
    FIRST,
    PARTIAL,
    PATTERNS,
    THREAD,
    WAY,
    WELL,
    Make,
    fail,
    leaf,
    nested,
    network,
    orchestrator,
    planner,
    router,
    supervisor,
    team_model,
    workflow,
)
from tests.plain_graphs import own_graph

NEXT = [*zip(PATTERNS, [*PATTERNS[1:], PATTERNS[0]], strict=True)]
"""Each pattern once outside and once inside."""
every_pattern = pytest.mark.parametrize(("outer", "inner"), NEXT)
also_in_itself = pytest.mark.parametrize(("outer", "inner"), [*NEXT, *((pattern, pattern) for pattern in PATTERNS)])


# Every pattern in another and in itself


@also_in_itself
def test_the_answer_comes_through_and_every_call_is_counted_once(call: Any, outer: Make, inner: Make) -> None:
    model = team_model()
    state = call(nested(outer, inner, leaf(model), model).compile(), ASK)
    assert (state["status"], state["messages"][-1].text, state["errors"]) == ("completed", "the answer", [])
    booked = state["usage"]["agents"]
    assert state["usage"]["calls"] == len(model.calls) == sum(share["calls"] for share in booked.values())
    assert state["usage"]["output_tokens"] == sum(share["output_tokens"] for share in booked.values())
    assert booked["inner/leaf"]["calls"] == 1


@every_pattern
def test_updates_from_inside_are_streamed_with_the_way_to_them(outer: Make, inner: Make) -> None:
    model = team_model()
    pattern = nested(outer, inner, leaf(model), model)
    updates: dict[str, set[str]] = {}
    for namespace, update in pattern.compile().stream(ASK, stream_mode="updates", subgraphs=True):
        place = "/".join(part.split(":")[0] for part in namespace)
        updates.setdefault(place, set()).update(update)
    assert FIRST[inner] in updates[WAY[outer]]


@pytest.mark.parametrize("outer", PATTERNS)
def test_events_from_inside_name_the_way_to_them(outer: Make) -> None:
    model = team_model()
    pattern = nested(outer, workflow, leaf(model), model)
    events = [event for _, event in pattern.compile().stream(ASK, stream_mode="custom", subgraphs=True)]
    place = f"{WAY[outer]}/execute/one"
    steps = [event for event in events if event["event"] == "step" and event["path"] == place]
    assert [event["status"] for event in steps] == ["running", "completed"]


@every_pattern
def test_a_question_from_inside_is_answered_and_the_run_goes_on(call: Any, outer: Make, inner: Make) -> None:
    model = team_model()
    asker = Agent("leaf", "Asks.", function=lambda task: f"They said {interrupt('May I?')}.")
    graph = nested(outer, inner, asker, model).compile(InMemorySaver())
    asked = call(graph, ASK, THREAD)
    assert [question.value for question in asked["__interrupt__"]] == ["May I?"]
    calls = len(model.calls)
    state = call(graph, Command(resume="yes"), THREAD)
    assert (state["status"], state["messages"][-1].text) == ("completed", "They said yes.")
    again = [asked.prompt for asked in model.calls[calls:] if roles.REVIEWER not in asked.prompt]
    assert again == []  # nothing that was decided before the question is decided again


@pytest.mark.parametrize("questions", [1, 2])
def test_a_users_own_graph_around_a_pattern_lists_each_question_once(call: Any, questions: int) -> None:
    asks = Agent("asks", function=lambda task: f"They said {interrupt(task)}")
    steps = [Step(f"s{number}", "asks", f"question {number}") for number in range(questions)]
    outer = own_graph(Workflow(steps, agents=[asks]).compile(), saver=InMemorySaver())
    state = call(outer, ASK, THREAD)
    assert sorted(asked.value for asked in state["__interrupt__"]) == [step.task for step in steps]


def test_a_question_of_a_tool_is_listed_once_and_its_answer_goes_to_the_tool(call: Any) -> None:
    def paint(thing: str) -> str:
        """Paint a thing."""
        return f"{thing} in {interrupt('Which colour?')}"

    calling = AIMessage("", tool_calls=[{"name": "paint", "args": {"thing": "a chair"}, "id": "1"}])
    model = ScriptedModel([calling, lambda messages: messages[-1].text])
    painter = Agent("painter", "Paints.", tools=[paint], model=model)
    pattern = Workflow([Step("a", "painter", "Paint a chair.")], agents=[painter]).compile()
    outer = own_graph(pattern, saver=InMemorySaver())
    assert [asked.value for asked in call(outer, ASK, THREAD)["__interrupt__"]] == ["Which colour?"]
    assert len(outer.get_state(THREAD).interrupts) == 1
    assert call(outer, Command(resume="red"), THREAD)["messages"][-1].text == "a chair in red"


# A second request in a thread


def record(value: Any) -> Any:
    """Leave out messages and their ids, times, and numbers of tokens, which depend on the conversation before."""
    if isinstance(value, list):
        return [record(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = ("messages", "started", "ended", "seconds", "input_tokens", "output_tokens", "message_id", "work_id")
    return {key: record(item) for key, item in value.items() if key not in left_out}


@pytest.mark.parametrize("make", PATTERNS)
def test_after_a_failed_request_the_next_one_has_the_record_that_it_would_have_alone(call: Any, make: Make) -> None:
    is_ill = [True]
    agent = Agent("leaf", "Answers.", function=lambda task: fail(task) if is_ill else "the answer")
    graph = make(agent, team_model()).compile(InMemorySaver())
    assert call(graph, ASK, THREAD)["status"] == "failed"
    is_ill.clear()
    state = call(graph, ASK, THREAD)
    assert record(state) == record(call(make(agent, team_model()).compile(), ASK))
    assert [message.text for message in state["messages"] if message.type == "human"] == [ASK["messages"]] * 2


# How an inner pattern ended


ENDS: list[tuple[Make, Pattern, str]] = [
    *((outer, PARTIAL, "partial") for outer in (planner, router, network)),
    *((outer, ASKING, "needs_input") for outer in (workflow, supervisor, orchestrator)),
    *((outer, ESCALATED, "escalated") for outer in (network, planner)),
    *((outer, ESCALATED, "completed") for outer in (orchestrator, supervisor)),  # their own review accepted it
    *((outer, FAILED, "failed") for outer in PATTERNS),
]
"""Each pattern around three ends: how one ended is passed on by the agent, not by the pattern around it."""


@pytest.mark.parametrize(("outer", "inner", "status"), ENDS, ids=lambda value: getattr(value, "__name__", None))
def test_how_an_inner_pattern_ended_is_seen_outside(outer: Make, inner: Pattern, status: str) -> None:
    state = outer(inner.as_agent("inner", "Does it."), team_model()).compile().invoke(ASK)
    assert (state["status"], bool(state["stop_reason"])) == (status, status != "completed")
    if inner is not FAILED:
        kind = {PARTIAL: "partial", ASKING: "needs_input", ESCALATED: "escalated"}[inner]
        assert kind in [error["kind"] for error in state["errors"] if error["where"].endswith("inner")]


def test_a_step_of_several_that_is_not_complete_makes_the_run_partial(call: Any) -> None:
    steps = [Step("a", "inner", "x"), Step("b", "well", "y", ["a"])]
    state = call(Workflow(steps, agents=[ESCALATED.as_agent("inner"), WELL]).compile(), ASK)
    assert state["status"] == "partial"
    assert state["stop_reason"].startswith("Step 'a' ended as escalated: ")


@pytest.mark.parametrize("outer", PATTERNS)
def test_what_a_failed_inner_pattern_had_cost_is_counted(outer: Make) -> None:
    model = team_model()
    inner = planner(Agent("leaf", function=fail), model)
    state = outer(inner.as_agent("inner", "Does it."), model).compile().invoke(ASK)
    assert state["status"] == "failed"
    booked = sum(share["calls"] for share in state["usage"]["agents"].values())
    assert state["usage"]["calls"] == len(model.calls) == booked
