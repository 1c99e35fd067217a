"""SIGKILL runs, resume them in other processes until they are done, and count what was done twice.

    python -m benchmarks.kill [--kills 48] [--graph planner] [--database sqlite] [--durability sync]

The kills are shared by the graphs and databases, `invoke` and `ainvoke` in turn, up to five for each run. Every second
one comes at a random moment, the others as the first instruction of a step, item, round or other call, also in nested
patterns. It prints a Markdown table. Per call of an agent, model or tool:

- cut off: the process died while the call was at work; it is made again, as it must be.
- not yet recorded: the call had finished, and the process died before its result was in the database; it is made again.
  This is what at-least-once means; with `--durability exit` everything done since the start is lost.
- repeated: the call had finished and its result was in the database when the process died, and yet it was made again.
  Must be 0 with `--durability sync`, the default of Podium's graphs. With LangGraph's own, `async`, it is not: a result
  may be stored before the checkpoint that it belongs to. A result is in the database when a row of its writes, read
  after the death, holds the call's key.
- differ: final states that differ from that of an undisturbed run in anything but times, usage included. Must be 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from benchmarks.postgres_server import binaries, server
from benchmarks.scripted import GRAPHS, KEY, REQUEST, Log, Scripted
from graphs import storage
from graphs.storage import Storage

PAUSE = 0.01
"""Seconds that each scripted call takes."""
KILLS_PER_RUN = 5
PACE = 0.6
"""Kills at random come within this share of the time that an undisturbed run takes, so that a run sees several."""
FIRST_INSTRUCTIONS = (2, 2, 2, 3, 4)
"""Which call of a process may kill it: not its first, which would be the same in the next process."""
TIMES = {"seconds", "started", "ended", "turn", "work_id", "message_id"}
"""Keys of states that differ between any two runs: times, and ids of messages."""


@dataclass
class Database:
    """Where the runs are kept; both functions may be called in any process."""

    name: str
    open: Callable[[], AbstractContextManager[Storage]]
    writes: Callable[[str], list[bytes]]
    """Returns what the writes of one thread hold."""


@dataclass
class Count:
    """What happened in some runs."""

    runs: int = 0
    kills: int = 0
    at_start: int = 0
    """Of the kills, those at the first instruction of a call."""
    calls: int = 0
    cut_off: int = 0
    lost: int = 0
    repeated: int = 0
    differ: int = 0
    broken: list[str] = field(default_factory=list)
    """Errors of processes that ended by themselves without a result."""

    def add(self, other: Count) -> None:
        """Add what happened in other runs."""
        for number in fields(self):
            setattr(self, number.name, getattr(self, number.name) + getattr(other, number.name))

    @property
    def failures(self) -> int:
        """What must be 0."""
        return self.repeated + self.differ + len(self.broken)

    def row(self, graph: str, database: str) -> str:
        """Return a row of the table."""
        numbers = (self.kills, self.at_start, self.calls, self.cut_off, self.lost, self.repeated, self.differ)
        return f"| {graph} | {database} | {' | '.join(map(str, numbers))} |"


HEAD = """\
| graph | database | kills | at a first instruction | calls | cut off in mid-call | not yet recorded | repeated \
although recorded | answers that differ |
|---|---|---|---|---|---|---|---|---|"""


@dataclass
class Run:
    """One run: which graph, how and where."""

    graph: str
    database: Database
    folder: Path
    thread: str
    asynchronous: bool
    durability: Any

    @property
    def log(self) -> Path:
        """The file of its calls."""
        return self.folder / f"{self.thread}.log"

    @property
    def result(self) -> Path:
        """The file of its final state."""
        return self.folder / f"{self.thread}.json"

    def work(self, die_at: int) -> None:
        """Start the run, or go on with it, and write down its final state."""
        config: RunnableConfig = {"configurable": {"thread_id": self.thread}}
        make = Scripted(Log(self.log), pause=PAUSE, asynchronous=self.asynchronous, die_at=die_at)
        with self.database.open() as saver:
            graph = GRAPHS[self.graph](make).compile(saver)
            request = None if saver.get_tuple(config) else {"messages": REQUEST}
            if self.asynchronous:
                state = asyncio.run(graph.ainvoke(request, config, durability=self.durability))
            else:
                state = graph.invoke(request, config, durability=self.durability)
        draft = self.result.with_suffix(".draft")
        draft.write_text(json.dumps(comparable(state), sort_keys=True))
        draft.replace(self.result)

    def start(self, die_at: int = 0) -> int:
        """Work in a new process and return its id; it starts from this one's memory, so it need not import anything."""
        child = os.fork()
        if child:
            return child
        try:
            self.work(die_at)
        except BaseException:
            self.result.with_suffix(".error").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)

    def events(self) -> list[tuple[str, str]]:
        """Return the log: (`start` or `end`, key)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(event, key) for event, _, key in (line.partition(" ") for line in lines)]

    def recorded(self) -> set[str]:
        """Return the keys of the calls whose results are in the database."""
        return {match.group().decode() for row in self.database.writes(self.thread) for match in _KEY.finditer(row)}


_KEY = re.compile(KEY.pattern.encode())


def comparable(value: Any) -> Any:
    """Return a state without what differs between any two runs."""
    if isinstance(value, BaseMessage):
        return {"role": value.type, "text": value.text}
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in TIMES}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def disturb(run: Run, chance: random.Random, kills: int, seconds: float) -> Count:
    """Kill a run up to so many times, and count what each next process did again."""
    count = Count(runs=1)
    seen = 0
    done: set[str] = set()
    begun: set[str] = set()
    recorded: set[str] = set()
    while True:
        is_last, at_start = count.kills >= kills, chance.random() < 0.5
        die_at = chance.choice(FIRST_INSTRUCTIONS) if at_start and not is_last else 0
        ended = _life(run, die_at, None if is_last or at_start else chance.uniform(0, seconds))
        events = run.events()
        for event, key in events[seen:]:
            if event == "start":
                count.calls += 1
                count.repeated += key in recorded
                count.lost += key in done and key not in recorded
                count.cut_off += key in begun and key not in done
        begun |= {key for event, key in events if event == "start"}
        done |= {key for event, key in events if event == "end"}
        seen = len(events)
        if ended:
            return count
        count.kills += 1
        count.at_start += at_start
        recorded = run.recorded()


def _life(run: Run, die_at: int, seconds: float | None) -> bool:
    """Let one process work, for so many seconds at most; return whether it came to its end."""
    child = run.start(die_at)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def measure(graph: str, database: Database, folder: Path, options: argparse.Namespace, kills: int) -> Count:
    """Disturb runs of one graph until so many kills are done, and compare each final state with an undisturbed one."""
    chance = random.Random(f"{graph} {database.name} {options.seed}")
    total = Count()
    reference: dict[bool, tuple[Any, float]] = {}
    while total.kills < kills and total.runs < 2 * kills:
        asynchronous = total.runs % 2 == 1
        if asynchronous not in reference:
            reference[asynchronous] = undisturbed(graph, database, folder, asynchronous, options.durability)
        expected, seconds = reference[asynchronous]
        run = Run(graph, database, folder, f"{graph}-{database.name}-{total.runs}", asynchronous, options.durability)
        count = disturb(run, chance, min(KILLS_PER_RUN, kills - total.kills), seconds * PACE)
        if run.result.exists():
            count.differ += json.loads(run.result.read_text()) != expected
        else:
            count.broken.append(run.result.with_suffix(".error").read_text())
        total.add(count)
    return total


def undisturbed(graph: str, database: Database, folder: Path, asynchronous: bool, durability: str) -> tuple[Any, float]:
    """Return the final state of a run that nobody kills, and the seconds it takes."""
    run = Run(graph, database, folder, f"{graph}-{database.name}-whole-{asynchronous}", asynchronous, durability)
    began = time.monotonic()
    os.waitpid(run.start(), 0)
    seconds = time.monotonic() - began
    if not run.result.exists():
        raise RuntimeError(run.result.with_suffix(".error").read_text())
    keys = [key for event, key in run.events() if event == "start"]
    if len(keys) != len(set(keys)):
        raise RuntimeError(f"Two calls of an undisturbed {graph} have the same key")
    return json.loads(run.result.read_text()), seconds


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    file = folder / "runs.sqlite"

    def writes(thread: str) -> list[bytes]:
        with closing(sqlite3.connect(file)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'writes'").fetchall()
            rows = connection.execute("SELECT value FROM writes WHERE thread_id = ?", (thread,)) if tables else ()
            return [bytes(value) for (value,) in rows if value is not None]

    yield Database("SQLite", partial(storage.sqlite, file), writes)


@contextmanager
def postgres_database(folder: Path) -> Iterator[Database]:
    import psycopg

    with server() as uri:

        def writes(thread: str) -> list[bytes]:
            with psycopg.connect(uri) as connection:
                query = "SELECT blob FROM checkpoint_writes WHERE thread_id = %s"
                return [bytes(blob) for (blob,) in connection.execute(query, (thread,)) if blob is not None]

        with storage.postgres(uri):  # makes the tables
            pass
        yield Database("Postgres", partial(storage.postgres, uri), writes)


DATABASES = {"sqlite": sqlite_database, "postgres": postgres_database}


def missing(database: str) -> str | None:
    """Return why a database cannot be used here, None if it can."""
    if database == "postgres" and binaries() is None:
        return "no initdb and pg_ctl on this system"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (podium[postgres])" if database == "postgres" else None
    return None


def warm_up(graphs: Collection[str] = GRAPHS) -> None:
    """Run the graphs once here, so that the processes to be forked find everything imported."""
    with tempfile.TemporaryDirectory() as folder:
        for asynchronous in (False, True):
            make = Scripted(Log(Path(folder, "log")), pause=0, asynchronous=asynchronous)
            for name in graphs:
                graph = GRAPHS[name](make).compile()
                request = {"messages": REQUEST}
                asyncio.run(graph.ainvoke(request)) if asynchronous else graph.invoke(request)
    missed = [thread.name for thread in threading.enumerate()[1:] if not thread.name.startswith("podium")]
    if missed:  # Podium makes its own threads again
        raise RuntimeError(f"Threads would be missing in a forked process: {missed}")


def report(options: argparse.Namespace) -> int:
    """Print the table, and return the number of failures."""
    graphs, databases = options.graph or [*GRAPHS], options.database or [*DATABASES]
    usable = [name for name in databases if missing(name) is None]
    for name in set(databases) - set(usable):
        print(f"{name} skipped: {missing(name)}")
    each = max(1, options.kills // max(1, len(graphs) * len(usable)))
    total = Count()
    print(f"durability={options.durability}\n\n{HEAD}", flush=True)
    for name in usable:
        with tempfile.TemporaryDirectory() as folder, DATABASES[name](Path(folder)) as database:
            for graph in graphs:
                count = measure(graph, database, Path(folder), options, each)
                print(count.row(graph, database.name), flush=True)
                total.add(count)
    print(total.row("all", ", ".join(usable)))
    print(*total.broken[:3], sep="\n")
    return total.failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=48, help="kills in all")
    parser.add_argument("--graph", choices=[*GRAPHS], action="append", help="several may be given; default: all")
    parser.add_argument("--database", choices=[*DATABASES], action="append", help="as with --graph")
    parser.add_argument("--durability", choices=["sync", "async", "exit"], default="sync")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warm_up(options.graph or GRAPHS)
    sys.exit(1 if report(options) else 0)


if __name__ == "__main__":
    main()
