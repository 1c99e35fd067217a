"""The base of every pattern, the graph that it builds, and the compiled graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, get_args, get_origin, get_type_hints, overload

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.graph import Edge, Graph
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, GraphOutput
from typing_extensions import TypedDict

from agents.agent import Agent
from agents.assignment import Assignment, History
from agents.runtime import Cancellation, Retry, cancellations_of
from agents.settings import Settings, run_context
from agents.tracing import marked
from graphs.engine.budget import with_budget
from graphs.engine.drawing import Box, display, look_into
from graphs.engine.durability import STORAGE, Storage
from graphs.engine.node import Node, Rule, counted
from graphs.engine.progress import CALLERS_LIMIT
from graphs.engine.recorded import CHECKPOINTER, noticing
from graphs.engine.state import (
    PRIVATE,
    RUNNING,
    Conclusion,
    Input,
    PatternState,
    assignment_of,
    check_keys,
    closing,
    opened,
)
from graphs.engine.thread_lock import thread_lock
from graphs.errors import ConfigurationError

ENOUGH_THREADS = 1_000_000
"""LangGraph's pool size in sync runs. Threads start only when needed; steps that wait for others need one each."""

SPARE_STEPS = 10
"""Supersteps allowed beyond the caller's `recursion_limit`, so that a run that reaches it can still answer."""

ANSWER = "answer"
"""The name of the node through which every run ends."""

StateT = TypeVar("StateT", bound=PatternState)


class Pattern(ABC, Generic[StateT]):
    """A way of coordinating agents: `build` gives the `StateGraph`, `compile` the graph to run."""

    name = "pattern"
    synthesizes = False
    """Whether it writes an answer from results; a share of a run's budget is then kept for that."""
    request_optional = False
    """Whether an empty request is allowed, because the steps are known in advance."""
    retry: Retry | None = None
    """For every call; None for three attempts."""
    history: History = "full"
    """What agents see of the conversation before the request."""

    @abstractmethod
    def build(self) -> PatternGraph[StateT]:
        """Return the uncompiled graph."""

    def opening(self) -> dict[str, Any]:
        """Return what the state begins with where that is not empty."""
        return {}

    def assignment(self, state: StateT) -> Assignment:
        """Return what this pattern is asked to do."""
        return assignment_of(state, self.history)

    def conclude(self, state: StateT) -> Conclusion:
        """Return what the run ends with, unless a node has set a status."""
        reason = "The graph ended without a status: set one in its last node, or define conclude()"
        return {"text": reason, "status": "failed", "stop_reason": reason}

    def ending(self, state: StateT) -> Conclusion:
        """Return how the run is about to end; a guard before `answer` judges this.

        To end the run otherwise, a guard returns `status`, `stop_reason` and an `AIMessage` with the id `message_id`,
        which replaces the message that shows the text, if there is one.
        """
        if state["status"] != RUNNING:
            last = state["messages"][-1]
            reason = state["stop_reason"]
            return {"text": str(last.text), "message_id": last.id, "status": state["status"], "stop_reason": reason}
        end = self.conclude(state)
        if end["status"] == RUNNING:
            reason = "LangGraph's recursion_limit was reached"
            end = {**end, "status": "partial" if end["text"] else "failed", "stop_reason": reason}
        return {**end, "text": end["text"] or end["stop_reason"] or ""}

    def answer(self, state: StateT) -> dict[str, Any]:
        """End the run: every way to END leads through this node, so that a node before it guards every answer."""
        if state["status"] != RUNNING:
            return {}
        end = self.ending(state)
        update = {"status": end["status"], "stop_reason": end["stop_reason"]}
        shown = end.get("message_id")
        if shown and any(message.id == shown for message in state["messages"]):
            return update
        return {**update, "messages": [closing(state["messages"], end["text"], shown)]}

    def compile(self, checkpointer: Any = None, **options: Any) -> CompiledPattern[StateT]:
        """Compile the graph; takes what `StateGraph.compile` takes (`checkpointer`, `store`, `interrupt_before`, …).

        The graph runs on `{"messages": text or messages}` and returns the pattern's state.
        """
        return self.build().compile(checkpointer, **options)

    def as_agent(self, name: str = "", description: str = "", *, examples: Sequence[str] = ()) -> Agent:
        """Return this pattern as an agent for any other pattern; it uses the outer run's checkpointer and budget."""
        name = name or self.name
        return Agent(name, description, runnable=self.compile(name=name), examples=examples)

    def inside(self) -> Mapping[str, Sequence[Box]]:
        """Return what a drawing shows in place of a node: the agents or steps that are at work in it."""
        return {}


class PatternGraph(StateGraph[StateT, Settings, Any, StateT], Generic[StateT]):
    """A `StateGraph` of a pattern: it opens a record with every input, counts what nodes use, and ends in `answer`.

    Nodes may be plain functions. An edge to END leads to the node `answer`; so does a conditional edge once a node has
    set a final status, or LangGraph's recursion limit is near.
    """

    def __init__(self, pattern: Pattern[StateT], state: type[StateT], *, input_schema: type = Input) -> None:
        hints = get_type_hints(state, include_extras=True)
        record = {key: hint for key, hint in hints.items() if key != "remaining_steps"}
        result = {key: hint for key, hint in record.items() if key not in PRIVATE}
        super().__init__(
            state,
            context_schema=Settings,
            input_schema=_typed_dict(f"{state.__name__}Input", record),
            output_schema=_typed_dict(f"{state.__name__}Result", result),
        )
        self.pattern = pattern
        self.public_input = input_schema
        self.guards: dict[str, str] = {}
        """Nodes that stand before others: edges to the key lead to the value."""
        self.implied: set[str] = set()
        """Nodes whose way to `answer` is not drawn: a run ends there only if something else has ended it."""

    def add_node(self, node: Any, action: Any = None, **options: Any) -> Self:
        """Add a node: a `Node`, a function of the state, or any Runnable."""
        if action is None:
            node, action = node if isinstance(node, str) else node.__name__, node
        if isinstance(action, Node):
            action.retry = action.retry or self.pattern.retry
        elif callable(action) and not isinstance(action, Runnable):
            action = counted(action)
        return super().add_node(node, action, **options)

    def add_rule(self, name: str, function: Callable[[StateT], dict[str, Any]]) -> Self:
        """Add a node that only computes: a pure function, which needs no thread in async runs."""
        return super().add_node(name, Rule(function))

    def add_edge(self, start_key: str | list[str], end_key: str) -> Self:
        """Add an edge; one to END leads to `answer`."""
        return super().add_edge(start_key, end_key if start_key == ANSWER else self._target(end_key))

    def add_conditional_edges(self, source: str, path: Any, path_map: Any = None) -> Self:
        """Add a conditional edge; a run that has ended goes to `answer` whatever the path says."""
        if isinstance(path_map, list | tuple):
            path_map = {name: name for name in path_map}
        names = path_map or {name: name for name in _destinations(path)}
        if not names:
            raise ConfigurationError(
                f"The route after {source!r} needs a return type like Literal['a', '__end__'], or a path_map"
            )
        targets: dict[Hashable, str] = {key: self._target(name) for key, name in names.items()}
        if source != START:
            if self._target(END) not in targets.values():
                self.implied.add(source)
            targets[END] = self._target(END)
            path = _until_ended(path)
        return super().add_conditional_edges(source, path, targets)

    def put_before(self, name: str, guard: str, action: Any) -> Self:
        """Put a node before another: every edge to `name` leads to `guard`, and `guard` leads to `name`.

        A guard before `answer` sees every run before it ends; if it sets a status, that is how the run ends.
        """
        self.add_node(guard, action)
        self.edges = {(start, guard if end == name else end) for start, end in self.edges}
        self.waiting_edges = {(starts, guard if end == name else end) for starts, end in self.waiting_edges}
        for branches in self.branches.values():
            for branch in branches.values():
                if branch.ends:
                    branch.ends.update({key: guard for key, end in branch.ends.items() if end == name})
        self.guards[name] = guard
        super().add_edge(guard, name)
        return self

    def replace_edges(self, source: str, target: str | Callable[..., Any], path_map: Any = None) -> Self:
        """Replace what follows a node, by another node or by a route as `add_conditional_edges` takes it."""
        self.edges = {(start, end) for start, end in self.edges if start != source}
        self.branches.pop(source, None)
        self.implied.discard(source)
        if isinstance(target, str):
            return self.add_edge(source, target)
        return self.add_conditional_edges(source, target, path_map)

    def ends(self, edge: Edge) -> bool:
        """Return whether an edge of the drawing is there only for runs that something else has ended."""
        return edge.source in self.implied and edge.target == self._target(END)

    def _target(self, name: str) -> str:
        name = ANSWER if name == END else name
        return self.guards.get(name, name)

    def compile(self, *args: Any, **options: Any) -> CompiledPattern[StateT]:
        """Compile as `StateGraph.compile` does."""
        if ANSWER not in self.nodes:
            self.add_rule(ANSWER, self.pattern.answer)
            super().add_edge(ANSWER, END)
        options.setdefault("name", self.pattern.name)
        compiled: Any = super().compile(*args, **options)
        compiled.__class__ = CompiledPattern
        compiled.stream_channels = compiled.output_channels  # the private keys are not streamed either
        compiled.stream_eager = True  # else LangGraph looks at all open tasks whenever one ends
        return compiled  # type: ignore[no-any-return]


def _typed_dict(name: str, keys: Mapping[str, Any]) -> type[Any]:
    return TypedDict(name, keys)  # type: ignore[operator, no-any-return]


def _destinations(path: Callable[..., Any]) -> list[str]:
    """Return the nodes that a route can return, by its return type."""
    try:
        hint = get_type_hints(path).get("return")
    except (NameError, TypeError):
        return []
    return list(get_args(hint)) if get_origin(hint) is Literal else []


def _until_ended(path: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(path)
    def route(state: Any, *args: Any, **options: Any) -> Any:
        is_over = state.get("status") != RUNNING or state.get("remaining_steps", SPARE_STEPS + 1) <= SPARE_STEPS
        return END if is_over else path(state, *args, **options)

    return route


class CompiledPattern(CompiledStateGraph[StateT, Settings, Any, StateT], Generic[StateT]):
    """A compiled pattern: opens a record with every input, draws its steps, and limits the steps at work."""

    builder: PatternGraph[StateT]

    if TYPE_CHECKING:
        # ruff: disable[A002, D102]
        @overload  # type: ignore[override]
        def invoke(
            self, input: Any, config: RunnableConfig | None = ..., *, version: Literal["v2"], **options: Any
        ) -> GraphOutput[StateT]: ...
        @overload
        def invoke(self, input: Any, config: RunnableConfig | None = ..., **options: Any) -> StateT: ...
        def invoke(self, input: Any, config: RunnableConfig | None = ..., **options: Any) -> Any: ...
        @overload  # type: ignore[override]
        async def ainvoke(
            self, input: Any, config: RunnableConfig | None = ..., *, version: Literal["v2"], **options: Any
        ) -> GraphOutput[StateT]: ...
        @overload
        async def ainvoke(self, input: Any, config: RunnableConfig | None = ..., **options: Any) -> StateT: ...
        async def ainvoke(self, input: Any, config: RunnableConfig | None = ..., **options: Any) -> Any: ...

        # ruff: enable[A002, D102]

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:  # noqa: A002
        """Stream as every LangGraph graph does."""
        input_, prepared, options = self._prepared(input, config, options)
        lock, prepared = thread_lock(self.checkpointer, prepared)
        if cancellations_of(prepared):
            return _each_question_once(super().stream(input_, prepared, **options), lock)
        cancellation = Cancellation()
        chunks = super().stream(input_, cancellation.holding(prepared), **options)
        return _each_question_once(cancellation.until_left(chunks), lock)

    async def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Stream as every LangGraph graph does."""
        input_, prepared, options = self._prepared(input, config, options)
        lock, prepared = thread_lock(self.checkpointer, prepared)
        async with lock:
            try:
                async for chunk in super().astream(input_, prepared, **options):
                    yield chunk
            except GraphInterrupt as asked:
                raise _once_each(asked) from None

    def _prepared(
        self, input_: Any, config: RunnableConfig | None, options: dict[str, Any]
    ) -> tuple[Any, RunnableConfig, dict[str, Any]]:
        pattern = self.builder.pattern
        if input_ is not None and not isinstance(input_, Command):
            state = self.builder.state_schema
            asked = input_
            input_ = opened(asked, state, pattern.opening(), request_optional=pattern.request_optional)
            if not (config or {}).get("configurable", {}).get("checkpoint_ns"):  # a node gets its graph's whole state
                check_keys(asked, state)
        context = run_context(options.get("context"))
        wanted = (config or {}).get("max_concurrency") or (self.config or {}).get("max_concurrency")
        limit = (config or {}).get("recursion_limit") or (self.config or {}).get("recursion_limit")
        own: RunnableConfig = {**(config or {}), "max_concurrency": ENOUGH_THREADS}
        if limit:
            own["recursion_limit"] = limit + SPARE_STEPS
        configurable = {**(self.config or {}).get("configurable", {}), **own.get("configurable", {})}
        if wanted and wanted != ENOUGH_THREADS:
            configurable[CALLERS_LIMIT] = wanted
        if isinstance(self.checkpointer, Storage):
            configurable[STORAGE] = self.checkpointer
        saver = configurable.get(CHECKPOINTER, self.checkpointer)
        if isinstance(saver, BaseCheckpointSaver) and self.checkpointer is not False:
            configurable[CHECKPOINTER] = noticing(saver)
        own["configurable"] = configurable
        prepared = with_budget(marked(own, type(pattern).__name__), context, synthesizes=self.synthesizes)
        return input_, prepared, {**self._durable(prepared, options), "context": context}

    def _durable(self, config: RunnableConfig, options: dict[str, Any]) -> dict[str, Any]:
        """Store each checkpoint before work goes on, unless the caller or the graph around this one decides.

        With LangGraph's own default, `async`, the result of a call may be stored before the checkpoint that it belongs
        to; of a process that is killed between the two, the result is lost and the call made again.
        """
        nested = config.get("configurable", {}).get("checkpoint_ns")
        decided = nested or options.get("durability") or "checkpoint_during" in options
        return options if decided or not self.checkpointer else {**options, "durability": "sync"}

    def synthesizes(self) -> bool:
        """Return whether this pattern, or one in it, writes an answer from results."""
        pattern = self.builder.pattern
        inner = (box.agent.runnable for boxes in pattern.inside().values() for box in boxes)
        return pattern.synthesizes or any(isinstance(graph, CompiledPattern) and graph.synthesizes() for graph in inner)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy that shares nodes and checkpointer: LangGraph compares objects in it by identity."""
        return copy(self)

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the schema of what a caller passes; the record is opened by the graph itself."""
        builder = self.builder
        own, builder.input_schema = builder.input_schema, builder.public_input
        try:
            return super().get_input_jsonschema(config)
        finally:
            builder.input_schema = own

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawing; with `xray` the pattern's steps and agents in it."""
        return self._redrawn(super().get_graph(config, xray=xray), xray)

    async def aget_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawing; with `xray` the pattern's steps and agents in it."""
        return self._redrawn(await super().aget_graph(config, xray=xray), xray)

    def _redrawn(self, graph: Graph, xray: int | bool) -> Graph:
        edges = [edge for edge in graph.edges if not self.builder.ends(edge)]
        # A way with two names is drawn with one of them as its label: `__end__`, where it does not lead.
        graph = Graph(graph.nodes, [edge._replace(data=None) if edge.data == END else edge for edge in edges])
        return look_into(graph, self.builder.pattern.inside(), xray) if xray else graph

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the drawing in a notebook; LangGraph would have a service on the internet make the picture."""
        return display(self)


def _each_question_once(chunks: Iterator[Any], lock: AbstractContextManager[Any]) -> Iterator[Any]:
    with lock:
        try:
            yield from chunks
        except GraphInterrupt as asked:
            raise _once_each(asked) from None


def _once_each(asked: GraphInterrupt) -> GraphInterrupt:
    """Return an interrupt that lists each question once: a step's task and the node around it both ask it."""
    return GraphInterrupt(tuple({question.id: question for question in asked.args[0]}.values()))
