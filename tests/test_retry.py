"""Calls are made again when that can help, and only then."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.errors import GraphInterrupt

from agents.errors import AgentError, ConfigurationError, EmptyReplyError, TransientError
from agents.runtime import Attempts, Retry
from agents.usage import no_usage
from tests.chat import LimitedError
from tests.tables import each
from tests.waiting import PATIENCE

AT_ONCE = Retry(wait=0)


def replies(*script: Any) -> RunnableLambda[Any, Any]:
    """Return or raise one after the other."""
    left = iter(script)

    def reply(_: Any) -> Any:
        one = next(left)
        if isinstance(one, BaseException):
            raise one
        return {"text": one, "usage": {**no_usage(), "calls": 1}}

    return RunnableLambda(reply)


@pytest.mark.parametrize(
    ("script", "attempts", "error"),
    [
        (["fine"], 1, None),
        ([TransientError("busy"), "fine"], 2, None),
        ([TransientError("busy"), EmptyReplyError("empty"), "fine"], 3, None),
        ([TransientError("1"), TransientError("2"), TransientError("3")], 3, TransientError),
        ([AgentError("refused")], 1, AgentError),
        ([TransientError("busy"), ValueError("bad")], 2, ValueError),
        ([ConnectionError("gone"), "fine"], 2, None),
    ],
)
def test_faults_that_may_pass_are_tried_again(call: Any, script: list[Any], attempts: int, error: Any) -> None:
    outcome = call(Attempts(replies(*script), AT_ONCE), "x")
    assert outcome.attempts == attempts
    assert type(outcome.error) is (error or type(None))
    assert (outcome.reply or {"text": None})["text"] == (None if error else "fine")


@pytest.mark.parametrize("error", [GraphInterrupt(()), KeyboardInterrupt(), SystemExit()])
def test_interrupts_are_no_faults(call: Any, error: BaseException) -> None:
    with pytest.raises(type(error)):
        call(Attempts(replies(error), AT_ONCE), "x")


def test_what_failed_attempts_cost_is_added() -> None:
    spent = AgentError("x", usage={**no_usage(), "calls": 3, "input_tokens": 7})
    outcome = Attempts(replies(spent), AT_ONCE).invoke("x")
    assert (outcome.usage["calls"], outcome.usage["input_tokens"]) == (3, 7)
    again = EmptyReplyError("x", usage={**no_usage(), "calls": 2})
    assert Attempts(replies(again, "fine"), AT_ONCE).invoke("x").usage["calls"] == 3


def test_each_wait_is_told_before_it_begins(call: Any) -> None:
    told: list[tuple[int, str, float]] = []
    work = replies(TransientError("busy"), LimitedError("0.01"), "fine")
    on_retry = lambda attempt, error, pause: told.append((attempt, str(error), pause))  # noqa: E731
    call(Attempts(work, AT_ONCE, on_retry=on_retry), "x")
    assert told == [(1, "busy", 0), (2, "too many requests", 0.01)]


@each(
    ("retry", "attempt", "error", "low", "high"),
    [
        (Retry(wait=1), 1, TransientError(), 1, 1.1),
        (Retry(wait=1), 3, TransientError(), 4, 4.4),
        (Retry(wait=1, factor=3), 2, TransientError(), 3, 3.3),
        (Retry(wait=1, factor=1), 9, TransientError(), 1, 1.1),
        (Retry(wait=100, max_wait=5), 1, TransientError(), 5, 5),
        (Retry(wait=1), 1, LimitedError("7"), 7, 7),
        (Retry(wait=9), 1, LimitedError("0"), 9, 9.9),
        (Retry(attempts=9999), 9998, TransientError(), 60, 60),
    ],
)
def test_pauses(retry: Retry, attempt: int, error: Exception, low: float, high: float) -> None:
    assert low <= retry.pause(attempt, error) <= high


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"wait": -1}, {"factor": 0.5}, {"max_wait": -1}, {"wait": "1"}])
def test_nonsense_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="attempts >= 1"):
        Retry(**wrong)


def test_the_plain_form_makes_the_same_again() -> None:
    assert Retry(**asdict(Retry(attempts=5))) == Retry(attempts=5)


def hanging(first: int) -> tuple[Any, Callable[[], None]]:
    """Hang in the first calls; the second value lets them go."""
    calls, event = iter(range(first)), threading.Event()

    def work(_: Any) -> Any:
        if next(calls, None) is not None:
            event.wait(PATIENCE)
        return {"text": "fine", "usage": no_usage()}

    async def async_work(_: Any) -> Any:
        if next(calls, None) is not None:
            await asyncio.sleep(PATIENCE)
        return {"text": "fine", "usage": no_usage()}

    return RunnableLambda(work, afunc=async_work), event.set


def test_each_attempt_has_its_own_time(call: Any) -> None:
    work, cancelled = hanging(2)
    outcome = call(Attempts(work, Retry(20, wait=0), timeout=0.05), "x")
    assert outcome.attempts >= 3  # on a busy machine a quick attempt times out, too
    assert outcome.reply["text"] == "fine"
    cancelled()


def test_the_last_time_out_says_how_long_it_waited(call: Any) -> None:
    work, cancelled = hanging(1)
    outcome = call(Attempts(work, Retry(attempts=1), timeout=0.05), "x")
    assert isinstance(outcome.error, TimeoutError)
    assert "within 0.05 s" in str(outcome.error)
    cancelled()


def test_a_time_out_of_the_work_itself_keeps_its_words() -> None:
    outcome = Attempts(replies(TimeoutError("read timed out")), Retry(attempts=1), timeout=5).invoke("x")
    assert str(outcome.error) == "read timed out"
