"""What a step costs does not grow with their number: counted in Python calls and in bytes stored, not in seconds."""

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from agents import Agent
from graphs import Step, Workflow
from graphs.storage import sqlite

FEW, MANY = 15, 60
THREAD: Any = {"configurable": {"thread_id": "t"}}


def steps(shape: str, number: int) -> list[Step]:
    chance = random.Random(1)
    needs: list[list[int]] = [[] for _ in range(number)]
    for place in range(1, number):
        if shape == "chain":
            needs[place] = [place - 1]
        if shape == "random":
            needs[place] = chance.sample(range(max(0, place - 20), place), min(place, 2))
    if shape == "fan-in":
        needs[-1] = [*range(number - 1)]
    return [Step(f"s{place}", "worker", "Work", [f"s{need}" for need in before]) for place, before in enumerate(needs)]


async def do(task: str) -> str:
    await asyncio.sleep(0)
    return "done"


def run(graph: Any, mode: str) -> None:
    result = (
        graph.invoke({"messages": "go"}, THREAD)
        if mode == "sync"
        else asyncio.run(graph.ainvoke({"messages": "go"}, THREAD))
    )
    assert result["status"] == "completed"


def calls_per_step(shape: str, number: int) -> float:
    graph = Workflow(steps(shape, number), agents=[Agent("worker", function=do)]).compile()
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        run(graph, "async")
    finally:
        sys.setprofile(None)
    return count / number


@pytest.mark.parametrize("shape", ["wide", "chain", "random", "fan-in"])
def test_calls_per_step_stay_the_same(shape: str) -> None:
    """A sync call does the same in another thread, where this does not count."""
    assert calls_per_step(shape, MANY) < 1.15 * calls_per_step(shape, FEW)


@pytest.mark.parametrize("shape", ["wide", "chain"])
def test_bytes_per_step_stay_the_same(shape: str, tmp_path: Path) -> None:
    def bytes_per_step(number: int) -> float:
        file = tmp_path / f"{number}.db"
        with sqlite(file) as saver:
            run(Workflow(steps(shape, number), agents=[Agent("worker", function=do)]).compile(saver), "sync")
        return file.stat().st_size / number

    assert bytes_per_step(MANY) < 1.15 * bytes_per_step(FEW)


def test_steps_that_wait_open_no_tasks() -> None:
    def tasks_open(number: int) -> int:
        seen: list[int] = []

        async def look(task: str) -> str:
            seen.append(len(asyncio.all_tasks()))
            return "done"

        run(Workflow(steps("chain", number), agents=[Agent("worker", function=look)]).compile(), "async")
        return max(seen)

    assert tasks_open(MANY) == tasks_open(FEW)
