"""Laws that hold for every plan, every order of answers, and every kill."""

import asyncio
import json
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent, Retry
from graphs import Step, Workflow
from graphs.engine import findings
from tests.chat import Killed

NAMES = [f"s{number}" for number in range(7)]
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SETTLED = {"completed", "failed", "skipped"}


@st.composite
def plans(draw: Any) -> list[Step]:
    """Draw any acyclic plan: with failing agents, conditions, lists and joins."""
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 7))):
        before = draw(st.sets(st.sampled_from(NAMES[:number]))) if number else set()
        dependencies = sorted(before)
        agent = draw(st.sampled_from(["works", "works", "lists", "fails"]))
        condition = {"step": dependencies[0], "contains": "x"} if dependencies and draw(st.booleans()) else None
        over = dependencies[-1] if dependencies and draw(st.integers(0, 3)) == 0 else None
        join = draw(st.sampled_from(["all", "any"]))
        task = f"do {number}"
        steps.append(Step(NAMES[number], agent, task, dependencies, when=condition, for_each=over, join=join))
    return draw(st.permutations(steps))


def team() -> list[Agent]:
    def fails(task: str) -> str:
        raise ValueError("no")

    return [
        Agent("works", function=lambda task: f"x {task}"),
        Agent("lists", function=lambda task: ["x", "y"]),
        Agent("fails", function=fails),
    ]


def fates(state: Any) -> dict[str, tuple[str, str | None]]:
    return {name: (record["status"], record["result"]) for name, record in state["steps"].items()}


@FEW
@given(steps=plans(), on_failure=st.sampled_from(["skip", "continue"]), limit=st.sampled_from([None, 1, 2]))
def test_every_step_of_every_plan_is_settled_after_its_dependencies(
    steps: list[Step], on_failure: Any, limit: int | None
) -> None:
    make = lambda: Workflow(  # noqa: E731
        steps, agents=team(), on_failure=on_failure, max_parallel=limit, retry=Retry(attempts=1)
    ).compile()
    state = make().invoke({"messages": "x"})
    assert {record["status"] for record in state["steps"].values()} <= SETTLED
    assert set(state["steps"]) == {step.id for step in steps}
    for step in steps:
        record = state["steps"][step.id]
        ended = [state["steps"][name]["ended"] for name in step.dependencies if state["steps"][name]["ended"]]
        if record["started"] is not None and step.join == "all":
            assert all(end <= record["started"] for end in ended)
    if all(step.join == "all" for step in steps):
        assert fates(asyncio.run(make().ainvoke({"messages": "x"}))) == fates(state)


@FEW
@given(number=st.integers(1, 3), order=st.randoms(use_true_random=False))
def test_any_order_of_answers_gives_the_same_result(number: int, order: Any) -> None:
    asks = Agent("asks", function=lambda task: f"{task}: {interrupt(task)}")
    steps = [Step(name, "asks", name) for name in NAMES[:number]]
    graph = Workflow(
        [*steps, Step("all", "joins", "join", NAMES[:number])],
        agents=[asks, Agent("joins", function=lambda context: ", ".join(sorted(context.values())))],
    ).compile(InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    state: Any = graph.invoke({"messages": "x"}, thread)
    while questions := list(state.get("__interrupt__", ())):
        question = order.choice(questions)
        state = graph.invoke(Command(resume={question.id: f"answer to {question.value}"}), thread)
    assert state["messages"][-1].text == ", ".join(f"{name}: answer to {name}" for name in NAMES[:number])


@FEW
@given(steps=plans(), dies_at=st.integers(0, 6))
def test_a_finished_step_never_runs_again(steps: list[Step], dies_at: int) -> None:
    ran: list[str] = []
    finished: list[str] = []
    alive = False

    def works(task: str) -> str:
        ran.append(task)
        if len(ran) == dies_at + 1 and not alive:
            raise Killed
        finished.append(task)
        return "x"

    chain = [Step(step.id, "works", f"do {step.id}", step.dependencies) for step in steps]
    graph = Workflow(chain, agents=[Agent("works", function=works)], max_parallel=1).compile(InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    try:
        state: Any = graph.invoke({"messages": "x"}, thread)
    except Killed:
        alive = True
        state = graph.invoke(None, thread)
    assert state["status"] == "completed"
    assert sorted(finished) == sorted(f"do {step.id}" for step in chain)


def obeyed(plan: list[dict[str, Any]], sentences: list[str]) -> list[dict[str, Any]]:
    """Return a plan in which every finding was followed to the letter."""
    steps = {step["id"]: json.loads(json.dumps(step)) for step in plan}
    for sentence in sentences:
        if match := re.match(r"Step '(\w+)' quotes \{(\w+)\}.*; take the quotation out", sentence):
            steps[match[1]]["task"] = steps[match[1]]["task"].replace(f"{{{match[2]}}}", "it")
        elif match := re.match(r"Step '(\w+)' quotes .*; add '(\w+)' to its dependencies", sentence):
            steps[match[1]]["dependencies"].append(match[2])
        elif match := re.match(r"Step '(\w+)' depends on itself", sentence):
            steps[match[1]]["dependencies"] = [name for name in steps[match[1]]["dependencies"] if name != match[1]]
        elif match := re.match(r"These steps wait for each other: (\w+) -> (\w+)", sentence):
            step = steps[match[1]]
            step["dependencies"] = [name for name in step["dependencies"] if name != match[2]]
            step["task"] = step["task"].replace(f"{{{match[2]}}}", "it")
    return list(steps.values())


@st.composite
def flawed_plans(draw: Any) -> list[dict[str, Any]]:
    """Draw plans with any dependencies and quotations, also of themselves and in circles."""
    ids = NAMES[: draw(st.integers(1, 4))]
    some = st.lists(st.sampled_from(ids), max_size=2, unique=True)
    return [
        {
            "id": name,
            "agent": "works",
            "task": " ".join(["do", *(f"{{{other}}}" for other in draw(some))]),
            "dependencies": draw(some),
        }
        for name in ids
    ]


@settings(max_examples=80, deadline=None)
@given(plan=flawed_plans())
def test_who_follows_the_findings_gets_to_a_sound_plan(plan: list[dict[str, Any]]) -> None:
    for _ in range(12):
        if not (sentences := findings(plan, ["works"])):
            return
        plan = obeyed(plan, sentences)
    assert findings(plan, ["works"]) == []
