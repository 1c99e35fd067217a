"""What a step costs behind each executor, and that steps survive the death of a Dask worker.

    python -m benchmarks.executors [--steps 200] [--only processes,dask]

Steps that do nothing run side by side on two workers; each executor's time is beside that of the same steps in this
process. Executors whose extra is not installed are left out. Then 60 steps of 0.1 s run on two Dask workers, one of
which is killed (SIGKILL) by the work it does.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from graphs import Workflow
from graphs.distributed import PrefectExecutor, on

TEAM = "benchmarks.executors:agents"
WORKERS = 2
LONG_STEPS = 60


def nothing(task: str) -> str:
    return "done"


def long(task: str) -> str:
    time.sleep(0.1)
    return "done"


def dies(task: str) -> str:
    """End the worker, unless it has before: the task names a file that tells."""
    mark = Path(task)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


agents = [nothing, long, dies]


@contextmanager
def here() -> Iterator[Any]:
    yield None


@contextmanager
def processes() -> Iterator[Any]:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": None, "threads_per_worker": 1}
    with LocalCluster(n_workers=WORKERS, **options) as cluster, Client(cluster) as client:
        yield client.get_executor(pure=False)


@contextmanager
def prefect() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PREFECT_HOME": folder, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
        os.environ |= {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120", "PREFECT_LOGGING_LEVEL": "ERROR"}
        os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
        from prefect.task_runners import ProcessPoolTaskRunner

        with PrefectExecutor(ProcessPoolTaskRunner(max_workers=WORKERS)) as executor:
            yield executor


EXECUTORS: dict[str, tuple[str, Callable[[], AbstractContextManager[Any]]]] = {
    "in process": ("graphs", here),
    "processes": ("graphs", processes),
    "dask": ("distributed", dask),
    "prefect": ("prefect", prefect),
}
"""By name the module that it needs, and how it is started."""


def milliseconds_per_step(executor: Any, number: int) -> float:
    team = agents if executor is None else on(executor, TEAM)
    steps = [{"id": f"step_{place}", "agent": "nothing", "task": "Do it"} for place in range(number)]
    graph = Workflow(steps, agents=team).compile()
    graph.invoke({"messages": []})  # the workers have started and imported the team
    began = time.perf_counter()
    result = graph.invoke({"messages": []})
    seconds = time.perf_counter() - began
    if result["status"] != "completed":
        raise SystemExit(f"not all steps completed: {result['errors'][:1]}")
    return seconds / number * 1000


def survive(executor: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        steps = [{"id": f"step_{place}", "agent": "long", "task": "Do it"} for place in range(LONG_STEPS - 1)]
        steps.insert(LONG_STEPS // 3, {"id": "dies", "agent": "dies", "task": str(Path(folder) / "died")})
        result = Workflow(steps, agents=on(executor, TEAM)).compile().invoke({"messages": []})
        completed = sum(record["status"] == "completed" for record in result["steps"].values())
        return f"{completed} of {LONG_STEPS} steps completed on {WORKERS} Dask workers, one of them killed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default=",".join(EXECUTORS))
    options = parser.parse_args()
    base, survived = 0.0, "Dask was not measured"
    print("| executor | ms per step | times in process |\n|---|---|---|")
    for name in ["in process", *(name for name in options.only.split(",") if name != "in process")]:
        module, start = EXECUTORS[name]
        if importlib.util.find_spec(module) is None:
            print(f"| {name} | not installed | |")
            continue
        with start() as executor:
            cost = milliseconds_per_step(executor, options.steps)
            base = base or cost
            print(f"| {name} | {cost:.2f} | {cost / base:.1f} |", flush=True)
            survived = survive(executor) if name == "dask" else survived
    print(f"\n{survived}")


if __name__ == "__main__":
    main()
