"""CrewAI: a flow whose start method awaits an agent per step, each when its dependencies are done.

pip install crewai
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from crewai import LLM, Agent
from crewai.flow.flow import Flow, start

from benchmarks.peers import RULES, Run, Task


def worker() -> Any:
    llm = LLM(model="openai/work", base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
    return Agent(role="worker", goal="Do the work.", backstory=RULES, llm=llm)


def steps(tasks: list[Task]) -> Run:
    agent = worker()

    class Steps(Flow):
        @start()
        async def work(self) -> str:
            futures: dict[str, asyncio.Task[str]] = {}

            async def do(task: Task) -> str:
                before = [f"{name}: {await futures[name]}" for name in task["deps"]]
                return str((await agent.kickoff_async("\n".join([*before, task["text"]]))).raw)

            for task in tasks:
                futures[task["id"]] = asyncio.create_task(do(task))
            return [await future for future in futures.values()][-1]

    async def run() -> str:
        return str(await Steps(suppress_flow_events=True).kickoff_async())

    return run
