"""SIGKILL a run at random moments, resume it in another process, until it is done; count what was done twice.

    python benchmarks/kill.py [--runs 50] [--kills 5] [--graph planner] [--database sqlite] [--durability sync]

For each graph and database: runs, alternately of `invoke` and `ainvoke`, each killed up to `--kills` times. What is
counted, per call of an agent, model or tool:

- cut off: the process died while the call was at work; it is made again, as it must be.
- lost: the call had finished, and the process died before its result was in the database; it is made again. This is
  what at-least-once means; with `--durability exit` everything done since the start is lost.
- REPEATED: the call had finished and its result was in the database when the process died, and yet it was made again.
  Must be 0 with `--durability sync`, the default of Podium's graphs. With LangGraph's own, `async`, it is not: a result
  may be stored before the checkpoint that it belongs to. A result is in the database when a row of its writes, read
  after the death, holds the call's key.
- DIFFER: final states that differ from that of an undisturbed run in anything but times. Must be 0.
- usage: final states whose count of calls and tokens differs, though all else is the same. Must be 0.
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
from collections.abc import Callable, Iterator
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
PACE = 0.6
"""Kills come within this share of the time that an undisturbed run takes, so that a run sees several."""
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
    calls: int = 0
    cut_off: int = 0
    lost: int = 0
    repeated: int = 0
    differ: int = 0
    usage: int = 0
    broken: list[str] = field(default_factory=list)
    """Errors of processes that ended by themselves without a result."""

    def add(self, other: Count) -> None:
        """Add what happened in other runs."""
        for count in fields(self):
            setattr(self, count.name, getattr(self, count.name) + getattr(other, count.name))

    @property
    def failures(self) -> int:
        """What must be 0."""
        return self.repeated + self.differ + self.usage + len(self.broken)


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

    def work(self) -> None:
        """Start the run, or go on with it, and write down its final state."""
        config: RunnableConfig = {"configurable": {"thread_id": self.thread}}
        make = Scripted(Log(self.log), pause=PAUSE, asynchronous=self.asynchronous)
        with self.database.open() as saver:
            graph = GRAPHS[self.graph](make).compile(saver)
            given = None if saver.get_tuple(config) else {"messages": REQUEST}
            if self.asynchronous:
                state = asyncio.run(graph.ainvoke(given, config, durability=self.durability))
            else:
                state = graph.invoke(given, config, durability=self.durability)
        draft = self.result.with_suffix(".draft")
        draft.write_text(json.dumps(comparable(state), sort_keys=True))
        draft.replace(self.result)

    def start(self) -> int:
        """Work in a new process and return its id; it starts from this one's memory, so it need not import anything."""
        child = os.fork()
        if child:
            return child
        try:
            self.work()
        except BaseException:
            self.result.with_suffix(".error").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)

    def events(self) -> list[tuple[str, str]]:
        """Return the log: (`start` or `end`, key)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(what, key) for what, _, key in (line.partition(" ") for line in lines)]

    def recorded(self) -> set[str]:
        """Return the keys of the calls whose results are in the database."""
        return {found.group().decode() for write in self.database.writes(self.thread) for found in _KEY.finditer(write)}


_KEY = re.compile(KEY.pattern.encode())


def comparable(value: Any) -> Any:
    """Return a state without what differs between any two runs."""
    if isinstance(value, BaseMessage):
        return {"role": value.type, "text": value.text}
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in TIMES}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def without_usage(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_usage(item) for key, item in value.items() if key != "usage"}
    return [without_usage(item) for item in value] if isinstance(value, list) else value


def disturb(run: Run, chance: random.Random, kills: int, seconds: float) -> Count:
    """Kill a run up to so many times, and count what each next process did again."""
    count = Count(runs=1)
    seen = 0
    done: set[str] = set()
    begun: set[str] = set()
    recorded: set[str] = set()
    while True:
        ended = _life(run, chance.uniform(0, seconds) if count.kills < kills else None)
        events = run.events()
        for what, key in events[seen:]:
            if what == "start":
                count.calls += 1
                count.repeated += key in recorded
                count.lost += key in done and key not in recorded
                count.cut_off += key in begun and key not in done
        begun |= {key for what, key in events if what == "start"}
        done |= {key for what, key in events if what == "end"}
        seen = len(events)
        if ended:
            return count
        count.kills += 1
        recorded = run.recorded()


def _life(run: Run, seconds: float | None) -> bool:
    """Let one process work, for so many seconds at most; return whether it came to its end."""
    child = run.start()
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def judge(run: Run, count: Count, expected: Any) -> None:
    """Compare the final state with that of an undisturbed run."""
    if not run.result.exists():
        count.broken.append(run.result.with_suffix(".error").read_text())
        return
    state = json.loads(run.result.read_text())
    count.differ += without_usage(state) != without_usage(expected)
    count.usage += state != expected and without_usage(state) == without_usage(expected)


def measure(graph: str, database: Database, folder: Path, given: argparse.Namespace) -> Count:
    """Disturb many runs of one graph."""
    chance = random.Random(f"{graph} {database.name} {given.seed}")
    total = Count()
    reference: dict[bool, tuple[Any, float]] = {}
    for number in range(given.runs):
        asynchronous = number % 2 == 1
        if asynchronous not in reference:
            reference[asynchronous] = undisturbed(graph, database, folder, asynchronous, given.durability)
        expected, seconds = reference[asynchronous]
        run = Run(graph, database, folder, f"{graph}-{database.name}-{number}", asynchronous, given.durability)
        count = disturb(run, chance, given.kills, seconds * PACE)
        judge(run, count, expected)
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
    keys = [key for what, key in run.events() if what == "start"]
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

    yield Database("sqlite", partial(storage.sqlite, file), writes)


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
        yield Database("postgres", partial(storage.postgres, uri), writes)


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


def warm_up() -> None:
    """Run every graph once here, so that the processes to be forked find everything imported."""
    with tempfile.TemporaryDirectory() as folder:
        for asynchronous in (False, True):
            make = Scripted(Log(Path(folder, "log")), pause=0, asynchronous=asynchronous)
            for build in GRAPHS.values():
                graph = build(make).compile()
                given = {"messages": REQUEST}
                asyncio.run(graph.ainvoke(given)) if asynchronous else graph.invoke(given)
    if threading.active_count() > 1:
        raise RuntimeError(f"Threads would be missing in a forked process: {threading.enumerate()}")


COLUMNS = ("runs", "kills", "calls", "cut_off", "lost", "repeated", "differ", "usage")


def report(graphs: list[str], databases: list[str], given: argparse.Namespace) -> int:
    """Print a line per graph and database, and return the number of failures."""
    failures = 0
    head = "  ".join(
        column.upper() if column in ("repeated", "differ") else column.replace("_", " ") for column in COLUMNS
    )
    print(f"durability={given.durability}\n{'graph':13}{'database':10}{head}   seconds", flush=True)
    for name in databases:
        if reason := missing(name):
            print(f"{'-':13}{name:10}skipped: {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder, DATABASES[name](Path(folder)) as database:
            for graph in graphs:
                began = time.monotonic()
                total = measure(graph, database, Path(folder), given)
                numbers = "  ".join(f"{getattr(total, column):{len(column)}}" for column in COLUMNS)
                print(f"{graph:13}{name:10}{numbers}  {time.monotonic() - began:8.1f}", flush=True)
                for error in total.broken[:3]:
                    print(error)
                failures += total.failures
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--kills", type=int, default=5, help="most kills per run")
    parser.add_argument("--graph", choices=[*GRAPHS], action="append", help="several may be given; default: all")
    parser.add_argument("--database", choices=[*DATABASES], action="append", help="as with --graph")
    parser.add_argument("--durability", choices=["sync", "async", "exit"], default="sync")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    warm_up()
    failures = report(given.graph or [*GRAPHS], given.database or [*DATABASES], given)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
