"""The compiled graph of a pattern: what is done with every call before LangGraph runs it."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from copy import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast, overload

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.runnables.graph import Edge, Graph
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, GraphOutput

from agents.runtime import (
    cancellations_of,
    in_run_scope,
    iterate_in_background,
    run_in_background,
    run_scope,
    sync_caller,
)
from agents.settings import Settings, run_context
from agents.tracing import marked
from graphs.engine.budget import with_budget
from graphs.engine.changed_code import Fingerprint, check_code, checking, fingerprint, is_resumed
from graphs.engine.concurrency import RUN_SLOTS, nested_slots
from graphs.engine.drawing import Box, boxes_in, look_into, renderers
from graphs.engine.langgraph_internals import CACHE, CHECKPOINTER, is_nested
from graphs.engine.record_keys import without_record
from graphs.engine.run_rules import RunRules
from graphs.engine.savers import STORAGE, for_caller, original
from graphs.engine.state import PatternState, open_input
from graphs.engine.thread_lock import LocksThreads, thread_lock

ENOUGH_THREADS = 1_000_000
"""LangGraph's limit for a run that has one of ours, and the pool size of a user's own graphs in sync runs."""

SPARE_STEPS = 10
"""Supersteps allowed beyond the caller's `recursion_limit`, so that a run that reaches it can still answer."""

ANSWER = "answer"
"""The name of the node through which every run ends."""

StateT = TypeVar("StateT", bound=PatternState)


class PatternBuilder(StateGraph[StateT, Settings, Any, StateT], Generic[StateT]):
    """The attributes that a compiled pattern reads of the graph it was built from."""

    pattern: RunRules[StateT]
    public_input: type
    implied: set[str]
    """Nodes whose way to `answer` is not drawn: a run ends there only if something else has ended it."""
    guards: dict[str, str]
    """Nodes that stand before others: edges to the key lead to the value."""

    def target(self, name: str) -> str:
        """Return where an edge to a node leads."""
        name = ANSWER if name == END else name
        return self.guards.get(name, name)

    def ends(self, edge: Edge) -> bool:
        """Return whether an edge of the drawing is there only for runs that something else has ended."""
        return edge.source in self.implied and edge.target == self.target(END)


class CompiledPattern(CompiledStateGraph[StateT, Settings, Any, StateT], Generic[StateT]):
    """A compiled pattern: opens a record with every input, draws its steps, and limits the steps at work."""

    builder: PatternBuilder[StateT]
    works_in_background = True

    if TYPE_CHECKING:
        # ruff: disable[A002]
        @overload  # type: ignore[override]
        async def ainvoke(
            self, input: object, config: RunnableConfig | None = ..., *, version: Literal["v2"], **options: Any
        ) -> GraphOutput[StateT]: ...
        @overload
        async def ainvoke(self, input: object, config: RunnableConfig | None = ..., **options: Any) -> StateT: ...
        async def ainvoke(self, input: object, config: RunnableConfig | None = ..., **options: Any) -> object: ...

        # ruff: enable[A002]

    @overload  # type: ignore[override]
    def invoke(
        self, input: object, config: RunnableConfig | None = ..., *, version: Literal["v2"], **options: Any
    ) -> GraphOutput[StateT]: ...
    @overload
    def invoke(self, input: object, config: RunnableConfig | None = ..., **options: Any) -> StateT: ...

    def invoke(self, input: object, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """Run as every LangGraph graph does; what waits in it holds no thread."""
        return run_in_background(partial(self.ainvoke, input, config, **options))

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:  # noqa: A002
        return iterate_in_background(partial(self.astream, input, config, **options))

    async def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        input_, prepared, options = self._prepared(input, config, options)
        lock, prepared = thread_lock(self.checkpointer, prepared)
        scope, prepared = self._in_scope(input_, prepared)
        caller = sync_caller.get()
        if caller and caller.cancellation not in cancellations_of(prepared):
            prepared = caller.cancellation.holding(prepared)
        async with lock, scope:
            try:
                # Closed here: a stream that its reader leaves would else end after its thread is free for another run.
                async with aclosing(cast("AsyncGenerator[Any]", super().astream(input_, prepared, **options))) as run:
                    async for chunk in run:
                        yield chunk
            except GraphInterrupt as asked:
                # Each question once: a step's task and the node around it both ask it.
                raise GraphInterrupt(tuple({question.id: question for question in asked.args[0]}.values())) from None

    def _in_scope(self, input_: object, config: RunnableConfig) -> tuple[Any, RunnableConfig]:
        """Return what to enter for a run of its own, whose tools may trust the program's own words."""
        manager, config = in_run_scope(config)
        if scope := run_scope(config):
            for words in self.builder.pattern.known_tasks(input_):
                scope.add_words(words)
        return manager, config

    def _prepared(
        self, input_: Any, config: RunnableConfig | None, options: dict[str, Any]
    ) -> tuple[Any, RunnableConfig, dict[str, Any]]:
        pattern = self.builder.pattern
        if input_ is not None and not isinstance(input_, Command):
            state = self.builder.state_schema
            inputs = self.builder.public_input
            nested = is_nested(config or {})
            asked = without_record(input_, state, pattern.record_schema, inputs, is_nested=nested)
            input_ = open_input(asked, state, pattern.opening(), request_optional=pattern.request_optional)
            input_["code"] = self.fingerprint
        context = run_context(options.get("context"))
        wanted = (config or {}).get("max_concurrency") or (self.config or {}).get("max_concurrency")
        limit = (config or {}).get("recursion_limit") or (self.config or {}).get("recursion_limit")
        own: RunnableConfig = {**(config or {})}
        if wanted or sync_caller.get():
            own["max_concurrency"] = ENOUGH_THREADS
        if limit:
            own["recursion_limit"] = limit + SPARE_STEPS
        configurable = {**(self.config or {}).get("configurable", {}), **own.get("configurable", {})}
        around = (var_child_runnable_config.get() or {}).get("configurable", {})
        slots = nested_slots({**around, **configurable}, wanted if wanted != ENOUGH_THREADS else None)
        if slots is not None:
            configurable[RUN_SLOTS] = slots
        if isinstance(self.checkpointer, LocksThreads):
            configurable[STORAGE] = self.checkpointer
        saver = configurable.get(CHECKPOINTER, self.checkpointer)
        if isinstance(saver, BaseCheckpointSaver) and self.checkpointer is not False:
            saver = for_caller(original(saver))
            if is_resumed(input_, own):
                saver = checking(saver, partial(check_code, pattern, self.fingerprint))
            configurable[CHECKPOINTER] = saver
        if self.cache is not None:
            configurable[CACHE] = self.cache
        own["configurable"] = configurable
        prepared = with_budget(marked(own, type(pattern).__name__), context, synthesizes=self.synthesizes)
        return input_, prepared, {**self._durable(prepared, options), "context": context}

    def _durable(self, config: RunnableConfig, options: dict[str, Any]) -> dict[str, Any]:
        """Store each checkpoint before work goes on, unless the caller or the graph around this one decides.

        With LangGraph's own default, `async`, the result of a call may be stored before the checkpoint that it belongs
        to; of a process that is killed between the two, the result is lost and the call made again.
        """
        decided = is_nested(config) or options.get("durability") or "checkpoint_during" in options
        return options if decided or not self.checkpointer else {**options, "durability": "sync"}

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The part of this graph that a run keeps, to notice changed code when it is resumed."""
        return fingerprint(self.inside, self.builder.nodes)

    @cached_property
    def inside(self) -> dict[str, list[Box]]:
        """Agents or steps at work in the nodes."""
        return boxes_in(self.builder.nodes)

    def synthesizes(self) -> bool:
        """Return whether this pattern, or one in it, writes an answer from results."""
        graphs = (box.agent.runnable for boxes in self.inside.values() for box in boxes)
        inner = (graph.synthesizes() for graph in graphs if isinstance(graph, CompiledPattern))
        return self.builder.pattern.synthesizes or any(inner)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy that shares nodes and checkpointer: LangGraph compares objects in it by identity."""
        return copy(self)

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """Return the schema of what a caller passes; the record is opened by the graph itself."""
        shown = copy(self)
        shown.builder = copy(self.builder)
        shown.builder.input_schema = self.builder.public_input
        return super(CompiledPattern, shown).get_input_jsonschema(config)

    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Return the drawing; with `xray` the pattern's steps and agents in it."""
        return self._redrawn(super().get_graph(config, xray=xray), xray)

    async def aget_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        return self._redrawn(await super().aget_graph(config, xray=xray), xray)

    def _redrawn(self, graph: Graph, xray: int | bool) -> Graph:
        edges = [edge for edge in graph.edges if not self.builder.ends(edge)]
        # A way with two names is drawn with one of them as its label: `__end__`, where it does not lead.
        graph = Graph(graph.nodes, [edge._replace(data=None) if edge.data == END else edge for edge in edges])
        return look_into(graph, self.inside, xray) if xray else graph

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Show the drawing in a notebook; LangGraph would have a service on the internet make the picture."""
        return renderers[-1](self) if renderers else {"text/plain": self.name}
