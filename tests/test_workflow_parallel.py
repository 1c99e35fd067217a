"""Workflows: no barrier between levels, and how many steps work at once."""

import asyncio
import json
import threading
from typing import Any

import pytest

from agents import Agent
from agents.runtime import Effects
from graphs import ConfigurationError
from graphs.engine.durable_tasks import Window
from tests.waiting import PATIENCE
from tests.workflows import ASK, MANY, Counter, field, graph_of, meeting, step

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


@pytest.mark.parametrize("kind", ["functions", "async functions"])
def test_all_steps_that_are_ready_work_at_once(call: Any, kind: str) -> None:
    waits = dict(zip(("functions", "async functions"), meeting(MANY), strict=True))
    graph = graph_of(*[step(f"s{at}") for at in range(MANY)], agents=[Agent("echo", function=waits[kind])])
    assert call(graph, ASK)["status"] == "completed"


def test_hundreds_of_steps(call: Any) -> None:
    chain = [step(f"s{at}", *[f"s{at - 1}"] * (at > 0)) for at in range(150)]
    wide = [step(f"w{at}", f"s{at}") for at in range(100)]
    state = call(graph_of(*chain, *wide), ASK)
    assert set(field(state, "status").values()) == {"completed"}


# How many at once


@pytest.mark.parametrize("kind", ["blocking", "waiting"])
@pytest.mark.parametrize(
    ("options", "config", "peak"),
    [
        ({"max_parallel": 1}, {}, 1),
        ({}, {"max_concurrency": 3}, 3),
        ({"max_parallel": 2}, {"max_concurrency": 9}, 2),
        ({"max_parallel": 9}, {"max_concurrency": 2}, 2),
    ],
)
def test_the_number_at_work_is_limited(call: Any, kind: str, options: Any, config: Any, peak: int) -> None:
    counter = Counter(peak)
    steps = [*[step(f"a{at}") for at in range(8)], *[step(f"b{at}", f"a{at}") for at in range(8)]]
    graph = graph_of(*steps, agents=[Agent("echo", function=getattr(counter, kind))], **options)
    assert call(graph, ASK, config)["status"] == "completed"
    assert counter.peak == peak


def test_a_limit_kept_in_the_graphs_config_counts(call: Any) -> None:
    counter = Counter(2)
    graph = graph_of(*[step(f"a{at}") for at in range(5)], agents=[Agent("echo", function=counter.blocking)])
    call(graph.with_config(max_concurrency=2), ASK)
    assert counter.peak == 2


def test_items_count_as_work(call: Any) -> None:
    counter = Counter(2)
    each = step("b", "a", for_each="a", task="{item}")
    graph = graph_of(
        step("a", agent="list", task=json.dumps(["x"] * 9)), each, agents=[Agent("echo", function=counter.blocking)]
    )
    call(graph, ASK, {"max_concurrency": 2})
    assert counter.peak == 2


def test_a_senseless_limit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_parallel"):
        graph_of(step("a"), max_parallel=0)


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
