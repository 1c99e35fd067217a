"""The base of every pattern."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Self, TypeVar

from agents.agent import Agent
from graphs.engine.compiled_pattern import CompiledPattern
from graphs.engine.pattern_graph import PatternGraph
from graphs.engine.run_rules import RunRules
from graphs.engine.state import PatternState

StateT = TypeVar("StateT", bound=PatternState)


class Pattern(RunRules[StateT], ABC):
    """A way of coordinating agents: `build` gives the `StateGraph`, `compile` the graph to run."""

    @abstractmethod
    def build(self) -> PatternGraph[StateT]:
        """Return the uncompiled graph."""

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
