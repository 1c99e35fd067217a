"""Calls made again when that can help: attempts, back-off, `Retry-After`, a time-out each."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from agents.errors import ConfigurationError, StorageError
from agents.runtime.cancellation import Cancellation
from agents.runtime.provider_errors import is_transient, retry_after
from agents.runtime.sync_async import Effects, SyncAsyncRunnable
from agents.runtime.usage import Tally, Usage, add_usage, no_usage, usage_of
from agents.settings import settings


@dataclass(frozen=True)
class Retry:
    """When a failed call is made again: only faults that may pass (`agents.runtime.provider_errors.is_transient`).

    Raises:
        ConfigurationError: No attempt, a factor below 1, or a negative wait.
    """

    attempts: int = 3
    """Calls in all, the first included."""
    wait: float = 0.5
    """Seconds before the second attempt; each further wait is `factor` times longer, plus up to a tenth by chance."""
    factor: float = 2.0
    """Growth of the wait from attempt to attempt."""
    max_wait: float = 60.0
    """Longest wait in seconds, also when a server's `Retry-After` asks for more."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.wait < 0 or self.factor < 1 or self.max_wait < 0:
            raise ConfigurationError(f"{self} needs attempts >= 1, factor >= 1, and waits that are not negative")

    def pause(self, attempt: int, error: BaseException) -> float:
        """Return the seconds to wait after a failed attempt (counted from 1)."""
        asked = retry_after(error)
        backoff = self.wait * self.factor ** (attempt - 1) * (1 + random.random() / 10)  # noqa: S311
        return min(backoff if asked is None else asked, self.max_wait)

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON form that states and plans use."""
        return asdict(self)


OnRetry = Callable[[int, Exception, float], None]
"""Called before each wait with the number of the failed attempt, its error and the seconds to wait."""

IN_PLACE = "__in_place"
"""The key of a config's `configurable` under which calls inside an attempt find how they are retried."""


@dataclass
class InPlace:
    """Retries of single calls inside an attempt: a model call that fails is repeated, not the agent around it."""

    retry: Retry = field(default_factory=Retry)
    on_retry: OnRetry = lambda attempt, error, pause: None
    attempt: int = 1
    """The number of the attempt around the calls; their own attempts are counted from it."""
    mended: list[Exception] = field(default_factory=list)
    """The faults after which a call was repeated."""
    has_acted: bool = False
    """Whether a tool has run: the attempt around it must not be repeated."""

    async def again(self, effects: Effects, error: Exception, attempt: int) -> None:
        """Wait before a call is repeated after its attempt of this number; raise the error if that is no use."""
        if attempt >= self.retry.attempts or not is_transient(error):
            with suppress(AttributeError):  # an exception class may forbid new attributes
                error.exhausted = True  # type: ignore[attr-defined]
            raise error
        pause = self.retry.pause(attempt, error)
        self.mended.append(error)
        self.on_retry(attempt, error, pause)
        await effects.sleep(pause)


def in_place(config: RunnableConfig) -> InPlace:
    """Return how calls under this config are retried: as the attempt around them says, else by default."""
    kept: InPlace | None = config.get("configurable", {}).get(IN_PLACE)
    return kept or InPlace()


class Outcome(NamedTuple):
    """How some attempts ended: either `reply` or `error` is set."""

    reply: Any
    error: Exception | None
    attempts: int
    """Attempts in all, the repeated calls inside them included."""
    usage: Usage
    mended: Sequence[Exception] = ()
    """The faults that passed, or were followed by another one."""


class Attempts(SyncAsyncRunnable[Any, Outcome]):
    """Calls a Runnable until it succeeds or trying again is no use.

    Faults end in the `Outcome`, never raised, except that what was done can no longer be stored.
    """

    def __init__(
        self,
        work: Runnable[Any, Any],
        retry: Retry | None = None,
        *,
        timeout: float | None = None,
        on_retry: OnRetry = lambda attempt, error, pause: None,
    ) -> None:
        self.work = work
        self.retry = retry or Retry()
        self.on_retry = on_retry
        self.timeout = timeout
        """Seconds for each attempt. In sync code a call at work when it is given up goes on until it returns."""

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Outcome:
        """Return the first success, or the last failure."""
        spent = no_usage()
        inside = InPlace(self.retry, self.on_retry)
        while True:
            tally, cancellation = Tally(settings().prices), Cancellation()
            counted = _with(inside, tally.watching(config))
            own = counted if self.timeout is None else cancellation.holding(counted)
            try:
                reply = await effects.within(self.timeout, effects.invoke(self.work, value, own))
            except GraphInterrupt as asked:  # LangGraph tells a question of a nested graph's task twice
                raise GraphInterrupt(tuple({one.id: one for one in asked.args[0]}.values())) from None
            except (GraphBubbleUp, StorageError):
                raise
            except Exception as error:
                cancellation.cancelled = True  # the thread of an attempt that timed out lives on
                spent = add_usage(spent, _spent(error, tally))
                if inside.has_acted or getattr(error, "exhausted", False):
                    return self._ended(error, inside, spent)
                try:
                    await inside.again(effects, error, inside.attempt)
                except Exception as last:
                    return self._ended(last, inside, spent)
                inside.attempt += 1
            else:
                return Outcome(reply, None, 1 + len(inside.mended), add_usage(spent, reply["usage"]), inside.mended)

    def _ended(self, error: Exception, inside: InPlace, spent: Usage) -> Outcome:
        return Outcome(None, _timed(error, self.timeout), 1 + len(inside.mended), spent, inside.mended)


def _with(inside: InPlace, config: RunnableConfig) -> RunnableConfig:
    return {**config, "configurable": {**config.get("configurable", {}), IN_PLACE: inside}}


def _spent(error: Exception, tally: Tally) -> Usage:
    """Return what an attempt had cost when it failed; the time-out of an attempt carries no note of it."""
    return usage_of(error) or (tally.cut_off() if isinstance(error, TimeoutError) else tally.usage)


def _timed(error: Exception, timeout: float | None) -> Exception:
    """Say how long the call had, where only its time-out is known."""
    if isinstance(error, TimeoutError) and not str(error) and timeout is not None:
        return TimeoutError(f"no answer within {timeout:g} s")
    return error
