"""What the caller of a run may set without building the graph again: LangGraph's runtime context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from langgraph.runtime import get_runtime

from agents.errors import ConfigurationError

HISTORY_TOKENS = 4000
"""Tokens of a conversation that a model gets of whose context window nothing is known."""

_LIMITS = ("max_calls", "max_tokens", "max_cost", "max_seconds", "max_history_tokens")


@dataclass(frozen=True)
class Settings:
    """Per-run settings, passed as LangGraph's runtime context; Studio shows them as a form.

    Inherit from this class to give a run settings and a context of your own in one object.
    """

    model: str = field(
        default="",
        metadata={"description": "Chat model as provider:model for all that name none of their own; empty: default."},
    )
    approval: bool = field(default=False, metadata={"description": "Have a person approve each plan before it runs."})
    max_calls: int = field(default=0, metadata={"description": "Model calls in the whole run; 0: no limit."})
    max_tokens: int = field(default=0, metadata={"description": "Tokens read and written in all; 0: no limit."})
    max_cost: float = field(default=0.0, metadata={"description": "Cost by the price table; 0: no limit."})
    max_seconds: float = field(default=0.0, metadata={"description": "Seconds of work; 0: no limit."})
    max_history_tokens: int = field(
        default=0,
        metadata={"description": "Tokens of the conversation before a request; 0: half of what the model reads."},
    )
    prices: dict[str, list[float]] = field(
        default_factory=dict,
        metadata={
            "description": "Prices per million tokens by model: {model or *: [input, output]}.",
            "json_schema_extra": {"default": {}},  # which the schema of a default_factory does not show to a form
        },
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigurationError: A limit or price is not a number from 0 up, a price is not a pair, or `max_cost` comes
                without prices.
        """
        for name in _LIMITS:
            if not _is_amount(value := getattr(self, name)):
                raise ConfigurationError(f"{name} must be a number from 0 up, not {value!r}; 0 means no limit")
        if wrong := [name for name, price in self.prices.items() if len(price) != 2 or not all(map(_is_amount, price))]:
            raise ConfigurationError(f"A price is [input, output] per million tokens; wrong for {', '.join(wrong)}")
        if self.max_cost and not self.prices:
            raise ConfigurationError("max_cost needs prices: {model or *: [input, output]} per million tokens")

    @property
    def limited(self) -> bool:
        """Whether a run has any budget."""
        return bool(self.max_calls or self.max_tokens or self.max_cost or self.max_seconds)


@dataclass(frozen=True)
class _SettingsAndMore(Settings):
    """Settings together with the user's own keys, which tools read as attributes or as items."""

    own: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            own: Mapping[str, Any] = vars(self)["own"]
            return own[name]
        except KeyError:
            raise AttributeError(f"The context of this run has no {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        return self.own[name]

    def __contains__(self, name: str) -> bool:
        return name in self.own

    def get(self, name: str, default: Any = None) -> Any:
        """Return one of the user's own values."""
        return self.own.get(name, default)


def settings_from(context: object) -> Settings:
    """Return what a run was called with as its context as settings.

    Keys of a mapping that are not settings are the user's own. Any other object is the user's own context, and the
    settings are the defaults; without a context they are those of the run around this one.

    Raises:
        ConfigurationError: A setting has a wrong value.
    """
    if context is None:
        return settings()
    if isinstance(context, Settings):
        return context
    if not isinstance(context, Mapping):
        return Settings()
    names = {setting.name for setting in fields(Settings)}
    chosen = {name: value for name, value in context.items() if name in names}
    own = {name: value for name, value in context.items() if name not in names}
    return _SettingsAndMore(**chosen, own=own) if own else Settings(**chosen)


def run_context(context: object) -> object:
    """Return the runtime context for LangGraph: a mapping as settings and the user's own keys, all else as it is."""
    return settings_from(context) if isinstance(context, Mapping) else context


def context_of_run() -> object:
    """Return the runtime context of the run this is called in, None outside a run."""
    try:
        return getattr(get_runtime(), "context", None)  # a chain outside of graphs has no runtime
    except (RuntimeError, KeyError):
        return None


def settings() -> Settings:
    """Return the settings of the run this is called in; the defaults outside a run or in a graph with others."""
    context = context_of_run()
    return settings_from(context) if context is not None else Settings()


def max_history_tokens(model: object = None) -> int:
    """Return how many tokens of a conversation a model gets: the run's limit, at most half of its context window."""
    window = (getattr(model, "profile", None) or {}).get("max_input_tokens") or 0
    limits = [limit for limit in (settings().max_history_tokens, window // 2) if limit]
    return min(limits, default=HISTORY_TOKENS)


def _is_amount(value: object) -> bool:
    # What is compared with NaN is false, so a NaN would limit nothing.
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
