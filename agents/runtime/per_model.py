"""Records of models, per process: one for all objects with the same class, model name and base URL."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from langchain_core.runnables import RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

T = TypeVar("T")

_NAMES = ("model_name", "model", "model_id", "deployment_name", "azure_deployment")
_URLS = ("openai_api_base", "base_url", "anthropic_api_url", "azure_endpoint", "endpoint", "endpoint_url")
"""Attributes in which LangChain's chat models keep name and address."""


def innermost(runnable: object) -> object:
    """Return what is in a Runnable with options, retries or fallbacks; of fallbacks the first."""
    while isinstance(runnable, RunnableBindingBase | RunnableWithFallbacks):
        runnable = runnable.runnable if isinstance(runnable, RunnableWithFallbacks) else runnable.bound
    return runnable


class PerModel(Generic[T]):
    """One record per model; models that know no URL, such as those for tests, have one for each object."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._records: dict[Hashable, T] = {}
        self._adding = threading.Lock()

    def of(self, model: object) -> T:
        """Return the record of a chat model, a new one if there is none; of one with fallbacks that of the first."""
        model = innermost(model)
        fields = getattr(model, "__dict__", {})  # getattr of what a pydantic object does not have is slow
        urls = [str(fields[name]) for name in _URLS if name in fields]
        names = [str(fields[name]) for name in _NAMES if name in fields]
        key = (type(model).__qualname__, *names, *urls) if urls else id(model)
        with self._adding:
            if key not in self._records:
                self._records[key] = self._make()
                if not urls:
                    weakref.finalize(model, self._records.pop, key, None)
            return self._records[key]
