"""What it costs that a finished step is stored before anybody builds on it: a chain of steps that do nothing.

    python -m benchmarks.stored_steps [--steps 300] [--rounds 5]

Milliseconds per step, by the clock and of CPU, in turn: LangGraph's `@task` by hand and Podium, without a checkpointer
and with SQLite. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from langgraph.func import entrypoint, task

from agents import Agent
from graphs import Step, Workflow
from graphs.storage import sqlite


async def nothing(task: str) -> str:
    """Answer at once."""
    return "done"


def by_podium(number: int, storage: Any) -> Any:
    """Return a workflow whose steps depend on each other in turn."""
    steps = [Step(f"s{place}", "nothing", "work", [f"s{place - 1}"] if place else []) for place in range(number)]
    return Workflow(steps, agents=[Agent("nothing", "Does nothing.", function=nothing)]).compile(storage)


def by_hand(number: int, storage: Any) -> Any:
    """Return the same as an entrypoint that awaits one task after another."""
    step = task(nothing)

    @entrypoint(checkpointer=storage)
    async def chain(state: dict[str, str]) -> str:
        text = state["messages"]
        for _ in range(number):
            text = await step(text)
        return text

    return chain


def per_step(make: Callable[[int, Any], Any], number: int, is_stored: bool) -> tuple[float, float]:
    """Return the milliseconds per step of a run, by the clock and of CPU."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sqlite(Path(folder) / "runs") if is_stored else nullcontext() as storage,
    ):
        graph = make(number, storage)
        clock, processor = time.perf_counter(), time.process_time()
        config = {"configurable": {"thread_id": "chain"}, "recursion_limit": 1000}
        asyncio.run(graph.ainvoke({"messages": "Go"}, config))
        return 1000 * (time.perf_counter() - clock) / number, 1000 * (time.process_time() - processor) / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kinds = [
        (name, make, stored) for name, make in (("@task", by_hand), ("Podium", by_podium)) for stored in (False, True)
    ]
    times: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        for name, make, stored in kinds:
            times.setdefault((name, stored), []).append(per_step(make, options.steps, stored))
    for (name, stored), measured in times.items():
        clock, processor = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{name:8} {'SQLite' if stored else 'nothing stored':15} {clock:6.2f} ms   CPU {processor:.2f} ms")


if __name__ == "__main__":
    main()
