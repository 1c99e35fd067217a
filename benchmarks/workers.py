"""Runs over workers that are killed, what the queue costs, and workers under load.

    python -m benchmarks.workers kill [--runs 200] [--workers 3] [--every 5]
    python -m benchmarks.workers overhead [--runs 100]
    python -m benchmarks.workers load [--minutes 60]

kill: one of the workers is killed by SIGKILL every so many seconds, and a new one started. Counted are runs that are
not completed, and finished steps that ran again: a step begins although its result was in the database when a worker
was killed, or although a step that depends on it had begun. Both must be 0. The time to take over is from the kill to
the next step of a run that the killed worker had at work.

overhead: a run, called directly with its checkpoints in Postgres, and through the queue, one after another.

load: a steady queue for so many minutes; the memory of the workers over time, and how many runs were lost.

Without a command, all three in short. It needs the binaries of Postgres.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from langchain_core.runnables import RunnableConfig

from agents import Agent
from benchmarks.postgres_server import server
from graphs import Step, Workflow
from graphs.distributed import Queue, Worker
from graphs.storage import postgres, runs, state

STEPS = 5
PAUSE = 0.3
"""Seconds that each step takes."""
TAKEOVER = 3.0
"""Seconds without heartbeat after which workers are taken over."""
CONCURRENCY = 4
QUEUED = 20
"""Runs that wait at any time, under load."""
KEY = re.compile(rb"<[\w-]+/\d>")


class Event(NamedTuple):
    """A line of the log: a step of a run begins or ends, in a process."""

    time: float
    process: int
    kind: str
    run: str
    step: int


def graph(log: Path, pause: float) -> Workflow:
    """Return a chain of steps that log their beginning and end; a result is `<run/step>`."""

    def note(kind: str, run: str, step: int) -> None:
        with log.open("a") as file:
            file.write(f"{time.time()} {os.getpid()} {kind} {run} {step}\n")

    def work(task: str) -> str:
        run, _, number = task.partition("/")
        note("begin", run, int(number))
        time.sleep(pause)
        note("end", run, int(number))
        return f"<{task}>"

    chain = [
        Step(f"s{number}", "worker", f"{{request}}/{number}", dependencies=[f"s{number - 1}"] if number else [])
        for number in range(STEPS)
    ]
    return Workflow(chain, agents=[Agent("worker", function=work)])


def serve(uri: str, log: Path, pause: float, concurrency: int) -> None:
    """Work in this process until SIGTERM."""

    async def work() -> None:
        worker = Worker(
            Queue(uri, {"chain": graph(log, pause)}), concurrency=concurrency, takeover_after=TAKEOVER, drain=10
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()

    asyncio.run(work())


class Crew:
    """Worker processes, forked from one that has imported everything."""

    def __init__(self, uri: str, log: Path, *, pause: float = PAUSE, concurrency: int = CONCURRENCY) -> None:
        self._arguments = (uri, log, pause, concurrency)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["graphs.distributed.worker", "benchmarks.postgres_server", "graphs.workflow"]
        )
        self.workers: list[Any] = []

    def start(self) -> None:
        """Start a worker."""
        worker = self._context.Process(target=serve, args=self._arguments)
        worker.start()
        self.workers.append(worker)

    def kill(self, worker: Any) -> int:
        """Kill a worker and return its process id."""
        self.workers.remove(worker)
        worker.kill()
        worker.join()
        return int(worker.pid)

    def stop(self) -> None:
        """Stop all workers."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.join()


@contextmanager
def crew(uri: str, log: Path, size: int, **options: Any) -> Iterator[Crew]:
    """Have so many workers."""
    workers = Crew(uri, log, **options)
    try:
        for _ in range(size):
            workers.start()
        yield workers
    finally:
        workers.stop()


def events(log: Path) -> list[Event]:
    """Return the log; the last line may be cut off."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [Event(float(line[0]), int(line[1]), line[2], line[3], int(line[4])) for line in lines if len(line) == 5]


def recorded(uri: str) -> set[str]:
    """Return the results that are in the database, as `run/step`."""
    with psycopg.connect(uri) as connection:
        rows = connection.execute("SELECT blob FROM checkpoint_writes WHERE blob IS NOT NULL").fetchall()
    return {key.decode()[1:-1] for (blob,) in rows for key in KEY.findall(bytes(blob))}


def repeated(log: list[Event], kills: list[tuple[float, int, set[str]]]) -> int:
    """Count the steps that began again although their result was stored."""
    count = 0
    stored: set[str] = set()
    kills = list(kills)
    for event in log:
        while kills and kills[0][0] < event.time:
            stored |= kills.pop(0)[2]
        if event.kind == "begin":
            count += f"{event.run}/{event.step}" in stored
            stored |= {f"{event.run}/{before}" for before in range(event.step)}
    return count


def takeovers(log: list[Event], kills: list[tuple[float, int, set[str]]]) -> list[float]:
    """Return the seconds from each kill to the next step of each run that the killed worker had at work."""
    seconds = []
    for moment, process, _ in kills:
        at_work: dict[str, bool] = {}
        for event in log:
            if event.process == process and event.time <= moment:
                at_work[event.run] = not (event.kind == "end" and event.step == STEPS - 1)
        for run in (run for run, is_at_work in at_work.items() if is_at_work):
            later = (event.time for event in log if event.run == run and event.time > moment)
            seconds += [next(later) - moment]
    return seconds


def put_all(queue: Queue, number: int) -> list[str]:
    """Put so many runs, each with its id as its request."""
    return [queue.put("chain", f"r{item}", thread_id=f"r{item}") for item in range(number)]


def wait(is_done: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: It is not so after so many seconds.
    """
    until = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > until:
            raise TimeoutError(f"not done within {seconds:.0f} seconds")
        time.sleep(0.2)


def measure_kills(uri: str, folder: Path, options: argparse.Namespace) -> int:
    """Kill workers until all runs are done; return the number of failures."""
    chance, log, queue = random.Random(1), folder / "kills.log", Queue(uri)
    ids = put_all(queue, options.runs)
    kills: list[tuple[float, int, set[str]]] = []
    began = time.monotonic()
    with crew(uri, log, options.workers) as workers:
        while queue.jobs():
            time.sleep(options.every)
            if queue.jobs():
                moment, process = time.time(), workers.kill(chance.choice(workers.workers))
                kills.append((moment, process, recorded(uri)))
                workers.start()
            if time.monotonic() - began > 600 + options.runs:
                break
    took, written = time.monotonic() - began, events(log)
    with postgres(uri) as storage:
        completed = sum(state(storage, run)["status"] == "completed" for run in ids)
    seconds = takeovers(written, kills)
    again = repeated(written, kills)
    print(f"runs {len(ids)}, of {STEPS} steps; workers {options.workers}; {took:.0f} s; kills {len(kills)}")
    print(f"completed {completed}   steps begun {sum(event.kind == 'begin' for event in written)}", end="   ")
    print(f"finished steps REPEATED {again}")
    if seconds:
        print(f"taken over {len(seconds)} runs: median {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s")
        print(f"(a worker counts as stalled after {TAKEOVER:.0f} s without a heartbeat; podium worker: 15 s)")
    return len(ids) - completed + again


def measure_overhead(uri: str, folder: Path, options: argparse.Namespace) -> int:
    """Time runs of one step, called directly and through the queue."""
    pattern = graph(folder / "overhead.log", 0)
    with postgres(uri) as storage:
        compiled = pattern.compile(storage)

        def call(number: int) -> None:
            config: RunnableConfig = {"configurable": {"thread_id": f"direct-{number}"}}
            compiled.invoke({"messages": f"d{number}"}, config)

        call(-1)
        direct = timed(call, options.runs)
    queue = Queue(uri, {"chain": pattern})
    put = timed(lambda number: queue.put("chain", f"q{number}", thread_id=f"q{number}"), options.runs)
    with crew(uri, folder / "queued.log", 1, pause=0, concurrency=1):
        wait(lambda: len(queue.jobs()) < options.runs, 60)
        left, began = len(queue.jobs()), time.monotonic()
        wait(lambda: not queue.jobs(), 600)
        queued = (time.monotonic() - began) / max(1, left)
        alone = timed(lambda number: [*queue.watch(queue.put("chain", f"a{number}"))], options.runs // 5)
    print(f"runs of {STEPS} steps: called directly {direct * 1000:.1f} ms, by one worker", end=" ")
    print(f"{queued * 1000:.1f} ms, put {put * 1000:.1f} ms; from put to end, alone, {alone * 1000:.0f} ms")
    return 0


def timed(call: Callable[[int], object], number: int) -> float:
    """Return the mean seconds of a call."""
    began = time.monotonic()
    for item in range(number):
        call(item)
    return (time.monotonic() - began) / number


def measure_load(uri: str, folder: Path, options: argparse.Namespace) -> int:
    """Keep workers busy and print their memory; return how many runs were lost."""
    queue, ids, log = Queue(uri), [], folder / "load.log"
    until, report = time.monotonic() + options.minutes * 60, 0.0
    print("minutes  runs put  memory of each worker in MB")
    with crew(uri, log, options.workers, pause=0.02) as workers:
        began = time.monotonic()
        while time.monotonic() < until:
            waiting = len(queue.jobs())
            for _ in range(QUEUED - waiting):
                ids.append(queue.put("chain", f"l{len(ids)}", thread_id=f"l{len(ids)}"))
            if time.monotonic() > report:
                memory = "  ".join(f"{resident(worker.pid):6.1f}" for worker in workers.workers)
                print(f"{(time.monotonic() - began) / 60:7.1f}  {len(ids):8}  {memory}", flush=True)
                report = time.monotonic() + max(10.0, options.minutes * 60 / 20)
            time.sleep(0.1)
        wait(lambda: not queue.jobs(), 120)
        memory = "  ".join(f"{resident(worker.pid):6.1f}" for worker in workers.workers)
        print(f"{'end':>7}  {len(ids):8}  {memory}")
    with postgres(uri) as storage:
        ended = {run["thread_id"] for run in runs(storage, most=None) if run["status"] == "completed"}
    lost = len(set(ids) - ended)
    print(f"runs put {len(ids)}   completed {len(ids) - lost}   LOST {lost}")
    return lost


def resident(process: int) -> float:
    """Return the memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", nargs="?", choices=[*MEASURES], help="default: all in short")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=2.5, help="seconds between two kills")
    parser.add_argument("--minutes", type=float, default=2.0)
    options = parser.parse_args()
    failures = 0
    for name in [options.measure] if options.measure else [*MEASURES]:
        print(f"\n{name}")
        with tempfile.TemporaryDirectory() as folder, server() as uri:
            failures += MEASURES[name](uri, Path(folder), options)
    sys.exit(1 if failures else 0)


MEASURES: dict[str, Callable[[str, Path, argparse.Namespace], int]] = {
    "kill": measure_kills,
    "overhead": measure_overhead,
    "load": measure_load,
}

if __name__ == "__main__":
    main()
