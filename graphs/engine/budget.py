"""A budget for a whole run, across nested graphs, agents, retries and repairs: what it may cost before it must stop.

A budget sits among the run's callbacks, so every chat model call below passes it. When the budget is used up no new
call starts; what is running may finish, and a synthesis may use a share that is kept for it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from agents.runtime import AnyRunnable, Effects, SyncAsyncRunnable, extended
from agents.settings import Settings, capped, settings_from
from agents.usage import BUDGET, Tally, Usage, add_usage, model_called
from graphs.engine.concurrency import shared_in_run
from graphs.errors import BudgetError

RESERVED = "podium:reserved"
"""Tag of calls that may use the share of the budget kept for the synthesis."""

RESERVED_SHARE = 0.1
"""Share of each limit that is kept where a pattern has a synthesis; of `max_calls` one call at least, if there are
two."""


# A refusal is Podium's normal way of ending a run, but LangChain logs every error of a callback as a warning.
logging.getLogger("langchain_core.callbacks.manager").addFilter(
    lambda record: "Error in Budget" not in record.getMessage()
)


class Budget(Tally):
    """Counts what a run has used, and refuses the calls it may no longer make."""

    raise_error = True
    # Not inline: LangChain leaves coroutines unawaited when an inline handler raises in async code.
    run_inline = False

    def __init__(self, limits: Settings) -> None:
        super().__init__(limits.prices)
        self.limits = limits
        self.kept = 0.0
        """Share of each limit that only calls tagged as reserved may use."""
        self.began = time.monotonic()
        self._taken_over: set[str] = set()
        self._silent: str | None = None
        """A model that did not tell how many tokens it used."""

    def on_chat_model_start(self, serialized: object, messages: object, *, run_id: object, **about: Any) -> None:
        """Let a call begin.

        Raises:
            BudgetError: The budget is used up, or it cannot be kept: with `max_cost` a model has no price, with that or
                `max_tokens` a model does not tell the tokens it used.
        """
        model = model_called(about)
        with self._lock:
            self._check(model, reserved=RESERVED in (about.get("tags") or ()))
            self._open[run_id] = model

    def book(self, call: Usage, model: str) -> None:
        if not call["input_tokens"] + call["output_tokens"]:
            self._silent = self._silent or model or "a model"
        super().book(call, model)

    def take_over(self, place: str, usage: Usage | None, seconds: float = 0.0) -> None:
        """Book once what a graph or step had used before this process took the run over from another."""
        with self._lock:
            if place not in self._taken_over:
                self._taken_over.add(place)
                self.usage = add_usage(self.usage, usage)
                self.began -= seconds

    def charge(self, usage: Usage) -> None:
        with self._lock:
            self.usage = add_usage(self.usage, usage)

    def _check(self, model: str, *, reserved: bool) -> None:
        limits = self.limits
        kept = 0.0 if reserved else self.kept
        kept_calls = max(1, round(limits.max_calls * kept)) if kept and limits.max_calls > 1 else 0
        tokens = self.usage["input_tokens"] + self.usage["output_tokens"]
        if limits.max_cost and not {model, "*"} & set(limits.prices):
            raise BudgetError(f"max_cost is set, but prices has neither {model!r} nor '*'")
        if self._silent and (limits.max_tokens or limits.max_cost):
            limit = "max_tokens" if limits.max_tokens else "max_cost"
            raise BudgetError(
                f"{limit} is set, but {self._silent} does not tell how many tokens it used; "
                "a ChatOpenAI with a base_url of its own needs stream_usage=True for that"
            )
        if limits.max_calls and self.usage["calls"] + len(self._open) >= limits.max_calls - kept_calls:
            raise BudgetError(f"The budget of {limits.max_calls} model calls is used up")
        if limits.max_tokens and tokens >= limits.max_tokens * (1 - kept):
            raise BudgetError(f"The budget of {limits.max_tokens} tokens is used up: {tokens} were used")
        if limits.max_cost and self.usage.get("cost", 0.0) >= limits.max_cost * (1 - kept):
            raise BudgetError(
                f"The budget of {limits.max_cost:g} is used up: {self.usage.get('cost', 0.0):.4g} was spent"
            )
        self.check_time(reserved=reserved)

    def seconds_left(self, *, reserved: bool) -> float:
        """Return the seconds that are left; those kept for the synthesis count only if `reserved`."""
        limit = self.limits.max_seconds * (1 if reserved else 1 - self.kept)
        return limit - (time.monotonic() - self.began) if limit else math.inf

    def check_time(self, *, reserved: bool) -> None:
        """Let work begin.

        Raises:
            BudgetError: The seconds are used up.
        """
        if self.seconds_left(reserved=reserved) <= 0:
            raise self.out_of_time()

    def out_of_time(self) -> BudgetError:
        return BudgetError(f"The budget of {self.limits.max_seconds:g} seconds is used up")


class Timed(SyncAsyncRunnable[object, object]):
    """Work that begins only while the run has seconds left, and ends with them."""

    def __init__(self, work: AnyRunnable, budget: Budget, *, reserved: bool) -> None:
        self.work = work
        self.budget = budget
        self.reserved = reserved

    async def run(self, effects: Effects, value: object, config: RunnableConfig) -> object:
        """Do the work.

        Raises:
            BudgetError: The seconds are used up, or ran out.
        """
        self.budget.check_time(reserved=self.reserved)
        try:
            left = self.budget.seconds_left(reserved=self.reserved)
            async with asyncio.timeout(left):
                return await effects.invoke(self.work, value, config)
        except TimeoutError:
            self.budget.check_time(reserved=self.reserved)
            raise

    async def pause(self, effects: Effects, seconds: float) -> None:
        """Wait before the work is tried again, as long as the run has seconds left.

        Raises:
            BudgetError: It has fewer.
        """
        left = self.budget.seconds_left(reserved=self.reserved)
        await effects.sleep(min(seconds, max(0.0, left)))
        if left < seconds:
            raise self.budget.out_of_time()


def within_budget(work: AnyRunnable, config: RunnableConfig) -> AnyRunnable:
    """Return work that ends with the seconds of the run it belongs to, if those are limited."""
    budget: Budget | None = config.get("configurable", {}).get(BUDGET)
    if budget is None or not budget.limits.max_seconds:
        return work
    return Timed(work, budget, reserved=getattr(work, "uses_reserve", False))


def with_budget(config: RunnableConfig, context: object, *, synthesizes: Callable[[], bool]) -> RunnableConfig:
    """Return a run's config with a budget, if its settings or the operator's ceilings limit it.

    It is that of the pattern around it; in a user's own graph all patterns of a run share one.
    """
    known = config.get("configurable", {})
    limits = capped(settings_from(context))
    if BUDGET in known or not limits.limited:
        return config
    budget = shared_in_run(BUDGET, lambda: Budget(limits))
    if synthesizes():
        budget.kept = RESERVED_SHARE
    return {**extended(config, callbacks=[budget]), "configurable": {**known, BUDGET: budget}}


def take_over(config: RunnableConfig, place: str, usage: Usage | None, seconds: float = 0.0) -> None:
    """Book what was used before this process took the run over, if the run has a budget."""
    budget = config.get("configurable", {}).get(BUDGET)
    if budget is not None:
        budget.take_over(place, usage, seconds)


class Spent(TypedDict):
    """A budget as data, for work in another process."""

    limits: dict[str, Any]
    used: Usage
    seconds: float
    """Seconds since the run began."""
    synthesizes: bool


def spent(config: RunnableConfig) -> Spent | None:
    """Return the budget of a run as it is now, None if the run has none."""
    budget: Budget | None = config.get("configurable", {}).get(BUDGET)
    if budget is None:
        return None
    limits = {setting.name: getattr(budget.limits, setting.name) for setting in fields(Settings)}
    seconds = time.monotonic() - budget.began
    return {"limits": limits, "used": budget.usage, "seconds": seconds, "synthesizes": bool(budget.kept)}


def with_rest(config: RunnableConfig, spent: Spent | None) -> RunnableConfig:
    """Return a config with what is left of a budget that another process counts."""
    if spent is None:
        return config
    config = with_budget(config, Settings(**spent["limits"]), synthesizes=lambda: spent["synthesizes"])
    take_over(config, "", spent["used"], spent["seconds"])
    return config
