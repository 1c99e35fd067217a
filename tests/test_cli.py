"""The command: its options and exit codes, and whole runs of it against an endpoint."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import Agent
from agents.testing import LASTING_FAULTS, FaultyProvider
from graphs import Router
from graphs.cli import command
from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED
from graphs.storage import sqlite
from tests.office import PLAN, Office, clean, latest
from tests.processes import Processes
from tests.tables import each

ROOT = Path(__file__).parent.parent


def test_the_command_starts_as_a_module(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PODIUM_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "graphs.cli", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr, "podium runs" in done.stdout) == (COMPLETED, "", True)


def test_a_piped_request_is_answered_and_told_in_plain_text(processes: Processes) -> None:
    with Office() as office:
        done = processes.podium(stdin="Do it\n", **office.environment)
    assert (done.code, done.out) == (COMPLETED, "The *final* answer\n")
    for told in (
        "Model: test",
        "triage: completed in",
        "a plan: it needs several agents",
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
    assert json.loads(processes.podium("show", "--json").out) == state  # one form everywhere


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


@each(
    ("arguments", "complaint"),
    [
        (["--bogus"], "--bogus"),
        (["Do it", "--bogus"], "--bogus"),
        (["Do", "it"], "in quotes"),
        (["--pattern", "planner", "Do", "it"], "in quotes"),
        (["--patern", "planner", "Do it"], "Did you mean --pattern?"),
        (["--quit"], "Did you mean --quiet?"),
        (["Do it", "--pattern", "workflow"], "podium run my_team:graph"),
        (["Do it", "--pattern", "circus"], "known: orchestrator, planner"),
        (["draw", "circus"], "known: orchestrator, planner"),
        (["Do it", "--team", "nowhere.toml"], "nowhere.toml"),
        (["Do it", "--model", "nonsense"], "provider:model"),
        (["model", "pull", "nothing"], "qwen"),
        (["model", "push"], "push"),
        (["rnus"], "did you mean `podium runs`?"),
        (["shwo", "ab3de"], "did you mean `podium show`?"),
        (["resume"], "podium resume needs RUN"),
        (["resume", "ab3de", "--answer"], "--answer needs a value"),
        (["--pattern"], "--pattern needs a value"),
        (["Do it", "--max-calls", "-1"], "--max-calls must be a number from 0 up"),
        (["Do it", "--max-cost", "1"], "--max-cost needs prices: --price model=in,out"),
        (["Do it", "--price", "5"], "model=in,out"),
        (["Do it", "--thread", "a/b"], "cannot name"),
        (["Do it", "--thread", "a", "--no-store"], "--no-store"),
        (["help"], "did you mean `podium --help`?"),
        (["Do it", "--max-calls", "many"], "--max-calls takes a number, not 'many'"),
        (["run", "nowhere:graph", "Do it"], "nowhere:graph cannot be loaded"),
        (["run", "code:interact", "Do it"], "a module of Python itself"),
        (["run", "jinja2:nothing", "Do it"], "no 'nothing' there; its graphs: none"),
        (["run", "jinja2:Template", "Do it"], "Template returns no graph"),
        (["run", "jinja2:__path__", "Do it"], "A list cannot run"),
        (["prune", "--older-than", "nan"], "--older-than must be a number of days from 0 to 100000, not nan"),
        (["prune", "--older-than=-1"], "--older-than must be a number of days"),
        (["runs", "--most", "0"], "--most must be a number from 1 up, not 0"),
        (["team", "--team", "/dev/zero"], "it is not a file"),
        (["eval", "/dev/zero"], "it is not a file"),
        (["new", "graphs"], "cannot name a project"),
        (["new", "../Elsewhere"], "cannot name a project"),
        (["new", "json"], "there is a module of this name"),
        (["new", "pass"], "cannot name a project"),
        (["new", "no/where"], "Cannot make no/where"),
        ([""], "The request is missing"),
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


def test_a_ceiling_that_cannot_be_read_is_noticed_before_anything_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("PODIUM_MODEL", "nonsense")  # which would be noticed next
    monkeypatch.setenv("PODIUM_MAX_CALLS", "abc")
    assert command(["Go"]) == BAD_USAGE
    assert "PODIUM_MAX_CALLS" in capsys.readouterr().err


def test_no_columns_are_taken_for_the_usual_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert command(["team"]) == COMPLETED
    assert "calculator" in capsys.readouterr().out


def test_a_request_may_begin_with_a_minus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("PODIUM_MODEL", "nonsense")
    assert command(["-5 plus 3 is?"]) == BAD_USAGE
    assert "provider:model" in capsys.readouterr().err


@each(
    ("arguments", "expected"),
    [
        (["--help"], "Exit codes: 0 completed"),
        (["--help"], "it is small"),
        (["draw"], "triage"),
        (["draw", "workflow"], "figures"),
        (["draw", "planner"], "check -.-> approve"),
        (["draw", "planner", "--svg"], "</svg>"),
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


def test_standard_input_that_is_not_text_is_bad_usage(processes: Processes) -> None:
    done = processes.podium(stdin=b"caf\xe9")
    assert (done.code, "not UTF-8" in done.told, "Traceback" in done.told) == (BAD_USAGE, True, False)


@pytest.mark.parametrize("delay", [0.0, 0.4])
def test_ctrl_c_is_exit_code_3_at_any_moment(tmp_path: Path, delay: float) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PODIUM_RUNS": f"{tmp_path}/r.sqlite", "PODIUM_MODEL": "none"}
    ready = "import sys; from graphs.cli.signals import catch_signals; catch_signals(); print(flush=True);"
    script = f"{ready} from graphs.cli import main; main(['team'])"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(delay)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=300)
    assert (run.returncode, "Traceback" in told) in ((3, False), (0, False))
    assert delay or run.returncode == 3


OWN = """
from agents import Agent
from graphs import Step, Workflow
from langgraph.graph import START, MessagesState, StateGraph

team = [Agent("greeter", function=lambda task: f"Hello, {task}")]
pattern = Workflow([Step("greet", "greeter", "{request}")], agents=team)
graph = pattern.compile()

def plain():
    return StateGraph(MessagesState).add_node("say", lambda state: {"messages": "Hi"}).add_edge(START, "say")
"""


@pytest.mark.parametrize(
    ("target", "answer"),
    [("mine:graph", "Hello, Ann\n"), ("mine.py:pattern", "Hello, Ann\n"), ("mine:plain", "")],
)
def test_a_graph_of_ones_own_is_run_shown_and_stored(processes: Processes, target: str, answer: str) -> None:
    (processes.folder / "mine.py").write_text(OWN)
    done = clean(processes.podium("run", target, "Ann"))
    assert (done.code, done.out) == (COMPLETED, answer)
    shown = clean(processes.podium("show")).out
    assert f"pattern  {target}" in shown
    assert processes.podium("draw", target).code == COMPLETED


def test_a_stored_run_reads_no_other_folder_unless_it_is_typed(processes: Processes, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Office() as office:
        there = Processes.moved_to(processes, elsewhere)
        there.environment |= {"PODIUM_RUNS": processes.environment["PODIUM_RUNS"]}
        processes.podium("Do it", "--approve", "--pattern", "planner", **office.environment)
        run = latest(processes)
        refused = there.podium("resume", run, "--answer", "approve", **office.environment)
        assert (refused.code, f"say --folder {tmp_path}" in refused.told) == (BAD_USAGE, True)
        typed = ("--folder", str(elsewhere))
        assert there.podium("resume", run, "--answer", "approve", *typed, **office.environment).code == COMPLETED


def test_a_new_project_runs_at_once(processes: Processes, tmp_path: Path) -> None:
    folder = tmp_path / "my-team"
    folder.mkdir()
    made = clean(processes.podium("new", "./my-team"))
    assert (made.code, "podium run my_team:graph" in made.out) == (COMPLETED, True)
    assert processes.podium("new", "my-team").code == BAD_USAGE
    names = {
        ".dockerignore",
        ".env.example",
        ".gitignore",
        "langgraph.json",
        "my_team.ipynb",
        "my_team.py",
        "pyproject.toml",
    }
    assert {file.name for file in folder.iterdir()} == {*names, "test_my_team.py"}
    assert json.loads((folder / "langgraph.json").read_text())["graphs"]["my_team"]["path"] == "my_team:graph"
    inside = processes.moved_to(folder)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--rootdir", str(folder)]
    tested = inside.module("pytest", *options)
    assert "2 passed" in tested.out, tested.out
    plan = [{"id": "one", "agent": "clerk", "task": "Fares for 5 km", "dependencies": []}]
    with Office(plan=plan) as office:
        done = clean(inside.podium("run", "my_team:graph", "A taxi for 5 km?", **office.environment))
    assert (done.code, done.out) == (COMPLETED, "For 5 km a bus costs 3.20 and a taxi 10.50.\n")


def test_everything_that_waits_for_a_person_is_in_the_inbox(processes: Processes) -> None:
    with Office() as office:
        processes.podium("Do it", "--approve", "--pattern", "planner", **office.environment)
        processes.podium("Hm", "--pattern", "router", **office.environment)
        listed = clean(processes.podium("inbox"))
        waiting = json.loads(processes.podium("inbox", "--json").out)
        assert [(item["pattern"], item["request"]) for item in waiting] == [("router", "Hm"), ("planner", "Do it")]
        for run in (item["run"] for item in waiting):
            assert f"podium resume {run} --answer" in listed.out
        office.route = "writer"
        for item in waiting:
            processes.podium("resume", item["run"], "--answer", "approve", **office.environment)
        assert processes.podium("inbox").out == "No run waits for a person.\n"


def test_runs_are_pruned(processes: Processes) -> None:
    with Office() as office:
        for name in ("old", "new"):
            processes.podium("Do it", "--pattern", "planner", "--thread", name, **office.environment)
        processes.podium("Do it", "--approve", "--pattern", "planner", "--thread", "open", **office.environment)
        shown = json.loads(processes.podium("show", "new", "--json").out)
        size = (processes.folder / "runs.sqlite").stat().st_size
        assert processes.podium("prune").out == "0 runs deleted, 2 reduced to their result\n"
        assert (processes.folder / "runs.sqlite").stat().st_size < size
        reduced = json.loads(processes.podium("show", "new", "--json").out)
        assert {**reduced, "started": shown["started"]} == shown
        assert reduced["started"] < shown["ended"]
        assert processes.podium("resume", "open", "--answer", "approve", **office.environment).code == COMPLETED
    assert processes.podium("prune", "--older-than", "0").out == "3 runs deleted, 0 reduced to their result\n"


def test_a_run_whose_conversation_goes_on_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    graph = Router([Agent("ann", function=str.upper)], classifier=lambda text: "ann", model=False)
    with sqlite() as storage:
        for name in ("a", "b"):
            graph.compile(storage).invoke({"messages": "hi"}, {"configurable": {"thread_id": name}})
        with storage.lock_thread("a"):
            assert command(["prune", "--older-than", "0"]) == COMPLETED
        assert [thread for thread, *_ in storage.threads()] == ["a"]
    assert capsys.readouterr().out == "1 runs deleted, 0 reduced to their result\n"


PRINTING = {"print", "write", "add_row", "Text", "Markdown"}
SAFE = {"visible", "_escaped", "one_line", "signed", "duration", "len", "time", "json.dumps"}
REVIEWED = {
    "output.py": ["table", "line"],
    "runs.py": ["report.encode()"],  # a page, in which everything is escaped
    "notebook.py": ["model_name(model)"],
    "wording.py": ["text"],  # is only measured
    "terminal.py": [
        "line",
        "shown",
        "name",
        "_about(task)",
        "_tokens(task.tokens)",
        "reason",
        "state.began",
        "cells",
        "room",
        "task.level",
    ],
}
"""Expressions that are printed as they are: made of safe parts in the same file, or not by others."""


def raw_prints(file: Path) -> list[str]:
    """Return the calls that print a text which nothing has made safe."""
    reviewed = REVIEWED.get(file.name, [])
    raw = []
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in PRINTING and call.args and not is_safe(call.args[0], reviewed):
            raw.append(f"{file.name}:{call.lineno}: {ast.unparse(call.args[0])}")
    return raw


def is_safe(text: ast.expr, reviewed: list[str]) -> bool:
    if isinstance(text, ast.Constant) or ast.unparse(text) in reviewed:
        return True
    if isinstance(text, ast.Call):
        name = getattr(text.func, "attr", getattr(text.func, "id", ""))
        if name in SAFE | PRINTING or ast.unparse(text.func) in SAFE:
            return True
        return name == "join" and is_safe(text.func.value, reviewed)  # type: ignore[attr-defined]
    parts = [part for part in ast.iter_child_nodes(text) if isinstance(part, ast.expr)]
    if isinstance(text, ast.GeneratorExp):
        parts = [text.elt]
    if isinstance(text, ast.IfExp):
        parts = [text.body, text.orelse]
    made_of_parts = isinstance(
        text, ast.JoinedStr | ast.FormattedValue | ast.BinOp | ast.IfExp | ast.Starred | ast.GeneratorExp | ast.Tuple
    )
    return made_of_parts and all(is_safe(part, reviewed) for part in parts)


@pytest.mark.parametrize("folder", ["cli", "show"])
def test_nothing_of_others_is_printed_raw(folder: str) -> None:
    files = sorted((ROOT / "graphs" / folder).glob("*.py"))
    assert [raw for file in files for raw in raw_prints(file)] == []


def test_a_raw_print_is_found(tmp_path: Path) -> None:
    file = tmp_path / "raw.py"
    file.write_text("print(f'{answer}')\nprint(visible(answer))\nText(answer)\nprint('fine')\n")
    assert raw_prints(file) == ["raw.py:1: f'{answer}'", "raw.py:3: answer"]
