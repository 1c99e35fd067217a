"""Stored results: a run whose storage has failed starts nothing more."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langchain_core.runnables import RunnableConfig

from agents.errors import StorageError

STORAGE = "__storage"
"""Where a run's storage is kept in its config; nested graphs inherit it, checkpoints leave it out."""


@runtime_checkable
class NotesFailures(Protocol):
    """A checkpointer that remembers which runs it could not write."""

    failed: dict[str, StorageError]
    """By thread id, why its last write failed."""


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
