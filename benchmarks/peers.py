"""Podium beside asyncio with the openai client (`floor`) and LangGraph by hand, on one loopback provider.

    python -m benchmarks.peers [--only random,router] [--rounds 3] [--with llamaindex,crewai]

Every round runs every contender once, in turn, so that a busy machine slows all of them. Printed are the time and CPU
of each as ratios to `floor` in the same round: the median, and in brackets the smallest and largest. CPU is that of
this process; the provider has one of its own. `nodes` is a StateGraph with a node per step, `task` an `entrypoint` with
`@task`s that wait for each other's futures, both with ChatOpenAI. A run that stands still ends after some minutes, and
all that it waits for is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from benchmarks.loopback import provider
from benchmarks.time_limit import time_limit

Run = Callable[[], Awaitable[str]]
Task = dict[str, Any]
CONTENDERS = ["floor", "nodes", "task", "podium"]
RULES = "You are a careful worker. Answer in one sentence."


def dag(steps: int, width: int, least: float, most: float, seed: int) -> list[Task]:
    """Make a random DAG: each step needs up to three of the `2 * width` steps before it."""
    chance = random.Random(seed)
    tasks: list[Task] = []
    for number in range(steps):
        before = [task["id"] for task in tasks[max(0, number - 2 * width) :]]
        deps = chance.sample(before, min(len(before), chance.randint(1, 3))) if number >= width else []
        seconds = chance.uniform(least, most)
        tasks.append({"id": f"s{number}", "deps": sorted(deps), "text": f"Do s{number}. <wait {seconds:.3f}>"})
    return tasks


def plan() -> list[Task]:
    """Make the plan that the provider's planner writes."""
    return dag(6, 3, 0.2, 0.6, 3)


WORKLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "uneven 15": ("steps", {"tasks": dag(15, 4, 0.05, 1.0, 1)}),
    "random 200": ("steps", {"tasks": dag(200, 20, 0.1, 0.6, 2)}),
    "random 1,000": ("steps", {"tasks": dag(1000, 100, 0.3, 1.5, 2)}),
    "review loop": ("review", {"wait": 0.15}),
    "router, 100 at once": ("router", {"wait": 0.3, "at_once": 100}),
    "plan → DAG → answer": ("planned", {"tasks": plan(), "wait": 0.3}),
    "10 handoffs": ("handoffs", {"wait": 0.15, "peers": 11}),
}
"""By name the kind of workload, for which a contender has a function of that name, and its arguments."""


def plan_request(tasks: list[Task]) -> str:
    """Return a request that holds the plan which the provider's planner gives back."""
    steps = [
        {"id": task["id"], "task": task["text"], "agent": "worker", "dependencies": task["deps"]} for task in tasks
    ]
    return "PLAN " + json.dumps({"steps": steps})


async def once(run: Run, what: str) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of one run."""
    gc.collect()
    with time_limit(what):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = await run()
        spent = time.perf_counter() - wall, time.process_time() - cpu
    assert answer.startswith("draft"), answer
    return spent


def ratios(measured: list[tuple[float, float]], floor: list[tuple[float, float]], which: int) -> str:
    """Return the median of the ratios, with the smallest and largest."""
    each = sorted(mine[which] / floors[which] for mine, floors in zip(measured, floor, strict=True))
    return f"{median(each):.2f} [{each[0]:.2f}-{each[-1]:.2f}]"


async def measure(names: list[str], contenders: dict[str, Any], rounds: int) -> None:
    """Print a table row for each workload."""
    print(f"time; CPU as ratios to floor, {rounds} rounds: median [least-most]\n")
    print(f"| workload | floor: s; CPU s | {' | '.join(list(contenders)[1:])} |")
    print("|---|---|" + "---|" * (len(contenders) - 1))
    for name in names:
        kind, arguments = WORKLOADS[name]
        made = {who: getattr(module, kind, None) for who, module in contenders.items()}
        runs: dict[str, Run] = {who: make(**arguments) for who, make in made.items() if make}
        for who, run in runs.items():
            await once(run, f"{name}, {who}, to warm up")  # imports, connections and caches
        spent: dict[str, list[tuple[float, float]]] = {who: [] for who in runs}
        for number in range(1, rounds + 1):
            for who, run in runs.items():
                spent[who].append(await once(run, f"{name}, {who}, round {number}"))
        floor = spent["floor"]
        cells = [f"{median(wall for wall, _ in floor):.2f}; {median(cpu for _, cpu in floor):.3f}"]
        for who in list(contenders)[1:]:
            both = [ratios(spent[who], floor, which) for which in (0, 1)] if who in spent else ["-"]
            cells.append("; ".join(both))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def contender(name: str) -> Any:
    """Return the module of a contender, None if what it needs is not installed."""
    try:
        return importlib.import_module(f"benchmarks.contenders.{name}")
    except ModuleNotFoundError as error:
        print(f"{name} is left out: {error}")
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="parts of the names of workloads, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", help="those beside floor", default=",".join(CONTENDERS[1:]))
    parser.add_argument("--with", dest="others", help="other frameworks, where they are installed", default="")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [""]
    names = [name for name in WORKLOADS if any(part in name for part in wanted)]
    who = ["floor", *filter(None, f"{options.contenders},{options.others}".split(","))]
    with provider() as base_url:
        os.environ.update(OPENAI_BASE_URL=base_url, OPENAI_API_KEY="none")
        contenders = {name: module for name in who if (module := contender(name))}
        asyncio.run(measure(names, contenders, options.rounds))


if __name__ == "__main__":
    main()
