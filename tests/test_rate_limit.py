"""One gate per model and process: what a 429 does to the other calls of the model."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agents.errors import AgentError, TransientError
from agents.models import openai_chat
from agents.runtime import Attempts, Cancellation, Effects, Retry, WorkCancelledError, in_place
from agents.runtime.background import start_in_background
from agents.runtime.effects import BackgroundEffects
from agents.runtime.rate_limit import RateLimit, rate_limit_of
from agents.runtime.sync_async import SyncAsyncRunnable
from agents.testing import ScriptedModel
from tests.chat import LimitedError
from tests.waiting import PATIENCE


class Limited:
    """A provider that accepts so many calls in each window of some seconds, and says when to come back."""

    def __init__(self, most: int, window: float) -> None:
        self.most, self.window = most, window
        self.accepted: deque[float] = deque()
        self.refused = 0
        self._lock = threading.Lock()

    async def call(self) -> str:
        with self._lock:
            now = time.monotonic()
            while self.accepted and now - self.accepted[0] > self.window:
                self.accepted.popleft()
            if len(self.accepted) >= self.most:
                self.refused += 1
                raise LimitedError(str(self.window))
            self.accepted.append(now)
        return "fine"


class Calling(SyncAsyncRunnable[Any, Any]):
    """Calls a model, as an agent does."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]], model: Any = None) -> None:
        self.work = work
        self.model = model or ScriptedModel()

    async def run(self, effects: Effects, value: Any, config: Any) -> Any:
        return {"text": await in_place(config).call(effects, self.model, lambda attempt: self.work()), "usage": NOTHING}


NOTHING = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "agents": {}}


async def many(work: Attempts, number: int, *, threads: bool) -> list[Any]:
    if not threads:
        return await asyncio.gather(*(work.ainvoke(number) for number in range(number)))
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work.invoke, range(number)))


@pytest.mark.parametrize("threads", [True, False])
def test_more_calls_at_once_than_a_provider_takes_all_succeed_without_a_storm(threads: bool) -> None:
    provider = Limited(most=5, window=0.2)
    work = Attempts(Calling(provider.call), Retry(attempts=2, wait=0.05))
    outcomes = asyncio.run(many(work, 12, threads=threads))
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert provider.refused < 18


@pytest.mark.parametrize("threads", [True, False])
def test_a_time_out_in_the_line_is_not_an_attempt(threads: bool) -> None:
    provider = Limited(most=5, window=0.4)
    work = Attempts(Calling(provider.call), Retry(attempts=30), timeout=0.5)
    outcomes = asyncio.run(many(work, 12, threads=threads))
    assert [outcome.error for outcome in outcomes] == [None] * 12
    late = [fault for outcome in outcomes for fault in outcome.faults if isinstance(fault.error, TimeoutError)]
    assert late
    assert not all(fault.counts for fault in late)  # on a busy machine a call under way may time out too, which counts


def test_all_calls_of_a_limited_model_wait_in_the_order_in_which_they_came() -> None:
    gate = RateLimit()
    gate.refused(asyncio.run(gate.enter(Effects(), 0)), 0.1)
    entered: list[int] = []

    async def enter(number: int) -> None:
        await gate.enter(Effects(), number)
        entered.append(number)

    async def run() -> None:
        await asyncio.gather(*(enter(number) for number in (3, 1, 2)))

    began = time.monotonic()
    gate._interval = 0.01  # the pace itself is measured above
    asyncio.run(run())
    assert entered == [1, 2, 3]
    assert time.monotonic() - began >= 0.1


def test_a_cancelled_call_leaves_the_line_to_the_next() -> None:
    gate, cancellation = RateLimit(), Cancellation()
    gate.refused(time.monotonic(), 0.2)
    first = start_in_background(lambda: gate.enter(BackgroundEffects([cancellation]), 1)).future
    second = start_in_background(lambda: gate.enter(BackgroundEffects(), 2)).future
    threading.Timer(0.05, cancellation.cancel).start()
    with pytest.raises(WorkCancelledError):
        first.result(PATIENCE)
    assert second.result(PATIENCE) > 0


def test_a_provider_that_refuses_for_good_is_asked_so_often(call: Any) -> None:
    provider = Limited(most=0, window=0.01)
    outcome = call(Attempts(Calling(provider.call), Retry(attempts=3, wait=0.01)), None)
    assert (provider.refused, outcome.attempts, len(outcome.faults)) == (3, 3, 2)
    assert isinstance(outcome.error, LimitedError)


def test_a_wait_beyond_the_limit_fails_at_once_and_says_so(call: Any) -> None:
    provider = Limited(most=0, window=3600)
    work = Attempts(Calling(provider.call), Retry(max_wait=0.01))
    outcome = call(work, None)
    assert provider.refused == 1
    assert isinstance(outcome.error, AgentError)
    assert "asks to wait 3.6e+03 s; max_wait allows 0.01 s" in str(outcome.error)


def test_attempts_around_a_model_do_not_multiply_its_attempts(call: Any) -> None:
    calls: list[int] = []

    async def fail() -> None:
        calls.append(1)
        raise TransientError("busy")

    outcome = call(Attempts(Attempts_inside(fail), Retry(attempts=3, wait=0)), None)
    assert (len(calls), outcome.attempts) == (3, 3)


class Attempts_inside(Calling):  # noqa: N801
    """Wraps the error of a model in one of its own."""

    async def run(self, effects: Effects, value: Any, config: Any) -> Any:
        try:
            return await super().run(effects, value, config)
        except TransientError as error:
            raise ConnectionError("the agent failed") from error


def test_models_of_one_address_share_a_gate() -> None:
    one, same, other = (openai_chat("m", base_url=url, api_key="k") for url in ("http://a", "http://a", "http://b"))
    for wrapped in (same, same.bind(stop=["."]), same.with_fallbacks([other])):
        assert rate_limit_of(one) is rate_limit_of(wrapped)
    assert rate_limit_of(one) is not rate_limit_of(other)
    assert rate_limit_of(ScriptedModel()) is not rate_limit_of(ScriptedModel())


def test_a_waiter_on_a_blocked_loop_holds_no_other_up() -> None:
    gate, waits, free = RateLimit(), threading.Event(), threading.Event()
    gate.refused(time.monotonic(), 0.1)

    async def block() -> float:
        waiting = asyncio.ensure_future(gate.enter(Effects(), 1))
        await asyncio.sleep(0)
        waits.set()
        free.wait(PATIENCE)
        return await waiting

    with ThreadPoolExecutor() as pool:
        first = pool.submit(asyncio.run, block())
        assert waits.wait(PATIENCE)
        others = [pool.submit(asyncio.run, gate.enter(Effects(), number)) for number in (2, 3)]
        entered = [other.result(PATIENCE) for other in others]
        free.set()
        assert first.result(PATIENCE) > max(entered)
