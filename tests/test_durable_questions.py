"""Questions to people survive the process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import ToolMessage
from langgraph.types import Command, interrupt

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Orchestrator, Step, Workflow
from graphs.decisions import prompts
from graphs.engine import Pattern
from graphs.storage import sqlite
from graphs.storage import state as stored
from tests.noted import CONFIG, Noted, elsewhere


def asking(folder: Path) -> Any:
    """Return the graph: two steps ask a person, one does not, and the last one needs all three."""
    noted = Noted(folder)

    def ask(task: str) -> str:
        noted(f"{task}-asks")
        answer = interrupt({"question": task})
        noted(f"{task}-goes-on")
        return f"{task}: {answer}"

    steps = [
        Step("one", "asks", "one"),
        Step("two", "asks", "two"),
        Step("free", "works", "free"),
        Step("last", "works", "last {one} {two}", ["one", "two", "free"]),
    ]
    return Workflow(steps, agents=[Agent("asks", function=ask), Agent("works", function=lambda task: noted(task))])


def converse(folder: Path, given: Any, asynchronous: bool = False) -> None:
    """Start or resume the run, and write down what is open and what came out."""
    with sqlite(folder / "runs.sqlite") as saver:
        graph = asking(folder).compile(saver)
        state = asyncio.run(graph.ainvoke(given, CONFIG)) if asynchronous else graph.invoke(given, CONFIG)
        questions = {question["value"]["question"]: question["id"] for question in stored(saver, "t")["questions"]}
    surfaced = [item.value["question"] for item in state.get("__interrupt__", ())]
    told = {"open": questions, "surfaced": sorted(surfaced), "text": state["messages"][-1].text}
    (folder / "told").write_text(json.dumps(told))


def told(folder: Path) -> Any:
    return json.loads((folder / "told").read_text())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_parallel_questions_are_asked_and_answered_together_in_another_process(
    tmp_path: Path, asynchronous: bool
) -> None:
    assert elsewhere(converse, tmp_path, {"messages": "go"}, asynchronous) == 0
    assert told(tmp_path)["surfaced"] == ["one", "two"]
    answers = {number: name.upper() for name, number in told(tmp_path)["open"].items()}
    converse(tmp_path, Command(resume=answers), asynchronous)
    assert told(tmp_path) == {"open": {}, "surfaced": [], "text": "last one: ONE two: TWO done"}
    calls = Noted(tmp_path).calls
    assert calls.count("free") == 1
    assert [calls.count(f"{item}-goes-on") for item in ("one", "two")] == [1, 1]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_parallel_questions_are_answered_one_by_one(tmp_path: Path, asynchronous: bool) -> None:
    converse(tmp_path, {"messages": "go"}, asynchronous)
    answer: Any = Command(resume={told(tmp_path)["open"]["two"]: "TWO"})
    assert elsewhere(converse, tmp_path, answer, asynchronous) == 0
    assert (told(tmp_path)["surfaced"], list(told(tmp_path)["open"])) == (["one"], ["one"])
    converse(tmp_path, Command(resume={told(tmp_path)["open"]["one"]: "ONE"}), asynchronous)
    assert told(tmp_path)["open"] == {}
    assert told(tmp_path)["text"] == "last one: ONE two: TWO done"
    calls = Noted(tmp_path).calls
    assert calls.count("free") == 1
    assert [calls.count(f"{item}-goes-on") for item in ("one", "two")] == [1, 1]


def mailer(name: str, noted: Noted) -> Agent:
    """Return an agent of LangChain's that needs a person's leave to use its tool."""

    def send(to: str) -> str:
        """Send a mail."""
        return noted(f"{to}-sent")

    def reply(messages: Any) -> Any:
        if isinstance(messages[-1], ToolMessage):
            return noted(f"{name}-answers")
        noted(f"{name}-asks")
        return Reply(tool_calls=[{"name": "send", "args": {"to": name}, "id": name}])

    leave = HumanInTheLoopMiddleware(interrupt_on={"send": True})
    return Agent(name, runnable=create_agent(ScriptedModel(reply), [send], middleware=[leave]))


def mailing(folder: Path) -> Pattern:
    noted = Noted(folder)

    def decide(messages: Any) -> Any:
        if messages[0].text.startswith(prompts.TRIAGE[:40]):
            return {"reason": noted("triage"), "small": False, "agent": "ann"}
        if messages[0].text.startswith(prompts.PLAN[:40]):
            return {"steps": [{"id": item, "agent": item, "task": noted(item), "dependencies": []} for item in PEOPLE]}
        return noted("synthesis")

    def judge(task: str, context: dict[str, str]) -> Any:
        return {"acceptable": True, "evidence": noted(f"review-of-{context['result'].split()[0]}")}

    works = Agent("free", function=lambda task: noted("free-works"))
    team = [mailer("ann", noted), mailer("bob", noted), works]
    critic = Agent("critic", function=judge)
    return Orchestrator(team, model=ScriptedModel(decide), reviewer=critic)


PEOPLE = ("ann", "bob", "free")


def test_agents_in_supervised_steps_of_a_plan_wait_for_leave_each_for_its_own(tmp_path: Path, call: Any) -> None:
    def go(given: Any) -> Any:
        with sqlite(tmp_path / "runs.sqlite") as saver:
            return call(mailing(tmp_path).compile(saver), given, CONFIG)

    state = go({"messages": "go"})
    for left in (2, 1):
        assert len(state["__interrupt__"]) == left
        state = go(Command(resume={state["__interrupt__"][-1].id: {"decisions": [{"type": "approve"}]}}))
    assert (state["status"], state["messages"][-1].text) == ("completed", "synthesis done")
    calls = Noted(tmp_path).calls
    assert {"ann-sent", "bob-sent"} < set(calls)
    assert len(calls) == len(set(calls))
