"""The command: what it prints where, its exit codes, and that it ends when asked to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Planner, Step, Workflow
from graphs.cli import command
from graphs.run import BAD_USAGE, COMPLETED, FAILED, PARTIAL, final_state, plain_json, run
from graphs.view import View
from tests.endpoint import Endpoint, Fault

ROOT = Path(__file__).parent.parent
PLAN = {
    "steps": [
        {"id": "one", "agent": "writer", "task": "Write one", "dependencies": []},
        {"id": "two", "agent": "critic", "task": "Write two", "dependencies": ["one"]},
    ]
}
ENDS_WITHIN = 1.0
"""Seconds from a signal to the end of the process."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No key, no model, no cache."""
    private = ("PODIUM", "OPENAI", "LANGSMITH", "LANGCHAIN")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(private)}
    return {**kept, "PODIUM_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def podium(
    *arguments: str, environment: dict[str, str], stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graphs.cli", *arguments],
        input=stdin,
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=60,
    )


def scripted(replies: dict[str, Any]) -> ScriptedModel:
    return ScriptedModel({"You are the planner": PLAN, "You write the final": "**The** answer", **replies})


def planner(replies: dict[str, Any]) -> Any:
    model = scripted(replies)
    team = [Agent(name, instructions=f"You are the {name}.", model=model) for name in ("writer", "critic")]
    return Planner(team, model=model, max_replans=0).compile()


FINE = {"You are the writer": Reply("Text one", usage=(10, 5)), "You are the critic": "Text two"}


def test_the_whole_command_answers_a_piped_request_of_an_openai_endpoint(environment: dict[str, str]) -> None:
    with Endpoint([json.dumps(PLAN), "Text one", "Text two", "The *final* answer"]) as endpoint:
        done = podium(environment=environment, stdin="Do it\n", OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="test")
    assert (done.returncode, done.stdout) == (COMPLETED, "The *final* answer\n")
    for told in ("Model: test", "one: running (writer)", "two: completed in", "Timeline", "critical path", "4 calls"):
        assert told in done.stderr
    assert "\x1b" not in done.stderr
    assert "small" not in done.stderr
    assert "Do it" in str(endpoint.requests[0])


def test_json_is_the_only_thing_on_stdout(environment: dict[str, str]) -> None:
    one_step = json.dumps({"steps": PLAN["steps"][:1]})
    with Endpoint([one_step, "Text one"]) as endpoint:
        done = podium(
            "Do it", "--json", "--quiet", environment=environment, OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="test"
        )
    state = json.loads(done.stdout)
    assert (done.returncode, done.stderr, state["status"]) == (COMPLETED, "", "completed")
    assert state["messages"] == [{"role": "user", "content": "Do it"}, {"role": "assistant", "content": "Text one"}]
    assert state["steps"]["one"]["result"] == "Text one"


def test_an_endpoint_that_refuses_the_key_is_a_failure_without_traceback(environment: dict[str, str]) -> None:
    fault = Fault(401, body={"error": {"message": "Incorrect API key provided"}})
    with Endpoint([fault], repeat=True) as endpoint:
        done = podium("Do it", environment=environment, OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="test")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "Failed: " in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_model_it_says_what_to_set(environment: dict[str, str]) -> None:
    done = podium("Do it", environment=environment)
    assert (done.returncode, done.stdout) == (BAD_USAGE, "")
    assert "PODIUM_MODEL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bogus"], "--bogus"),
        (["Do it", "--bogus"], "--bogus"),
        (["Do", "it"], "in quotes"),
        (["Do it", "--pattern", "circus"], "known: planner"),
        (["draw", "circus"], "known: planner"),
        (["Do it", "--team", "nowhere.toml"], "nowhere.toml"),
        (["Do it", "--model", "nonsense"], "provider:model"),
        (["model", "pull", "nothing"], "qwen"),
        (["model", "push"], "push"),
        ([""], "no request"),
    ],
)
def test_bad_usage_is_told_in_a_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(arguments) == BAD_USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("podium: ")
    assert complaint in told.err


def test_a_bad_team_file_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "team.toml"
    file.write_text('[[agents]]\nname = "a"\ntools = ["saw"]\n')
    assert command(["draw", "--team", str(file)]) == BAD_USAGE
    assert f"{file}:3: unknown tool 'saw'" in capsys.readouterr().err


def test_a_request_may_begin_with_a_minus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PODIUM_MODEL", "nonsense")
    assert command(["-5 plus 3 is?"]) == BAD_USAGE
    assert "provider:model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "Exit codes: 0 completed"),
        (["--help"], "it is small"),
        (["draw"], "plan --> check"),
        (["draw", "planner", "--xray"], "plan --> check"),
        (["team"], "calculator"),
        (["model", "list"], "1.12 GB"),
        (["model"], "pull"),
        (["--version"], "\n"),
    ],
)
def test_what_needs_no_model(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(arguments) == COMPLETED
    assert expected in capsys.readouterr().out


def test_a_pull_without_a_connection_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "http://127.0.0.1:9"
    for name, value in {"HF_ENDPOINT": nowhere, "PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    assert command(["model", "pull"]) == FAILED
    told = capsys.readouterr()
    assert told.out == ""
    for expected in ("1.12 GB", f"from {nowhere}", f"to {tmp_path}", "Connect to the internet"):
        assert expected in told.err


def test_a_model_that_is_there_is_not_pulled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.gguf").touch()
    monkeypatch.setenv("PODIUM_MODEL_FILE", str(tmp_path / "own.gguf"))
    assert command(["model", "pull"]) == COMPLETED
    assert str(tmp_path / "own.gguf") in capsys.readouterr().out


def test_the_answer_goes_to_stdout_and_progress_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planner(FINE), "Do it") == COMPLETED
    told = capsys.readouterr()
    assert told.out == "**The** answer\n"
    assert "[   0.0 s] planning\n" in told.err
    assert max(map(len, told.err.splitlines())) <= 80


def test_quiet_leaves_only_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planner(FINE), "Do it", quiet=True) == COMPLETED
    assert capsys.readouterr() == ("**The** answer\n", "")


def test_a_partial_run_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planner({**FINE, "You are the critic": PermissionError("no entry")}), "Do it") == PARTIAL
    told = capsys.readouterr()
    assert told.out == "**The** answer\n"
    assert "Partial: Step 'two' failed with agent 'critic' after 3 attempts: " in told.err
    assert "no entry" in told.err


def test_a_failed_run_has_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Workflow([Step("a", "a", "Work")], agents=[Agent("a", function=lambda task: 1 / 0)]).compile()
    assert run(broken, "Do it", quiet=True) == FAILED
    told = capsys.readouterr()
    assert told.out == ""
    assert "Failed: Step 'a' failed" in told.err


def test_a_graph_that_breaks_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    from langgraph.graph import START, MessagesState, StateGraph

    def broken(state: Any) -> None:
        raise LookupError("nothing there")

    graph = StateGraph(MessagesState).add_node("broken", broken).add_edge(START, "broken").compile()
    assert run(graph, "Do it") == FAILED
    assert "nothing there" in capsys.readouterr().err


def test_any_graph_with_messages_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    from langchain.agents import create_agent

    assert run(create_agent(ScriptedModel(["Hello"]), []), "Hi", quiet=True) == COMPLETED
    assert capsys.readouterr().out == "Hello\n"


def test_what_an_agent_prints_does_not_get_into_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(task: str) -> str:
        print("noise")
        return "answer"

    assert run(Workflow([Step("a", "a", "Work")], agents=[Agent("a", function=noisy)]).compile(), "Do it") == COMPLETED
    assert capsys.readouterr().out == "answer\n"


def test_a_state_becomes_plain_json() -> None:
    state = {"messages": [HumanMessage("Hi"), AIMessage("Ho")], "steps": {"a": (1, None)}, "other": Path("x")}
    assert plain_json(state) == {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        "steps": {"a": [1, None]},
        "other": "x",
    }


def test_an_interrupted_run_before_any_step_has_failed() -> None:
    state = final_state(View.begin("planning", 0), KeyboardInterrupt(), 2)
    assert (state["status"], state["stop_reason"]) == ("failed", "Interrupted after 2 s; no step had begun.")


SCRIPT = """
import asyncio
import time
from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Step, Workflow
from graphs.run import leave, run

async def blocking(task):
    await asyncio.sleep(0.3)
    time.sleep(60)

slow = {{
    "function": Agent("slow", function=lambda task: time.sleep(60)),
    "blocked loop": Agent("slow", function=blocking),
    "model": Agent("slow", model=ScriptedModel([Reply("late", delay=60)])),
    "model in a thread": Agent("slow", function=lambda task: ScriptedModel([Reply("late", delay=60)]).invoke(task)),
}}[{kind!r}]
quick = Agent("quick", function=lambda task: "Done: " + task)
steps = [Step("first", "quick", "One"), Step("second", "slow", "Two", dependencies=["first"])]
if {start}:
    steps = [Step("second", "slow", "Two")]
leave(run(Workflow(steps, agents=[quick, slow]).compile(), "Go"))
"""


def interrupted(script: str, number: int, environment: dict[str, str]) -> tuple[int, str, str, float]:
    """Run a script until its slow step is at work, send it a signal, and time its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stderr is not None
        told = ""
        while "second: running" not in told:
            told += process.stderr.readline() or pytest.fail(told)
        time.sleep(0.6)
        asked = time.monotonic()
        process.send_signal(number)
        out, rest = process.communicate(timeout=20)
    return process.returncode, out, rest, time.monotonic() - asked


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("function", signal.SIGINT),
        ("blocked loop", signal.SIGINT),
        ("model", signal.SIGTERM),
        ("model in a thread", signal.SIGINT),
    ],
)
def test_a_signal_ends_a_run_within_a_second_with_what_was_finished(
    kind: str, number: int, environment: dict[str, str]
) -> None:
    code, out, told, seconds = interrupted(SCRIPT.format(kind=kind, start=0), number, environment)
    assert (code, out) == (PARTIAL, "## first\n\nDone: One\n")
    assert "Partial: Interrupted after" in told
    assert "1 of 2 steps were finished" in told
    assert "Traceback" not in told
    assert seconds < ENDS_WITHIN


def test_a_signal_before_anything_was_finished_is_a_failure(environment: dict[str, str]) -> None:
    code, out, told, seconds = interrupted(SCRIPT.format(kind="function", start=1), signal.SIGINT, environment)
    assert (code, out) == (FAILED, "")
    assert "Failed: Interrupted after" in told
    assert seconds < ENDS_WITHIN
