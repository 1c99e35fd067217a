"""LlamaIndex: a workflow whose events are steps to do and steps done.

pip install llama-index-core llama-index-llms-openai-like
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step
from llama_index.llms.openai_like import OpenAILike

from benchmarks.peers import RULES, Run, Task


@cache
def chat(model: str) -> Any:
    return OpenAILike(model=model, api_base=os.environ["OPENAI_BASE_URL"], api_key="none", is_chat_model=True)


async def ask(model: str, text: str) -> str:
    reply = await chat(model).achat([ChatMessage(RULES, role="system"), ChatMessage(text, role="user")])
    return str(reply.message.content)


class Do(Event):
    task: dict[str, Any]


class Done(Event):
    name: str
    text: str


def steps(tasks: list[Task]) -> Run:
    class Steps(Workflow):
        results: dict[str, str]
        begun: set[str]

        def ready(self, context: Context) -> None:
            for task in tasks:
                if task["id"] not in self.begun and all(name in self.results for name in task["deps"]):
                    self.begun.add(task["id"])
                    context.send_event(Do(task=task))

        @step
        async def begin(self, context: Context, event: StartEvent) -> Do | None:
            self.results, self.begun = {}, set()
            self.ready(context)
            return None

        @step(num_workers=len(tasks))
        async def work(self, context: Context, event: Do) -> Done:
            before = [f"{name}: {self.results[name]}" for name in event.task["deps"]]
            return Done(name=event.task["id"], text=await ask("work", "\n".join([*before, event.task["text"]])))

        @step
        async def note(self, context: Context, event: Done) -> Do | StopEvent | None:
            self.results[event.name] = event.text
            self.ready(context)
            done = len(self.results) == len(tasks)
            return StopEvent(result=self.results[tasks[-1]["id"]]) if done else None

    async def run() -> str:
        return str(await Steps(timeout=None).run())

    return run
