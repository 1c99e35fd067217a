"""The command: its options and exit codes, and whole runs of it against an endpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphs.cli import command
from graphs.run import BAD_USAGE, COMPLETED, FAILED
from tests.endpoint import Endpoint, Fault

ROOT = Path(__file__).parent.parent
PLAN = {
    "steps": [
        {"id": "one", "agent": "writer", "task": "Write one", "dependencies": []},
        {"id": "two", "agent": "critic", "task": "Write two", "dependencies": ["one"]},
    ]
}


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


def test_another_pattern_is_run_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Endpoint(["Peers answer"], repeat=True) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        assert command(["Do it", "--pattern", "network", "--quiet", "--model", "openai:test"]) == COMPLETED
    assert capsys.readouterr().out == "Peers answer\n"


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
        (["Do it", "--pattern", "circus"], "known: planner, router"),
        (["draw", "circus"], "known: planner, router"),
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
        (["draw", "router"], "classify"),
        (["draw", "supervisor"], "review"),
        (["draw", "network"], "researcher"),
        (["draw", "orchestrator"], "triage"),
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
