"""Values as bytes between coordinator and workers: pickled as executors do it, errors of any class included.

Providers' errors cannot be unpickled, and so would break a process pool: their classes want the provider's response.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from importlib import import_module
from operator import attrgetter
from typing import Any

from agents import AgentError, TransientError
from agents.runtime import evidence, explain, is_transient

_Judged = tuple[str, str, bool]
"""An error's text, its explanation, and whether it is transient."""


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Raises:
        Exception: Something in it cannot be pickled.
    """
    packed = io.BytesIO()
    _Pickler(packed).dump(value)
    return packed.getvalue()


def unpack(packed: bytes) -> object:
    """Return the value of some bytes; its classes are imported, so read only what a worker of yours wrote."""
    return pickle.loads(packed)  # noqa: S301 - the executor reads its own pickles from the same sender


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        """Take an error apart into its class, arguments, cause and the attributes that decide about retries."""
        if not isinstance(value, Exception):
            return NotImplemented
        kind = type(value)
        judged_by = {**evidence(value), **vars(value)}
        attributes = {name: item for name, item in judged_by.items() if item and _is_plain(item)}
        is_group = isinstance(value, ExceptionGroup)
        args = value.args if is_group else tuple(arg if _is_plain(arg) else str(arg) for arg in value.args)
        return _error, (f"{kind.__module__}:{kind.__qualname__}", args, attributes, value.__cause__, _judged(value))


def _error(
    name: str, args: tuple[Any, ...], attributes: Mapping[str, object], cause: BaseException | None, judged: _Judged
) -> Exception:
    """Return the error: of its own class if it reads the same here, else a `TransientError` or `AgentError`."""
    _, explained, transient = judged
    try:
        module, _, path = name.partition(":")
        kind = attrgetter(path)(import_module(module))
        error = _restored(kind.__new__(kind, *args), attributes, cause)  # without __init__, which wants the response
        if _judged(error) == judged:
            return error
    except Exception:  # noqa: S110 - its class is not here, or needs more than data
        pass
    return _restored((TransientError if transient else AgentError)(explained), attributes, cause)


def _restored(error: Exception, attributes: Mapping[str, object], cause: BaseException | None) -> Exception:
    for name, item in attributes.items():
        BaseException.__setattr__(error, name, item)  # also where its class forbids attributes
    error.__cause__ = cause
    return error


def _judged(error: Exception) -> _Judged:
    return str(error), explain(error), is_transient(error)


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
