"""The scope of one run: words that its tools may trust, and resources that are closed when it ends."""

import asyncio
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

from langchain_core.runnables import RunnableConfig

from agents.runtime.cancellation import WorkCancelledError

T = TypeVar("T")

_KEY = "__podium_run"
"""Key of `configurable`, which every call of a run inherits; the prefix keeps it out of checkpoints and traces."""
MAX_WORDS = 100_000
"""Characters of these words that are kept, the newest."""


class RunScope(AbstractContextManager["RunScope"], AbstractAsyncContextManager["RunScope"]):
    """Words and resources that the agents of one run share; `close` ends it."""

    def __init__(self) -> None:
        self.words = ""
        """Texts of the user and of the program around the run: requests, instructions, tasks of a workflow's steps."""
        self._added: set[int] = set()
        self._resources: dict[Hashable, _Resource] = {}
        self._lock = threading.Lock()
        self._closed = False

    def add_words(self, text: str) -> None:
        """Add what the user or the program wrote; never what a model, a tool or a page wrote."""
        if text and hash(text) not in self._added:  # each step brings the whole conversation
            self._added.add(hash(text))
            self.words = f"{self.words}\n{text}"[-MAX_WORDS:]

    def resource(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the run's resource of this key, made when first asked for; its `close`, if any, ends it.

        Raises:
            WorkCancelledError: The run has ended.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise WorkCancelledError
                resource = self._resources.setdefault(key, _Resource())
            with resource.lock:  # one for each, so that a slow start holds up nobody else
                if resource.is_closed:
                    continue
                if resource.value is None:
                    resource.value = make()
                return cast("T", resource.value)

    def discard(self, key: Hashable, value: object) -> None:
        """Close a resource that is broken, unless another has taken its place; the next call makes a new one."""
        with self._lock:
            resource = self._resources.get(key)
            if resource is None or resource.value is not value:
                return
            del self._resources[key]
        resource.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aexit__(self, *_: object) -> None:
        if self._resources:
            await asyncio.to_thread(self.close)
        else:
            self.close()

    def close(self) -> None:
        """Close all resources, the newest first; blocks until each is closed."""
        with self._lock:
            self._closed = True
        while self._resources:
            self._resources.popitem()[1].close()


class _Resource:
    def __init__(self) -> None:
        self.value: Any = None
        self.is_closed = False
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            self.is_closed = True
            if hasattr(self.value, "close"):
                self.value.close()


def run_scope(config: RunnableConfig) -> RunScope | None:
    """Return the scope of the run that a config belongs to, if there is one."""
    return cast("RunScope | None", config.get("configurable", {}).get(_KEY))


def in_run_scope(config: RunnableConfig) -> tuple[RunScope | nullcontext[None], RunnableConfig]:
    """Return what to enter for a run, sync or async, and the run's config; inside another run both are its own."""
    if run_scope(config) is not None:
        return nullcontext(), config
    scope = RunScope()
    return scope, {**config, "configurable": {**config.get("configurable", {}), _KEY: scope}}
