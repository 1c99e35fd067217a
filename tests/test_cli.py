"""The command: its options and exit codes, and whole runs of it against an endpoint."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.testing import LASTING_FAULTS, FaultyProvider
from graphs.cli import command
from graphs.cli.run import BAD_USAGE, COMPLETED, FAILED
from tests.office import PLAN, Office
from tests.processes import Processes

ROOT = Path(__file__).parent.parent


def test_the_command_starts_as_a_module(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PODIUM_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "graphs.cli", "draw", "planner"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, "plan --> check" in done.stdout) == (COMPLETED, "", True)


def test_a_piped_request_is_answered_and_told_in_plain_text(processes: Processes) -> None:
    with Office() as office:
        done = processes.podium(stdin="Do it\n", **office.environment)
    assert (done.code, done.out) == (COMPLETED, "The *final* answer\n")
    for told in (
        "Model: test",
        "triage: completed in",
        "a plan (several parts)",
        "one: running (writer)",
        "two: completed in",
        "review: completed in",
        ": accepted",
        "Timeline",
        "triage",
        "critical path",
        " calls",
    ):
        assert told in done.told
    assert "\x1b" not in done.told
    assert "small" not in done.told
    assert "Do it" in str(office.requests[0])


def test_json_is_the_only_thing_on_stdout(processes: Processes) -> None:
    with Office(plan=PLAN[:1]) as office:
        done = processes.podium("Do it", "--pattern", "planner", "--json", "--quiet", **office.environment)
    state = json.loads(done.out)
    assert (done.code, done.told, state["status"]) == (COMPLETED, "", "completed")
    assert state["messages"] == [{"role": "user", "content": "Do it"}, {"role": "assistant", "content": "Text one"}]
    assert state["steps"]["one"]["result"] == "Text one"
    assert len(state["run"]) == 5


def test_an_endpoint_that_refuses_the_key_is_a_failure_without_traceback(processes: Processes) -> None:
    with FaultyProvider(LASTING_FAULTS["wrong key"]) as provider:
        done = processes.podium("Do it", OPENAI_BASE_URL=provider.base_url, OPENAI_MODEL="test")
    assert (done.code, done.out) == (FAILED, "")
    assert "Failed: " in done.told
    assert "Traceback" not in done.told


def test_another_pattern_is_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    with FaultyProvider("Peers answer") as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        assert command(["Do it", "--pattern", "network", "--quiet", "--model", "openai:test"]) == COMPLETED
    assert capsys.readouterr().out == "Peers answer\n"


def test_without_a_model_it_says_what_to_set(processes: Processes) -> None:
    done = processes.podium("Do it")
    assert (done.code, done.out) == (BAD_USAGE, "")
    assert "PODIUM_MODEL" in done.told
    assert "Traceback" not in done.told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bogus"], "--bogus"),
        (["Do it", "--bogus"], "--bogus"),
        (["Do", "it"], "in quotes"),
        (["--pattern", "planner", "Do", "it"], "in quotes"),
        (["--patern", "planner", "Do it"], "Did you mean --pattern?"),
        (["--quit"], "Did you mean --quiet?"),
        (["Do it", "--pattern", "workflow"], "from Python"),
        (["Do it", "--pattern", "circus"], "known: orchestrator, planner"),
        (["draw", "circus"], "known: orchestrator, planner"),
        (["Do it", "--team", "nowhere.toml"], "nowhere.toml"),
        (["Do it", "--model", "nonsense"], "provider:model"),
        (["model", "pull", "nothing"], "qwen"),
        (["model", "push"], "push"),
        ([""], "no request"),
    ],
)
def test_bad_usage_is_told_in_a_line(
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
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


def test_a_request_may_begin_with_a_minus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("PODIUM_MODEL", "nonsense")
    assert command(["-5 plus 3 is?"]) == BAD_USAGE
    assert "provider:model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "Exit codes: 0 completed"),
        (["--help"], "it is small"),
        (["draw"], "triage"),
        (["draw", "workflow", "--xray"], "figures"),
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
