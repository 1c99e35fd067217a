"""Savers as a run calls them: copies on the same storage, with some methods replaced; what their faults end."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from agents.errors import StorageError
from agents.runtime import in_thread, sync_caller

Saver = BaseCheckpointSaver[Any]
T = TypeVar("T")

STORAGE = "__storage"
"""Config key of a run's storage; nested graphs inherit it, checkpoints leave it out."""


def copy_of(saver: Saver) -> Any:
    """Return a copy of a saver, on the same storage, that knows of which one it is."""
    own: Any = copy.copy(saver)
    own.original = original(saver)
    return own


def original(saver: object) -> Any:
    """Return the saver of which another one is a copy, on the same storage."""
    return getattr(saver, "original", saver)


def for_caller(saver: Saver) -> Saver:
    """Return a saver that a run may await: for a sync caller mostly a copy, on the same storage, that works in threads.

    Savers for sync code often have no async methods, and those for async code belong to a loop.
    """
    is_any_loops = getattr(saver, "works_in_background", False) or type(saver) is InMemorySaver
    if sync_caller.get() is None or is_any_loops:
        return saver
    own = copy_of(saver)
    own.aget_tuple = _in_thread(saver.get_tuple)
    own.aput, own.aput_writes = _in_thread(saver.put), _in_thread(saver.put_writes)
    return own  # type: ignore[no-any-return]


def _in_thread(method: Callable[..., T]) -> Callable[..., Coroutine[object, None, T]]:
    @wraps(method)
    async def call(*arguments: object, **options: object) -> T:
        # Shielded: what is being stored is stored whole also when its run is cancelled.
        return await asyncio.shield(in_thread(method, *arguments, **options))

    return call


def check_storage(config: RunnableConfig) -> None:
    """Start nothing more in a run whose last write has failed: its result could not be kept.

    LangGraph itself raises the failure only when all that was started has ended.

    Raises:
        StorageError: It has.
    """
    configurable = config.get("configurable", {})
    storage = configurable.get(STORAGE)
    if storage is not None and (error := storage.failed.get(str(configurable.get("thread_id")))):
        raise StorageError(str(error)) from error
