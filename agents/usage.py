"""Model calls, tokens and cost: as data, their sums, and what counts them in a run."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, NotRequired, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
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
    return cast("Tokens", total)


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


BUDGET = "__ledger"
"""Key of a run's budget in its config; nested graphs inherit it, checkpoints leave it out."""


def charge_earlier(config: RunnableConfig, reported: Usage, counted: Usage) -> None:
    """Charge the run's budget, if it has one, with calls that were made before this process took the run over."""
    budget = config.get("configurable", {}).get(BUDGET)
    if budget is not None and reported["calls"] > counted["calls"]:
        budget.charge({**plus(reported, counted, -1), "agents": {}})


def usage_of(error: BaseException) -> Usage | None:
    """Return what a failed call had cost before it failed, where that was noted."""
    return cast("Usage | None", getattr(error, "usage", None))


Prices = Mapping[str, Sequence[float]]
"""Prices of a million input tokens and of a million output tokens, by model name; `*` for any other."""

NO_PRICES: Prices = {}


def usage_of_messages(messages: Iterable[object], prices: Prices) -> Usage:
    """Return what the calls have cost whose replies are among some messages, as far as their providers reported it."""
    replies = [message for message in messages if isinstance(message, AIMessage) and message.usage_metadata]
    return sum_usage(_usage([reply], str(reply.response_metadata.get("model_name") or ""), prices) for reply in replies)


def _usage(replies: Iterable[object], model: str, prices: Prices) -> Usage:
    """Return what one call has cost, with the tokens that its provider reported."""
    reported = [reply.usage_metadata for reply in replies if isinstance(reply, AIMessage) and reply.usage_metadata]
    tokens = [
        {**counts, "cached_tokens": counts.get("input_token_details", {}).get("cache_read")} for counts in reported
    ]
    call: Usage = {**sum_usage({**_plausible(part), "agents": {}} for part in tokens), "calls": 1}
    if not prices:
        return call
    read, written = prices.get(model) or prices.get("*") or (0.0, 0.0)
    return {**call, "cost": (call["input_tokens"] * read + call["output_tokens"] * written) / 1e6}


class Tally(BaseCallbackHandler, AbstractContextManager["Tally"]):
    """Counts the chat model calls under a config."""

    run_inline = True
    ignore_chain = True  # only model calls count
    usage = no_usage()  # replaced with each call, never changed

    def __init__(self, prices: Prices = NO_PRICES) -> None:
        self.prices = prices
        self.tools_ran = False
        """Whether a tool has begun."""
        self._open: dict[object, str] = {}
        self._lock = threading.Lock()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Note on any error that leaves the block what had been spent before it."""
        if not isinstance(error, Exception):
            return
        noted = usage_of(error)
        if noted and noted["calls"] >= self.usage["calls"]:
            return  # the same calls, booked on the agents that made them
        with suppress(AttributeError):  # an exception class may forbid new attributes
            error.usage = self.usage  # type: ignore[attr-defined]

    def on_chat_model_start(self, serialized: object, messages: object, *, run_id: object, **about: object) -> None:
        """Note which model is called, for its price."""
        with self._lock:
            self._open[run_id] = model_called(about)

    def on_llm_end(self, response: LLMResult, *, run_id: object = None, **about: object) -> None:
        generations = (generation for choices in response.generations for generation in choices)
        replies = (generation.message for generation in generations if isinstance(generation, ChatGeneration))
        with self._lock:
            model = self._open.pop(run_id, "")
            self.book(_usage(replies, model, self.prices), model)

    def on_llm_error(self, error: BaseException, *, run_id: object = None, **about: object) -> None:
        """Add a call that failed; its provider may have charged for it."""
        with self._lock:
            if self._open.pop(run_id, None) is not None:
                self.usage = add_usage(self.usage, {**no_usage(), "calls": 1})

    def book(self, call: Usage, model: str) -> None:
        self.usage = add_usage(self.usage, call)

    def on_tool_start(self, serialized: object, input_str: str, **about: object) -> None:
        self.tools_ran = True

    def cut_off(self) -> Usage:
        """Return what was used when the work was abandoned; calls under way count as calls."""
        with self._lock:
            return add_usage(self.usage, {**no_usage(), "calls": len(self._open)})


def model_called(about: Mapping[str, Any]) -> str:
    """Return the name of a call's model from the keywords of a callback."""
    return str((about.get("metadata") or {}).get("ls_model_name") or "")


MAX_COUNT = 2**53
"""Largest count that is believed; JSON and databases keep it exactly."""


def plausible(usage: object) -> Usage:
    """Return a usage that another process reported, every count a whole number from 0 up, shares as they add up."""
    reported = usage if isinstance(usage, Mapping) else {}
    total, agents = _plausible(reported), reported.get("agents")
    shares = agents.items() if isinstance(agents, Mapping) else ()
    plain: Any = {str(name): _plausible(share) for name, share in shares}
    is_sum = all(sum(share[count] for share in plain.values()) <= total[count] for count in COUNTS)  # type: ignore[literal-required]
    return {**total, "agents": plain if is_sum else {}}


def _plausible(reported: object) -> Tokens:
    counts = reported if isinstance(reported, Mapping) else {}
    plain: Any = {name: _count(counts.get(name)) for name in COUNTS}
    if cached := min(_count(counts.get("cached_tokens")), plain["input_tokens"]):
        plain["cached_tokens"] = cached
    cost = counts.get("cost")
    if isinstance(cost, int | float) and 0 <= cost < MAX_COUNT:
        plain["cost"] = float(cost)
    return cast("Tokens", plain)


def _count(reported: object) -> int:
    return int(min(reported, MAX_COUNT)) if isinstance(reported, int | float) and reported > 0 else 0
