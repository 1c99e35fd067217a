import asyncio
import json
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent
from agents.settings import Settings
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Planner, Step, Workflow
from graphs.decisions import prompts
from graphs.engine import Pattern
from graphs.storage import sqlite
from graphs.storage import state as stored
from tests.processes import Processes
from tests.waiting import PATIENCE

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def benchmark(processes: Processes, name: str, *options: str) -> str:
    """Run a benchmark and return its table; it fails where a count that must be 0 is not."""
    done = processes.module(f"benchmarks.{name}", *options)
    assert done.code == 0, done.out + done.told
    return done.out


def test_killed_runs_repeat_nothing_that_was_recorded(processes: Processes) -> None:
    graphs = ["--graph", "planner", "--graph", "supervisor", "--graph", "network"]
    assert benchmark(processes, "kill", "--kills", "3", "--database", "sqlite", *graphs).count("| SQLite | 1 |") == 3


class Slow(InMemorySaver):
    def put(self, *given: Any) -> Any:
        time.sleep(0.02)
        return super().put(*given)


@pytest.mark.parametrize(("options", "step"), [({}, 1), ({"durability": "exit"}, None)])
def test_work_goes_on_once_its_checkpoint_is_stored(options: Any, step: int | None) -> None:
    saver, seen = Slow(), []

    def second(task: str) -> str:
        stored = saver.get_tuple(CONFIG)
        seen.append(stored and stored.metadata["step"])
        return "done"

    peers = [Agent("first", function=lambda task: {"to": "second"}), Agent("second", function=second)]
    Network(peers).compile(saver).invoke({"messages": "go"}, CONFIG, **options)
    assert seen == [step]


class Noted:
    """Agents that note each call in a file, and can have the process killed in one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, what: str) -> str:
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{what}\n")
        return f"{what} done"

    def die_once(self, what: str) -> str:
        if not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self(what)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split()


def elsewhere(work: Any, *arguments: Any) -> int | None:
    """Do some work in a new process, and return its exit code."""
    context = get_context("forkserver")  # imports once what each process would import
    context.set_forkserver_preload(["graphs.orchestrator", "tests.test_durability"])
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join(PATIENCE)
    return process.exitcode


# A budget survives the process.


def chain(noted: Noted) -> Pattern:
    def reply(number: int) -> Any:
        return lambda _: noted.die_once(f"call{number}") if number == 3 else noted(f"call{number}")

    agents = [Agent(f"a{number}", instructions="Work.", model=ScriptedModel(reply(number))) for number in range(1, 7)]
    steps = [
        Step(f"s{number}", f"a{number}", "Work", [f"s{number - 1}"] if number > 1 else []) for number in range(1, 7)
    ]
    return Workflow(steps, agents=agents)


def planned(noted: Noted) -> Pattern:
    steps = [
        {
            "id": f"s{number}",
            "agent": "a",
            "task": f"Step{number}",
            "dependencies": [f"s{number - 1}"] if number > 1 else [],
        }
        for number in range(1, 6)
    ]

    def plan(_: Any) -> Any:
        noted("plan")
        return {"steps": steps}

    def work(messages: Any) -> str:
        text = messages[-1].text
        return noted.die_once("Step2") if "Step2" in text else noted("Step")

    agent = Agent("a", instructions="Work.", model=ScriptedModel(work))
    writer = Agent("synthesizer", model=ScriptedModel(lambda _: noted("synthesis")))
    return Planner([agent], model=ScriptedModel(plan), synthesizer=writer)


def with_tool(noted: Noted) -> Pattern:
    """Four steps; the first agent asks for a tool, in which the process dies between its two calls."""

    @tool
    def look_up() -> str:
        """Look it up."""
        return noted.die_once("tool")

    def speak(messages: Any) -> Any:
        noted("call")
        return (
            "found" if messages[-1].type == "tool" else Reply(tool_calls=[{"name": "look_up", "args": {}, "id": "1"}])
        )

    asks = Agent("asks", instructions="Work.", tools=[look_up], model=ScriptedModel(speak))
    says = Agent("says", instructions="Work.", model=ScriptedModel(lambda _: noted("call")))
    steps = [Step("s1", "asks", "Work"), *(Step(f"s{item}", "says", "Work", [f"s{item - 1}"]) for item in (2, 3, 4))]
    return Workflow(steps, agents=[asks, says])


BUDGETED: Any = {"chain": (chain, 3), "planned": (planned, 4), "with_tool": (with_tool, 4)}
"""What is run, and the calls it may make."""


def spend(name: str, folder: Path) -> Any:
    with sqlite(folder / "runs.sqlite") as saver:
        pattern, calls = BUDGETED[name]
        graph = pattern(Noted(folder)).compile(saver)
        given = None if saver.get_tuple(CONFIG) else {"messages": "go"}
        return graph.invoke(given, CONFIG, context=Settings(max_calls=calls))


@pytest.mark.parametrize("name", BUDGETED)
def test_a_budget_counts_what_was_used_before_the_process_died(name: str, tmp_path: Path) -> None:
    assert elsewhere(spend, name, tmp_path) == -signal.SIGKILL
    state = spend(name, tmp_path)
    calls = Noted(tmp_path).calls
    assert state["status"] == "partial"
    assert "is used up" in state["stop_reason"]
    calls = [call for call in calls if call != "tool"]
    assert state["usage"]["calls"] == len(calls) == BUDGETED[name][1]


# Questions to people survive the process.


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


def test_a_cancelled_run_keeps_what_was_done(tmp_path: Path) -> None:
    noted, begun = Noted(tmp_path), asyncio.Event()

    async def slow(task: str) -> str:
        noted("slow-starts")
        begun.set()
        await asyncio.sleep(0 if noted.calls.count("slow-starts") > 1 else PATIENCE)
        return noted("slow")

    agents = [Agent("quick", function=lambda task: noted("quick")), Agent("slow", function=slow)]
    steps = [Step("a", "quick", "a"), Step("b", "slow", "b", ["a"]), Step("c", "quick", "c", ["b"])]
    workflow = Workflow(steps, agents=agents)

    async def cancelled(graph: Any) -> None:
        running = asyncio.create_task(graph.ainvoke({"messages": "go"}, CONFIG))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with sqlite(tmp_path / "runs.sqlite") as saver:
        asyncio.run(cancelled(workflow.compile(saver)))
    with sqlite(tmp_path / "runs.sqlite") as saver:
        assert asyncio.run(workflow.compile(saver).ainvoke(None, CONFIG))["status"] == "completed"
    assert sorted(noted.calls) == ["quick", "quick", "slow", "slow-starts", "slow-starts"]
