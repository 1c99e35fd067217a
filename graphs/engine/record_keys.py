"""The keys of a record, which runs fill: left out of inputs, and read from the states of graphs of any kind."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Overwrite

from agents.usage import COUNTS
from graphs.engine.state import KEPT, STATUSES, hints_of
from graphs.engine.step_records import is_record
from graphs.errors import ConfigurationError


def without_record(input_: object, state: type, record: type, inputs: type, *, is_nested: bool) -> object:
    """Return an input without the keys that a run fills itself: an earlier result may be passed with a new message.

    Args:
        input_: What the caller passes; an `Overwrite` stays, as its value.
        state: The pattern's state.
        record: The part of it that its runs fill.
        inputs: The part of that which is an input too.
        is_nested: Whether it may be the whole state of the graph around.

    Raises:
        ConfigurationError: It has a key that the state does not have, or of the record alone, without being a result.
    """
    if not isinstance(input_, Mapping):
        return input_
    if not is_nested and (unknown := [key for key in input_ if key not in hints_of(state)]):
        raise ConfigurationError(
            f"Unknown input {', '.join(map(repr, unknown))}: the state has no such key. The request goes"
            " under 'messages'. Pass your own data as the run's context, or subclass the pattern with a state_schema"
            " that has the key"
        )
    filled = [key for key in _filled(record, inputs) if key in input_ and not isinstance(input_[key], Overwrite)]
    if filled and not is_nested and "status" not in input_:
        raise ConfigurationError(f"A run of this graph fills {', '.join(map(repr, filled))} itself: leave it out")
    kept = {key: value for key, value in input_.items() if key not in filled}
    return {key: value.value if isinstance(value, Overwrite) else value for key, value in kept.items()}


@cache
def _filled(record: type, inputs: type) -> list[str]:
    passed = {*hints_of(inputs), "assignment"}
    hints = hints_of(record).items()
    return [key for key, hint in hints if key not in passed and KEPT not in getattr(hint, "__metadata__", ())]


def record_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a state that are a pattern's record; another graph may call something else so."""
    record = {key: values[key] for key, fits in _FORMS.items() if key in values and fits(values[key])}
    if record.get("status") not in STATUSES and not {"errors", "usage"} <= record.keys():
        record.pop("status", None)  # what that graph calls so
    return record


def _list_of(*keys: str) -> Callable[[Any], bool]:
    """Return the test for lists whose items have at least these keys."""
    return lambda value: (
        isinstance(value, list) and all(isinstance(item, Mapping) and item.keys() >= {*keys} for item in value)
    )


_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "errors": _list_of("where", "kind", "message"),
    "plan": _list_of("id", "agent", "task", "dependencies"),
    "worked": _list_of("started", "ended"),
    "messages": lambda value: isinstance(value, list) and all(isinstance(item, BaseMessage) for item in value),
    "seconds": lambda value: isinstance(value, int | float),
    "status": lambda value: isinstance(value, str),
    "steps": lambda value: isinstance(value, Mapping) and all(map(is_record, value.values())),
    "stop_reason": lambda value: value is None or isinstance(value, str),
    "usage": lambda value: isinstance(value, Mapping) and value.keys() >= {*COUNTS},
}
