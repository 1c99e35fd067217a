"""The live state follows every graph event by event: steps, nodes, what goes on inside them, and the answer."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent, Retry, TransientError
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from graphs.engine import new_record
from graphs.show.live_state import MODES, Change, LiveState, LiveTask
from graphs.show.wording import outcome
from tests import roles
from tests.counted import lines_run
from tests.finished import MET
from tests.plain_graphs import own_graph
from tests.tables import each

UPPER = Agent("upper", "Writes in capitals.", function=str.upper)
WORKER = Agent("worker", instructions="Work.", model=ScriptedModel("It is done", repeat=True))
TWO = [Step("one", "upper", "one {request}"), Step("two", "upper", "{one}", ["one"])]


def followed(
    graph: Any,
    value: Any = "Go",
    *,
    state: LiveState | None = None,
    spy: Callable[[Change], object] = lambda change: None,
    **options: Any,
) -> LiveState:
    state = state or LiveState(0.0)
    value = {"messages": value} if isinstance(value, str) else value
    for now, event in enumerate(graph.stream(value, stream_mode=list(MODES), subgraphs=True, **options)):
        if change := state.apply(event, float(now)):
            spy(change)
    return state


def path(state: LiveState, task: LiveTask) -> str:
    around = state.tasks.get(task.within)
    return f"{path(state, around)}/{task.name}" if around else task.name


def named(state: LiveState) -> dict[str, LiveTask]:
    return {path(state, task): task for task in state.tasks.values()}


def planner(*steps: Step, agents: list[Agent], answer: str) -> Planner:
    plan = {"steps": [{key: step.as_dict()[key] for key in ("id", "agent", "task", "dependencies")} for step in steps]}
    return Planner(agents, model=ScriptedModel({"You are the planner": plan, "You write the final": answer}))


def test_a_step_waits_works_and_ends() -> None:
    seen: list[str] = []
    state = followed(
        Workflow(TWO, agents=[UPPER]).compile(),
        spy=lambda change: seen.append(change.after.status) if change.after.name == "two" else None,
    )
    assert list(dict.fromkeys(seen)) == ["pending", "running", "completed"]
    assert [(task.name, task.level, task.agent) for task in state.rows() if task.record] == [
        ("one", 0, "upper"),
        ("two", 1, "upper"),
    ]
    assert {name: record["result"] for name, record in state.records().items()} == {"one": "ONE GO", "two": "ONE GO"}
    assert state.values["status"] == "completed"


def test_nested_planners_are_followed_to_their_end() -> None:
    inner = planner(Step("x", "worker", "X"), Step("y", "worker", "Y"), agents=[WORKER], answer="inner")
    outer = planner(
        Step("a", "worker", "A"),
        Step("b", "inside", "B"),
        agents=[WORKER, inner.as_agent("inside")],
        answer="The final answer",
    ).compile()

    async def follow() -> LiveState:
        state = LiveState(0.0)
        async for event in outer.astream({"messages": "Do it"}, stream_mode=list(MODES), subgraphs=True):
            state.apply(event, 1.0)
        return state

    state = asyncio.run(follow())
    assert {task.status for task in state.tasks.values()} == {"completed"}
    assert list(state.records()) == ["a", "b"]
    assert {"plan", "a", "b/x", "b/y", "synthesize"} <= set(named(state))
    assert state.answer == "The final answer"
    assert named(state)["a"].tokens > 0


@pytest.mark.parametrize(
    ("graph", "notes"),
    [
        (
            Network([Agent("desk", function=lambda: {"to": "upper", "task": "x", "reason": "loud"}), UPPER]),
            {"desk": "over to upper: loud"},
        ),
        (Router([UPPER], classifier=lambda text: "upper", model=False), {"classify": "upper (decided by <lambda>)"}),
        (
            Supervisor(
                UPPER,
                reviewer=Agent("judge", function=lambda: {"acceptable": False, "evidence": "", "feedback": "No."}),
                max_revisions=0,
            ),
            {"work": "GO", "review": "sent back: No."},
        ),
    ],
)  # fmt: skip
def test_a_node_that_has_ended_tells_its_outcome_and_agent(graph: Any, notes: dict[str, str]) -> None:
    tasks = named(followed(graph.compile()))
    assert {name: tasks[name].note for name in notes} == notes
    assert all(task.agent for name, task in tasks.items() if name in notes and name != "classify")


def test_a_review_that_ends_with_the_checks_is_theirs() -> None:
    judge = Agent("judge", function=lambda: {"acceptable": True, "evidence": "It is short."})
    graph = Supervisor(UPPER, reviewer=judge, checks=[lambda text: "No."], max_revisions=0).compile()
    assert named(followed(graph))["review"].agent == "checks"


def test_an_orchestrator_says_what_it_is_doing() -> None:
    said = {
        roles.TRIAGE: {"reason": "two parts", "small": False, "agent": "upper"},
        roles.PLANNER: {"steps": [{"id": "one", "agent": "upper", "task": "Time?", "dependencies": []}]},
        roles.REVIEWER: {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""},
    }
    doing: list[str] = []
    state = LiveState(0.0)
    graph = Orchestrator([UPPER], model=ScriptedModel(said)).compile()
    followed(graph, state=state, spy=lambda change: doing.append(state.doing()))
    ordered = [word for word in dict.fromkeys(doing) if word in ("triage", "plan", "one", "review")]
    assert ordered == ["triage", "plan", "one", "review"]


def test_failures_and_further_attempts_are_told() -> None:
    def broken(task: str) -> str:
        raise TransientError("the line is dead")

    steps = [Step("one", "broken", "x", retry=Retry(attempts=2, wait=0)), Step("two", "upper", "x", ["one"])]
    changes: list[Change] = []
    state = followed(Workflow(steps, agents=[Agent("broken", function=broken), UPPER]).compile(), spy=changes.append)
    assert (1, "the line is dead") in [(change.after.failures, change.after.note) for change in changes]
    assert [(task.status, "the line is dead" in task.note) for task in named(state).values() if task.record] == [
        ("failed", True),
        ("skipped", False),
    ]


def test_words_are_counted_and_shown_as_they_are_written() -> None:
    written: list[str] = []
    writer = Agent("writer", instructions="Write.", model=ScriptedModel("one two three"))
    graph = Workflow([Step("one", "writer", "x")], agents=[writer]).compile()
    followed(graph, spy=lambda change: written.append(change.after.written))
    assert {"one", "one two", "one two three"} <= set(written)


def test_an_answer_that_is_written_again_starts_over() -> None:
    state = LiveState(0.0)
    for text, message in (("Half an", "m1"), ("Whole ", "m2"), ("answer", "m2")):
        state.apply(((), "messages", (AIMessageChunk(content=text, id=message), {})), 1.0)
    state.apply(((), "messages", (AIMessage("not streamed"), {})), 1.0)
    assert state.answer == "Whole answer"


def test_finished_steps_of_a_resumed_run_are_shown_as_finished() -> None:
    ask = Agent("ask", function=lambda task: f"They said {interrupt('Really?')}")
    graph = Workflow([Step("one", "upper", "x"), Step("two", "ask", "{one}", ["one"])], agents=[UPPER, ask])
    compiled, config = graph.compile(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    asked = followed(compiled, config=config)
    assert named(asked)["two"].status == "waits for you"
    assert asked.values["__interrupt__"]
    done = asked.records()["one"]
    resumed = followed(compiled, Command(resume="yes"), state=LiveState(0.0, {"one": done}), config=config)
    assert resumed.records()["one"] == done
    followed_on = followed(graph.compile(InMemorySaver()), config=config)
    followed(compiled, Command(resume="yes"), state=followed_on, config=config)
    assert "__interrupt__" not in resumed.values
    assert resumed.records()["two"]["result"] == "They said yes"


def test_without_the_records_a_resumed_run_learns_them_at_the_end() -> None:
    ask = Agent("ask", function=lambda task: f"They said {interrupt('Really?')}")
    graph = Workflow([Step("one", "upper", "x"), Step("two", "ask", "{one}", ["one"])], agents=[UPPER, ask])
    compiled, config = graph.compile(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    followed(compiled, config=config)
    assert {task.status for task in followed(compiled, Command(resume="yes"), config=config).rows()} == {"completed"}


@pytest.mark.parametrize(
    "strange",
    [
        ((), "updates", {"node": None}),
        ((), "custom", "a tool's own event"),
        ((), "custom", {"event": "step", "step": "x", "path": "x", "status": "running", "time": 1.0}),
        ((), "values", None),
        ((), "debug", None),
    ],
)
def test_events_of_other_kinds_do_no_harm(strange: Any) -> None:
    state = LiveState(0.0)
    assert state.apply(strange, 1.0) is None
    assert state.rows() == []


@each("key", ["triage", "route", "reviews", "handoffs", "work", "steps", "errors", "usage", "plan"])
@each("value", ["text", 5, [], ["text"], {}, {"a": 1}, None, [{"a": None}]])
def test_graphs_of_others_may_use_the_same_keys(key: str, value: Any) -> None:
    status, note, agents = outcome({key: value, "status": "running", "plan_attempts": 1})
    assert status in ("completed", "failed", "sent back")
    assert isinstance(note + agents, str)
    state = LiveState(0.0)
    begin = {"id": "1", "name": "node", "input": {}, "triggers": []}
    state.apply(((), "tasks", begin), 0.0)
    state.apply(((), "tasks", {"id": "1", "result": {key: value}, "error": None, "interrupts": []}), 9.0)
    assert len(state.rows()) == 1


def test_a_step_called_like_a_node_of_an_agent_is_a_step() -> None:
    steps = [Step("model", "upper", "x"), Step("a.before_model", "upper", "x")]
    assert sorted(followed(Workflow(steps, agents=[UPPER]).compile()).records(), key=len) == ["model", "a.before_model"]


def test_a_graph_without_patterns_is_followed_too() -> None:
    graph = own_graph(("think", lambda state: {"messages": [AIMessage("Hm")]}))
    assert named(followed(graph))["think"].note == "Hm"


def test_the_time_to_follow_steps_grows_as_they_do() -> None:
    def follow(number: int) -> None:
        state = LiveState(0.0)
        for name in map(str, range(number)):
            step = Step(name, "worker", "x")
            record = new_record(step, "completed", started=0.0, ended=1.0)
            state.apply(
                ((), "tasks", {"id": name, "name": name, "input": ((step.as_dict(),), {}), "triggers": []}), 0.0
            )
            state.apply(((), "tasks", {"id": name, "result": record, "error": None, "interrupts": []}), 0.0)
        assert len(state.rows()) == number

    few, many = (lines_run(partial(follow, number), "live_state.py", "wording.py") for number in (50, 200))
    assert few < many < 4.4 * few
