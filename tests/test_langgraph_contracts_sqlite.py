"""What graphs/engine/langgraph_internals.py needs of LangGraph's checkpointer for SQLite, item by item."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from graphs.engine import langgraph_internals as internals
from tests.plain_graphs import THREAD, add, ask, compiled, history


class Log(TypedDict):
    lines: Annotated[list[str], DeltaChannel(lambda lines, writes: [*lines, *chain(*writes)])]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "runs.sqlite", check_same_thread=False)) as made:
        yield made


def saver(connection: sqlite3.Connection) -> Any:
    made = internals.sqlite_saver(connection, JsonPlusSerializer())
    internals.make_sqlite_tables(made, 1)
    return made


def test_sqlite_has_the_tables_and_columns_that_are_read(connection: sqlite3.Connection) -> None:
    assert internals.sqlite_tables_exist(connection) is False
    graph = compiled(("add", add), saver=saver(connection))
    graph.invoke({"count": 1}, THREAD)
    assert internals.sqlite_tables_exist(connection) is not None
    ((thread, first, last),) = connection.execute(internals.THREADS).fetchall()
    assert (thread, last, first) == ("t", history(graph)[0].checkpoint["id"], history(graph)[-1].checkpoint["id"])


def test_older_sqlite_tables_are_recognised(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE checkpoints (thread_id TEXT, thread_ts TEXT, checkpoint BLOB)")
    assert internals.sqlite_tables_exist(connection) is None


def test_tables_of_an_older_saver_get_the_column_they_lack(connection: sqlite3.Connection) -> None:
    saver(connection)
    if not internals.sqlite_tables_exist(connection):
        pytest.skip("the installed saver is the older one")
    connection.execute("ALTER TABLE writes DROP COLUMN task_path")
    assert internals.sqlite_tables_exist(connection) is False
    saver(connection)
    assert internals.sqlite_tables_exist(connection)


def test_sqlite_goes_without_setup_where_the_tables_are(connection: sqlite3.Connection) -> None:
    saver(connection)
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE else 0)
    made = internals.sqlite_saver(connection, JsonPlusSerializer())
    internals.skip_sqlite_setup(made)
    assert made.get_tuple(THREAD) is None


def test_a_failed_sqlite_transaction_leaves_nothing(connection: sqlite3.Connection) -> None:
    made = saver(connection)
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "1"}}
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON writes WHEN NEW.idx > 0 BEGIN SELECT RAISE(FAIL, 'x'); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        made.put_writes(config, [("count", 1), ("count", 2)], "task")
    assert connection.execute("SELECT COUNT(*) FROM writes").fetchone() == (0,)


def test_a_reduced_sqlite_thread_goes_on(connection: sqlite3.Connection) -> None:
    stateful = compiled(("add", add), saver=True)
    inner = compiled(("ask", ask))
    graph = compiled(("stateful", stateful), ("inner", inner), saver=saver(connection))
    graph.invoke({"count": 1}, THREAD)
    graph.checkpointer.prune(["t"])
    assert sorted(item.config["configurable"]["checkpoint_ns"].partition(":")[0] for item in history(graph)) == [
        *("", "inner", "stateful")
    ]
    assert graph.invoke(Command(resume=3), THREAD) == {"count": 7}
    graph.checkpointer.prune(["t"])
    assert [item.config["configurable"]["checkpoint_ns"] for item in history(graph)] == ["", "stateful"]
    assert graph.invoke({"count": 2}, THREAD)["count"] == 3


def test_a_thread_with_a_delta_channel_is_not_reduced(connection: sqlite3.Connection) -> None:
    graph = StateGraph(Log)
    graph.add_node("write", lambda state: {"lines": [str(len(state["lines"]))]})
    graph.add_edge(START, "write")
    made = graph.compile(saver(connection))
    made.invoke({"lines": ["a"]}, THREAD)
    with pytest.raises(NotImplementedError):
        made.checkpointer.prune(["t"])
    assert made.invoke({"lines": ["b"]}, THREAD)["lines"] == ["a", "1", "b", "3"]
