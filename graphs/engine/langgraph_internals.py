"""All that leans on LangGraph beyond its documented interface; tests/test_langgraph_contracts.py tests each item.

Configs: reserved keys, namespaces of calls. Streams: events of the v3 protocol. Tasks: what waits for their calls.
Checkpoints: reserved channels and keys, what waits in them. Savers: their tables, and the parts that subclasses change.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from agents.runtime import Effects, OwnRun, current, handlers_of, is_watched

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.types import Interrupt

INTERRUPT = "__interrupt__"
RESUME = "__resume__"
START = "__start__"
BRANCH = "branch:to:"
PUSH = "__pregel_push"
RETURN = "__return__"
CACHE = "__pregel_cache"
"""Key of `configurable` under which nested graphs find the cache of the graph around them."""
CHECKPOINTER = "__pregel_checkpointer"
"""Key of `configurable` under which nested graphs find the saver of the graph around them."""
NAMESPACE = "langgraph_checkpoint_ns"
"""Key of `metadata` with the namespace of a task."""
RESUMING = "__pregel_resuming"
"""Key of `configurable` that says to nested graphs that the run around them is resumed."""
DELTA_COUNTERS = "counters_since_delta_snapshot"

# Configs


def namespace_of(config: RunnableConfig) -> str:
    """Return the checkpoint namespace of the call: `node:task`, behind those of the graphs around it and a `|` each."""
    return str(config.get("configurable", {}).get("checkpoint_ns", ""))


def place_in_run(config: RunnableConfig) -> str:
    """Return the checkpoint namespace of the graph in which a node is called; that of the outermost is empty."""
    return namespace_of(config).rpartition("|")[0]


def is_nested(config: RunnableConfig) -> bool:
    """Return whether the graph called with a config is inside another graph."""
    return bool(namespace_of(config))


def node_of(metadata: Mapping[str, object]) -> str:
    """Return the name of the node in which this is called; empty outside of a graph."""
    return str(metadata.get("langgraph_node", ""))


def one_deeper(metadata: Mapping[str, object], name: str) -> dict[str, object]:
    """Return the metadata of a call as if a graph of this name made it, to whose subgraphs `messages` are streamed."""
    return {**metadata, NAMESPACE: f"{metadata.get(NAMESPACE, '')}|{name}:", "langgraph_path": ()}


def parts_of(namespace: str) -> list[str]:
    """Return the parts of a namespace, without the numbers that LangGraph puts in when a call is made again."""
    return [part for part in namespace.split("|") if not part.isdigit()]


# Streams


def push_event(config: RunnableConfig, event: Any, run_id: object) -> None:
    """Stream an event of LangChain's v3 protocol as one of the node with this config, as `push_message` does messages.

    A message that was streamed so is not streamed again when its node returns it.
    """
    from langgraph.pregel._messages import StreamMessagesHandlerV2

    namespace = _namespace_of_graph(config["metadata"])
    for handler in handlers_of(config):
        if isinstance(handler, StreamMessagesHandlerV2) and (handler.subgraphs or not namespace):
            if event["event"] == "message-start":
                handler.seen.add(event["id"])
            handler.stream((namespace, "messages", (event, {**config["metadata"], "run_id": str(run_id)})))


def streams_messages(config: RunnableConfig) -> bool:
    """Tell whether anybody listens to the `messages` stream."""
    from langgraph.pregel._messages import StreamMessagesHandler

    return any(isinstance(handler, StreamMessagesHandler) for handler in handlers_of(config))


def _namespace_of_graph(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the namespace of the graph in which a task runs: without its own part, and those of tasks that call it."""
    path = metadata.get("langgraph_path", ())
    depth = 1
    while len(path) == 4 and path[0] == PUSH and path[-1] is True:
        depth, path = depth + 1, path[1]
    return tuple(metadata[NAMESPACE].split("|"))[:-depth]


# Tasks

CALL = "__pregel_call"
READ = "__pregel_read"
SEND = "__pregel_send"
CHECKPOINT_MAP = "checkpoint_map"
_NO_TASK = "00000000-0000-0000-0000-000000000000"
"""Task id of what no task wrote: an input, or a resume for any interrupt."""


class Calls:
    """The task calls of one node, and of the tasks in it: durable as those of `@task`, at less cost.

    LangGraph recognises a call after a resume by its number and name. Here a call has no number, so that calls may be
    made in any order, each with a name of its own. LangGraph releases a result before it is stored; here after that, so
    that nothing is built on what a killed process would lose. LangGraph also looks through all calls and all writes of
    a superstep for those of the call that begins or ends; here neither is looked through, and ended calls are dropped.
    An open call keeps what its work may use: it cannot read the graph's channels, and shares what all have in common.

    Args:
        config: That of the node.
    """

    def __init__(self, config: RunnableConfig) -> None:
        self._call = config["configurable"][CALL]
        accept = self._call.keywords["schedule_task"]
        self._loop = loop = accept.__self__
        self._commit = self._call.keywords["futures"]().callback()
        modes = loop.stream.modes if loop.stream is not None else ()
        self.are_shown = not {"tasks", "debug"}.isdisjoint(modes)
        """Whether anybody listens to the `tasks` stream, which lists calls before they begin."""
        self._is_watched = is_watched(config)
        self._parents: dict[str, object] = {}
        """Checkpoints of the graphs around a call, by the place of what calls."""
        self._before: dict[str, list[Any]] = defaultdict(list)
        """Writes that calls can match, by task: only those stored before their node began."""
        before = loop.checkpoint_pending_writes
        for write in before:
            self._before[write[0]].append(write)
        # Only if the list has anything does LangGraph look for resumes by the id of an interrupt, which are elsewhere.
        self._resumes = [write for write in before if write[1] == RESUME] or before[:1]
        # A resume for any interrupt is taken out of the list by the call that uses it: that list stays the loop's.
        if _NO_TASK in self._before:
            self._resumes = before
        else:
            loop.checkpoint_pending_writes = [*before]
        self._listed: dict[str, Any] = {}

    def announce(self, config: RunnableConfig, name: str, shown: object) -> bool:
        """List a call that will be made; return whether its result was stored before."""
        self._listed[name] = self._accepted(config, _Work(name), shown)
        return bool(self._listed[name].writes)

    def call(
        self, config: RunnableConfig, name: str, work: Callable[[], Coroutine[Any, Any, Any]] | None, shown: object
    ) -> tuple[asyncio.Future[Any], bool]:
        """Call a task from the node or task with this config; `shown` is listed as its input.

        A call whose result was stored needs no work.

        Returns:
            Its future, and whether the result was stored before, so that the work is not done again.
        """
        task = self._listed.pop(name, None) or self._accepted(config, _Work(name), shown)
        if task.writes:
            future = asyncio.get_running_loop().create_future()
            future.set_result(next((value for channel, value in task.writes if channel == RETURN), None))
            return future, True
        task.proc.work = work
        run, submit = self._run(task), self._call.keywords["submit"]()
        future = submit(lambda: run, __name__=name, __cancel_on_exit__=True, __reraise_on_exit__=False)
        # With max_concurrency, LangGraph drops the coroutine of a call that is cancelled before it begins.
        future.add_done_callback(lambda future: run.close())
        return future, False

    def _accepted(self, config: RunnableConfig, work: Any, shown: object) -> Any:
        from langgraph.pregel._algo import Call
        from langgraph.pregel._call import CACHE as RUNNABLES
        from langgraph.pregel._loop import PregelLoop

        parent = config["configurable"][CALL].args[0]()
        RUNNABLES[work, True] = work  # else LangGraph makes three Runnables of it
        loop = self._loop
        whole, loop.checkpoint_pending_writes = loop.checkpoint_pending_writes, self._resumes
        try:
            inherited = config["callbacks"]
            call = Call(work, ((shown,), {}), retry_policy=None, cache_policy=None, callbacks=inherited)
            task = self._lean(PregelLoop.accept_push(loop, parent, 0, call), namespace_of(config))
            if task.id in self._before and not task.writes:
                loop.checkpoint_pending_writes = self._before[task.id]
                loop._reapply_writes_to_succeeded_nodes({task.id: task})
            return task
        finally:
            loop.checkpoint_pending_writes = whole
            del RUNNABLES[work, True]

    def _lean(self, accepted: Any, place: str) -> Any:
        """Return a task as it was accepted, without what the work of a call does not use: 1.5 of its 4 kB."""
        writes = [*accepted.writes]
        values = {name: value for name, value in accepted.config["configurable"].items() if name != READ}
        values[CHECKPOINT_MAP] = self._parents.setdefault(place, values[CHECKPOINT_MAP])
        values[SEND] = writes.extend
        shown = accepted.input if self._is_watched else None
        config = {**accepted.config, "configurable": values}
        task = self._loop.tasks[accepted.id] = replace(accepted, input=shown, writes=writes, config=config)
        values[CALL] = _CallInside(self._call, ref(task))
        return task

    async def _run(self, task: Any) -> Any:
        try:
            run, config = task.proc, task.config
            with current(config):
                work = run.ainvoke(task.input[0][0], config) if self._is_watched else run.run(None, None, config)
                result = await work
        except BaseException as error:
            self._end(task, error)
            raise
        task.writes.append((RETURN, result))
        if writes := self._end(task, None):
            await asyncio.wait(writes)
        return result

    def _end(self, task: Any, error: BaseException | None) -> list[asyncio.Future[Any]]:
        """Write the end of a task; return the writes under way, none where results are not stored as they come."""
        loop, writes = self._loop, []
        whole, submit = loop.checkpoint_pending_writes, loop.submit

        def note(*arguments: Any, **options: Any) -> Any:
            writes.append(submit(*arguments, **options))
            return writes[-1]

        loop.submit = note
        if task.id not in self._before:
            loop.checkpoint_pending_writes = []
        try:
            self._commit(task, error)
        finally:
            loop.submit = submit
            if task.id not in self._before:
                whole += loop.checkpoint_pending_writes
                loop.checkpoint_pending_writes = whole
        loop.tasks.pop(task.id, None)
        return writes


class _CallInside:
    """Caller of tasks inside a task: `functools.partial` as LangGraph makes it, sharing the node's keywords."""

    __slots__ = ("_call", "args")

    def __init__(self, call: partial[Any], task: ref[Any]) -> None:
        self._call = call
        self.args = (task,)

    @property
    def keywords(self) -> dict[str, Any]:
        return self._call.keywords

    def __call__(self, *arguments: Any, **options: Any) -> object:
        return self._call.func(*self.args, *arguments, **{**self.keywords, **options})


class _Work(OwnRun[Any, Any]):
    def __init__(self, name: str) -> None:
        self.name = name
        self.work: Callable[[], Coroutine[Any, Any, Any]]

    def run(self, effects: Effects, value: object, config: RunnableConfig) -> Coroutine[Any, Any, Any]:
        work = self.work
        del self.work  # and with it what it is called with
        return work()


# Checkpoints

_LATEST = 2**59
"""The largest time in a checkpoint's id that is heeded, in the year 3409; only damaged ids have larger ones."""


def count_from(checkpoint: CheckpointTuple) -> None:
    """Have the ids of this process's next checkpoints, which sort by time, come after this checkpoint's.

    Another machine may have written it, whose clock is ahead.
    """
    from langgraph.checkpoint.base import id as ids

    with suppress(ValueError):
        written = ids.UUID(checkpoint.checkpoint["id"])
        if written.version == 6 and written.time < _LATEST:
            ids._last_v6_timestamp = max(ids._last_v6_timestamp or 0, written.time)  # type: ignore[assignment]


def state_values(checkpoint: CheckpointTuple) -> dict[str, Any]:
    """Return the graph's state without LangGraph's own channels."""
    channels: Mapping[str, object] = checkpoint.checkpoint["channel_values"]
    return {name: value for name, value in channels.items() if not name.startswith("__") and ":" not in name}


def awaits_first_node(checkpoint: CheckpointTuple) -> bool:
    """Tell whether a checkpoint holds an input that no node has taken yet."""
    return START in checkpoint.checkpoint["channel_values"]


def begins_turn(config: RunnableConfig, metadata: CheckpointMetadata) -> bool:
    """Tell whether a checkpoint to be stored is the first one after a new input to the outermost graph."""
    return metadata.get("source") == "input" and not config["configurable"].get("checkpoint_ns")


def next_nodes(checkpoint: CheckpointTuple) -> list[str]:
    """Return the nodes that run after a checkpoint."""
    channels = checkpoint.checkpoint["channel_values"]
    return [name.removeprefix(BRANCH) for name in channels if name.startswith(BRANCH)]


def open_interrupts(checkpoint: CheckpointTuple) -> list[Interrupt]:
    """Return the interrupts without an answer, each once.

    A task that has gone on keeps its own, and the node around it may still list them.
    """
    writes = checkpoint.pending_writes or ()
    ended = {task for task, channel, _ in writes if channel not in (INTERRUPT, RESUME)}
    interrupts = [(task, interrupt) for task, channel, value in writes if channel == INTERRUPT for interrupt in value]
    answered = {interrupt.id for task, interrupt in interrupts if task in ended}
    return [*{item.id: item for _, item in interrupts if item.id not in answered}.values()]


def task_results(checkpoint: CheckpointTuple) -> list[Any]:
    """Return the values that tasks have written since a checkpoint, among them the results of finished tasks."""
    return [value for _, _, value in checkpoint.pending_writes or ()]


def outermost_checkpoint_id(checkpoint: CheckpointTuple) -> str | None:
    """Return the id of the outermost graph's checkpoint in which a nested graph's checkpoint was made."""
    parents: Mapping[str, str] = checkpoint.metadata.get("parents", {})
    return parents.get("")


def is_nested_once(namespace: str) -> bool:
    """Tell whether a checkpoint namespace is the outermost graph's or that of a graph in one of its nodes."""
    return "|" not in namespace


# Tables

THREADS = (
    "SELECT thread_id, MIN(checkpoint_id), MAX(checkpoint_id) FROM checkpoints"
    " WHERE checkpoint_ns = '' GROUP BY thread_id ORDER BY 3 DESC"
)
"""Each thread with the ids of its first and last checkpoint, which sort by time; understood by both databases."""

SQLITE_COLUMNS = {
    "checkpoints": {"thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type", "checkpoint"},
    "writes": {"thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value"},
}
ADDED_COLUMN = "task_path"
"""A column that the setup of newer savers adds to tables of older ones."""

_HEADS = (
    "SELECT checkpoint_ns, MAX(checkpoint_id), metadata FROM checkpoints WHERE thread_id = ? GROUP BY checkpoint_ns"
)
_DELETE = (
    "DELETE FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id < ?",
    "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id < ?",
)
_SETUP_PAUSE = 0.01
"""Seconds between two attempts to make the tables."""


def sqlite_saver(connection: sqlite3.Connection, serde: SerializerProtocol) -> SqliteSaver:
    """Return a SqliteSaver that rolls back a transaction that fails half-way; LangGraph's own commits the half."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    class AtomicSqliteSaver(SqliteSaver):
        @contextmanager
        def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
            with self.lock:
                self.setup()
                with closing(self.conn.cursor()) as cursor:
                    try:
                        yield cursor
                        if transaction:
                            self.conn.commit()
                    except BaseException:
                        self.conn.rollback()
                        raise

        def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
            with self.cursor() as cursor:
                for thread_id in thread_ids:
                    _keep_latest(cursor, thread_id)

    return AtomicSqliteSaver(connection, serde=serde)


def _keep_latest(cursor: sqlite3.Cursor, thread_id: str) -> None:
    """Delete all but the last checkpoint of each namespace, and nested calls that began before the root's last one."""
    heads = {namespace: (head, metadata) for namespace, head, metadata in cursor.execute(_HEADS, (thread_id,))}
    if any(DELTA_COUNTERS.encode() in bytes(metadata or b"") for _, metadata in heads.values()):
        raise NotImplementedError("A DeltaChannel is rebuilt from earlier checkpoints")
    last = heads.get("", ("",))[0]
    for namespace, (head, _) in heads.items():
        # The namespace of one call has its task's id behind a colon; other subgraphs outlive the call.
        cut = max(head, last) if ":" in namespace else head
        for statement in _DELETE:
            cursor.execute(statement, (thread_id, namespace, cut))


def sqlite_tables_exist(connection: sqlite3.Connection) -> bool | None:
    """Tell whether LangGraph's tables are there; None if there are others of their names, or older ones."""
    columns = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in SQLITE_COLUMNS}
    if any(existing and not existing >= SQLITE_COLUMNS[name] for name, existing in columns.items()):
        return None
    return all(columns.values()) and ADDED_COLUMN in columns["writes"]


def make_sqlite_tables(saver: SqliteSaver, wait: float) -> None:
    """Make the tables; SQLite does not wait for other processes by itself when it turns to write-ahead logging."""
    until = time.monotonic() + wait
    while True:
        try:
            return saver.setup()
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(_SETUP_PAUSE)


def skip_sqlite_setup(saver: SqliteSaver) -> None:
    """Have a saver not make its tables, because they are there."""
    saver.is_setup = True


def postgres_schema(connection: Any) -> tuple[int, int]:
    """Return the version of the tables in the database (-1: none) and the one that the installed saver makes."""
    from langgraph.checkpoint.postgres import PostgresSaver

    (exists,) = connection.execute("SELECT to_regclass('checkpoint_migrations')").fetchone().values()
    newest = connection.execute("SELECT MAX(v) AS v FROM checkpoint_migrations").fetchone()["v"] if exists else None
    return -1 if newest is None else newest, len(PostgresSaver.MIGRATIONS) - 1
