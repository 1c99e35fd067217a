"""Records of models, per process: one for all objects with the same class, model name and base URL."""

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import TypeVar

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


def per_model(make: Callable[[], T]) -> Callable[[object], T]:
    """Return a function of a chat model that returns its record, made when first asked for.

    Of a model with fallbacks it is that of the first. Models that know no URL, such as those for tests, have one for
    each object.
    """
    records: dict[Hashable, T] = {}
    adding = threading.Lock()

    def record_of(model: object) -> T:
        model = innermost(model)
        fields = getattr(model, "__dict__", {})  # getattr of what a pydantic object does not have is slow
        urls = [str(fields[name]) for name in _URLS if name in fields]
        names = [str(fields[name]) for name in _NAMES if name in fields]
        key = (type(model).__qualname__, *names, *urls) if urls else id(model)
        with adding:
            if key not in records:
                records[key] = make()
                if not urls:
                    weakref.finalize(model, records.pop, key, None)
            return records[key]

    return record_of
