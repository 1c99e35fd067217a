"""A plain or async function as a worker, seen by callbacks like any other Runnable."""

import inspect
from collections.abc import Callable, Coroutine
from inspect import Parameter
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from agents.assignment import Assignment
from agents.errors import ConfigurationError
from agents.runtime import AnyRunnable, Effects, OwnRun, call

_EXTRAS = ("task", "context", "data", "request", "message", "conversation", "config")
"""Parameters that a function gets by name: those of the assignment, `request` as text and `message` as the user's own
message, and `config`, the LangGraph config of the call. A first parameter of another name gets the task."""


class FunctionWorker(OwnRun[Assignment, Any]):
    """Gives a function the task and the extras it has parameters for; returns what the function returned."""

    is_graph = False
    reports_usage = False

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self._takes_task, self._extras = _parameters(function)

    async def job(self, effects: Effects, assignment: Assignment, config: RunnableConfig) -> tuple[AnyRunnable, object]:
        return self, assignment

    def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Coroutine[Any, Any, Any]:
        message, data = value.get("request"), value.get("data") or {}
        extras: dict[str, object] = {
            "task": value["task"],
            "context": {label: data.get(label, text) for label, text in value.get("context", {}).items()},
            "data": data,
            "request": message.text if message else "",
            "message": message or HumanMessage(value["task"]),
            "conversation": value.get("conversation", []),
            "config": config,
        }
        task = [value["task"]] if self._takes_task else []
        return call(effects, self.function, *task, **{name: extras[name] for name in self._extras})


def _parameters(function: Callable[..., object]) -> tuple[bool, list[str]]:
    """Return whether a function takes the task (first, by position), and which of the extras it has.

    Raises:
        ConfigurationError: It needs more than an assignment has.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return True, []
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    extras = [name for name in _EXTRAS if kinds.get(name) in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    first = next(iter(kinds), "")
    takes_task = first not in extras and kinds.get(first, Parameter.KEYWORD_ONLY) < Parameter.KEYWORD_ONLY
    given = {*extras, first} if takes_task else {*extras}
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    needed = [
        name
        for name, parameter in parameters.items()
        if name not in given and parameter.default is Parameter.empty and parameter.kind not in variable
    ]
    if needed and not hasattr(function, "__wrapped__"):  # a decorator may pass what the function below it needs
        raise ConfigurationError(
            f"The function {function!r:.80} needs {', '.join(needed)}, which no assignment has; it may have"
            f" {', '.join(_EXTRAS)}, or the task as its first parameter under any name"
        )
    return takes_task, extras
