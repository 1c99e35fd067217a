"""Arguments of agents and patterns, checked when they are built."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.store.base import BaseStore

from agents.errors import ConfigurationError

_CHAT_MODEL = ("instructions", "model", "tools", "middleware", "response_format", "memory")


def is_list_of(kind: type, value: Any) -> bool:
    """Tell whether a value is a list or set of things of a kind, not a text or a mapping."""
    is_list = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    return is_list and all(isinstance(item, kind) for item in value)


_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "description": ("a text", lambda value: isinstance(value, str)),
    "instructions": ("a text", lambda value: isinstance(value, str)),
    "examples": ("a list of texts", partial(is_list_of, str)),
    "tools": ("a list", partial(is_list_of, object)),
    "middleware": (
        "a list of LangChain's middleware or yours",
        lambda value: is_list_of(object, value) and all(hasattr(item, "wrap_model_call") for item in value),
    ),
    "memory": ("a LangGraph store", lambda value: isinstance(value, BaseStore | None)),
}


def check_arguments(name: object, arguments: Mapping[str, object]) -> None:
    """Raise a `ConfigurationError` for what cannot be an agent; models, tools and forms are checked by their users."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        raise ConfigurationError(f"Agent name {name!r} must be an identifier such as my_agent, without __ at its start")
    for argument, (kind, fits) in _KINDS.items():
        if not fits(arguments[argument]):
            raise ConfigurationError(f"Agent {name!r}: {argument} must be {kind}, not {arguments[argument]!r:.80}")
    runnable, function = arguments["runnable"], arguments["function"]
    if not isinstance(runnable, Runnable | None) or not (function is None or callable(function)):
        wrong = type(runnable if function is None else function).__name__
        raise ConfigurationError(
            f"The worker of agent {name!r} cannot be a {wrong}; runnable takes a compiled graph or Runnable,"
            " function a callable, and agent_of makes an agent of a pattern"
        )
    is_chat_model = any(arguments[part] not in (None, "", (), []) for part in _CHAT_MODEL)
    if sum((is_chat_model, runnable is not None, function is not None)) > 1:
        raise ConfigurationError(
            f"Agent {name!r} must be one of: a chat model ({', '.join(_CHAT_MODEL)}), a runnable, or a function"
        )


def check_limits(least: int, **limits: object) -> None:
    """Raise a `ConfigurationError` for a limit that is not a whole number from `least` up."""
    for name, limit in limits.items():
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < least:
            raise ConfigurationError(f"{name} must be a whole number from {least} up, not {limit!r:.80}")
