"""The base of every pattern, and its uncompiled graph: nodes, and edges that all end in `answer`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, Never, Self, TypeVar, cast, get_args, get_origin, get_type_hints

from langchain_core.runnables import Runnable
from langgraph.graph import END, START
from typing_extensions import TypedDict

from agents import Agent, Retry, Settings
from agents.runtime import is_async
from graphs.engine.compiled_pattern import ANSWER, SPARE_STEPS, CompiledPattern, PatternBuilder
from graphs.engine.node import Node, Rule, Update, counted
from graphs.engine.run_rules import RunRules
from graphs.engine.state import PRIVATE, RUNNING, Input, PatternState
from graphs.errors import ConfigurationError

StateT = TypeVar("StateT", bound=PatternState)


class PatternGraph(PatternBuilder[StateT]):
    """A `StateGraph` of a pattern: it opens a record with every input, counts what nodes use, and ends in `answer`.

    Nodes may be plain functions. An edge to END leads to the node `answer`, which `compile` adds; so does a conditional
    edge once a node has set a final status, or LangGraph's recursion limit is near.
    """

    def __init__(self, pattern: RunRules[StateT], state: type[StateT], *, input_schema: type = Input) -> None:
        if not isinstance(pattern.retry, Retry | None):
            raise ConfigurationError(f"retry must be a Retry, such as Retry(attempts=3), not {pattern.retry!r}")
        record, result = _input_and_result(state)  # type: ignore[arg-type]
        super().__init__(state, context_schema=Settings, input_schema=record, output_schema=result)
        self.pattern = pattern
        self.public_input = input_schema
        self.guards = {}
        self.implied = set()

    def add_node(self, node: Any, action: Any = None, **options: Any) -> Self:
        """Add a node: a `Node`, a function of the state, or any Runnable."""
        if action is None:
            node, action = node if isinstance(node, str) else node.__name__, node
        if isinstance(action, Node):
            action.retry = action.retry or self.pattern.retry
        elif callable(action) and not isinstance(action, Runnable):
            action = counted(action)
        return super().add_node(node, action, **options)

    def add_rule(self, name: str, function: Callable[[StateT], Update]) -> Self:
        """Add a node that only computes: a pure function, which needs no thread in async runs."""
        return super().add_node(name, Rule(function))

    def add_edge(self, start_key: str | list[str], end_key: str) -> Self:
        """Add an edge; one to END leads to `answer`."""
        return super().add_edge(start_key, end_key if start_key == ANSWER else self.target(end_key))

    def add_conditional_edges(self, source: str, path: Any, path_map: Any = None) -> Self:
        """Add a conditional edge; a run that has ended goes to `answer` whatever the path says."""
        if isinstance(path_map, list | tuple):
            path_map = {name: name for name in path_map}
        names = path_map or {name: name for name in _destinations(path)}
        if not names:
            raise ConfigurationError(
                f"The route after {source!r} needs a return type like Literal['a', '__end__'], or a path_map"
            )
        targets: dict[Hashable, str] = {key: self.target(name) for key, name in names.items()}
        if source != START:
            if self.target(END) not in targets.values():
                self.implied.add(source)
            targets[END] = targets[ANSWER] = self.target(END)
            path = _until_ended(path)
        if len(signature(path).parameters) == 1 and not is_async(path):
            path = Rule(path)  # LangGraph would call the function in a thread
        return super().add_conditional_edges(source, path, targets)

    def put_before(self, name: str, guard: str, action: object) -> Self:
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
        self.guards.setdefault(name, guard)  # of several, the first leads to the next
        super().add_edge(guard, name)
        return self

    def replace_edges(self, source: str, target: str | Callable[..., object], path_map: object = None) -> Self:
        """Replace what follows a node, by another node or by a route as `add_conditional_edges` takes it."""
        self.edges = {(start, end) for start, end in self.edges if start != source}
        self.branches.pop(source, None)
        self.implied.discard(source)
        if isinstance(target, str):
            return self.add_edge(source, target)
        return self.add_conditional_edges(source, target, path_map)

    def compile(self, *args: Any, **options: Any) -> CompiledPattern[StateT]:
        if ANSWER not in self.nodes:
            self.add_rule(ANSWER, self.pattern.answer)
            super().add_edge(ANSWER, END)
        options.setdefault("name", self.pattern.name)
        compiled: Any = super().compile(*args, **options)
        compiled.__class__ = CompiledPattern
        compiled.stream_channels = compiled.output_channels  # the private keys are not streamed either
        compiled.stream_eager = True  # else LangGraph looks at all open tasks whenever one ends
        return compiled  # type: ignore[no-any-return]


class Pattern(RunRules[StateT], ABC):
    """A way of coordinating agents: `build` gives the `StateGraph`, `compile` the graph to run."""

    @abstractmethod
    def build(self) -> PatternGraph[StateT]:
        """Return the uncompiled graph."""

    if not TYPE_CHECKING:  # which would take any attribute then

        def __getattr__(self, name: str) -> Never:
            hint = f"; compile it first: .compile().{name}(…)" if hasattr(CompiledPattern, name) else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy that shares agents and models: nothing of a pattern changes, and clients cannot be copied."""
        return copy(self)

    def compile(self, checkpointer: object = None, **options: object) -> CompiledPattern[StateT]:
        """Compile the graph; takes what `StateGraph.compile` takes (`checkpointer`, `store`, `interrupt_before`, …).

        The graph runs on `{"messages": text or messages}` and returns the pattern's state.
        """
        return self.build().compile(checkpointer, **options)

    def as_agent(self, name: str = "", description: str = "", *, examples: Sequence[str] = ()) -> Agent:
        """Return this pattern as an agent for any other pattern; it uses the outer run's checkpointer and budget."""
        name = name or self.name
        return Agent(name, description, runnable=self.compile(name=name), examples=examples)


@cache
def _input_and_result(state: type) -> tuple[type[Any], type[Any]]:
    hints = get_type_hints(state, include_extras=True)
    record = {key: hint for key, hint in hints.items() if key != "remaining_steps"}
    result = {key: hint for key, hint in record.items() if key not in PRIVATE}
    return TypedDict(f"{state.__name__}Input", record), TypedDict(f"{state.__name__}Result", result)  # type: ignore[operator]


def _destinations(path: Callable[..., object]) -> list[str]:
    try:
        hint = get_type_hints(path).get("return")
    except (NameError, TypeError):
        return []
    return list(get_args(hint)) if get_origin(hint) is Literal else []


def _until_ended(path: Callable[..., object]) -> Callable[..., object]:
    def is_over(state: Mapping[str, Any]) -> bool:
        return state.get("status") != RUNNING or state.get("remaining_steps", SPARE_STEPS + 1) <= SPARE_STEPS

    @wraps(path)
    def route(state: Mapping[str, Any], *args: object, **options: object) -> object:
        return END if is_over(state) else path(state, *args, **options)

    @wraps(path)
    async def async_route(state: Mapping[str, Any], *args: object, **options: object) -> object:
        return END if is_over(state) else await cast(Any, path)(state, *args, **options)

    return async_route if is_async(path) else route
