"""Many runs of one graph at once on one database: all complete, none mixed up.

    python benchmarks/many.py [--runs 200] [--graph planner] [--database sqlite] [--processes 1]

Each run has a request of its own; its final state is compared with that of the same request run alone and without a
database. `threads` calls `invoke` in a thread per run, `asyncio` gathers `ainvoke`. With several processes each has its
share of the runs, and all of them the same database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from benchmarks.kill import DATABASES, Database, comparable, missing, warm_up
from benchmarks.scripted import GRAPHS, REQUEST, Log, Scripted

PAUSE = 0.01
"""Seconds that each scripted call takes."""


def given(number: int) -> dict[str, Any]:
    return {"messages": f"{REQUEST}, case {number}"}


def alone(graph: str, numbers: Sequence[int], folder: Path) -> dict[int, Any]:
    """Return the final states of runs made one after the other, without a database."""
    make = Scripted(Log(folder / "alone.log"), pause=0, asynchronous=False)
    compiled = GRAPHS[graph](make).compile()
    return {number: comparable(compiled.invoke(given(number))) for number in numbers}


def together(graph: str, mode: str, numbers: Sequence[int], database: Database, folder: Path) -> dict[int, Any]:
    """Return the final states, or errors, of runs made all at once."""
    make = Scripted(Log(folder / "together.log"), pause=PAUSE, asynchronous=mode == "asyncio")
    with database.open() as saver:
        compiled = GRAPHS[graph](make).compile(saver)

        def config(number: int) -> RunnableConfig:
            return {"configurable": {"thread_id": f"{mode}-{number}"}}

        def run(number: int) -> Any:
            try:
                return compiled.invoke(given(number), config(number))
            except Exception as error:
                return repr(error)

        async def gather() -> list[Any]:
            calls: Any = [compiled.ainvoke(given(number), config(number)) for number in numbers]
            return await asyncio.gather(*calls, return_exceptions=True)

        if mode == "asyncio":
            states = asyncio.run(gather())
        else:
            with ThreadPoolExecutor(len(numbers)) as pool:
                states = list(pool.map(run, numbers))
    return dict(zip(numbers, states, strict=True))


def judge(states: dict[int, Any], expected: dict[int, Any]) -> dict[str, float]:
    """Count the runs that failed, and those whose state is not their own."""
    whole = {number: comparable(state) for number, state in states.items() if isinstance(state, dict)}
    for error in sorted({repr(state)[:500] for state in states.values() if not isinstance(state, dict)})[:3]:
        print(error)
    done = [number for number, state in whole.items() if state["status"] == "completed"]
    mixed = [number for number in done if whole[number] != expected[number]]
    return {"completed": len(done), "failed": len(states) - len(done), "mixed up": len(mixed)}


def share(graph: str, mode: str, numbers: Sequence[int], database: Database, folder: Path, result: Path) -> int:
    """Make some of the runs in a process of its own, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        began = time.monotonic()
        states = together(graph, mode, numbers, database, folder)
        seconds = time.monotonic() - began
        counted = judge(states, alone(graph, numbers, folder))
        result.write_text(json.dumps({**counted, "seconds": seconds}))
        code = 0
    finally:
        os._exit(code)


def measure(graph: str, mode: str, runs: int, processes: int, database: Database, folder: Path) -> dict[str, float]:
    """Return how many runs came to which end, and the seconds of the slowest process."""
    shares = [range(first, runs, processes) for first in range(processes)]
    results = [folder / f"{mode}-{number}.json" for number in range(processes)]
    children = [
        share(graph, mode, numbers, database, folder, result) for numbers, result in zip(shares, results, strict=True)
    ]
    for child in children:
        os.waitpid(child, 0)
    total: dict[str, float] = {"completed": 0, "failed": 0, "mixed up": 0}
    slowest = 0.0
    for numbers, result in zip(shares, results, strict=True):
        counted = json.loads(result.read_text()) if result.exists() else {"failed": len(numbers)}
        total = {name: number + counted.get(name, 0) for name, number in total.items()}
        slowest = max(slowest, counted.get("seconds", 0.0))
    return {**total, "seconds": slowest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--graph", choices=[*GRAPHS], default="planner")
    parser.add_argument("--database", choices=[*DATABASES], action="append", help="several may be given; default: all")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    warm_up([options.graph])
    failures = 0.0
    print(f"{options.runs} runs of {options.graph} at once in {options.processes} process(es)")
    print(f"{'database':10}{'mode':10}completed  failed  mixed up  seconds", flush=True)
    for name in options.database or [*DATABASES]:
        if reason := missing(name):
            print(f"{name:10}skipped: {reason}")
            continue
        for mode in ("threads", "asyncio"):
            with tempfile.TemporaryDirectory() as folder, DATABASES[name](Path(folder)) as database:
                found = measure(options.graph, mode, options.runs, options.processes, database, Path(folder))
            counted = f"{found['completed']:9.0f}  {found['failed']:6.0f}  {found['mixed up']:8.0f}"
            print(f"{name:10}{mode:10}{counted}  {found['seconds']:7.1f}", flush=True)
            failures += found["failed"] + found["mixed up"]
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
