"""LangGraph's functional interface by hand: a `@task` per step, which waits for the futures that it needs."""

from __future__ import annotations

import json
from typing import Any

from langgraph.func import entrypoint
from langgraph.func import task as durable

from benchmarks.contenders.floor import Plan
from benchmarks.contenders.nodes import ask, form
from benchmarks.peers import Run, Task, plan_request


async def _run_steps(tasks: list[Task]) -> dict[str, str]:
    futures: dict[str, Any] = {}

    def call(step: Task) -> Any:
        @durable
        async def work(name: str) -> str:
            context = [f"{name}: {await futures[name]}" for name in step["deps"]]
            return await ask("work", "\n".join([*context, step["text"]]))

        return work(step["id"])

    for step in tasks:
        futures[step["id"]] = call(step)
    return {name: await future for name, future in futures.items()}


def steps(tasks: list[Task]) -> Run:
    @entrypoint()
    async def graph(value: str) -> str:
        return list((await _run_steps(tasks)).values())[-1]

    return lambda: graph.ainvoke("go")


def planned(tasks: list[Task], wait: float) -> Run:
    request = plan_request(tasks)

    @durable
    async def write() -> Any:
        return await form(f"plan@{wait}", Plan, request)

    @durable
    async def answer(results: dict[str, str]) -> str:
        return await ask(f"work@{wait}", f"Answer from: {json.dumps(results)} <wait {wait}>")

    @entrypoint()
    async def graph(value: str) -> str:
        plan = await write()
        steps = [{"id": step.id, "deps": step.dependencies, "text": step.task} for step in plan.steps]
        return str(await answer(await _run_steps(steps)))

    return lambda: graph.ainvoke("go")
