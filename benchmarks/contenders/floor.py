"""asyncio and the openai client: what a workload costs at least."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel

from benchmarks.peers import RULES, Run, Task, plan_request


@cache
def client() -> AsyncOpenAI:
    return AsyncOpenAI(max_retries=0)


async def ask(model: str, *texts: str, **options: Any) -> Any:
    messages: Any = [{"role": "system", "content": RULES}, *({"role": "user", "content": text} for text in texts)]
    return (await client().chat.completions.create(model=model, messages=messages, **options)).choices[0].message


async def form(model: str, schema: type[BaseModel], *texts: str) -> Any:
    described = {"name": schema.__name__, "schema": schema.model_json_schema()}
    reply = await ask(model, *texts, response_format={"type": "json_schema", "json_schema": described})
    return schema.model_validate_json(reply.content)


class Ranked(BaseModel):
    agent: str
    confidence: float


class Ranking(BaseModel):
    reason: str
    candidates: list[Ranked]


class Verdict(BaseModel):
    acceptable: bool
    feedback: str


class PlannedStep(BaseModel):
    id: str
    task: str
    agent: str
    dependencies: list[str]


class Plan(BaseModel):
    steps: list[PlannedStep]


async def _run_steps(tasks: list[Task]) -> dict[str, str]:
    futures: dict[str, asyncio.Task[str]] = {}

    async def step(task: Task) -> str:
        context = [f"{name}: {await futures[name]}" for name in task["deps"]]
        return str((await ask("work", "\n".join([*context, task["text"]]))).content)

    for task in tasks:
        futures[task["id"]] = asyncio.create_task(step(task))
    return {name: await future for name, future in futures.items()}


def steps(tasks: list[Task]) -> Run:
    async def run() -> str:
        return list((await _run_steps(tasks)).values())[-1]

    return run


def review(wait: float) -> Run:
    async def run() -> str:
        work, feedback = "", ""
        while True:
            work = (await ask(f"work@{wait}", f"Write a text. {work} {feedback}")).content
            verdict = await form(f"verdict@{wait}", Verdict, f"Review: {work}")
            if verdict.acceptable:
                return work
            feedback = verdict.feedback

    return run


def router(wait: float, at_once: int) -> Run:
    async def one() -> str:
        ranking = await form(f"rank@{wait}", Ranking, "Which agent? worker: does the work.")
        assert ranking.candidates[0].agent == "worker"
        return str((await ask(f"work@{wait}", "Do it.")).content)

    async def run() -> str:
        return (await asyncio.gather(*(one() for _ in range(at_once))))[-1]

    return run


def planned(tasks: list[Task], wait: float) -> Run:
    request = plan_request(tasks)

    async def run() -> str:
        written = await form(f"plan@{wait}", Plan, request)
        steps = [{"id": step.id, "deps": step.dependencies, "text": step.task} for step in written.steps]
        results = await _run_steps(steps)
        return str((await ask(f"work@{wait}", f"Answer from: {json.dumps(results)} <wait {wait}>")).content)

    return run


def handoffs(wait: float, peers: int) -> Run:
    properties = {"task": {"type": "string"}, "reason": {"type": "string"}}
    parameters = {"type": "object", "properties": properties, "required": ["task", "reason"]}

    async def run() -> str:
        messages: Any = [{"role": "user", "content": "Go."}]
        peer = 0
        while True:
            tool = {"name": f"handoff_to_peer{peer + 1}", "description": "Hand over.", "parameters": parameters}
            tools: Any = [{"type": "function", "function": tool}] if peer + 1 < peers else []
            options = {"tools": tools} if tools else {}
            asked: Any = [{"role": "system", "content": RULES}, *messages]
            reply = await client().chat.completions.create(model=f"peer{peer}@{wait}", messages=asked, **options)
            message = reply.choices[0].message
            if not message.tool_calls:
                return str(message.content)
            messages.append(message.model_dump(exclude_none=True))
            messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Handed over."})
            peer += 1

    return run
