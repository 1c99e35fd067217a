"""The work of an agent made again when that can help, with a time-out for each attempt.

`Attempts` goes around the whole work; `InPlace` repeats a model call inside where it failed, so that the agent is not
repeated for it. Work in which a tool has begun is never repeated.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from agents.errors import ChangedCodeError, StorageError
from agents.runtime.cancellation import Cancellation
from agents.runtime.effects import AnyRunnable, Effects
from agents.runtime.retry import IN_PLACE, FailedAttempt, InPlace, OnRetry, Pause, Retry, is_exhausted
from agents.runtime.run_config import extended
from agents.runtime.sync_async import SyncAsyncRunnable
from agents.settings import settings
from agents.usage import Tally, Usage, sum_usage, usage_of


class AttemptOutcome(NamedTuple):
    """The end of some attempts: either `reply` or `error` is set."""

    reply: Any
    error: Exception | None
    attempts: int
    usage: Usage
    faults: tuple[FailedAttempt, ...] = ()
    """Failures that were repeated, model calls inside an agent included; to be booked as recovered."""


class Attempts(SyncAsyncRunnable[object, AttemptOutcome]):
    """Calls a Runnable until it succeeds or trying again cannot help.

    Work is not repeated if a call inside has used up its attempts (`InPlace`), or if a tool has begun.
    Work with a method `pause` waits by it between attempts. Faults end in the `AttemptOutcome` and are not raised,
    except for those that end the run.
    """

    def __init__(
        self,
        work: AnyRunnable,
        retry: Retry | None = None,
        *,
        timeout: float | None = None,
        on_retry: OnRetry = lambda attempt, error, pause: None,
    ) -> None:
        self.work = work
        self.retry = retry or Retry()
        self.on_retry = on_retry
        self.timeout = timeout
        """Seconds for each attempt. In sync code a call under way when it is abandoned goes on until it returns."""

    async def run(self, effects: Effects, value: object, config: RunnableConfig) -> AttemptOutcome:
        spent: list[Usage] = []
        pause: Pause = getattr(self.work, "pause", InPlace.pause)
        inside = InPlace(self.retry, self.on_retry, timeout=self.timeout, pause=pause)
        while True:
            tally = Tally(settings().prices)
            cancellation = None if self.timeout is None else Cancellation()
            inside.counted = self.work, tally
            counted = extended(config, callbacks=[tally], configurable={IN_PLACE: inside})
            own = cancellation.holding(counted) if cancellation else counted
            inside.in_line = False
            try:
                async with asyncio.timeout(self.timeout):
                    reply = await effects.invoke(self.work, value, own)
            except GraphInterrupt as asked:  # LangGraph raises a question of a nested graph's task twice
                raise GraphInterrupt(tuple({question.id: question for question in asked.args[0]}.values())) from None
            except (GraphBubbleUp, StorageError, ChangedCodeError):
                raise
            except Exception as error:
                if cancellation:
                    cancellation.cancel()  # the thread of an attempt that timed out lives on
                cut_off = tally.cut_off() if isinstance(error, TimeoutError) else tally.usage
                spent.append(usage_of(error) or cut_off)  # the time-out of an attempt carries no note of its cost
                if inside.has_acted or tally.tools_ran or is_exhausted(error):
                    return self._outcome(inside, spent, error=error)
                inside.note_place_in_line(error)
                try:
                    inside.attempt = await inside.wait(effects, error, inside.attempts)
                except Exception as last:
                    return self._outcome(inside, spent, error=last)
            else:
                return self._outcome(inside, [*spent, reply["usage"]], reply)

    def _outcome(
        self, inside: InPlace, spent: Sequence[Usage], reply: object = None, error: Exception | None = None
    ) -> AttemptOutcome:
        if isinstance(error, TimeoutError) and not str(error) and self.timeout is not None:
            error = TimeoutError(f"no answer within {self.timeout:g} s")
        return AttemptOutcome(reply, error, inside.attempts, sum_usage(spent), tuple(inside.faults))
