"""How close a workflow comes to its critical path, beside a static LangGraph graph of the same steps.

    python -m benchmarks.workflow [FOLDER] [--seconds 2] [--mode async|sync] [--steps 100,1000,10000 | --memory 1000]

FOLDER holds workflow runs as JSON: {"name", "tasks": [{"id", "deps", "seconds"}]}; without one, shapes made here are
used. Seconds are scaled so that the critical path takes `--seconds`; every step is an async function that sleeps.
`bound` is the makespan if every level waited for its slowest step, `CPU` the processor time of the run per step.
`--steps` measures instead the CPU of workflows of that many steps that do nothing, in both modes, with and without
SQLite, as a table in Markdown. `--memory` measures what open steps keep, as Python allocates it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import random
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from langgraph import func
from langgraph.graph import END, START, StateGraph

from agents import Agent
from benchmarks.time_limit import time_limit
from graphs import Step, Workflow
from graphs.storage import sqlite

Task = dict[str, Any]
LONGEST_RUN = 600.0
"""Seconds after which a run is taken to stand still."""


def layered(levels: int, width: int, seed: int) -> list[Task]:
    """Make a random layered workflow whose steps take between 1 and 10 units."""
    chance = random.Random(seed)
    tasks: list[Task] = []
    for level in range(levels):
        above = [f"s{level - 1}_{number}" for number in range(width)] if level else []
        for item in range(width):
            deps = sorted(chance.sample(above, min(2, len(above))))
            tasks.append({"id": f"s{level}_{item}", "deps": deps, "seconds": chance.uniform(1, 10)})
    return tasks


def made_here() -> dict[str, list[Task]]:
    return {"layers 10x4": layered(10, 4, 1), "layers 5x20": layered(5, 20, 2), "layers 20x10": layered(20, 10, 3)}


def from_folder(folder: Path) -> dict[str, list[Task]]:
    found = {}
    for file in sorted(folder.glob("*.json")):
        run = json.loads(file.read_text())
        found[run["name"]] = run["tasks"]
    return found


def levels_of(tasks: list[Task]) -> dict[str, int]:
    deps = {task["id"]: task["deps"] for task in tasks}
    level: dict[str, int] = {}
    while len(level) < len(deps):
        for key, before in deps.items():
            if key not in level and all(dep in level for dep in before):
                level[key] = max((level[dep] + 1 for dep in before), default=0)
    return level


def critical_path(tasks: list[Task]) -> float:
    seconds = {task["id"]: task for task in tasks}
    level = levels_of(tasks)
    end: dict[str, float] = {}
    for item in sorted(level, key=lambda name: level[name]):
        end[item] = seconds[item]["seconds"] + max((end[dep] for dep in seconds[item]["deps"]), default=0.0)
    return max(end.values())


def barrier(tasks: list[Task]) -> float:
    level = levels_of(tasks)
    slowest: dict[int, float] = {}
    for task in tasks:
        slowest[level[task["id"]]] = max(slowest.get(level[task["id"]], 0.0), task["seconds"])
    return sum(slowest.values())


def podium_graph(tasks: list[Task], scale: float, saver: Any = None) -> Any:
    seconds = {task["id"]: task["seconds"] * scale for task in tasks}

    async def work(task: str) -> str:
        await asyncio.sleep(seconds[task])
        return "done"

    steps = [Step(task["id"], "worker", task["id"], task["deps"]) for task in tasks]
    return Workflow(steps, agents=[Agent("worker", function=work)]).compile(saver)


def static_graph(tasks: list[Task], scale: float) -> Any:
    """Build the same steps as LangGraph nodes, one per step, joined by edges."""
    graph = StateGraph(dict)

    def node(seconds: float) -> Any:
        async def work(state: dict[str, Any]) -> None:
            await asyncio.sleep(seconds)

        return work

    used = {dep for task in tasks for dep in task["deps"]}
    for entry in tasks:
        graph.add_node(entry["id"], node(entry["seconds"] * scale))
    for item in tasks:
        graph.add_edge(item["deps"] or START, item["id"])
        if item["id"] not in used:
            graph.add_edge(item["id"], END)
    return graph.compile()


def task_graph(tasks: list[Task], scale: float) -> Any:
    """Build the same steps as LangGraph `@task`s, which wait for the futures that they need."""

    @func.entrypoint()
    async def graph(value: Any) -> None:
        futures: dict[str, Any] = {}

        @func.task
        async def work(entry: Task) -> None:
            for dep in entry["deps"]:
                await futures[dep]
            await asyncio.sleep(entry["seconds"] * scale)

        for entry in tasks:
            futures[entry["id"]] = work(entry)
        for future in futures.values():
            await future

    return graph


def timed(run: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(graph: Any, mode: str) -> tuple[float, float]:
    def run() -> None:
        given = {"messages": "go"}
        config: Any = {"recursion_limit": 10_000, "configurable": {"thread_id": "1"}}
        with time_limit(f"{graph.name}, {mode}", LONGEST_RUN):
            graph.invoke(given, config) if mode == "sync" else asyncio.run(graph.ainvoke(given, config))

    return timed(run)


def compare(runs: dict[str, list[Task]], seconds: float, mode: str) -> None:
    print(f"critical path scaled to {seconds:g} s, {mode}; static LangGraph graph always async")
    print(
        f"{'workflow':34} {'steps':>5} {'bound':>6} {'podium':>7} {'ratio':>6} {'static':>7}"
        f" {'CPU ms/step':>12} {'static':>7}"
    )
    for name, tasks in runs.items():
        path = critical_path(tasks)
        scale = seconds / path
        wall, cpu = measure(podium_graph(tasks, scale), mode)
        static_wall, static_cpu = measure(static_graph(tasks, scale), "async")
        each = 1000 / len(tasks)
        print(
            f"{name[:34]:34} {len(tasks):5} {barrier(tasks) * scale:6.2f} {wall:7.2f} {wall / seconds:6.2f}"
            f" {static_wall:7.2f} {cpu * each:12.2f} {static_cpu * each:7.2f}",
            flush=True,
        )


def shapes(size: int) -> dict[str, list[Task]]:
    """Make workflows of so many steps that do nothing: independent ones, a chain, and a random DAG."""
    chance = random.Random(1)
    needs = {
        "wide": [[] for _ in range(size)],
        "chain": [[place - 1] if place else [] for place in range(size)],
        "random": [chance.sample(range(max(0, place - 50), place), min(place, 2)) for place in range(size)],
    }
    return {
        name: [
            {"id": f"s{place}", "deps": [f"s{need}" for need in need_of], "seconds": 0.0}
            for place, need_of in enumerate(each)
        ]
        for name, each in needs.items()
    }


def growth(sizes: list[int]) -> None:
    """Print the CPU seconds of steps that do nothing, and the exponent with which they grow from first to last."""
    print(f"| CPU s | {' | '.join(f'{size:,} steps' for size in sizes)} | exponent |\n|---|{'---|' * (len(sizes) + 1)}")
    for name in shapes(1):
        for mode, stored in ((mode, stored) for stored in (False, True) for mode in ("async", "sync")):
            spent = [cpu_seconds(shapes(size)[name], mode, stored=stored) for size in sizes]
            exponent = math.log(spent[-1] / spent[0]) / math.log(sizes[-1] / sizes[0]) if len(sizes) > 1 else 1.0
            how = f"{name}, {'ainvoke' if mode == 'async' else 'invoke'}{', SQLite' if stored else ''}"
            print(f"| {how} | {' | '.join(f'{each:.2f}' for each in spent)} | {exponent:.2f} |", flush=True)


def cpu_seconds(tasks: list[Task], mode: str, *, stored: bool) -> float:
    if not stored:
        return measure(podium_graph(tasks, 1), mode)[1]
    with tempfile.TemporaryDirectory() as folder, sqlite(Path(folder) / "runs.db") as saver:
        return measure(podium_graph(tasks, 1, saver), mode)[1]


def memory(size: int) -> None:
    """Print the kB that each of so many steps keeps while all work, or while all but one wait, and at the peak."""
    print(
        "| | kB per step at work | at the peak | kB per waiting step of a chain | at the peak |\n|---|---|---|---|---|"
    )
    shaped = shapes(size)
    wide = [{**task, "seconds": 1.0} for task in shaped["wide"]]
    chain = [{**task, "seconds": float(not number)} for number, task in enumerate(shaped["chain"])]
    contenders = {"static LangGraph nodes": static_graph, "LangGraph `@task`": task_graph, "Podium": podium_graph}
    for name, make in contenders.items():
        measure(make(wide[:10], 0.0), "async")  # imports and caches
        cells = [each / size / 1000 for tasks in (wide, chain) for each in asyncio.run(kept(make(tasks, 5.0)))]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |", flush=True)


async def kept(graph: Any) -> tuple[int, int]:
    """Return the bytes that a run keeps while its steps sleep, and the most that it ever does."""
    gc.collect()
    tracemalloc.start()
    run = asyncio.create_task(graph.ainvoke({"messages": "go"}, {"recursion_limit": 10_000}))
    await asyncio.sleep(4)
    gc.collect()
    open_ = tracemalloc.get_traced_memory()[0]
    await run
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return open_, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of workflow runs as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="what the critical path is scaled to")
    parser.add_argument("--mode", choices=["async", "sync"], default="async")
    parser.add_argument("--steps", help="measure CPU per step for these numbers of steps, as 100,1000,10000")
    parser.add_argument("--memory", type=int, help="measure what so many open steps keep")
    given = parser.parse_args()
    if given.memory:
        memory(given.memory)
    elif given.steps:
        growth([int(part) for part in given.steps.split(",")])
    else:
        compare(from_folder(given.folder) if given.folder else made_here(), given.seconds, given.mode)


if __name__ == "__main__":
    main()
