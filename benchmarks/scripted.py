"""One graph of each pattern, of scripted agents and models that log every call durably.

A call's key is its name and a hash of all it was asked, and its reply contains that key: so a graph's answer depends on
every call before it, and what a checkpoint holds tells which calls it has recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import StructuredTool

from agents import Agent
from agents.errors import AgentError
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.decisions import prompts

REQUEST = "Compare tea and coffee"
KEY = re.compile(r"<[\w.]+:[0-9a-f]{12}>")


class Log:
    """Lines `start KEY` and `end KEY` in a file, each synced before the call goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def note(self, what: str, key: str) -> None:
        """Write a line."""
        os.write(self._descriptor, f"{what} {key}\n".encode())
        os.fsync(self._descriptor)


class Scripted:
    """Makes agents and models whose calls take `pause` seconds and are logged; async ones for `asynchronous` runs.

    The call of the number `die_at`, counted from 1, kills the process as its first instruction.
    """

    def __init__(self, log: Log, *, pause: float, asynchronous: bool, die_at: int = 0) -> None:
        self.log = log
        self.pause = pause
        self.asynchronous = asynchronous
        self._numbers = count(1)
        self._die_at = die_at

    def call(self, name: str, answer: Callable[[str], Any]) -> Callable[[str], Any]:
        """Return a function that logs its start, sleeps, makes its answer from its key, and logs its end."""

        def start(asked: str) -> str:
            if next(self._numbers) == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            key = f"<{name}:{hashlib.sha256(asked.encode()).hexdigest()[:12]}>"
            self.log.note("start", key)
            return key

        def end(key: str) -> Any:
            answered = answer(key)
            self.log.note("end", key)
            if isinstance(answered, Exception):
                raise answered
            return answered

        def blocking(asked: str) -> Any:
            key = start(asked)
            time.sleep(self.pause)
            return end(key)

        async def waiting(asked: str) -> Any:
            key = start(asked)
            await asyncio.sleep(self.pause)
            return end(key)

        return waiting if self.asynchronous else blocking

    def function(self, name: str, answer: Callable[[str], Any] = lambda key: f"Done {key}") -> Agent:
        """Return an agent that is a function."""
        call = self.call(name, answer)

        def asked(task: str, context: Mapping[str, str]) -> str:
            return f"{task} {sorted(context.items())}"

        def blocking(task: str, context: dict[str, str]) -> Any:
            return call(asked(task, context))

        async def waiting(task: str, context: dict[str, str]) -> Any:
            return await call(asked(task, context))

        return Agent(name, f"Does {name}.", function=waiting if self.asynchronous else blocking)

    def model(self, name: str, answer: Callable[[Sequence[BaseMessage], str], Any]) -> ScriptedModel:
        """Return a chat model whose reply is made from the messages and the key."""

        def call(messages: list[BaseMessage]) -> Any:
            asked = "\n".join(message.text for message in messages)
            return self.call(name, lambda key: answer(messages, key))(asked)

        async def waiting(messages: list[BaseMessage]) -> Any:
            return await call(messages)

        return ScriptedModel(waiting if self.asynchronous else call)

    def role(self, name: str, *, hand_to: str = "") -> Agent:
        """Return a chat model with a role, so a graph of its own: it uses a tool, then answers or hands over."""
        look_up = self.call(f"{name}.look_up", lambda key: f"Found {key}")

        def answer(messages: Sequence[BaseMessage], key: str) -> Reply:
            if not isinstance(messages[-1], ToolMessage):
                return Reply(tool_calls=[{"name": "look_up", "args": {"what": key}, "id": key}])
            if hand_to:
                task = {"task": f"Go on from {key}", "reason": key}
                return Reply(tool_calls=[{"name": f"handoff_to_{hand_to}", "args": task, "id": key}])
            return Reply(f"Said {key}")

        options: Any = {"coroutine" if self.asynchronous else "func": _of_what(look_up, self.asynchronous)}
        tool = StructuredTool.from_function(name="look_up", description="Looks something up.", **options)
        model = self.model(name, answer)
        return Agent(name, f"Does {name}.", instructions=f"You are {name}.", model=model, tools=[tool])


def _of_what(call: Callable[[str], Any], asynchronous: bool) -> Callable[..., Any]:
    def blocking(what: str) -> Any:
        return call(what)

    async def waiting(what: str) -> Any:
        return await call(what)

    return waiting if asynchronous else blocking


def _step(name: str, agent: str, *dependencies: str, key: str) -> dict[str, Any]:
    return {"id": name, "agent": agent, "task": f"Do {name} for {key}", "dependencies": list(dependencies)}


def planner(make: Scripted) -> Pattern:
    """Run three steps at once, one of which fails; plan the rest again."""

    def plan(messages: Sequence[BaseMessage], key: str) -> Any:
        if "Some steps of your plan" in messages[-1].text:
            again = [_step("other", "clerk", key=key), _step("both", "writer", "facts", "prices", "other", key=key)]
            return {"steps": again}
        first = [_step("facts", "researcher", key=key), _step("prices", "clerk", key=key)]
        return {"steps": [*first, _step("risky", "broken", key=key), _step("both", "writer", "risky", key=key)]}

    broken = make.function("broken", lambda key: AgentError(f"Cannot do that {key}"))
    team = [make.role("researcher"), make.function("clerk"), make.function("writer"), broken]
    synthesizer = Agent("synthesizer", model=make.model("synthesizer", lambda _, key: f"In all {key}"))
    return Planner(team, model=make.model("planner", plan), synthesizer=synthesizer)


def workflow(make: Scripted) -> Pattern:
    """Run steps at once: with a fallback, for each item of a list, round after round, and a workflow within."""
    broken = make.function("broken", lambda key: AgentError(f"Cannot do that {key}"))
    lister = make.function("lister", lambda key: [f"{number} {key}" for number in range(3)])
    inner = [Step("first", "clerk", "First"), Step("second", "clerk", "Second", ["first"])]
    nested = Workflow(inner, agents=[make.function("clerk")]).as_agent("nested")
    team = [make.role("researcher"), make.function("clerk"), lister, broken, nested]
    steps = [
        Step("list", "lister", "List"),
        Step("facts", "researcher", "Facts"),
        Step("each", "clerk", "Take {item}", ["list"], for_each="list"),
        Step("hard", "broken", "Hard", ["facts"], fallback="clerk"),
        Step("easy", "clerk", "Easy"),
        Step("rounds", "clerk", "Go on", ["easy"], until=lambda text: text[-2] in "05af"),
        Step("inner", "nested", "Do it all", ["easy"]),
        Step("end", "clerk", "End", ["each", "hard", "rounds", "inner"]),
    ]
    return Workflow(steps, agents=team)


def router(make: Scripted) -> Pattern:
    """Let the best candidate fail, so that the next best answers."""

    def rank(messages: Sequence[BaseMessage], key: str) -> Any:
        return {"reason": key, "candidates": [{"agent": item, "confidence": 0.9} for item in ("broken", "researcher")]}

    broken = make.function("broken", lambda key: AgentError(f"Cannot do that {key}"))
    return Router([broken, make.role("researcher"), make.function("clerk")], model=make.model("router", rank))


def _critic(make: Scripted) -> Agent:
    """Return a reviewer that sends work back once."""
    judge = make.call("critic", lambda key: key)

    def verdict(key: str, context: Mapping[str, str]) -> dict[str, Any]:
        good = "again" in context["result"]
        return {"acceptable": good, "evidence": key, "feedback": "" if good else f"Once more {key}"}

    def asked(task: str, context: Mapping[str, str]) -> str:
        return f"{task} {sorted(context.items())}"

    def blocking(task: str, context: dict[str, str]) -> Any:
        return verdict(judge(asked(task, context)), context)

    async def waiting(task: str, context: dict[str, str]) -> Any:
        return verdict(await judge(asked(task, context)), context)

    return Agent("critic", function=waiting if make.asynchronous else blocking)


def _improving(make: Scripted, name: str) -> Agent:
    """Return a worker whose work is good when it is told what to mend."""

    def answer(messages: Sequence[BaseMessage], key: str) -> str:
        return f"Done again {key}" if "Once more" in messages[-1].text else f"Done {key}"

    return Agent(name, f"Does {name}.", instructions=f"You are {name}.", model=make.model(name, answer))


def supervisor(make: Scripted) -> Pattern:
    """Send work back once, then accept it."""
    return Supervisor(_improving(make, "writer"), reviewer=_critic(make))


def network(make: Scripted) -> Pattern:
    """Hand over four times, then answer."""
    names = ["ann", "ben", "cid", "dee", "eve"]
    peers = [make.role(name, hand_to=other) for name, other in zip(names, [*names[1:], ""], strict=True)]
    return Network(peers)


def orchestrator(make: Scripted) -> Pattern:
    """Plan steps that are supervised, each revised once, and review the answer."""

    def decide(messages: Sequence[BaseMessage], key: str) -> Any:
        system = messages[0].text
        if system.startswith(prompts.TRIAGE[:40]):
            return {"reason": key, "small": False, "agent": "writer"}
        if system.startswith(prompts.PLAN[:40]):
            steps = [_step("facts", "writer", key=key), _step("prices", "clerk", key=key)]
            return {"steps": [*steps, _step("both", "writer", "facts", "prices", key=key)]}
        return f"In all, again {key}"

    team = [_improving(make, "writer"), _improving(make, "clerk")]
    return Orchestrator(team, model=make.model("orchestrator", decide), reviewer=_critic(make))


GRAPHS: dict[str, Callable[[Scripted], Pattern]] = {
    "planner": planner,
    "workflow": workflow,
    "router": router,
    "supervisor": supervisor,
    "network": network,
    "orchestrator": orchestrator,
}
