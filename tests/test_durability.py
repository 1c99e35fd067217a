import signal
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.settings import Settings
from agents.testing import Reply, ScriptedModel
from graphs import Network, Planner, Step, Workflow
from graphs.engine import Pattern
from graphs.storage import sqlite
from tests.noted import CONFIG, Noted, elsewhere
from tests.processes import Processes


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


# A budget survives the process.


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


BUDGETED: Any = {"planned": (planned, 4), "with_tool": (with_tool, 4)}
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
