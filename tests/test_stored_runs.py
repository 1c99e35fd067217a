"""Stored runs read without their graphs: listed, shown, explained where they cannot be read."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.types import Command, interrupt

from agents import Agent
from graphs.errors import StorageError
from graphs.storage import runs, sqlite, state
from graphs.storage.serializer import CompressingSerializer
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
    ],
)
def test_contents_that_make_no_sense_are_the_files_fault(file: Path, parts: Any, call: Any) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
    rewrite(file, **parts)
    with sqlite(file) as saver, pytest.raises(StorageError, match=f"{file} holds a run that cannot be read"):
        call(two_steps().compile(saver), {"messages": "more"}, config())


def test_what_is_no_text_where_a_text_belongs_is_explained(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
    execute(file, "UPDATE checkpoints SET checkpoint_id = rowid || CAST(x'7dff' AS TEXT)")
    with sqlite(file) as saver, pytest.raises(StorageError, match=f"{file} cannot be used"):
        runs(saver)


def test_a_state_can_be_printed_as_json(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
        shown = state(saver, "t")
    del shown["values"]["messages"]
    assert json.loads(json.dumps(shown))["values"]["status"] == "completed"
