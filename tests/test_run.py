"""A run for a person: what goes where, with which exit code, and that it ends when asked to."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from agents import Agent
from agents.testing import Reply, ScriptedModel
from agents.usage import no_usage
from graphs import Planner, Step
from graphs.cli import command
from graphs.cli.exit_codes import COMPLETED, FAILED, NEEDS_INPUT, PARTIAL
from graphs.cli.options import Shown
from graphs.cli.output import plain
from graphs.cli.run import final_state, run
from graphs.engine import new_record
from graphs.show import LiveState
from graphs.show.live_state import LiveTask
from tests.plain_graphs import own_graph
from tests.processes import Done, Processes

PLAN = {
    "steps": [
        {"id": "one", "agent": "writer", "task": "Write one", "dependencies": []},
        {"id": "two", "agent": "critic", "task": "Write two", "dependencies": ["one"]},
    ]
}
ENDS_WITHIN = 200.0
"""Seconds from a signal to the end of the process."""


def scripted(replies: dict[str, Any]) -> ScriptedModel:
    return ScriptedModel({"You are the planner": PLAN, "You write the final": "**The** answer", **replies})


def planner(replies: dict[str, Any]) -> Any:
    model = scripted(replies)
    team = [Agent(name, instructions=f"You are the {name}.", model=model) for name in ("writer", "critic")]
    return Planner(team, model=model, max_replans=0).compile()


FINE = {"You are the writer": Reply("Text one", usage=(10, 5)), "You are the critic": "Text two"}


def test_the_answer_goes_to_stdout_and_progress_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planner(FINE), "Do it") == COMPLETED
    told = capsys.readouterr()
    assert told.out == "Text two\n"
    assert "] one: running (writer)\n" in told.err
    assert max(map(len, told.err.splitlines())) <= 80


def test_a_partial_run_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planner({**FINE, "You are the critic": PermissionError("no entry")}), "Do it") == PARTIAL
    told = capsys.readouterr()
    assert told.out == "**The** answer\n"
    assert "Partial: Step 'two' failed with agent 'critic' after 3 attempts: " in told.err
    assert "no entry" in told.err


def test_a_graph_that_breaks_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(state: Any) -> None:
        raise LookupError("nothing there")

    assert run(own_graph(broken), "Do it") == FAILED
    assert "nothing there" in capsys.readouterr().err


def test_the_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PODIUM_TRACEBACK", "1")
    assert run(own_graph(lambda state: 1 / 0), "Do it") == FAILED
    assert "Traceback" in (shown := capsys.readouterr().err)
    assert "ZeroDivisionError" in shown


def test_any_graph_with_messages_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    from langchain.agents import create_agent

    assert run(create_agent(ScriptedModel(["Hello"]), []), "Hi", shown=Shown(quiet=True)) == COMPLETED
    assert capsys.readouterr().out == "Hello\n"


NOISY = """
from agents import Agent
from graphs import Step, Workflow
from graphs.cli.run import run

def noisy(task):
    print("noise")
    return "answer"

run(Workflow([Step("a", "a", "Work")], agents=[Agent("a", function=noisy)]).compile(), "Do it")
"""


def test_what_an_agent_prints_does_not_get_into_the_answer(processes: Processes) -> None:
    # In a process of its own: runs that other tests left behind share sys.stdout.
    done = processes.start(script=NOISY).wait()
    assert done.out == "answer\n"
    assert "noise" in done.told


def test_a_state_becomes_plain() -> None:
    state = {"messages": [HumanMessage("Hi"), AIMessage("Ho")], "steps": {"a": (1, None)}, "other": Path("x")}
    assert plain(state) == {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        "steps": {"a": [1, None]},
        "other": "x",
    }


def test_an_interrupted_run_before_any_step_has_failed() -> None:
    state = final_state(LiveState(0), KeyboardInterrupt(), 2)
    assert (state["status"], state["stop_reason"]) == ("failed", "Interrupted after 2 s; no step had begun.")


def test_a_run_that_ends_without_a_state_has_failed() -> None:
    assert final_state(LiveState(0), None, 2)["status"] == "failed"


def test_what_an_interrupted_run_has_finished_is_its_answer() -> None:
    used = {**no_usage(), "calls": 1}
    record = new_record(Step("a", "worker", "A"), "completed", result="A is done", usage=used)
    live = LiveState(0)
    live.tasks["1"] = LiveTask("a", record=record)
    state = final_state(live, KeyboardInterrupt(), 2)
    assert (state["status"], state["messages"][-1].text) == ("partial", "## a\n\nA is done")
    assert state["usage"]["calls"] == 1


def test_a_graph_that_asks_for_something_needs_input(capsys: pytest.CaptureFixture[str]) -> None:
    from langgraph.types import interrupt

    def ask(state: Any) -> None:
        interrupt("How many?")

    assert run(own_graph(ask), "Do it", shown=Shown(quiet=True)) == NEEDS_INPUT
    assert "How many?" in capsys.readouterr().err


SCRIPT = """
import asyncio
import time
from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Step, Workflow
from graphs.cli.signals import leave
from graphs.cli.run import run

async def blocking(task):
    await asyncio.sleep(0.3)
    time.sleep(1000)

slow = {{
    "function": Agent("slow", function=lambda task: time.sleep(1000)),
    "blocked loop": Agent("slow", function=blocking),
    "model": Agent("slow", model=ScriptedModel([Reply("late", delay=1000)])),
    "model in a thread": Agent("slow", function=lambda task: ScriptedModel([Reply("late", delay=1000)]).invoke(task)),
}}[{kind!r}]
quick = Agent("quick", function=lambda task: "Done: " + task)
steps = [Step("first", "quick", "One"), Step("second", "slow", "Two", dependencies=["first"])]
if {start}:
    steps = [Step("second", "slow", "Two")]
leave(run(Workflow(steps, agents=[quick, slow]).compile(), "Go"))
"""


def interrupted(processes: Processes, script: str, number: int) -> tuple[Done, float]:
    """Run a script until its slow step is at work, send it a signal, and time its end."""
    one = processes.start(script=script)
    one.until("second: running")
    time.sleep(0.6)
    asked = time.monotonic()
    one.send(number)
    return one.wait(), time.monotonic() - asked


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("function", signal.SIGINT),
        ("blocked loop", signal.SIGINT),
        ("model", signal.SIGTERM),
        ("model in a thread", signal.SIGINT),
    ],
)
def test_a_signal_ends_a_run_soon_with_what_was_finished(processes: Processes, kind: str, number: int) -> None:
    done, seconds = interrupted(processes, SCRIPT.format(kind=kind, start=0), number)
    assert (done.code, done.out) == (PARTIAL, "## first\n\nDone: One\n")
    assert "Partial: Interrupted after" in done.told
    assert "1 of 2 steps were finished" in done.told
    assert "Traceback" not in done.told
    assert seconds < ENDS_WITHIN


def test_a_signal_before_anything_was_finished_is_a_failure(processes: Processes) -> None:
    done, seconds = interrupted(processes, SCRIPT.format(kind="function", start=1), signal.SIGINT)
    assert (done.code, done.out) == (FAILED, "")
    assert "Failed: Interrupted after" in done.told
    assert seconds < ENDS_WITHIN


ODD = {
    "messages": "text",
    "steps": ["a"],
    "errors": ["late"],
    "status": 3,
    "questions": ["why?"],
    "usage": 5,
    "plan": "p",
}


def test_a_graph_of_ones_own_may_use_the_keys_of_a_record_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd_keys.py").write_text(
        f"""
from typing import Any
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

Odd = TypedDict("Odd", dict.fromkeys({list(ODD)}, Any))

def work(state):
    get_stream_writer()({{"event": "step", "name": "x"}})
    return {ODD}

graph = StateGraph(Odd).add_node("execute", work).add_edge(START, "execute")
"""
    )
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.chdir(tmp_path)
    assert command(["run", "odd_keys:graph", "hi", "--json", "--thread", "t"]) == COMPLETED
    assert json.loads(capsys.readouterr().out)["errors"] == ["late"]
    for words in (["runs"], ["show"], ["show", "--json"], ["show", "--html", "-"], ["fork", "t"], ["inbox"], ["prune"]):
        assert command(words) == COMPLETED, capsys.readouterr().err
