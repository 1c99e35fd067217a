"""Podium: agents that are chat models with instructions."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_openai import ChatOpenAI

from agents import Agent
from benchmarks.peers import RULES, Run, Task, plan_request
from graphs import Network, Planner, Router, Step, Supervisor, Workflow


def chat(model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model)


def agent(name: str, model: str) -> Agent:
    return Agent(name, "Does the work.", instructions=RULES, model=chat(model))


def running(graph: Any, request: str = "Go.") -> Run:
    async def run() -> str:
        result = await graph.ainvoke({"messages": request}, {"recursion_limit": 10_000})
        assert result["status"] == "completed", result["stop_reason"]
        return str(result["messages"][-1].text)

    return run


def steps(tasks: list[Task]) -> Run:
    plan = [Step(task["id"], "worker", task["text"], task["deps"]) for task in tasks]
    run = running(Workflow(plan, agents=[agent("worker", "work")]).compile())

    async def answer() -> str:
        return (await run()).rpartition("\n")[2]

    return answer


def review(wait: float) -> Run:
    graph = Supervisor(agent("worker", f"work@{wait}"), model=chat(f"verdict@{wait}"))
    return running(graph.compile(), "Write a text.")


def router(wait: float, at_once: int) -> Run:
    run = running(Router([agent("worker", f"work@{wait}")], model=chat(f"rank@{wait}")).compile(), "Do it.")

    async def runs() -> str:
        return (await asyncio.gather(*(run() for _ in range(at_once))))[-1]

    return runs


def planned(tasks: list[Task], wait: float) -> Run:
    synthesizer = agent("synthesizer", f"work@{wait}")
    graph = Planner([agent("worker", "work")], model=chat(f"plan@{wait}"), synthesizer=synthesizer)
    return running(graph.compile(), plan_request(tasks))


def handoffs(wait: float, peers: int) -> Run:
    team = [agent(f"peer{number}", f"peer{number}@{wait}") for number in range(peers)]
    links = {f"peer{number}": [f"peer{number + 1}"] for number in range(peers - 1)}
    return running(Network(team, links=links, max_handoffs=peers).compile())
