"""The nodes of a pattern: `ask -> agent -> take`, and functions of the state, with their calls counted."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Generic, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_config
from langgraph.types import Command

from agents import Agent, Retry
from agents.runtime import Attempts, Effects, SyncAsyncRunnable, call, current, effects_of, extended
from agents.settings import settings
from agents.usage import Tally, Usage, named
from graphs.engine.budget import take_over, within_budget
from graphs.engine.chat_stream import inside, speaking
from graphs.engine.concurrency import at_work
from graphs.engine.drawing import Box, each
from graphs.engine.langgraph_internals import node_of, place_in_run
from graphs.engine.state import Worked, recovered

S = TypeVar("S", contravariant=True)
R = TypeVar("R")
Update = dict[str, Any]
"""The changes of a node: some keys of its graph's state."""


class Node(SyncAsyncRunnable[Any, Update], Generic[S, R]):
    """A node around one call.

    `ask` makes the call's input from the state, and `take` the update from the reply; both are pure. If `ask` returns
    None, nothing is called, and `take` gets None. Usage is booked under the agent's name, and what an agent writes is
    streamed.

    Args:
        ask: State -> the input of `agent`.
        agent: An `Agent`, or another Runnable whose reply is a mapping with `usage`; its `agents`, if it has any,
            are those at work in it, and its `speaker` is the one that is heard.
        take: (state, reply) -> update.
        failed: (state, error) -> update, for errors that retries do not cure; without it they are raised.
        is_heard: Stream the words of the agent as the graph's own.
    """

    retry: Retry | None = None
    """Set by the graph: the pattern's `retry`."""

    def __init__(
        self,
        ask: Callable[[S], object],
        agent: Runnable[Any, R],
        take: Callable[[S, R], Update] | Callable[[S, R | None], Update],
        *,
        failed: Callable[[S, Exception], Update] | None = None,
        is_heard: bool = True,
    ) -> None:
        self.ask = ask
        self.agent = agent
        self.take: Callable[..., Update] = take
        self.failed = failed
        self.is_heard = is_heard
        self.books = getattr(agent, "name", None) or getattr(agent, "books", None)

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Update:
        started = time.time()
        began = time.monotonic()
        take_over(config, place_in_run(config), value.get("usage"), value.get("seconds", 0.0))
        request = self.ask(value)
        if request is None:
            return {**self.take(value, None), "seconds": time.monotonic() - began}
        speaker = self.agent if isinstance(self.agent, Agent) else getattr(self.agent, "speaker", None)
        async with at_work(effects, config) as own:
            work = Attempts(within_budget(self.agent, own), self.retry)
            if speaker:
                own = speaking(own, speaker) if self.is_heard else inside(own, speaker)
            outcome = await effects.invoke(work, request, own)
        node = node_of(config.get("metadata", {}))
        usage = named(outcome.usage, self.books) if self.books else outcome.usage
        agent = next(iter(usage["agents"]), self.books or "").partition("/")[0]
        worked: Worked = {"node": node, "agent": agent, "started": started, "ended": time.time()}
        if outcome.error is None:
            update = self.take(value, outcome.reply)
        elif self.failed is None:
            raise outcome.error
        else:
            update = self.failed(value, outcome.error)
        if outcome.error is None and (faults := recovered(node, outcome.faults)):
            update = {**update, "errors": [*faults, *update.get("errors", ())]}
        return {"usage": usage, "worked": [worked], "seconds": time.monotonic() - began, **update}

    def boxes(self, name: str) -> list[Box]:
        """Return what a drawing shows in place of the node: the agents at work in it."""
        return each([self.agent] if isinstance(self.agent, Agent) else getattr(self.agent, "agents", ()), name)


class Rule(Runnable[Any, Any]):
    """A node or route that only computes: a pure function of the state, called without a thread of its own."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self.function(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self.function(input)


def counted(function: Callable[..., Any]) -> Callable[..., object]:
    """Return a plain node function whose model calls are counted in the run's `usage`.

    The wrapper keeps the signature, by which LangGraph decides what to pass (`config`, `runtime`, `store`, …).
    """

    @wraps(function)
    async def node(*state: object, **options: object) -> object:
        effects = effects_of(get_config())
        async with at_work(effects, get_config()) as held:
            tally = Tally(settings().prices)
            config = extended(held, callbacks=[tally])
            if "config" in options:
                options["config"] = config
            with current(config):
                update = await call(effects, function, *state, **options)
            return _with_usage(update, tally.usage)

    return node


def _with_usage(update: object, usage: Usage) -> object:
    if not usage["calls"]:
        return update
    if update is None or isinstance(update, Mapping):
        return {"usage": usage, **(update or {})}
    if isinstance(update, Command) and (update.update is None or isinstance(update.update, Mapping)):
        return replace(update, update={"usage": usage, **(update.update or {})})
    return update
