"""Model calls made again in place when that can help: how often, back-off, `Retry-After`, rate limits."""

import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from agents.errors import AgentError, ConfigurationError
from agents.runtime.effects import Effects
from agents.runtime.provider_errors import causes, explain, is_rate_limit, is_transient, provider_words, retry_after
from agents.runtime.rate_limit import JITTER, new_ticket, rate_limit_of
from agents.runtime.run_config import extended
from agents.usage import Tally

T = TypeVar("T")

_log = logging.getLogger("podium")

MAX_EXPONENT = 700
"""Growth of a wait, as a logarithm, beyond which a float overflows."""


@dataclass(frozen=True)
class Retry:
    """Repetition of failed calls: only of faults that may pass (`agents.runtime.provider_errors.is_transient`).

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
    """Longest wait in seconds. Where a server asks for more (`Retry-After`), the call fails at once."""

    def __post_init__(self) -> None:
        numbers = all(
            isinstance(value, int | float) for value in (self.attempts, self.wait, self.factor, self.max_wait)
        )
        if not (
            numbers and self.attempts >= 1 and self.wait >= 0 and self.factor >= 1 and self.max_wait >= 0
        ):  # nor NaN
            raise ConfigurationError(f"{self} needs attempts >= 1, factor >= 1, and waits that are not negative")

    def pause(self, attempt: int, error: BaseException) -> float:
        """Return the seconds to wait after a failed attempt (counted from 1): the server's wish, else the back-off."""
        asked = retry_after(error)
        growth = math.exp(min(math.log(self.factor) * (attempt - 1), MAX_EXPONENT))
        backoff = self.wait * growth * (1 + random.random() / 10)  # noqa: S311
        return min(backoff, self.max_wait) if asked is None else asked


class FailedAttempt(NamedTuple):
    """A failed call that was made again."""

    attempt: int
    """Counted from 1."""
    error: Exception
    wait: float
    """Seconds before the next attempt."""
    counts: bool = True
    """False for a refusal by a rate limit that let other calls of the model pass: that is waiting, not an attempt."""


Pause = Callable[[Effects, float], Awaitable[None]]
"""Waits for some seconds, or raises what ends the waiting."""

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
    """The number of the attempt around the calls; the attempts of each call are counted from it."""
    faults: list[FailedAttempt] = field(default_factory=list)
    """Failures that were repeated."""
    has_acted: bool = False
    """Whether a tool has begun: the attempt around it must not be repeated."""
    in_line: bool = False
    """Whether a call waits for its turn: an attempt that runs out of time there does not count."""
    timeout: float | None = None
    """Seconds that the attempt around the calls has in all."""
    pause: Pause = lambda effects, seconds: effects.sleep(seconds)
    """Waits before the next attempt."""
    counted: tuple[object, Tally] | None = None
    """The work of the attempt, and what counts its calls."""

    def holding(self, config: RunnableConfig) -> RunnableConfig:
        """Return the config with which calls are retried in place."""
        return extended(config, configurable={IN_PLACE: self})

    def tally_of(self, work: object) -> Tally | None:
        """Return what counts the calls of some work already, for the first that asks."""
        if self.counted is None or self.counted[0] is not work:
            return None
        tally, self.counted = self.counted[1], None
        return tally

    @property
    def attempts(self) -> int:
        """The attempts so far, calls that were repeated in place included."""
        return 1 + sum(fault.counts for fault in self.faults)

    async def call(self, effects: Effects, model: object, work: Callable[[int], Coroutine[object, None, T]]) -> T:
        """Call a model, and repeat the call after faults that may pass.

        `work` makes the call, by the number of the attempt, and raises what is wrong with the reply (`check_reply`), so
        that this is repeated too.
        """
        attempt, ticket = self.attempt, new_ticket()
        while True:
            try:
                async with self.turn(effects, model, attempt, ticket):
                    return await work(attempt)
            except GraphBubbleUp:
                raise
            except Exception as error:
                attempt = await self.again(effects, error, attempt)

    @asynccontextmanager
    async def turn(
        self, effects: Effects, model: object, attempt: int = 1, ticket: int | None = None
    ) -> AsyncIterator[None]:
        """Wait for the turn of one call of a model; note whether its provider refuses it by a rate limit.

        Raises:
            AgentError: The model is limited for longer than `max_wait`.
        """
        gate = rate_limit_of(model)
        if (closed := gate.wait()) > self.retry.max_wait * JITTER:
            raise _asked_too_much("The model is rate-limited", closed, self.retry)
        self.in_line = True
        started = await gate.enter(effects, new_ticket() if ticket is None else ticket)
        self.in_line = False
        try:
            yield
        except Exception as error:
            if is_rate_limit(error):
                wait = min(self.retry.pause(attempt, error), self.retry.max_wait)
                _set(error, _COMPETING, gate.refused(started, wait))
            raise
        gate.passed()

    async def again(self, effects: Effects, error: Exception, attempt: int) -> int:
        """Wait before a call is repeated whose attempt of this number failed; return the number of the next.

        A refusal by a rate limit is not an attempt if other calls of the model passed meanwhile, and the waiting is
        left to the model's next `turn`.

        Raises:
            Exception: The error, if repeating the call cannot help; marked, so that the work around is not repeated.
        """
        try:
            return await self.wait(effects, error, attempt)
        except Exception as last:
            _set(last, _EXHAUSTED, True)
            raise

    def note_place_in_line(self, error: Exception) -> None:
        """Let an attempt that ran out of time while a call waited for its turn not count."""
        if self.in_line and isinstance(error, TimeoutError):
            _set(error, _COMPETING, True)

    async def wait(self, effects: Effects, error: Exception, attempt: int) -> int:
        """Do what `again` does, without the mark."""
        _log.debug("Attempt %d failed: %s", attempt, provider_words(error) or explain(error))
        wait = self.retry.pause(attempt, error)
        competing: bool | None = getattr(error, _COMPETING, None)
        if not is_transient(error) or (attempt >= self.retry.attempts and not competing):
            raise error
        if wait > self.retry.max_wait:
            raise _asked_too_much(explain(error).rstrip("."), wait, self.retry) from error
        self.on_retry(attempt, error, wait)
        if competing is None:
            await self.pause(effects, wait)
        self.faults.append(FailedAttempt(attempt, error, wait, counts=not competing))
        return attempt + (not competing)


def in_place(config: RunnableConfig) -> InPlace:
    """Return how calls under this config are retried: as the attempt around them says, else by default."""
    kept: InPlace | None = config.get("configurable", {}).get(IN_PLACE)
    return kept or InPlace()


def _asked_too_much(reason: str, wait: float, retry: Retry) -> AgentError:
    limit = f"max_wait allows {retry.max_wait:g} s"
    return AgentError(f"{reason}. The provider asks to wait {wait:.3g} s; {limit}.", kind="rate limit")


_COMPETING, _EXHAUSTED = "podium_competing", "podium_exhausted"
"""Marks on errors: a rate limit let other calls of the model pass; a call has used up its attempts."""


def _set(error: Exception, mark: str, value: bool) -> None:
    BaseException.__setattr__(error, mark, value)  # whatever its class makes of attributes


def is_exhausted(error: BaseException) -> bool:
    """Return whether a call inside has used up its attempts, and this is its error or was caused by it."""
    return any(getattr(cause, _EXHAUSTED, False) for cause in causes(error))
