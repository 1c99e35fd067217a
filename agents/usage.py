"""Model calls, tokens and cost as data, and their sums."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NotRequired

from typing_extensions import TypedDict


class Tokens(TypedDict):
    """Model calls, failed ones included, and the tokens they read and wrote as far as their providers report them."""

    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: NotRequired[int]
    """Tokens read that came from the provider's prompt cache; only there if it reported any."""
    cost: NotRequired[float]
    """Cost in the currency of the run's prices; missing without prices."""


class Usage(Tokens):
    """`Tokens` in all, and under `agents` the share of each agent by name (nested ones as `outer/inner`)."""

    agents: dict[str, Tokens]


COUNTS = ("calls", "input_tokens", "output_tokens")
_OPTIONAL = ("cached_tokens", "cost")


def no_usage() -> Usage:
    """Return a usage of nothing."""
    return {"calls": 0, "input_tokens": 0, "output_tokens": 0, "agents": {}}


def plus(left: Tokens, right: Tokens, sign: int = 1) -> Tokens:
    """Add the counts and costs of `right`, or with the sign -1 take them away."""
    total: Any = {count: left[count] + sign * right[count] for count in COUNTS}  # type: ignore[literal-required]
    before: Any = left
    added: Any = right
    for name in _OPTIONAL:
        if name in before or (sign > 0 and name in added):
            total[name] = before.get(name, 0) + sign * added.get(name, 0)
    tokens: Tokens = total
    return tokens


def add_usage(left: Usage | None, right: Usage | None) -> Usage:
    """Add two usages; the reducer of `usage` in every graph's state."""
    if not left or not right:
        return right or left or no_usage()
    agents = dict(left["agents"])
    for name, tokens in right["agents"].items():
        agents[name] = plus(agents[name], tokens) if name in agents else tokens
    return {**plus(left, right), "agents": agents}


def sum_usage(usages: Iterable[Usage | None]) -> Usage:
    """Add any number of usages."""
    total = no_usage()
    for usage in usages:
        total = add_usage(total, usage)
    return total


def named(usage: Usage, name: str) -> Usage:
    """Book a usage on an agent: its own calls under its name, those of agents inside it under `name/inner`."""
    inside = {f"{name}/{inner}": tokens for inner, tokens in usage["agents"].items()}
    booked = sum_usage({**tokens, "agents": {}} for tokens in usage["agents"].values())
    own = plus(usage, booked, -1)
    agents = {name: own, **inside} if any(own.values()) else inside
    return {**usage, "agents": agents}
