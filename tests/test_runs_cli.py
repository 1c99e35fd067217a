"""Stored runs: what is done is never done again, whoever goes on with it, and where it can start again."""

import json
import re
import signal
import sqlite3
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED, NEEDS_INPUT, PARTIAL
from graphs.cli.output import print_table
from graphs.cli.runs import print_runs
from graphs.storage import StoredRun
from tests.office import PLAN, Office, clean, latest, listed
from tests.processes import Processes


def test_a_run_is_stored_listed_and_shown_without_any_model(processes: Processes) -> None:
    with Office() as office:
        done = clean(processes.podium("Do it\nwell", "--pattern", "planner", **office.environment))
    assert (done.code, done.out) == (COMPLETED, "The *final* answer\n")
    (one,) = listed(processes)
    assert f"run {one['thread_id']}\n" in done.told
    assert (one["pattern"], one["status"], one["request"]) == ("planner", "completed", "Do it\nwell")
    assert "completed  Do it well" in processes.podium("runs").out
    shown = clean(processes.podium("show", one["thread_id"])).out
    shown = re.sub(" +", " ", shown)
    for told in ("Plan\n", "two critic Write two one", "Text two", "in all 5", "The *final* answer"):
        assert told in shown
    assert clean(processes.podium("show")).out == clean(processes.podium("show", one["thread_id"])).out
    state = json.loads(processes.podium("show", one["thread_id"], "--json").out)
    assert state["steps"]["one"]["result"] == "Text one"
    assert {name: state[name] for name in one} == one  # one shape for all that is JSON
    assert processes.podium("show", "--json").out == processes.podium("show", one["run"], "--json").out


@pytest.mark.parametrize("columns", [40, 60, 80, 120, None])
def test_the_list_of_runs_cuts_requests_and_never_an_id(columns: int | None) -> None:
    long = "a-conversation-about-everything"
    runs = [
        StoredRun(
            thread_id=name, pattern="orchestrator", request="tea " * 9000, status="completed", started="", ended=None
        )
        for name in ("ab3de", long)
    ]
    console = Console(file=StringIO(), force_terminal=columns is not None, width=columns or 80)
    print_runs(runs, console)
    lines = [Text.from_ansi(line).plain for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    firsts = [line.split()[0] for line in lines]
    below = ["pattern:", "status:", "request:"]
    assert firsts == (["ab3de", *below, long, *below] if columns in (40, 60) else ["run", "ab3de", long])
    assert max(map(len, lines)) <= (columns or 400)


def test_a_narrow_terminal_gets_the_cells_of_a_row_below_each_other() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=40)
    print_table(console, ("step", "agent", "after", "result"), [("comparison", "writer", "", "completed " * 15)])
    lines = [Text.from_ansi(line).plain.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[:3] == ["comparison", "  agent: writer", "  result: completed completed completed"]
    assert {word for line in lines[3:] for word in line.split()} == {"completed"}


def test_a_table_in_a_pipe_leaves_the_width_of_what_follows_as_it_is() -> None:
    console = Console(file=StringIO(), width=80)
    print_table(console, ("step", "result"), [("one", "completed " * 15)])
    assert console.width == 80


@pytest.mark.parametrize(
    ("pattern", "number"), [("orchestrator", signal.SIGKILL), ("planner", signal.SIGINT), ("planner", signal.SIGTERM)]
)
def test_a_stopped_run_goes_on_and_repeats_nothing(processes: Processes, pattern: str, number: int) -> None:
    with Office(slow="two") as office:
        one = processes.start("Do it", "--pattern", pattern, **office.environment)
        one.until("two: running")
        one.until("three: completed")
        run = latest(processes)
        assert [told["status"] for told in listed(processes)] == ["running"]
        link = processes.folder / "link.sqlite"
        link.symlink_to(processes.environment["PODIUM_RUNS"])
        for reached in (processes.podium("resume", run), processes.podium("resume", run, PODIUM_RUNS=str(link))):
            assert "at work on thread" in reached.told
        one.send(number)
        done = clean(one.wait())
        assert listed(processes)[0]["status"] == "stopped"
        shown = processes.podium("show", run).out
        before = list(office.asked)
    with Office() as office:
        resumed = clean(processes.podium("resume", run, **office.environment))
        again = office.asked
    if number != signal.SIGKILL:
        assert done.code == PARTIAL
        assert f"`podium resume {run}` continues it" in done.told
    assert "Write three" in shown
    assert f"podium resume {run}" in shown
    assert (resumed.code, resumed.out) == (COMPLETED, "The *final* answer\n")
    assert "one: completed" in resumed.told
    assert before.count("one") == before.count("three") == 1
    assert not {"one", "three", "planner", "triage"} & set(again)
    assert again[0] == "two"
    assert processes.podium("resume", run).code == BAD_USAGE


def test_a_question_without_a_terminal_is_stored_and_answered_later(processes: Processes, tmp_path: Path) -> None:
    with Office() as office:
        asked = clean(processes.podium("Do it", "--approve", **office.environment))
        run = latest(processes)
        assert (asked.code, asked.out) == (NEEDS_INPUT, "")
        for told in (
            "Needs input: Run this plan?",
            "two (critic): Write two  [after one]",
            f"podium resume {run} --answer",
        ):
            assert told in asked.told
        assert "Write three" in processes.podium("show", run).out
        again = clean(processes.podium("resume", run, **office.environment))
        assert (again.code, office.asked) == (NEEDS_INPUT, ["triage", "planner"])
        wrong = processes.podium("resume", run, "--answer", "perhaps", **office.environment)
        assert (wrong.code, "approve, edit:@file, reject:why" in wrong.told) == (BAD_USAGE, True)
        (tmp_path / "plan.json").write_text(json.dumps({"steps": PLAN[:1]}))
        edited = clean(processes.podium("resume", run, "--answer", "edit:@plan.json", **office.environment))
        assert (edited.code, edited.out) == (COMPLETED, "Text one\n")
        assert office.asked == ["triage", "planner", "one", "reviewer"]


def test_a_router_that_asks_is_answered_like_any_other(processes: Processes) -> None:
    with Office() as office:
        asked = clean(processes.podium("Hm", "--pattern", "router", **office.environment))
        assert asked.code == NEEDS_INPUT
        run = latest(processes)
        assert "Answer with: podium resume" in processes.podium("resume", run, **office.environment).told
        office.route = "writer"
        done = clean(processes.podium("resume", run, "--answer", "The writer", **office.environment))
    assert (done.code, done.out) == (COMPLETED, "Text of an agent\n")


def test_a_conversation_goes_on_under_its_name(processes: Processes) -> None:
    with Office(route="writer") as office:
        first = processes.podium("My name is Ada", "--thread", "ada", "--pattern", "router", **office.environment)
        second = processes.podium("What is my name?", "--thread", "ada", **office.environment)
        other = processes.podium("Go on", "--thread", "ada", "--pattern", "planner", **office.environment)
    assert (first.code, second.code, other.code) == (COMPLETED, COMPLETED, BAD_USAGE)
    assert "My name is Ada" in str(office.requests[-1])
    assert "goes on with its pattern, router" in other.told
    assert [item["thread_id"] for item in listed(processes)] == ["ada"]


def test_a_conversation_waits_for_its_unfinished_run(processes: Processes) -> None:
    with Office() as office:
        processes.podium("Do it", "--approve", "--pattern", "planner", "--thread", "ada", **office.environment)
        done = processes.podium("And more", "--thread", "ada", **office.environment)
    assert (done.code, "podium resume ada" in done.told) == (BAD_USAGE, True)


TEAM = """
[[agents]]
name = "writer"
instructions = "You write."
[[agents]]
name = "critic"
instructions = "You judge."
"""


def test_a_run_goes_on_with_the_team_it_began_with_or_not_at_all(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "team.toml"
    file.write_text(TEAM)
    with Office() as office:
        processes.podium("Do it", "--approve", "--pattern", "planner", "--team", "team.toml", **office.environment)
        resume = ("resume", latest(processes), "--answer", "approve")
        file.write_text(TEAM.replace("write", "sing"))
        changed = processes.podium(*resume, **office.environment)
        file.unlink()
        missing = processes.podium(*resume, **office.environment)
        assert (changed.code, missing.code, len(office.asked)) == (BAD_USAGE, BAD_USAGE, 1)
        assert "has changed since the run began" in changed.told
        assert "cannot be read: No such file" in missing.told
        file.write_text(TEAM)
        assert processes.podium(*resume, **office.environment).code == COMPLETED


def test_several_processes_use_the_file_at_once(processes: Processes) -> None:
    with Office() as office:
        ones = [
            processes.start(f"Do {number}", "--quiet", "--pattern", "baseline", **office.environment)
            for number in range(4)
        ]
        assert [clean(item.wait()).code for item in ones] == [COMPLETED] * 4
    assert sorted(item["request"] for item in listed(processes)) == ["Do 0", "Do 1", "Do 2", "Do 3"]


def foreign(file: Path) -> None:
    file.write_text("These are my notes.\n" * 100)


def newer(file: Path) -> None:
    with sqlite3.connect(file) as made:
        made.execute("PRAGMA user_version = 1000")


def folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize(("make", "told"), [(foreign, "not a SQLite database"), (newer, "newer Podium"), (folder, "")])
def test_a_file_that_cannot_be_used_is_a_line(processes: Processes, tmp_path: Path, make: Any, told: str) -> None:
    make(tmp_path / "runs.sqlite")
    for arguments in (["Do it"], ["runs"], ["resume", "abcde"]):
        done = clean(processes.podium(*arguments, OPENAI_API_KEY="none"))
        assert (done.code, done.out) == (FAILED, "")
        assert told in done.told
        assert done.told.count("\n") == 1


def test_a_full_disk_ends_the_run_with_a_line_and_it_can_be_resumed(processes: Processes) -> None:
    script = """
import resource
from graphs.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, resource.RLIM_INFINITY))
main(["Do it", "--pattern", "planner"])
"""
    with Office() as office:
        done = clean(processes.start(script=script, **office.environment).wait())
        assert done.code == FAILED
        assert "runs.sqlite could not be" in done.told
        (one,) = listed(processes)
        resumed = clean(processes.podium("resume", one["thread_id"], **office.environment))
    assert (resumed.code, resumed.out) == (COMPLETED, "The *final* answer\n")


def test_limits_hold_and_are_kept_for_the_resume(processes: Processes) -> None:
    with Office() as office:
        limits = ("--max-calls", "3", "--max-cost", "9", "--price", "*=1,2")
        asked = processes.podium("Do it", "--approve", "--pattern", "planner", *limits, **office.environment)
        assert asked.code == NEEDS_INPUT
        done = processes.podium("resume", latest(processes), "--answer", "approve", **office.environment)
        assert (done.code, len(office.asked) <= 3) == (PARTIAL, True)
    assert "The budget of 3 model calls is used up" in done.told


def test_the_baseline_is_a_single_agent_that_can_be_compared(processes: Processes) -> None:
    with Office() as office:
        done = clean(processes.podium("Do it", "--pattern", "baseline", **office.environment))
        assert office.asked == ["assistant"]
    assert (done.code, done.out) == (COMPLETED, "All by myself\n")
    for told in ("Timeline: ", " in all\n", "\nin all 1 ", "Tokens read and written"):
        assert told in re.sub(" +", " ", done.told)


def test_without_storing_nothing_is_left(processes: Processes, tmp_path: Path) -> None:
    with Office() as office:
        done = clean(processes.podium("Do it", "--no-store", "--pattern", "baseline", **office.environment))
        assert done.code == COMPLETED
        asked = clean(
            processes.podium("Do it", "--no-store", "--approve", "--pattern", "planner", **office.environment)
        )
        assert (asked.code, "was not stored" in asked.told) == (NEEDS_INPUT, True)
    assert not (tmp_path / "runs.sqlite").exists()


def test_a_run_that_is_not_there(processes: Processes) -> None:
    assert processes.podium("runs").told.startswith("podium: No runs are stored yet")
    with Office() as office:
        processes.podium("Do it", "--pattern", "baseline", **office.environment)
    for command in ("show", "resume", "fork"):
        done = processes.podium(command, "nowhere")
        told = "podium: Run 'nowhere' does not exist; `podium runs` lists all\n"
        assert (done.code, done.told) == (FAILED, told)
