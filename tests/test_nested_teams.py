"""Teams of patterns, and a person who is asked deep inside one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner, Router, Step, Supervisor, Workflow
from graphs.storage import sqlite
from tests import roles
from tests.nested import ACCEPTED, ASK, GOOD, REJECTED, THREAD, WELL, chosen, reject, workflow
from tests.supervised import edited


def decisions(**replies: Any) -> ScriptedModel:
    keys = {
        "plan": roles.PLANNER,
        "route": roles.ROUTER,
        "review": roles.REVIEWER,
        "answer": roles.SYNTHESIZER,
        "write": "You are a writer",
    }
    return ScriptedModel({keys[key]: iter(r) if isinstance(r, list) else r for key, r in replies.items()})


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
        plan=two_steps(), route=chosen("finder"), review=[REJECTED, ACCEPTED], write=["a draft", "a poem"]
    )
    state = call(planner_of_patterns(model).compile(), ASK)
    assert (state["status"], state["messages"][-1].text) == ("completed", "a poem")
    assert [record["result"] for record in state["steps"].values()] == ["it is wet", "a poem"]
    assert {name: share["calls"] for name, share in state["usage"]["agents"].items()} == {
        "planner": 1,
        "desk/classifier": 1,
        "careful_writer/writer": 2,
        "careful_writer/reviewer": 2,
    }
    assert state["usage"]["calls"] == len(model.calls) == 6


def test_inner_runs_at_once_do_not_mix(call: Any) -> None:
    def write(task: str, context: dict[str, str]) -> str:
        return str(int(context.get("last_version", 0)) + 1)

    def judge(task: str, work: str, context: dict[str, str]) -> Any:
        return GOOD if work == task else {"acceptable": False, "feedback": f"Not {work}."}

    numbers = [str(number) for number in range(1, 6)]
    careful = Supervisor(Agent("writer", function=write), review=judge, max_revisions=8)
    steps = [Step(f"s{number}", "careful", number) for number in numbers]
    state = call(Workflow(steps, agents=[careful.as_agent("careful")]).compile(), ASK)
    assert [record["result"] for record in state["steps"].values()] == numbers


# A person deep inside


def waiting(saver: Any, drafts: Iterator[str]) -> Any:
    """Build a router, a workflow in it and a supervisor in that, as another process does."""
    writer = Agent("writer", function=lambda task: next(drafts))
    careful = Supervisor(writer, review=reject, max_revisions=0, escalate="human").as_agent("leaf")
    steps = workflow(careful, None).as_agent("inner", "Does it.")
    return Router([steps], classifier=lambda text: "inner", model=False).compile(saver)


def test_a_person_decides_deep_inside_after_a_restart(tmp_path: Path) -> None:
    drafts = iter(["a draft"])
    with sqlite(tmp_path / "runs.sqlite") as saver:
        (asked,) = waiting(saver, drafts).invoke(ASK, THREAD)["__interrupt__"]
        assert asked.value["action_requests"][0]["args"] == {"text": "a draft"}
    with sqlite(tmp_path / "runs.sqlite") as saver:
        state = waiting(saver, drafts).invoke(Command(resume=edited("mine")), THREAD)
        assert (state["status"], state["messages"][-1].text) == ("completed", "mine")


def test_two_supervisors_at_once_ask_by_their_ids(call: Any) -> None:
    careful = Supervisor(WELL, review=reject, max_revisions=0, escalate="human").as_agent("careful")
    steps = [Step("a", "careful", "x"), Step("b", "careful", "y")]
    graph = Workflow(steps, agents=[careful]).compile(InMemorySaver())
    asked = call(graph, ASK, THREAD)["__interrupt__"]
    ids = {question.value["description"].splitlines()[1]: question.id for question in asked}
    state = call(graph, Command(resume={ids["x"]: edited("for x"), ids["y"]: "approve"}), THREAD)
    assert {name: record["result"] for name, record in state["steps"].items()} == {"a": "for x", "b": "well"}
