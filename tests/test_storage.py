import asyncio
import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from agents import Agent
from graphs import PodiumError, Step, Supervisor, Workflow
from graphs.errors import StorageError
from graphs.storage import Storage, default_path, runs, sqlite, state
from tests.stored import config, echo, two_steps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def test_one_storage_serves_sync_and_async_callers(file: Path, call: Any) -> None:
    with sqlite(file) as saver:
        graph = two_steps().compile(saver)
        assert call(graph, {"messages": "go"}, config())["status"] == "completed"
        assert graph.get_state(config()).values["steps"]["two"]["result"] == "two!"

        async def later() -> list[Any]:
            assert (await graph.aget_state(config())).next == ()
            return [item async for item in graph.aget_state_history(config())]

        assert len(asyncio.run(later())) > 2


def test_a_thread_goes_on_where_a_machine_whose_clock_is_ahead_left_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite(file) as saver:
        graph = two_steps().compile(saver)
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
            graph.invoke({"messages": "first"}, config())
        monkeypatch.setattr("langgraph.checkpoint.base.id._last_v6_timestamp", None)  # as in another process
        graph.invoke({"messages": "second"}, config())
        messages = state(saver, "t")["values"]["messages"]
    assert [message.text for message in messages if message.type == "human"] == ["first", "second"]
    assert messages[-1].text == "two!"


def test_history_can_be_read_while_runs_are_written(file: Path) -> None:
    with sqlite(file) as saver:
        graph = two_steps().compile(saver)
        graph.invoke({"messages": "go"}, config())
        for _ in saver.list(config(), limit=2):
            graph.invoke({"messages": "go"}, config("other"))


def test_a_thread_can_be_forgotten(file: Path) -> None:
    with sqlite(file) as saver:
        graph = two_steps().compile(saver)
        graph.invoke({"messages": "go"}, config())
        saver.delete_thread("t")
        graph.invoke({"messages": "go"}, config())
        asyncio.run(saver.adelete_thread("t"))
        assert runs(saver) == []


def test_the_file_is_made_for_its_owner_only_with_write_ahead_logging(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "runs.sqlite"
    with sqlite(file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_the_path_is_the_users_data_unless_it_is_named(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.delenv("PODIUM_RUNS", raising=False)
    assert default_path().parts[-2:] == ("podium", "runs.sqlite")
    monkeypatch.setenv("PODIUM_RUNS", str(file))
    with sqlite():
        assert file.exists()


# What is wrong with a file is one sentence.


def not_a_database(file: Path) -> None:
    file.write_text("Dear diary, " * 100)


def newer(file: Path) -> None:
    with sqlite(file):
        pass
    execute(file, "PRAGMA user_version = 99")


def older(file: Path) -> None:
    execute(file, "CREATE TABLE checkpoints (thread_id TEXT, thread_ts TEXT, parent_ts TEXT, checkpoint BLOB)")


def damaged(file: Path) -> None:
    with sqlite(file):
        pass
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA writable_schema = 1")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE writes (' || CAST(x'b0' AS TEXT)")
    connection.commit()
    connection.close()


def a_folder(file: Path) -> None:
    file.mkdir()


def in_a_file(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text("not a folder")


def execute(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (not_a_database, "is not a SQLite database"),
        (newer, "was written by a newer Podium"),
        (older, "was written by an older release"),
        (damaged, "is damaged"),
        (a_folder, "cannot be opened"),
        (in_a_file, "cannot be opened"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path, spoil: Any, said: str) -> None:
    file = tmp_path / "folder" / "runs.sqlite"
    file.parent.mkdir()
    spoil(file)
    with pytest.raises(StorageError, match=said) as caught, sqlite(file):
        pass
    assert str(file) in str(caught.value)
    assert isinstance(caught.value, PodiumError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"), sqlite(tmp_path / "runs.sqlite"):
        pass


def test_a_file_of_langgraphs_own_saver_can_be_used(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
    execute(file, "PRAGMA user_version = 0")
    with sqlite(file) as saver:
        assert [run["status"] for run in runs(saver)] == ["completed"]


def test_a_file_that_stays_locked_is_explained(file: Path) -> None:
    with sqlite(file, wait=0.1) as saver:
        graph = two_steps().compile(saver)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"locked by another process for more than 0\.1 seconds"):
            graph.invoke({"messages": "go"}, config())
        other.execute("ROLLBACK")
        other.close()
        assert graph.invoke({"messages": "go"}, config())["status"] == "completed"


def limit_size(saver: Storage) -> None:
    """Let the file grow no further, as on a full disk."""
    connection: Any = saver._saver
    connection.conn.execute("PRAGMA max_page_count = 1")


def test_a_full_disk_ends_the_run_and_loses_nothing(file: Path, call: Any) -> None:
    ran = []

    def big(task: str) -> str:
        ran.append(task)
        return "long " * 50_000

    def build(saver: Storage, full: bool) -> Any:
        def fill(task: str) -> str:
            if full:
                limit_size(saver)
            return big(task)

        later = [Step(f"s{number}", "fill", f"s{number}", [f"s{number - 1}"]) for number in range(1, 9)]
        steps = [Step("one", "echo", "one"), Step("s0", "fill", "s0", ["one"]), *later]
        return Workflow(steps, agents=[Agent("echo", function=echo), Agent("fill", function=fill)]).compile(saver)

    with sqlite(file) as saver, pytest.raises(StorageError, match="the disk is full"):
        call(build(saver, True), {"messages": "go"}, config())
    assert len(ran) < 9  # what could not be kept was not started, but for a step that was just starting
    with sqlite(file) as saver:
        assert state(saver, "t")["status"] == "stopped"
        assert [item["id"] for item in state(saver, "t")["finished"]] == ["one"]
        assert call(build(saver, False), None, config())["status"] == "completed"
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_full_disk_within_a_nested_graph_is_not_a_failed_step(file: Path) -> None:
    def fill(task: str) -> str:
        limit_size(saver)
        return "long " * 50_000

    nested = Supervisor(Agent("worker", function=fill), reviewer=Agent("critic", function=echo)).as_agent("nested")
    with sqlite(file) as saver, pytest.raises(StorageError):
        two_steps(nested).compile(saver).invoke({"messages": "go"}, config())


def test_writes_that_fail_halfway_leave_no_half(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
        last = saver.get_tuple(config())
        assert last is not None
        limit_size(saver)
        with pytest.raises(StorageError):
            saver.put_writes(last.config, [("small", "x"), ("big", "long " * 500_000)], "task")
    with sqlite(file) as saver:
        assert saver.get_tuple(last.config) == last
