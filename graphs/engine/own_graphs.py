"""Graphs and agents in modules of the user's, by name."""

import sys
from copy import copy
from importlib import import_module
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.errors import ConfigurationError
from agents.runtime import explain
from graphs.engine.pattern import Pattern

GRAPHS = (Pattern, StateGraph, CompiledStateGraph)


def compiled(graph: object, checkpointer: Any) -> Any:
    """Return a pattern or a graph, compiled or not, or what a function returns, compiled with a checkpointer.

    Raises:
        ConfigurationError: It is none of these.
    """
    if callable(graph) and not isinstance(graph, GRAPHS):
        try:
            graph = graph()
        except Exception as error:
            name = getattr(graph, "__name__", "The function")
            raise ConfigurationError(f"{name} returns no graph: {type(error).__name__}: {error}") from error
    if isinstance(graph, Pattern | StateGraph):
        return graph.compile(checkpointer)
    if not isinstance(graph, CompiledStateGraph):
        kind = type(graph).__name__
        raise ConfigurationError(f"A {kind} cannot run; name a pattern, or a graph, compiled or not")
    own = copy(graph)
    own.checkpointer = checkpointer
    return own


def load_named(target: str, folder: str = "") -> Any:
    """Return what a module has, as `module:name` or `file.py:name`; the folder comes first on the path."""
    module, _, name = target.rpartition(":")
    module = module.removesuffix(".py").replace("/", ".")
    if module.partition(".")[0] in sys.stdlib_module_names:  # whose functions a forged stored run could call
        raise ConfigurationError(f"{module} is a module of Python itself; give your own another name")
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        loaded = import_module(module)
    except (Exception, SystemExit) as error:
        where = f" from {folder}" if folder else ""
        raise ConfigurationError(f"{target} cannot be loaded{where}: {_reason(error, module)}") from error
    if not hasattr(loaded, name):
        own = ", ".join(other for other, value in vars(loaded).items() if isinstance(value, GRAPHS))
        raise ConfigurationError(f"{target} cannot be loaded: no {name!r} there; its graphs: {own or 'none'}")
    return getattr(loaded, name)


def _reason(error: BaseException, module: str) -> str:
    missing = getattr(error, "name", None) or ""
    package = missing.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in ("agents", "graphs"):
        return f"{module} imports {missing}, but {package!r} is a package of Podium; give your own another name"
    return explain(error)
