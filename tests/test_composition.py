"""Every pattern is an agent of every other: answers, events, usage, status, errors and questions come through."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

from agents import Agent, Retry
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow

ASK = {"messages": "the request"}
AT_ONCE = Retry(wait=0)
THREAD: Any = {"configurable": {"thread_id": "1"}}
MET = {"evidence": "It is there.", "met": True}
UNMET = {"evidence": "It is not there.", "met": False}
ACCEPTED = {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""}
REJECTED = {"criteria": {"criterion_1": UNMET, "criterion_2": MET}, "feedback": "Better."}


def plan(name: str) -> Any:
    return {"steps": [{"id": "one", "agent": name, "task": "do it", "dependencies": []}]}


def chosen(name: str) -> Any:
    return {"reason": "it fits", "candidates": [{"agent": name, "confidence": 0.9}]}


def sorted_out(name: str) -> Any:
    return {"reason": "it is large", "small": False, "agent": name}


def team_model() -> ScriptedModel:
    """Script every decision for a team of one agent, `inner` or `leaf`, and the words of `leaf` itself."""
    rules: dict[str, Any] = {"You are LEAF": "the answer", "You review a piece of work": ACCEPTED}
    for name in ("inner", "leaf"):
        rules[f"You are the planner(.|\n)*- {name}:"] = plan(name)
        rules[f"You decide which agent(.|\n)*- {name}:"] = chosen(name)
        rules[f"You decide how a team(.|\n)*- {name}:"] = sorted_out(name)
    return ScriptedModel(rules)


def network(agent: Agent, model: Any) -> Pattern:
    return Network([agent], retry=AT_ONCE)


def orchestrator(agent: Agent, model: Any) -> Pattern:
    return Orchestrator([agent], model=model, retry=AT_ONCE)


def planner(agent: Agent, model: Any) -> Pattern:
    return Planner([agent], model=model, retry=AT_ONCE)


def router(agent: Agent, model: Any) -> Pattern:
    return Router([agent], model=model, retry=AT_ONCE)


def supervisor(agent: Agent, model: Any) -> Pattern:
    return Supervisor(agent, model=model, retry=AT_ONCE)


def workflow(agent: Agent, model: Any) -> Pattern:
    return Workflow([Step("one", agent.name, "do it")], agents=[agent], retry=AT_ONCE)


Make = Callable[[Agent, Any], Pattern]
PATTERNS: list[Make] = [network, orchestrator, planner, router, supervisor, workflow]
WAY: dict[Make, str] = {
    network: "inner",
    orchestrator: "plan/execute/one/work",
    planner: "execute/one",
    router: "inner",
    supervisor: "work",
    workflow: "execute/one",
}
"""Where in each pattern its agent works."""
FIRST: dict[Make, str] = {
    network: "leaf",
    orchestrator: "triage",
    planner: "plan",
    router: "classify",
    supervisor: "work",
    workflow: "check",
}
"""The first node of each pattern."""

every_pair = pytest.mark.parametrize(("outer", "inner"), [*product(PATTERNS, PATTERNS)])
inside_steps = pytest.mark.parametrize(("outer", "inner"), [*product(PATTERNS, [orchestrator, planner, workflow])])


def leaf(model: Any) -> Agent:
    return Agent("leaf", "Answers.", instructions="You are LEAF.", model=model)


def nested(outer: Make, inner: Make, agent: Agent, model: Any) -> Pattern:
    return outer(inner(agent, model).as_agent("inner", "Does it."), model)


# Every pattern in every pattern


@every_pair
def test_the_answer_comes_through_and_every_call_is_counted_once(call: Any, outer: Make, inner: Make) -> None:
    model = team_model()
    state = call(nested(outer, inner, leaf(model), model).compile(), ASK)
    assert (state["status"], state["messages"][-1].text, state["errors"]) == ("completed", "the answer", [])
    booked = state["usage"]["agents"]
    assert state["usage"]["calls"] == len(model.calls) == sum(one["calls"] for one in booked.values())
    assert state["usage"]["output_tokens"] == sum(one["output_tokens"] for one in booked.values())
    assert [one["calls"] for name, one in booked.items() if name.endswith("inner/leaf") or "/leaf/leaf" in name] == [1]


@every_pair
def test_updates_from_inside_are_streamed_with_the_way_to_them(outer: Make, inner: Make) -> None:
    model = team_model()
    pattern = nested(outer, inner, leaf(model), model)
    found: dict[str, set[str]] = {}
    for namespace, update in pattern.compile().stream(ASK, stream_mode="updates", subgraphs=True):
        place = "/".join(part.split(":")[0] for part in namespace)
        found.setdefault(place, set()).update(update)
    assert FIRST[inner] in found[WAY[outer]]


@inside_steps
def test_events_from_inside_name_the_way_to_them(outer: Make, inner: Make) -> None:
    model = team_model()
    pattern = nested(outer, inner, leaf(model), model)
    events = [event for _, event in pattern.compile().stream(ASK, stream_mode="custom", subgraphs=True)]
    place = f"{WAY[outer]}/{WAY[inner].removesuffix('/work')}"
    steps = [event for event in events if event["event"] == "step" and event["path"] == place]
    assert [event["status"] for event in steps] == ["running", "completed"]


@every_pair
def test_a_question_from_inside_is_answered_and_the_run_goes_on(call: Any, outer: Make, inner: Make) -> None:
    model = team_model()
    asker = Agent("leaf", "Asks.", function=lambda task: f"They said {interrupt('May I?')}.")
    graph = nested(outer, inner, asker, model).compile(InMemorySaver())
    asked = call(graph, ASK, THREAD)
    assert [one.value for one in asked["__interrupt__"]] == ["May I?"]
    calls = len(model.calls)
    state = call(graph, Command(resume="yes"), THREAD)
    assert (state["status"], state["messages"][-1].text) == ("completed", "They said yes.")
    again = [one for one in model.calls[calls:] if "You review" not in one.prompt]
    assert again == []  # nothing that was decided before the question is decided again


# How an inner pattern ended


def fail(task: str) -> str:
    raise ValueError("ill")


ILL = Agent("ill", function=fail)
WELL = Agent("well", function=lambda task: "well")
PARTIAL = Workflow([Step("a", "well", "x"), Step("b", "ill", "y")], agents=[WELL, ILL], retry=AT_ONCE)
ESCALATED = Supervisor(WELL, reviewer=Agent("no", function=lambda task: {"acceptable": False, "feedback": "No."}))
ASKING = Router([WELL], classifier=lambda text: [], model=False)
FAILED = Workflow([Step("b", "ill", "y")], agents=[ILL], retry=AT_ONCE)

ENDS: list[tuple[Make, Pattern, str]] = [
    *((outer, PARTIAL, "partial") for outer in PATTERNS),
    *((outer, ASKING, "needs_input") for outer in PATTERNS),
    *((outer, ESCALATED, "escalated") for outer in (network, planner, router, workflow)),
    *((outer, ESCALATED, "completed") for outer in (orchestrator, supervisor)),  # their own review accepted it
    *((outer, FAILED, "failed") for outer in PATTERNS),
]


@pytest.mark.parametrize(("outer", "inner", "status"), ENDS, ids=lambda one: getattr(one, "__name__", None))
def test_how_an_inner_pattern_ended_is_seen_outside(call: Any, outer: Make, inner: Pattern, status: str) -> None:
    state = call(outer(inner.as_agent("inner", "Does it."), team_model()).compile(), ASK)
    assert (state["status"], bool(state["stop_reason"])) == (status, status != "completed")
    if inner is not FAILED:
        kind = {PARTIAL: "partial", ASKING: "needs_input", ESCALATED: "escalated"}[inner]
        assert kind in [one["kind"] for one in state["errors"] if one["where"].endswith("inner")]


def test_a_step_of_several_that_is_not_complete_makes_the_run_partial(call: Any) -> None:
    steps = [Step("a", "inner", "x"), Step("b", "well", "y", ["a"])]
    state = call(Workflow(steps, agents=[ESCALATED.as_agent("inner"), WELL]).compile(), ASK)
    assert state["status"] == "partial"
    assert state["stop_reason"].startswith("Step 'a' ended as escalated: ")


@pytest.mark.parametrize("outer", PATTERNS)
def test_what_a_failed_inner_pattern_had_cost_is_counted(call: Any, outer: Make) -> None:
    model = team_model()
    inner = planner(Agent("leaf", function=fail), model)
    state = call(outer(inner.as_agent("inner", "Does it."), model).compile(), ASK)
    assert state["status"] == "failed"
    booked = sum(one["calls"] for one in state["usage"]["agents"].values())
    assert state["usage"]["calls"] == len(model.calls) == booked


# Teams of patterns


def decisions(**replies: Any) -> ScriptedModel:
    keys = {
        "plan": "You are the planner",
        "route": "You decide which agent",
        "review": "You review a piece of work",
        "answer": "You write the final answer",
        "write": "You are a writer",
    }
    return ScriptedModel({keys[one]: iter(r) if isinstance(r, list) else r for one, r in replies.items()})


def two_steps() -> Any:
    steps = [("facts", "desk", []), ("poem", "careful_writer", ["facts"])]
    return {"steps": [{"id": i, "agent": a, "task": f"do {i}", "dependencies": d} for i, a, d in steps]}


def planner_of_patterns(model: Any) -> Planner:
    writer = Agent("writer", "Writes.", instructions="You are a writer.", model=model)
    careful = Supervisor(writer, model=model).as_agent("careful_writer", "Writes with care.")
    clerk = Agent("clerk", "Knows orders.", function=lambda task: "order 7")
    finder = Agent("finder", "Knows rain.", function=lambda task: "it is wet")
    desk = Router([clerk, finder], model=model).as_agent("desk", "Finds things.")
    return Planner([careful, desk], model=model)


def test_a_planner_of_supervised_writers_and_a_router(call: Any) -> None:
    model = decisions(
        plan=two_steps(),
        route=chosen("finder"),
        review=[REJECTED, ACCEPTED],
        write=["a draft", "a poem"],
        answer="Here: a poem",
    )
    state = call(planner_of_patterns(model).compile(), ASK)
    assert (state["status"], state["messages"][-1].text) == ("completed", "Here: a poem")
    assert [one["result"] for one in state["steps"].values()] == ["it is wet", "a poem"]
    assert {name: one["calls"] for name, one in state["usage"]["agents"].items()} == {
        "planner": 1,
        "desk/classifier": 1,
        "careful_writer/writer": 2,
        "careful_writer/reviewer": 2,
        "synthesizer": 1,
    }
    assert state["usage"]["calls"] == len(model.calls) == 7


def test_a_router_in_front_of_planners(call: Any) -> None:
    model = team_model()
    legal = planner(Agent("legal", function=lambda task: "no"), model)
    desks = [planner(leaf(model), model).as_agent("inner", "Sends."), legal.as_agent("law", "Law.")]
    state = call(Router(desks, model=model).compile(), ASK)
    assert (state["messages"][-1].text, state["route"]["chosen"]) == ("the answer", ["inner"])
    assert set(state["usage"]["agents"]) == {"classifier", "inner/planner", "inner/leaf"}


def test_four_levels_deep(call: Any) -> None:
    model = team_model()
    agent = leaf(model)
    for make in (supervisor, workflow, network):
        agent = make(agent, model).as_agent("leaf", "Answers.")
    state = call(planner(agent, model).compile(), ASK)
    assert (state["status"], state["messages"][-1].text) == ("completed", "the answer")
    assert set(state["usage"]["agents"]) == {"planner", "leaf/leaf/leaf/leaf", "leaf/leaf/leaf/reviewer"}


def test_inner_runs_at_once_do_not_mix(call: Any) -> None:
    def write(task: str, context: dict[str, str]) -> str:
        return str(int(context.get("your last version", 0)) + 1)

    def judge(task: str, context: dict[str, str]) -> Any:
        good = task.endswith(f"Your task: {context['result']}")
        return {"acceptable": good, "evidence": "It is the number.", "feedback": f"Not {context['result']}."}

    numbers = [str(number) for number in range(1, 9)]
    careful = Supervisor(Agent("writer", function=write), reviewer=Agent("judge", function=judge), max_revisions=8)
    steps = [Step(f"s{number}", "careful", number) for number in numbers]
    state = call(Workflow(steps, agents=[careful.as_agent("careful")]).compile(), ASK)
    assert [one["result"] for one in state["steps"].values()] == numbers


# A person deep inside


def waiting(saver: Any, drafts: Iterator[str]) -> Any:
    """Build a router, a workflow in it and a supervisor in that anew, as another process does."""
    no = Agent("no", function=lambda task: {"acceptable": False, "feedback": "No."})
    writer = Agent("writer", function=lambda task: next(drafts))
    careful = Supervisor(writer, reviewer=no, max_revisions=0, escalate="human").as_agent("leaf")
    steps = workflow(careful, None).as_agent("inner", "Does it.")
    return Router([steps], classifier=lambda text: "inner", model=False).compile(saver)


def test_a_person_rules_deep_inside_after_a_restart(tmp_path: Path) -> None:
    drafts = iter(["a draft"])
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        asked = waiting(saver, drafts).invoke(ASK, THREAD)["__interrupt__"]
        assert asked[0].value["the best version so far"] == "a draft"
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        state = waiting(saver, drafts).invoke(Command(resume={"type": "edit", "text": "mine"}), THREAD)
        assert (state["status"], state["messages"][-1].text) == ("completed", "mine")


def test_two_supervisors_at_once_ask_by_their_ids(call: Any) -> None:
    no = Agent("no", function=lambda task: {"acceptable": False, "feedback": "No."})
    careful = Supervisor(WELL, reviewer=no, max_revisions=0, escalate="human").as_agent("careful")
    steps = [Step("a", "careful", "x"), Step("b", "careful", "y")]
    graph = Workflow(steps, agents=[careful]).compile(InMemorySaver())
    asked = call(graph, ASK, THREAD)["__interrupt__"]
    by_task = {one.value["task"][-1]: one.id for one in asked}
    rulings = {by_task["x"]: {"type": "edit", "text": "for x"}, by_task["y"]: "accept"}
    state = call(graph, Command(resume=rulings), THREAD)
    assert {one: record["result"] for one, record in state["steps"].items()} == {"a": "for x", "b": "well"}
