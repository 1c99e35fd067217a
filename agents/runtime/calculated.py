"""Named results of calculations: a name that one calculation gives is known in the next of the same assignment."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from langchain_core.runnables import RunnableConfig

Names = ChainMap[str, float]
"""The results of an assignment, and behind them those that it came with."""

_KEY = "__podium_calculated"
"""In `configurable`, which every call of an assignment inherits; the prefix keeps it out of checkpoints and traces."""


def calculated(config: RunnableConfig | None) -> Names:
    """Return the results so far by name, to which a calculation adds its own."""
    names: Names | None = (config or {}).get("configurable", {}).get(_KEY)
    return Names() if names is None else names


def calculating(config: RunnableConfig, known: Mapping[str, float]) -> tuple[RunnableConfig, Names]:
    """Return the config of an assignment that comes with known results, and its names, in which new ones are first."""
    names = calculated(config).new_child(dict(known)).new_child()
    return {**config, "configurable": {**config.get("configurable", {}), _KEY: names}}, names
