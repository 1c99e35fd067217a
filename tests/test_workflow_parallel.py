"""Workflows: no barrier between levels, and how many steps work at once."""

import asyncio
import json
import random
import threading
import time
from typing import Any

import pytest

from agents import Agent, Retry
from agents.runtime import Effects
from graphs import ConfigurationError, Step, Workflow
from graphs.engine.durable_tasks import Window
from tests.waiting import PATIENCE, until
from tests.workflows import ASK, ECHO, MANY, field, graph_of, meeting, step

# No level barrier


def test_a_step_starts_the_moment_its_last_dependency_ends() -> None:
    ended = threading.Event()

    def work(task: str) -> str:
        if task == "do long":  # on the level of `a`: with a barrier, `b` would never start
            return "freed" if ended.wait(PATIENCE) else "stuck"
        if task == "do b":
            ended.set()
        return task

    graph = graph_of(step("a"), step("long"), step("b", "a"), agents=[Agent("echo", function=work)])
    assert graph.invoke(ASK)["steps"]["long"]["result"] == "freed"


def random_steps(seed: int, number: int = 25) -> list[Step]:
    chance = random.Random(seed)
    ids = [f"s{at}" for at in range(number)]
    return [step(id_, *chance.sample(ids[:at], min(at, chance.randrange(4)))) for at, id_ in enumerate(ids)]


@pytest.mark.parametrize(("seed", "max_parallel"), [(0, None), (1, 1), (2, 3)])
def test_no_step_runs_before_its_dependencies(call: Any, seed: int, max_parallel: int | None) -> None:
    steps = random_steps(seed)
    log: list[tuple[str, str]] = []
    chance = random.Random(seed)

    async def work(task: str) -> str:
        log.append(("start", task))
        await asyncio.sleep(chance.random() / 500)
        log.append(("end", task))
        return task

    graph = graph_of(*steps, agents=[Agent("echo", function=work)], max_parallel=max_parallel)
    assert call(graph, ASK)["status"] == "completed"
    place = {event: at for at, event in enumerate(log)}
    assert len(place) == len(log) == 2 * len(steps)
    for task in steps:
        for other in task.dependencies:
            assert place["end", f"do {other}"] < place["start", f"do {task.id}"]


def test_all_steps_that_are_ready_work_at_once(call: Any) -> None:
    _, wait_async = meeting(MANY)
    steps = [step(f"s{at}") for at in range(MANY)]
    assert call(graph_of(*steps, agents=[Agent("echo", function=wait_async)]), ASK)["status"] == "completed"


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_all_steps_with_plain_functions_work_at_once(how: str) -> None:
    wait, _ = meeting(MANY)
    steps = [step(f"s{at}") for at in range(MANY)]
    graph = graph_of(*steps, agents=[Agent("echo", function=wait)], retry=Retry(attempts=1))
    state = graph.invoke(ASK) if how == "invoke" else asyncio.run(graph.ainvoke(ASK))
    assert state["status"] == "completed"


def test_hundreds_of_steps(call: Any) -> None:
    chain = [step(f"s{at}", *[f"s{at - 1}"] * (at > 0)) for at in range(150)]
    wide = [step(f"w{at}", f"s{at}") for at in range(100)]
    state = call(graph_of(*chain, *wide), ASK)
    assert set(field(state, "status").values()) == {"completed"}


# How many at once


class Counting:
    """Counts how many of its calls are at work at once; none ends before as many as expected were."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.inside = self.peak = 0
        self.lock = threading.Lock()

    def change(self, by: int) -> None:
        with self.lock:
            self.inside += by
            self.peak = max(self.peak, self.inside)

    def __call__(self, task: str) -> str:
        self.change(1)
        until(lambda: self.peak >= self.expected)
        time.sleep(0.005)  # for more than are allowed
        self.change(-1)
        return task


class CountingLater(Counting):
    async def __call__(self, task: str) -> str:  # type: ignore[override]
        self.change(1)
        async with asyncio.timeout(PATIENCE):
            while self.peak < self.expected:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        self.change(-1)
        return task


@pytest.mark.parametrize("counting", [Counting, CountingLater])
@pytest.mark.parametrize(
    ("options", "config", "peak"),
    [
        ({"max_parallel": 1}, {}, 1),
        ({"max_parallel": 3}, {}, 3),
        ({}, {"max_concurrency": 1}, 1),
        ({}, {"max_concurrency": 3}, 3),
        ({"max_parallel": 2}, {"max_concurrency": 9}, 2),
        ({"max_parallel": 9}, {"max_concurrency": 2}, 2),
    ],
)
def test_the_number_at_work_is_limited(call: Any, counting: Any, options: Any, config: Any, peak: int) -> None:
    worker = counting(peak)
    steps = [*[step(f"a{at}") for at in range(8)], *[step(f"b{at}", f"a{at}") for at in range(8)]]
    graph = graph_of(*steps, agents=[Agent("echo", function=worker)], **options)
    assert call(graph, ASK, config)["status"] == "completed"
    assert worker.peak == peak


def test_a_limit_kept_in_the_graphs_config_counts(call: Any) -> None:
    worker = Counting(2)
    graph = graph_of(*[step(f"a{at}") for at in range(5)], agents=[Agent("echo", function=worker)])
    call(graph.with_config(max_concurrency=2), ASK)
    assert worker.peak == 2


def test_items_count_as_work(call: Any) -> None:
    worker = Counting(2)
    each = step("b", "a", for_each="a", task="{item}")
    graph = graph_of(step("a", agent="list", task=json.dumps(["x"] * 9)), each, agents=[Agent("echo", function=worker)])
    call(graph, ASK, {"max_concurrency": 2})
    assert worker.peak == 2


def test_one_at_a_time_does_not_lock_nested_patterns(call: Any) -> None:
    inner = Workflow([step("x"), step("y", "x")], agents=[ECHO], max_parallel=1).as_agent("inner")
    graph = graph_of(step("a", agent="inner"), step("b", "a", agent="inner"), agents=[inner], max_parallel=1)
    assert call(graph, ASK, {"max_concurrency": 1})["status"] == "completed"


@pytest.mark.parametrize("number", [0, -1])
def test_a_senseless_limit_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match="max_parallel"):
        graph_of(step("a"), max_parallel=number)


def test_a_fault_between_two_calls_ends_the_run() -> None:
    """Asyncio only logs what a callback raises; the run would stand still."""

    def fail(call: object) -> None:
        raise LookupError

    async def run() -> None:
        window = Window(Effects(), fail)
        window.add(lambda: asyncio.ensure_future(asyncio.sleep(0)))
        await asyncio.wait_for(window.close(), PATIENCE)

    with pytest.raises(LookupError):
        asyncio.run(run())
