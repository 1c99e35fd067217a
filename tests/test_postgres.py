import asyncio
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from agents import Agent
from agents.testing import ScriptedModel
from benchmarks.postgres_server import binaries, pooler
from benchmarks.scripted import GRAPHS, REQUEST, Log, Scripted
from graphs import Network, Planner, Router, Step, Supervisor, Workflow
from graphs.cli.exit_codes import COMPLETED
from graphs.errors import StorageError, ThreadBusyError
from graphs.storage import postgres, runs, state
from tests.office import Office
from tests.processes import Processes
from tests.test_durability import benchmark

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("langgraph.checkpoint.postgres")
pytestmark = pytest.mark.skipif(binaries() is None, reason="no initdb and pg_ctl on this system")


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "metadata": {"pattern": "workflow"}}


def test_one_storage_serves_sync_and_async_callers(uri: str) -> None:
    graph = Workflow([Step("one", "echo", "one")], agents=[Agent("echo", function=lambda task: f"{task}!")])
    with postgres(uri) as saver:
        compiled = graph.compile(saver)
        assert compiled.invoke({"messages": "go"}, config("sync"))["status"] == "completed"
        assert asyncio.run(compiled.ainvoke({"messages": "go"}, config("async")))["status"] == "completed"
        assert [run["thread_id"] for run in runs(saver, most=2)] == ["async", "sync"]
        assert state(saver, "sync")["values"]["steps"]["one"]["result"] == "one!"
        saver.delete_thread("sync")
        assert [run["status"] for run in runs(saver)] == ["completed"]


def test_every_graph_runs_on_it(uri: str, tmp_path: Path) -> None:
    with postgres(uri) as saver:
        for name, build in GRAPHS.items():
            graph = build(Scripted(Log(tmp_path / "log"), pause=0, asynchronous=False)).compile(saver)
            assert graph.invoke({"messages": REQUEST}, config(name))["status"] == "completed"


def test_texts_that_postgres_refuses_end_no_run(uri: str) -> None:
    def fail(task: str) -> str:
        raise ValueError("cannot read \x00PNG")

    team = [Agent("fails", function=fail), Agent("echoes", function=lambda task: f"{task} \x00 \ud800")]
    graphs = [
        Workflow([Step("one", "fails", "go"), Step("two", "echoes", "go")], agents=team),
        Supervisor(team[0]),
        Supervisor(team[1], checks=[lambda text: "not \x00 yet"], max_revisions=1),
        Router(team, classifier=lambda text: {"fails": 0.9, "echoes": 0.8}, model=False, multiple=True),
        Network([Agent("first", function=lambda task: {"to": "echoes", "task": "\x00", "reason": "\x00"}), *team]),
        Planner(
            team, model=ScriptedModel([{"steps": [planned("fails"), planned("echoes")]}, "all \x00"]), max_replans=0
        ),
    ]
    with postgres(uri) as saver:
        for number, pattern in enumerate(graphs):
            state = pattern.compile(saver).invoke({"messages": "Do \x00 it"}, config(f"refused-{number}"))
            assert state["status"] not in ("running", "needs_input")
            assert r"\x00" not in str({**state, "messages": state["messages"][1:]})


def test_what_people_say_ends_no_run(uri: str) -> None:
    team = [Agent("echoes", function=lambda task: task)]
    plan = ScriptedModel([{"steps": [planned("echoes")]}] * 2 + ["all"])
    with postgres(uri) as saver:
        graph = Planner(team, model=plan, approval=True).compile(saver)
        graph.invoke({"messages": "Do it"}, config("people"))
        graph.invoke(Command(resume={"type": "reject", "message": "not \x00 so"}), config("people"))
        assert graph.invoke(Command(resume="approve"), config("people"))["status"] == "completed"


class Note(TypedDict, total=False):
    note: str


def test_an_error_of_the_server_quotes_nothing_that_was_to_be_stored(uri: str) -> None:
    graph = StateGraph(Note)
    graph.add_node("write", lambda state: {"note": "heliotrope \x00"})
    graph.add_edge(START, "write")
    with postgres(uri) as saver, pytest.raises(StorageError) as caught:
        graph.compile(saver).invoke({"note": ""}, config("quoted"))
    assert "unsupported Unicode escape sequence" in str(caught.value)
    assert "heliotrope" not in str(caught.value)


def planned(agent: str) -> dict[str, Any]:
    return {"id": agent, "agent": agent, "task": "go \x00", "dependencies": []}


def test_an_older_database_is_brought_up_to_date_and_a_newer_one_refused(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        newest = connection.execute("SELECT MAX(v) FROM checkpoint_migrations").fetchone()[0]
        connection.execute("DELETE FROM checkpoint_migrations WHERE v = %s", (newest,))
        with postgres(uri):
            pass
        connection.execute("INSERT INTO checkpoint_migrations VALUES (999)")
        with pytest.raises(StorageError, match="newer"), postgres(uri):
            pass
        connection.execute("DELETE FROM checkpoint_migrations WHERE v = 999")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgres//me:secret@there/db", "not a Postgres address"),
        ("postgresql://me:secret@/db?host=/nowhere", "Postgres cannot be used"),
    ],
)
def test_a_server_that_cannot_be_used_is_explained_without_the_password(address: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as caught, postgres(address):
        pass
    assert "secret" not in str(caught.value)


def test_a_database_of_another_encoding_is_refused(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(StorageError, match="UTF8"), postgres(uri.replace("/postgres?", "/plain?")):
        pass


def test_lost_connections_are_replaced(uri: str) -> None:
    with postgres(uri) as saver:
        with psycopg.connect(uri, autocommit=True) as connection:
            others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
            connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
        assert isinstance(runs(saver), list)


def test_of_two_storages_one_has_a_threads_lock(uri: str) -> None:
    with postgres(uri) as here, postgres(uri) as there:
        with here.lock_thread("locked"), here.lock_thread("other"):
            assert there.is_locked("locked")
            assert here.is_locked("locked")
            with pytest.raises(ThreadBusyError), there.lock_thread("locked", "refuse"):
                pass
            with there.lock_thread("free", "refuse"):
                pass
        with there.lock_thread("locked", "refuse"):
            assert here.is_locked("locked")


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="no pgbouncer on this system")
def test_runs_and_locks_work_behind_a_pooler_that_assigns_sessions_by_transaction(uri: str) -> None:
    graph = Workflow([Step("one", "echo", "one")], agents=[Agent("echo", function=lambda task: f"{task}!")])
    with pooler(uri, size=4) as address, postgres(address) as here, postgres(address) as there:
        with here.lock_thread("pooled"):
            for number in range(3):  # on the sessions that are left
                run = graph.compile(there).invoke({"messages": "go"}, config(f"pooled-{number}"))
                assert run["status"] == "completed"
                assert there.is_locked("pooled")
        assert not there.is_locked("pooled")


def test_a_run_that_has_lost_its_lock_writes_nothing_more(uri: str) -> None:
    calls: list[str] = []

    def disconnect(task: str) -> str:
        calls.append(task)
        with psycopg.connect(uri, autocommit=True) as connection:
            locks = "SELECT pg_terminate_backend(pid, 9000) FROM pg_locks WHERE locktype = 'advisory'"
            assert len(calls) > 1 or connection.execute(locks).fetchall() == [(True,)]
        return "done"

    graph = Workflow([Step("one", "disconnects", "one")], agents=[Agent("disconnects", function=disconnect)])
    with postgres(uri) as saver:
        compiled = graph.compile(saver)
        with saver.lock_thread("lost") as lock, pytest.raises(StorageError, match="was lost"):
            compiled.invoke({"messages": "go"}, lock.mark(config("lost")))
        assert state(saver, "lost")["status"] == "stopped"
        assert compiled.invoke(None, config("lost"))["status"] == "completed"
        with saver.lock_thread("lost"), saver.lock_thread("found"):
            assert saver.is_locked("lost")


def test_of_two_commands_only_one_works_on_a_run(uri: str, processes: Processes) -> None:
    with Office(slow="two") as office:
        there = {**office.environment, "PODIUM_RUNS": uri}
        one = processes.start("Do it", "--thread", "mine", **there)
        one.until("two: running")
        assert "at work on thread" in processes.podium("resume", "mine", **there).told
        listed = json.loads(processes.podium("runs", "--json", **there).out)
        assert next(told["status"] for told in listed if told["thread_id"] == "mine") == "running"
        one.send(signal.SIGKILL)
        one.wait()
    with Office() as office:
        assert processes.podium("resume", "mine", **office.environment, PODIUM_RUNS=uri).code == COMPLETED


def test_killed_runs_repeat_nothing_that_was_recorded(processes: Processes) -> None:
    options = ["--database", "postgres", "--kills", "2", "--graph", "orchestrator"]
    assert benchmark(processes, "kill", *options).count("| Postgres | 2 |") == 1
