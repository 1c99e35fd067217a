"""Anything a user has becomes an agent: a pattern, a compiled graph, a Runnable, a function, a graph on a server."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.tools import BaseTool

from agents.agent import Agent
from agents.errors import ConfigurationError
from agents.runtime import AnyRunnable, masked

_ACCEPTED = (
    "Accepted are an Agent, a pattern, a compiled graph or Runnable with a name, a function or a RemoteGraph;"
    ' anything else by name: Agent("name", runnable=…), Agent("name", function=…) or Agent("name", model=…)'
)
_DEFAULT_NAMES = {"LangGraph", "<lambda>", "__call__"}
"""Names that LangGraph and Python give to what has none."""


@runtime_checkable
class AsAgent(Protocol):
    """A pattern: anything that can say itself how it is an agent."""

    name: str

    def as_agent(self, name: str, description: str = "") -> Agent:
        """Return it as an agent."""
        ...


AnyAgent = Agent | AsAgent | AnyRunnable | Callable[..., object]
"""Anything that `agent_of` turns into an agent."""


def agent_of(value: object, *, name: str | None = None) -> Agent:
    """Return what a user has as an agent.

    Args:
        value: An `Agent`; a pattern; a compiled graph or other Runnable with a name; a function or other callable, of
            which name and docstring are taken; a `RemoteGraph`.
        name: The name of what has none of its own.

    Raises:
        ConfigurationError: It is something else, or has no name.
    """
    if isinstance(value, Agent):
        return value
    if reason := _reason_to_refuse(value):
        raise ConfigurationError(f"{masked(repr(value)):.80} is not an agent: {reason}. {_ACCEPTED}")
    named = _identifier(_name_of(value) or name or "")
    if not named:
        raise ConfigurationError(f"{masked(repr(value)):.80} has no name. {_ACCEPTED}")
    if isinstance(value, AsAgent) and not isinstance(value, Runnable):
        return value.as_agent(named, getattr(value, "description", ""))
    if isinstance(value, Runnable):
        return Agent(named, _description_of(value), runnable=value)
    return Agent(named, _description_of(value), function=value if callable(value) else None)


def _reason_to_refuse(value: object) -> str | None:
    if isinstance(value, type):
        return "it is a class; pass an instance"
    if isinstance(value, BaseTool):
        return "it is a tool; give it to an agent: Agent(…, tools=[…])"
    if isinstance(value, BaseLanguageModel):
        return 'it is a model; give it a name: Agent("name", model=…)'
    if isinstance(value, Runnable | AsAgent) or callable(value):
        return None
    if hasattr(value, "compile") and hasattr(value, "add_node"):
        return 'it is not compiled; pass graph.compile(name="…")'
    return f"it is of type {type(value).__name__}"


def _name_of(value: object) -> str | None:
    """Return a value's own name; a partial function or a graph with options has that of what is in it."""
    if isinstance(value, RunnableBindingBase):
        return value.config.get("run_name") or _name_of(value.bound)
    if isinstance(value, partial):
        return _name_of(value.func)
    name = getattr(value, "name", None) or getattr(value, "__name__", None)
    return name if isinstance(name, str) and name not in _DEFAULT_NAMES else None


def _identifier(name: str) -> str:
    """Turn a name into an identifier: `my-clerk` into `my_clerk`."""
    name = re.sub(r"\W+", "_", name.strip())
    return f"_{name}" if name[:1].isdigit() else name


def _description_of(value: object) -> str:
    """Return the first paragraph of a function's own docstring, in one line."""
    function = getattr(value, "func", value)
    text = inspect.getdoc(function) if inspect.isroutine(function) else getattr(value, "description", "")
    return " ".join(text.split("\n\n")[0].split()) if isinstance(text, str) else ""
