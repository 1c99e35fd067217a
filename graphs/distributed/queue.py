"""A queue of runs in Postgres: put a run here, and `podium worker` on any machine does it.

    queue = Queue("postgresql://...", {"planner": planner})
    run = queue.put("planner", "Compare tea and coffee")
    for line in queue.watch(run):
        print(line)

Runs of one thread are done in the order in which they were put, each by one worker at a time.
"""

import asyncio
import json
import os
import re
import secrets
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from langchain_core.messages import convert_to_messages
from langgraph.types import Command

from agents.errors import ConfigurationError, StorageError
from agents.runtime import install_hint
from agents.settings import Settings
from graphs.distributed import jobs
from graphs.distributed.jobs import Arguments, QueuedRun
from graphs.engine import last_request, load_named
from graphs.storage import PATH_VARIABLE, connected, connection_pool

Graphs = Mapping[str, Any]
"""Patterns, graphs (compiled or not), or functions that return one, by name."""

ANSWERS_FIRST = 1_000_000
"""Priority of a run that goes on: it comes before the messages that wait for it on its thread."""

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Characters of run ids: none that look alike."""
_ID_LENGTH = 10
_GRAPH_NAME = re.compile(r"[\w.\-]{1,32}", re.ASCII)
"""Names of Postgres' channels have 63 characters."""
_LONGEST_REQUEST = 200
_ACTIVE = ("queued", "running")
_LOOK = 1.0
"""Polling interval, in seconds, for the end of a watched run: a notification may be lost."""


class Queue:
    """A queue of runs, kept in Postgres by procrastinate. Needs the extra `queue`.

    Args:
        uri: As `postgresql://user:password@host:5432/database`; None for that of the environment variable PODIUM_RUNS.
        graphs: By name what may be put: patterns, graphs, or functions that return one; or where such a mapping is, as
            `my_team:graphs`. None for a program that puts and watches only: any name may then be put.

    Raises:
        ConfigurationError: The graphs cannot be loaded, or the address is missing.
        StorageError: The extra is missing.
    """

    def __init__(self, uri: str | None = None, graphs: Graphs | str | None = None) -> None:
        self.uri = uri or os.environ.get(PATH_VARIABLE, "")
        if not self.uri.startswith(("postgres://", "postgresql://")):
            raise ConfigurationError(
                "A queue needs a Postgres database: postgresql://user:password@host:5432/database, as its uri or in"
                f" {PATH_VARIABLE}"
            )
        self.graphs: Graphs | None = load_named(graphs) if isinstance(graphs, str) else graphs
        if not isinstance(self.graphs, Mapping | None):
            kind = type(self.graphs).__name__
            raise ConfigurationError(f'{graphs} is a {kind}; a worker needs {{"name": graph, …}}')
        for name in self.graphs or ():
            _check_name(name)
        try:
            import procrastinate as _  # noqa: F401
        except ImportError as error:
            raise StorageError(f"A queue of runs needs an extra: {install_hint('queue')}") from error

    def put(
        self,
        graph: str,
        input: object = None,  # noqa: A002 - as LangGraph calls it
        *,
        thread_id: str | None = None,
        context: Settings | Mapping[str, object] | None = None,
        priority: int = 0,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        cron: str | None = None,
    ) -> str:
        """Put a run into the queue and return its thread's id.

        Args:
            graph: The name of the graph.
            input: A text, the graph's input, `Command(resume=...)` with answers, or None to go on with a run that was
                cut off, failed or was cancelled.
            thread_id: The conversation to continue; None for a new one. With `cron` the name of the schedule, which
                replaces an earlier one of that name; each of its runs has a thread of its own.
            context: The settings of the run.
            priority: Runs with a higher one come first.
            delay: Seconds, or a timedelta, to wait before.
            at: When it is put, with a time zone.
            cron: When it is put again and again, as `0 8 * * 1-5`, in UTC.

        Raises:
            ConfigurationError: The graph is unknown, the input cannot be stored, or there are two times.
        """
        if self.graphs is not None and graph not in self.graphs:
            raise ConfigurationError(f"Unknown graph {graph!r}; known: {', '.join(self.graphs) or 'none'}")
        _check_name(graph)
        times = sum(time is not None for time in (delay, at, cron))
        if times > 1:
            raise ConfigurationError("Pass only one of delay, at and cron")
        if at is not None and at.tzinfo is None:
            raise ConfigurationError(f"at={at} needs a time zone")
        goes_on = input is None or isinstance(input, Command)
        if goes_on and (thread_id is None or times):
            raise ConfigurationError("A run resumes at once: pass its thread_id, and neither delay, at nor cron")
        new_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        arguments = _arguments(graph, input, thread_id or new_id, context, cron)
        priority = ANSWERS_FIRST if goes_on else priority
        with connected(self.uri, pool=self._pool) as connection, connection.transaction():
            now = jobs.now(connection)
            arguments["put"] = now.isoformat()
            wait = delay if isinstance(delay, timedelta | None) else timedelta(seconds=delay)
            again = {"thread": arguments["thread_id"], "priority": priority}
            if input is not None or not jobs.query(connection, jobs.REVIVE, **again):
                jobs.insert(connection, arguments, priority=priority, at=at if wait is None else now + wait)
        return arguments["thread_id"]

    async def aput(self, graph: str, input: object = None, **options: Any) -> str:  # noqa: A002 - as in `put`
        return await asyncio.to_thread(self.put, graph, input, **options)

    def jobs(self, thread_id: str | None = None) -> list[QueuedRun]:
        """Return the runs that wait, are at work, failed for good or were cancelled, the latest first.

        A run that has ended in any other way is in the storage: `graphs.storage.runs`.
        """
        with connected(self.uri) as connection:
            return jobs.list_jobs(connection, thread_id)

    def cancel(self, thread_id: str) -> int:
        """Cancel all runs of a thread, or a schedule, and return how many; those at work stop within seconds."""
        with connected(self.uri) as connection:
            return sum(row["id"] is not None for row in jobs.query(connection, jobs.CANCEL, thread=thread_id))

    def prune(self, before: datetime) -> int:
        """Forget the runs that failed or were cancelled and were put before some time, and return how many."""
        with connected(self.uri) as connection:
            return len(jobs.query(connection, jobs.PRUNE, before=before))

    def watch(self, thread_id: str) -> Iterator[str]:
        """Yield lines about a run's progress from now on, until it ends, asks a person or fails."""
        with connected(self.uri) as connection:
            connection.execute(f"LISTEN {jobs.channel_of(thread_id)}")  # letters and digits
            before = ""
            while True:
                status = next((job["status"] for job in jobs.list_jobs(connection, thread_id)), "")
                is_active = status in _ACTIVE
                if is_active and status != before:
                    yield f"{thread_id} is {status}"
                for notification in connection.notifies(timeout=_LOOK if is_active else 0):
                    lines = json.loads(notification.payload)
                    yield from lines
                    if not lines and is_active:  # it ended, or was put back
                        break
                if not is_active:
                    return
                before = status

    def prepare(self) -> None:
        with connected(self.uri) as connection:
            jobs.make_tables(connection)

    def ring(self, timer: int | None, arguments: Arguments, priority: int) -> None:
        """Put a run that is due, and the next timer of its schedule, in one transaction with the end of its timer."""
        cron, name = arguments.get("cron"), arguments["thread_id"]
        with connected(self.uri, pool=self._pool) as connection, connection.transaction():
            if not jobs.query(connection, jobs.DELETE, id=timer):
                return  # another worker has rung it
            now = jobs.now(connection)
            thread = f"{name}-{now:%Y%m%d-%H%M%S}" if cron else name
            run: Arguments = {**arguments, "thread_id": thread, "put": now.isoformat()}
            run.pop("cron", None)
            jobs.insert(connection, run, priority=priority)
            if cron:
                jobs.insert(connection, arguments, priority=priority)

    @cached_property
    def _pool(self) -> Any:
        self.prepare()
        pool = connection_pool(self.uri)
        pool.open()
        weakref.finalize(self, pool.close)
        return pool


def _arguments(graph: str, value: object, thread_id: str, context: Any, cron: str | None) -> Arguments:
    context = asdict(context) if isinstance(context, Settings) else dict(context or {})
    arguments: Arguments = {"graph": graph, "thread_id": thread_id, "context": context or None}
    arguments |= {"request": "", "put": "", "takeovers": 0}
    if cron:
        arguments["cron"] = cron
    if isinstance(value, str):
        value = {"messages": value}
    try:
        if isinstance(value, Command):
            arguments["resume"] = json.loads(json.dumps(value.resume))
        elif value is not None:
            arguments["input"] = jobs.encode(value)
            arguments["request"] = _request(value)
        json.dumps(arguments)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"A run for a queue is plain data and messages: {error}") from error
    return arguments


def _request(value: object) -> str:
    messages = value.get("messages") if isinstance(value, Mapping) else None
    if not messages:
        return ""
    request = last_request(convert_to_messages(messages if isinstance(messages, list) else [messages]))
    return request.text[:_LONGEST_REQUEST]


def _check_name(name: str) -> None:
    if not _GRAPH_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name a graph of a queue; use letters, digits, '_', '-', '.': 32 at most"
        )
