"""Per-run settings, passed as LangGraph's runtime context, and the ceilings that operators set."""

import json
import math
import os
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from langgraph.runtime import get_runtime

from agents.errors import ConfigurationError

HISTORY_TOKENS = 4000
"""Limit of the conversation before a request, in tokens, for a model whose profile does not name its context window."""

_LIMITS = ("max_calls", "max_tokens", "max_cost", "max_seconds", "max_history_tokens")


@dataclass(frozen=True)
class Settings:
    """Per-run settings, passed as LangGraph's runtime context; Studio shows them as a form.

    A user may have a context of their own as well: as further keys of a dict, which tools then read as attributes or
    items, or in a dataclass that inherits from this one.
    """

    model: str = field(
        default="",
        metadata={"description": "Chat model as provider:model, where an agent or pattern has none; empty: default."},
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
        if not isinstance(self.approval, bool):  # "false" would be true
            raise ConfigurationError(f"approval must be True or False, not {self.approval!r}")
        prices = self.prices if isinstance(self.prices, Mapping) else {"prices": self.prices}
        pairs = {name for name, price in prices.items() if isinstance(price, list | tuple) and len(price) == 2}
        if wrong := [name for name in prices if name not in pairs or not all(map(_is_amount, prices[name]))]:
            raise ConfigurationError(f"A price is [input, output] per million tokens; wrong for {', '.join(wrong)}")
        if self.max_cost and not self.prices:
            raise ConfigurationError("max_cost needs prices: {model or *: [input, output]} per million tokens")

    @property
    def limited(self) -> bool:
        """Whether a run has any budget."""
        return bool(self.max_calls or self.max_tokens or self.max_cost or self.max_seconds)

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def get(self, name: str, default: Any = None) -> Any:
        return vars(self).get(name, default)


CEILINGS = ("max_calls", "max_tokens", "max_cost", "max_seconds")
"""Limits of an operator for every run, as `PODIUM_MAX_CALLS`, `PODIUM_MAX_TOKENS`, `PODIUM_MAX_SECONDS`, or with prices
`PODIUM_MAX_COST`; a run may ask for less, not for more."""
PRICES = "PODIUM_PRICES"


def capped(chosen: Settings) -> Settings:
    """Return settings within the operator's ceilings, which are read from the environment at each call.

    With a ceiling of the cost, the prices are the operator's too: `PODIUM_PRICES`, JSON as in `Settings.prices`.

    Raises:
        ConfigurationError: A ceiling is not a number above 0, or the prices cannot be read.
    """
    ceilings = {name: _ceiling(f"PODIUM_{name.upper()}") for name in CEILINGS}
    limits: dict[str, Any] = {
        name: min(getattr(chosen, name) or ceiling, ceiling) for name, ceiling in ceilings.items() if ceiling
    }
    if not limits:
        return chosen
    if "max_cost" in limits:
        limits["prices"] = _prices()
    own = copy(chosen)
    vars(own).update(limits)
    own.__post_init__()
    return own


def _ceiling(variable: str) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text or "0")
    except ValueError:
        value = math.nan
    if text and not (_is_amount(value) and value > 0):
        raise ConfigurationError(f"{variable} must be a number above 0, not {text!r}; unset it for no ceiling")
    return int(value) if value.is_integer() else value


def _prices() -> dict[str, list[float]]:
    text = os.environ.get(PRICES, "").strip()
    try:
        prices = json.loads(text)
    except ValueError:
        prices = None
    if not isinstance(prices, dict) or not all(isinstance(pair, list) and len(pair) == 2 for pair in prices.values()):
        raise ConfigurationError(
            f"PODIUM_MAX_COST needs {PRICES} as JSON, prices per million tokens, not {text!r:.80}; for example"
            ' {"*": [1.5, 6]}'
        )
    return prices


def settings_from(context: object) -> Settings:
    """Return the settings in the context that a run was called with; without one, those of the run around it.

    Keys of a mapping that are not settings are the user's own; so is any other object, beside which the defaults hold.
    """
    if context is None:
        return settings()
    if isinstance(context, Settings):
        return context
    if not isinstance(context, Mapping):
        return Settings()
    names = {setting.name for setting in fields(Settings)}
    chosen = Settings(**{name: value for name, value in context.items() if name in names})
    own = {name: value for name, value in context.items() if name not in names}
    for name in own:
        if str(name).startswith("max") and (meant := get_close_matches(name, names, 1, 0.85)):
            raise ConfigurationError(f"{name!r} limits nothing; did you mean {meant[0]!r}?")
    vars(chosen).update(own)
    return chosen


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
    return settings_from(context) if context is not None else _DEFAULTS


def max_history_tokens(model: object = None) -> int:
    """Return how many tokens of a conversation a model gets: the run's limit, at most half of its context window."""
    window = (getattr(model, "profile", None) or {}).get("max_input_tokens") or 0
    limits = [limit for limit in (settings().max_history_tokens, window // 2) if limit]
    return min(limits, default=HISTORY_TOKENS)


def _is_amount(value: object) -> bool:
    # What is compared with NaN is false, so a NaN would limit nothing.
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


_DEFAULTS = Settings()
