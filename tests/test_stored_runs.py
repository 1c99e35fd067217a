"""Stored runs read without their graphs: listed, shown, pruned, explained where they cannot be read."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.types import Command, interrupt

from agents import Agent
from graphs.cli import command
from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED
from graphs.cli.questions import ShownQuestion
from graphs.errors import StorageError
from graphs.storage import runs, sqlite, state
from graphs.storage.serializer import CompressingSerializer
from tests.office import Office
from tests.processes import Processes
from tests.test_storage import config, execute, two_steps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def test_runs_are_listed_newest_first(file: Path) -> None:
    with sqlite(file) as saver:
        graph = two_steps().compile(saver)
        for name in ("a", "b", "c"):
            graph.invoke({"messages": f"go {name}"}, config(name, pattern="workflow"))
        found = runs(saver, most=2)
    assert [(item["thread_id"], item["pattern"], item["request"], item["status"]) for item in found] == [
        ("c", "workflow", "go c", "completed"),
        ("b", "workflow", "go b", "completed"),
    ]
    assert all(item["ended"] and item["started"] < item["ended"] for item in found)


def test_a_run_is_shown_with_its_record(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config(team="mine.toml"))
        shown = state(saver, "t")
    assert shown["values"]["steps"]["one"]["result"] == "one!"
    assert isinstance(shown["values"]["messages"][-1], AIMessage)
    assert (shown["questions"], shown["finished"], shown["metadata"]["team"]) == ([], [], "mine.toml")
    assert not [name for name in shown["values"] if ":" in name or name.startswith("__")]


def test_a_run_that_waits_for_people_shows_its_question(file: Path) -> None:
    asks = Agent("asks", function=lambda task: str(interrupt({"question": "Which?"})))
    with sqlite(file) as saver:
        graph = two_steps(asks).compile(saver)
        graph.invoke({"messages": "go"}, config())
        shown = state(saver, "t")
        assert (shown["status"], shown["ended"]) == ("needs_input", None)
        assert [question["value"] for question in shown["questions"]] == [{"question": "Which?"}]
        assert [item["id"] for item in shown["finished"]] == ["one"]
        graph.invoke(Command(resume={shown["questions"][0]["id"]: "This"}), config())
        assert (state(saver, "t")["status"], state(saver, "t")["questions"]) == ("completed", [])


def test_an_unknown_or_unreadable_run_is_explained(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
        with pytest.raises(StorageError, match="Run 'x' does not exist"):
            state(saver, "x")
    execute(file, "UPDATE checkpoints SET type = 'pickle'")
    with sqlite(file) as saver:
        assert [run["status"] for run in runs(saver)] == ["unreadable"]
        with pytest.raises(StorageError, match="holds a run that cannot be read"):
            state(saver, "t")
    execute(file, "UPDATE checkpoints SET type = 'msgpack', checkpoint = x'c1c1'")
    with sqlite(file) as saver, pytest.raises(StorageError, match="holds a run that cannot be read"):
        two_steps().compile(saver).invoke(None, config())


def rewrite(file: Path, **parts: Any) -> None:
    """Give all checkpoints of a file other parts; None takes one away."""
    serializer = CompressingSerializer(allowed_msgpack_modules=None)
    connection = sqlite3.connect(file)
    for number, *stored in connection.execute("SELECT rowid, type, checkpoint FROM checkpoints").fetchall():
        checkpoint = {**serializer.loads_typed(tuple(stored)), **parts}
        kept = {name: value for name, value in checkpoint.items() if value is not None}
        connection.execute(
            "UPDATE checkpoints SET type = ?, checkpoint = ? WHERE rowid = ?", (*serializer.dumps_typed(kept), number)
        )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "parts",
    [
        {"channel_values": {"messages": [None], "status": "completed"}},
        {"channel_values": None},
        {"channel_versions": None},
        {"channel_versions": {"messages": "0000x.5"}},
        {"ts": None},
        {"ts": "yesterday"},
    ],
)
def test_contents_that_make_no_sense_are_the_files_fault(file: Path, parts: Any, call: Any) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
    rewrite(file, **parts)
    with sqlite(file) as saver, pytest.raises(StorageError, match=f"{file} holds a run that cannot be read"):
        call(two_steps().compile(saver), {"messages": "more"}, config())


@pytest.mark.parametrize(
    "damage",
    ["checkpoints SET metadata = '[]'", f"checkpoints SET metadata = '{'[' * 100_000}'", "writes SET value = x'07'"],
    ids=["a list", "deep", "no questions"],
)
def test_damage_beside_the_checkpoints_is_the_files_fault(file: Path, damage: str) -> None:
    asks = Agent("asks", function=lambda task: str(interrupt("Which?")))
    with sqlite(file) as saver:
        two_steps(asks).compile(saver).invoke({"messages": "go"}, config())
    execute(file, f"UPDATE {damage}")
    with sqlite(file) as saver:
        assert [run["status"] for run in runs(saver)] == ["unreadable"]
        with pytest.raises(StorageError, match="holds a run that cannot be read"):
            state(saver, "t")


@pytest.mark.parametrize("values", [{"steps": [1]}, {"plan": "x"}, {"messages": [1]}, {"errors": 3, "steps": {"a": 3}}])
def test_the_command_explains_values_that_make_no_sense(
    file: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(file))
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
        stored = state(saver, "t")["values"]
    rewrite(file, channel_values={**stored, **values})
    for words in (["runs"], ["show", "t"], ["show", "t", "--html", "-"], ["inbox"], ["fork", "t"], ["resume", "t"]):
        assert command(words) in (COMPLETED, FAILED, BAD_USAGE)
    assert "Traceback" not in capsys.readouterr().err


ODD_QUESTIONS = [
    {"action_requests": requests, "review_configs": reviews}
    for requests, reviews in [
        *(([odd], []) for odd in (1, {"args": {}}, {"name": "x"})),
        *(([{"name": "x", "args": {}}], odd) for odd in (3, [{"action_name": "x"}], [{"action_name": []}])),
        ([], []),
        ("x", []),
    ]
]


def test_a_question_that_is_only_nearly_langchains_is_shown_as_it_is() -> None:
    for value in ODD_QUESTIONS:
        (item,) = ShownQuestion("1", value).items()
        assert '"action_requests"' in item.text


def test_what_is_no_text_where_a_text_belongs_is_explained(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
    execute(file, "UPDATE checkpoints SET checkpoint_id = rowid || CAST(x'7dff' AS TEXT)")
    with sqlite(file) as saver, pytest.raises(StorageError, match=f"{file} cannot be used"):
        runs(saver)


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


def test_a_run_whose_conversation_goes_on_is_not_pruned(file: Path, processes: Processes) -> None:
    with sqlite(file) as storage:
        for name in ("a", "b"):
            two_steps().compile(storage).invoke({"messages": "hi"}, config(name))
        with storage.lock_thread("a"):
            assert processes.podium("prune", "--older-than", "0").out == "1 runs deleted, 0 reduced to their result\n"
        assert [thread for thread, *_ in storage.threads()] == ["a"]
