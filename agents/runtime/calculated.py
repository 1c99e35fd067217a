"""Named results of calculations: a name that one calculation gives is known in the next of the same assignment."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from langchain_core.runnables import RunnableConfig

Names = ChainMap[str, float]
"""The results of an assignment, and behind them those that it came with."""

CALCULATED = "__podium_calculated"
"""In `configurable`, which every call of an assignment inherits; the prefix keeps it out of checkpoints and traces."""


def calculated(config: RunnableConfig | None) -> Names:
    """Return the results so far by name, to which a calculation adds its own."""
    names: Names | None = (config or {}).get("configurable", {}).get(CALCULATED)
    return Names() if names is None else names


def names_for(config: RunnableConfig, known: Mapping[str, float]) -> Names:
    """Return the names of an assignment that comes with known results; new ones come before those."""
    names = calculated(config)
    return (names.new_child(dict(known)) if known else names).new_child()
