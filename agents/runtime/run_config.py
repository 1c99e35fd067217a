"""The config of a run: extended for the calls in it, and made the one that they inherit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config


def extended(config: RunnableConfig, **more: Any) -> RunnableConfig:
    """Return a config with more `callbacks`, `tags` or a `run_name`.

    LangChain's `merge_configs` would put back what the run around this one has in `configurable` and `metadata`.
    """
    merged = merge_configs(config, more)  # type: ignore[arg-type]
    configurable, metadata = dict(config.get("configurable") or {}), dict(config.get("metadata") or {})
    return {**merged, "configurable": configurable, "metadata": metadata}


@contextmanager
def current(config: RunnableConfig) -> Iterator[None]:
    """Make a config the one that Runnables inherit which are called in the block."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
