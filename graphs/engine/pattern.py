"""What all patterns share: a node made of pure halves, the graph that is built, and the compiled graph."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.graph import Graph
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite

from agents.agent import Agent
from agents.runtime import Attempts, Cancellation, Effects, Retry, SyncAsyncRunnable, cancellations_of, no_usage
from agents.settings import Settings, run_context
from agents.tracing import marked
from graphs.engine.budget import take_over, with_budget
from graphs.engine.chat_stream import speaking
from graphs.engine.drawing import Box, display, look_into
from graphs.engine.durability import STORAGE, Storage
from graphs.engine.progress import place
from graphs.engine.state import Input, Worked, asks_something, request
from graphs.errors import ConfigurationError, UnknownAgentError

ENOUGH_THREADS = 1_000_000
"""LangGraph's pool size in sync runs. Threads start only when needed; steps that wait for others need one each."""

CALLERS_LIMIT = "__max_parallel"
"""Where the caller's own `max_concurrency` is kept in the config: as a limit on working steps, not on threads."""

_ADDED = ("errors", "usage", "seconds", "worked", "replies")
"""State keys with a reducer; a new record must overwrite them."""

NO_REQUEST = (
    'There is no request: call the graph with {"messages": "text"}, or with a list that has a message of the user'
)
"""Raised, not recorded: a call without words is a mistake of the program around the graph, as wrong construction is."""

NOTHING_YET: dict[str, Any] = {"stop_reason": None, "errors": [], "usage": no_usage(), "seconds": 0.0, "worked": []}
"""The envelope at the beginning of a record."""


class Node(SyncAsyncRunnable[Any, dict[str, Any]]):
    """`before` makes the input from the state, `work` does the I/O, `after` turns the reply into the update.

    The halves are pure. Without `work` there is only `after(state)`; where `before` returns None there is nothing to
    ask, and `after` gets None. Faults of the work that retrying does not
    cure go to `failed(state, error)`; without it they are raised. What the work cost is booked as `booked` says.

    Args:
        blank: Given for the first node of a graph: its record, empty. When a thread brings a new message, the
            record starts anew with this node; one without a word or a picture raises a `ConfigurationError`.
        unasked: Whether the graph may do without a request, as known steps do.
        aloud: The agent at work, where its words may be the graph's answer: they are streamed as the graph's.
    """

    def __init__(
        self,
        before: Callable[[Any], Any] | None = None,
        work: Runnable[Any, Any] | None = None,
        after: Callable[..., dict[str, Any]] | None = None,
        *,
        failed: Callable[[Any, Exception], dict[str, Any]] | None = None,
        booked: Callable[[Any], Any] = lambda usage: usage,
        retry: Retry | None = None,
        blank: Mapping[str, Any] | None = None,
        aloud: Agent | None = None,
        unasked: bool = False,
    ) -> None:
        self.before = before or (lambda state: state)
        self.work = Attempts(work, retry) if work is not None else None
        self.worker: str = getattr(getattr(work, "agent", work), "name", None) or ""
        self.after = after or (lambda state, *reply: {})
        self.failed = failed
        self.booked = booked
        self.aloud = aloud
        self.unasked = unasked
        self.blank = None if blank is None else {**NOTHING_YET, **blank}

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> dict[str, Any]:
        """Do the node's work on a state and return the update."""
        began = time.monotonic()
        opening = self._opening(value)
        state = {**value, **opening}
        take_over(config, place(config), state.get("usage"), state.get("seconds", 0.0))
        update = await self._update(effects, state, config)
        return _overwriting(opening, {**update, "seconds": time.monotonic() - began})

    async def _update(self, effects: Effects, state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        if self.work is None:
            return self.after(state)
        asked = self.before(state)
        if asked is None:
            return self.after(state, None)
        started = time.time()
        heard = speaking(config, self.aloud) if self.aloud else config
        outcome = await effects.invoke(self.work, asked, heard)
        if outcome.error is None:
            update = self.after(state, outcome.reply)
        elif self.failed is None:
            raise outcome.error
        else:
            update = self.failed(state, outcome.error)
        node = config.get("metadata", {}).get("langgraph_node", "")
        usage = self.booked(outcome.usage)
        agent = next(iter(usage["agents"]), self.worker).partition("/")[0]
        worked: Worked = {"node": node, "agent": agent, "started": started, "ended": time.time()}
        return {"usage": usage, "worked": [worked], **update}

    def _opening(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the empty record where the state's last message opens a new one."""
        asked = request(state["messages"])
        turn = asked.id or ""
        if self.blank is None or state.get("turn") == turn:
            return {}
        if not self.unasked and not asks_something(asked):
            raise ConfigurationError(NO_REQUEST)
        return {**self.blank, "turn": turn, "status": "running"}


def _overwriting(opening: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    whole = {**opening, **update}
    return {key: Overwrite(value) if opening and key in _ADDED else value for key, value in whole.items()}


class PatternGraph(StateGraph[Any, Any, Any, Any]):
    """A `StateGraph` that remembers its pattern, so that the compiled graph can draw what the pattern knows."""

    def __init__(self, pattern: Pattern, state: type, *, input_schema: type = Input) -> None:
        super().__init__(state, context_schema=Settings, input_schema=input_schema)
        self.pattern = pattern

    def compile(self, *args: Any, **options: Any) -> CompiledPattern:
        """Compile as `StateGraph.compile` does."""
        options.setdefault("name", self.pattern.name)
        plain = super().compile(*args, **options)
        public = {key: value for key, value in vars(plain).items() if not key.startswith("_")}
        compiled = CompiledPattern(**public)
        vars(compiled).update(vars(plain))
        return compiled


class CompiledPattern(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph that draws its steps and reads `max_concurrency` as a limit on the steps at work."""

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:  # noqa: A002
        """Stream as every LangGraph graph does."""
        options["context"] = run_context(options.get("context"))
        prepared = self._prepared(config, options["context"])
        options = self._durable(prepared, options)
        if cancellations_of(prepared):
            return super().stream(input, prepared, **options)
        cancellation = Cancellation()
        return cancellation.until_left(super().stream(input, cancellation.holding(prepared), **options))

    async def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Stream as every LangGraph graph does."""
        options["context"] = run_context(options.get("context"))
        prepared = self._prepared(config, options["context"])
        async for chunk in super().astream(input, prepared, **self._durable(prepared, options)):
            yield chunk

    def _durable(self, config: RunnableConfig, options: dict[str, Any]) -> dict[str, Any]:
        """Have each checkpoint stored before work goes on, unless the caller or the graph around this one decides.

        With LangGraph's own default, `async`, the result of a call may be stored before the checkpoint that it belongs
        to; of a process that is killed between the two, the result is lost and the call made again.
        """
        nested = config.get("configurable", {}).get("checkpoint_ns")
        decided = nested or options.get("durability") or "checkpoint_during" in options
        return options if decided or not self.checkpointer else {**options, "durability": "sync"}

    def _prepared(self, config: RunnableConfig | None, context: Any) -> RunnableConfig:
        wanted = (config or {}).get("max_concurrency") or (self.config or {}).get("max_concurrency")
        own: RunnableConfig = {**(config or {}), "max_concurrency": ENOUGH_THREADS}
        if wanted and wanted != ENOUGH_THREADS:
            own["configurable"] = {**own.get("configurable", {}), CALLERS_LIMIT: wanted}
        if isinstance(self.checkpointer, Storage):
            own["configurable"] = {**own.get("configurable", {}), STORAGE: self.checkpointer}
        pattern = getattr(self.builder, "pattern", self)
        return with_budget(marked(own, type(pattern).__name__), context, synthesizes=self.synthesizes)

    def synthesizes(self) -> bool:
        """Tell whether this pattern, or one in it, makes a final answer of results."""
        if not isinstance(self.builder, PatternGraph):
            return False
        pattern = self.builder.pattern
        inner = (box.agent.runnable for boxes in pattern.inside().values() for box in boxes)
        return pattern.synthesizes or any(isinstance(one, CompiledPattern) and one.synthesizes() for one in inner)

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawing; with `xray` the pattern's steps and agents in it."""
        return self._redrawn(super().get_graph(config, xray=xray), xray)

    async def aget_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawing; with `xray` the pattern's steps and agents in it."""
        return self._redrawn(await super().aget_graph(config, xray=xray), xray)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the drawing in a notebook; LangGraph would have a service on the internet make the picture."""
        return display(self)

    def _redrawn(self, graph: Graph, xray: int | bool) -> Graph:
        builder = self.builder
        return look_into(graph, builder.pattern.inside(), xray) if xray and isinstance(builder, PatternGraph) else graph


class Pattern(ABC):
    """A way of coordinating agents: `build` gives the `StateGraph`, `compile` the graph to run."""

    name = "pattern"
    synthesizes = False
    """Whether it makes a final answer of results; a share of a run's budget is then kept for that."""

    @abstractmethod
    def build(self) -> PatternGraph:
        """Return the uncompiled graph."""

    def compile(self, checkpointer: Any = None, **options: Any) -> CompiledPattern:
        """Compile the graph; takes what `StateGraph.compile` takes (`checkpointer`, `store`, `interrupt_before`, …).

        It runs on `{"messages": text or messages}` and gives `Envelope` with the pattern's own record.
        """
        return self.build().compile(checkpointer, **options)

    def as_agent(self, name: str, description: str = "", *, examples: Sequence[str] = ()) -> Agent:
        """Return this pattern as an agent for any other pattern; it uses the outer run's checkpointer and budget."""
        return Agent(name, description, runnable=self.compile(name=name), examples=examples)

    def inside(self) -> Mapping[str, Sequence[Box]]:
        """Return what a drawing shows in place of a node: the agents or steps that are at work in it."""
        return {}


def by_name(agents: Iterable[Agent]) -> dict[str, Agent]:
    """Index a team by name.

    Raises:
        ConfigurationError: There is no agent, or two have one name.
    """
    team: dict[str, Agent] = {}
    if not isinstance(agents, Iterable):
        raise ConfigurationError(f"agents must be a list of agents, not {type(agents).__name__}")
    for agent in agents:
        if agent.name in team:
            raise ConfigurationError(f"Two agents are called {agent.name!r}; names must be unique in a team")
        team[agent.name] = agent
    if not team:
        raise ConfigurationError("A team needs at least one agent")
    return team


def known(name: str, team: Mapping[str, Agent], *, role: str) -> Agent:
    """Return the agent of that name.

    Raises:
        UnknownAgentError: There is none.
    """
    if name not in team:
        raise UnknownAgentError(f"The {role} {name!r} is not in the team; known: {', '.join(sorted(team))}")
    return team[name]


def describe(team: Iterable[Agent]) -> str:
    """List a team for a prompt."""
    return "\n".join(f"- {one.name}: {one.description or 'no description'}" for one in team)
