"""What the caller of a run may turn without building the graph anew: LangGraph's run-time context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from langgraph.runtime import get_runtime

from agents.errors import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """The `context_schema` of every Podium graph; Studio shows it as a form."""

    model: str = field(
        default="",
        metadata={"description": "Chat model as provider:model for all that name none of their own; empty: default."},
    )
    approval: bool = field(default=False, metadata={"description": "Have a person approve each plan before it runs."})
    max_calls: int = field(default=0, metadata={"description": "Model calls in the whole run; 0: no limit."})
    max_tokens: int = field(default=0, metadata={"description": "Tokens read and written in all; 0: no limit."})
    max_cost: float = field(default=0.0, metadata={"description": "Cost by the price table; 0: no limit."})
    max_seconds: float = field(default=0.0, metadata={"description": "Seconds of work; 0: no limit."})
    prices: dict[str, list[float]] = field(
        default_factory=dict,
        metadata={
            "description": "Prices per million tokens by model: {model or *: [input, output]}.",
            "json_schema_extra": {"default": {}},  # which the schema of a default_factory does not tell a form
        },
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigurationError: A limit or price is no number from 0 up, a price is no pair, or `max_cost` comes
                without prices.
        """
        for name in ("max_calls", "max_tokens", "max_cost", "max_seconds"):
            if not _is_amount(value := getattr(self, name)):
                raise ConfigurationError(f"{name} must be a number from 0 up, not {value}; 0 means no limit")
        if wrong := [name for name, price in self.prices.items() if len(price) != 2 or not all(map(_is_amount, price))]:
            raise ConfigurationError(f"A price is [input, output] per million tokens; wrong for {', '.join(wrong)}")
        if self.max_cost and not self.prices:
            raise ConfigurationError("max_cost needs prices: {model or *: [input, output]} per million tokens")

    @property
    def limited(self) -> bool:
        """Whether a run has any budget."""
        return bool(self.max_calls or self.max_tokens or self.max_cost or self.max_seconds)


def settings_from(context: Settings | Mapping[str, Any] | None) -> Settings:
    """Return what a run was given as its context as settings.

    Raises:
        ConfigurationError: There is no such setting.
    """
    if isinstance(context, Settings):
        return context
    known = [one.name for one in fields(Settings)]
    if unknown := [name for name in context or () if name not in known]:
        raise ConfigurationError(f"Unknown setting {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    return Settings(**(context or {}))


def _is_amount(value: float) -> bool:
    return math.isfinite(value) and value >= 0  # whatever is compared with NaN is false, so it would limit nothing


def settings() -> Settings:
    """Return the settings of the run this is called in; the defaults outside a run or in a graph with others."""
    try:
        context = getattr(get_runtime(), "context", None)  # a chain outside of graphs has no runtime
    except (RuntimeError, KeyError):
        return Settings()
    return context if isinstance(context, Settings) else Settings()
