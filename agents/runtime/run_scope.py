"""What belongs to one run: the user's own words, and the resources that are closed when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig

from agents.runtime.cancellation import WorkCancelledError

T = TypeVar("T")

_KEY = "__podium_run"
"""In `configurable`, which every call of a run inherits; the prefix keeps it out of checkpoints and traces."""
MAX_WORDS = 100_000
"""Characters of the user's words that are kept, the newest."""


class RunScope:
    """Whatever the agents of one run share; `close` ends it."""

    def __init__(self) -> None:
        self.words = ""
        """What the user wrote: the request, and earlier messages of the conversation."""
        self._resources: dict[Hashable, _Resource] = {}
        self._lock = threading.Lock()
        self._closed = False

    def add_words(self, text: str) -> None:
        """Add what the user wrote; never what a model, a tool or a page wrote."""
        if text and text not in self.words:
            self.words = f"{self.words}\n{text}"[-MAX_WORDS:]

    def resource(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the run's resource of this key, made when first asked for; its `close`, if any, ends it.

        Raises:
            WorkCancelledError: The run has ended.
        """
        with self._lock:
            if self._closed:
                raise WorkCancelledError
            resource = self._resources.setdefault(key, _Resource())
        with resource.lock:  # one for each, so that a slow start holds up nobody else
            if resource.value is None:
                resource.value = make()
            value: T = resource.value
            return value

    def discard(self, key: Hashable) -> None:
        """Close a resource that is broken; the next call makes another one."""
        with self._lock:
            resource = self._resources.pop(key, None)
        if resource is not None:
            resource.close()

    @property
    def must_close(self) -> bool:
        """Whether closing does anything."""
        return any(hasattr(resource.value, "close") for resource in list(self._resources.values()))

    def close(self) -> None:
        """Close all resources, the newest first; blocks until each is closed."""
        with self._lock:
            self._closed = True
        while self._resources:
            self._resources.popitem()[1].close()


class _Resource:
    def __init__(self) -> None:
        self.value: Any = None
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            if hasattr(self.value, "close"):
                self.value.close()


def run_scope(config: RunnableConfig) -> RunScope | None:
    """Return the scope of the run that a config belongs to, if there is one."""
    scope: RunScope | None = config.get("configurable", {}).get(_KEY)
    return scope


def in_run_scope(config: RunnableConfig) -> tuple[RunnableConfig, RunScope | None]:
    """Return the config with a run scope, and the scope if it is new: then the caller is the run and closes it."""
    if run_scope(config) is not None:
        return config, None
    scope = RunScope()
    return {**config, "configurable": {**config.get("configurable", {}), _KEY: scope}}, scope
