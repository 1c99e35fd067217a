"""The config of a run: extended for the calls in it, and made the one that they inherit.

It carries the named results of calculations: a name that one gives is known in the next of the same assignment.
"""

from collections import ChainMap
from collections.abc import Mapping, Sequence

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import DEFAULT_RECURSION_LIMIT, ensure_config, var_child_runnable_config

_WHOLE = {"metadata", "callbacks", "configurable"}


def whole(config: RunnableConfig | None) -> RunnableConfig:
    """Return a config with the keys of a run: itself if it has them, as every config within a run has."""
    return config if config is not None and config.keys() >= _WHOLE else ensure_config(config)


def handlers_of(config: RunnableConfig) -> Sequence[BaseCallbackHandler]:
    """Return what listens to the calls with a config."""
    callbacks = config.get("callbacks") or []
    return callbacks if isinstance(callbacks, list) else callbacks.handlers


def extended(
    config: RunnableConfig,
    *,
    callbacks: Sequence[BaseCallbackHandler] = (),
    tags: Sequence[str] = (),
    configurable: Mapping[str, object] | None = None,
) -> RunnableConfig:
    """Return a config with more callbacks, tags and values.

    LangChain's `merge_configs` would put back what the run around this one has in `configurable` and `metadata`, and
    copies the whole config twice.
    """
    around: RunnableConfig = {"configurable": {}, "metadata": {}}
    own: RunnableConfig = {**whole(config), **around, **config}
    if own.get("recursion_limit") == DEFAULT_RECURSION_LIMIT:  # LangChain's, which would count for graphs inside
        del own["recursion_limit"]
    if configurable:
        own["configurable"] = {**own["configurable"], **configurable}
    if callbacks:
        before = own.get("callbacks") or []
        if isinstance(before, BaseCallbackManager):
            new = [handler for handler in callbacks if handler not in before.handlers]
            own["callbacks"] = manager = before.copy() if new else before
            for handler in new:
                manager.add_handler(handler, inherit=True)
        else:
            own["callbacks"] = [*before, *callbacks]
    if tags:
        own["tags"] = sorted({*(own.get("tags") or ()), *tags})
    return own


class current:  # noqa: N801 - used as a function; of a generator, every open step would keep a frame
    """Make a config the one that Runnables inherit which are called in the block."""

    __slots__ = ("config", "token")

    def __init__(self, config: RunnableConfig | None) -> None:
        self.config = config

    def __enter__(self) -> None:
        self.token = var_child_runnable_config.set(self.config)

    def __exit__(self, *_: object) -> None:
        var_child_runnable_config.reset(self.token)


Names = ChainMap[str, float]
"""The results of an assignment, and behind them those that it came with."""

CALCULATED = "__podium_calculated"
"""Key in `configurable`, which calls of an assignment inherit; the prefix keeps it out of checkpoints and traces."""


def calculated(config: RunnableConfig | None) -> Names:
    """Return the results so far by name, to which a calculation adds its own."""
    names: Names | None = (config or {}).get("configurable", {}).get(CALCULATED)
    return Names() if names is None else names


def names_for(config: RunnableConfig, results: Mapping[str, float]) -> Names:
    """Return the names of an assignment that comes with results; new ones come before those."""
    names = calculated(config)
    return (names.new_child(dict(results)) if results else names).new_child()
