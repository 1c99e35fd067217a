"""Values as bytes between coordinator and workers: LangGraph's msgpack, with messages and pydantic objects as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

_PLAIN = JsonPlusSerializer(allowed_msgpack_modules=None)


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Raises:
        TypeError: Something in it is neither data nor a pydantic object, dataclass or message.
    """
    classes = [[kind.__module__, kind.__name__] for kind in set(_classes(value))]
    return ormsgpack.packb([classes, _PLAIN.dumps_typed(value)[1]])


def unpack(packed: bytes) -> object:
    """Return the value of some bytes; its classes are imported, so read only what a worker of yours wrote."""
    classes, value = ormsgpack.unpackb(packed)
    serializer = JsonPlusSerializer(allowed_msgpack_modules=[tuple(name) for name in classes]) if classes else _PLAIN
    return serializer.loads_typed(("msgpack", value))


def _classes(value: object) -> Iterator[type]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _classes(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _classes(inner)
    elif isinstance(value, BaseModel) or is_dataclass(value):
        yield type(value)
