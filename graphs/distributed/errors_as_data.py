"""Errors that pass between processes as data: provider errors cannot be pickled, and break a process pool."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Mapping
from importlib import import_module
from operator import attrgetter

from typing_extensions import TypedDict

from agents import AgentError, TransientError
from agents.runtime import evidence, explain, is_transient

_FRAMES = 5
"""Innermost frames of a worker's traceback that are kept."""


class ErrorData(TypedDict):
    """An error of another process."""

    name: str
    """`module:class`."""
    args: list[object]
    attributes: dict[str, object]
    cause: ErrorData | None
    inner: list[ErrorData]
    """The errors of a group."""
    words: str
    explained: str
    is_transient: bool


def error_data(error: BaseException) -> ErrorData:
    """Return an error as data, with its causes and the attributes that decide about retries."""
    kind, own = type(error), evidence(error)
    attributes = {name: value for name, value in {**own, **vars(error)}.items() if value and _is_plain(value)}
    return {
        "name": f"{kind.__module__}:{kind.__qualname__}",
        "args": [arg if _is_plain(arg) else str(arg) for arg in error.args],
        "attributes": attributes,
        "cause": error_data(error.__cause__) if error.__cause__ else None,
        "inner": [error_data(inner) for inner in error.exceptions] if isinstance(error, ExceptionGroup) else [],
        "words": str(error),
        "explained": explain(error),
        "is_transient": is_transient(error),
    }


def with_trace(error: BaseException) -> BaseException:
    """Add the place where an error was raised as a note."""
    frames = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:])
    error.add_note(f"In process {os.getpid()} of {socket.gethostname()}:\n{frames}")
    return error


def error_from(data: ErrorData) -> Exception:
    """Return the error: of its own class if it reads the same here, else a `TransientError` or `AgentError`."""
    error = _of_its_class(data)
    if error is None or not _reads_as(error, data):
        error = (TransientError if data["is_transient"] else AgentError)(data["explained"])
        _restore(error, data)
    return error


def _of_its_class(data: ErrorData) -> Exception | None:
    module, _, name = data["name"].partition(":")
    try:
        if data["inner"]:
            error: object = ExceptionGroup(str(data["args"][0]), [error_from(inner) for inner in data["inner"]])
        else:
            kind = attrgetter(name)(import_module(module))
            error = kind.__new__(kind, *data["args"])  # not __init__, which may want the response of a provider
    except Exception:
        return None
    return _restore(error, data) if isinstance(error, Exception) else None


def _restore(error: Exception, data: ErrorData) -> Exception:
    for name, value in data["attributes"].items():
        BaseException.__setattr__(error, name, value)  # also where its class forbids attributes
    error.__cause__ = error_from(data["cause"]) if data["cause"] else None
    return error


def _reads_as(error: Exception, data: ErrorData) -> bool:
    try:
        same = (str(error), explain(error)) == (data["words"], data["explained"])
        return same and is_transient(error) == data["is_transient"]
    except Exception:
        return False  # its class needs more than data


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(value, str | int | float | list | Mapping) or value is None
