"""Workflows: when steps fail."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agents import Agent, Retry, TransientError
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Router
from tests.chat import LimitedError, in_turn
from tests.waiting import PATIENCE
from tests.workflows import ASK, AT_ONCE, fail, graph_of, statuses, step

DIAMOND = [step("a", agent="fail"), step("b"), step("c", "a"), step("d", "b"), step("e", "c", "d")]


def test_dependents_of_a_failed_step_are_skipped_and_the_rest_goes_on(call: Any) -> None:
    state = call(graph_of(*DIAMOND), ASK)
    assert statuses(state) == "a:failed b:completed c:skipped d:completed e:skipped"
    assert state["status"] == "partial"
    assert state["steps"]["c"]["error"] == "Step 'c' was skipped: it needs 'a', which failed"
    assert state["messages"][-1].text == "do d"


def test_the_run_says_which_step_failed_and_why(call: Any) -> None:
    state = call(graph_of(*DIAMOND), ASK)
    (error,) = state["errors"]
    assert (error["where"], error["kind"]) == ("a", "ValueError")
    assert error["message"] == "Step 'a' failed with agent 'fail': ValueError: cannot do 'do a'"
    assert state["stop_reason"] == error["message"]


def test_dependents_may_run_and_learn_what_failed(call: Any) -> None:
    steps = [step("a", agent="fail"), step("b", "a", agent="context"), step("c", "b", task="{b}")]
    state = call(graph_of(*steps, on_failure="continue"), ASK)
    assert statuses(state) == "a:failed b:completed c:completed"
    assert "no result: Step 'a' failed" in state["steps"]["b"]["data"]["a"]
    assert state["status"] == "partial"


def test_after_a_failure_nothing_new_starts() -> None:
    running, failed = threading.Event(), threading.Event()

    def go_on(task: str) -> str:
        running.set()
        failed.wait(PATIENCE)
        time.sleep(0.05)
        return task

    def fail_later(task: str) -> str:
        running.wait(PATIENCE)
        return fail(task)

    agents = [Agent("echo", function=go_on), Agent("fail", function=fail_later)]
    steps = [step("a", agent="fail"), step("b"), step("c", "b"), step("d", "a")]
    for mode, state in graph_of(*steps, agents=agents, on_failure="stop").stream(ASK, stream_mode=["custom", "values"]):
        if mode == "custom" and (state["step"], state.get("status")) == ("a", "failed"):
            failed.set()
    assert statuses(state) == "a:failed b:completed c:skipped d:skipped"
    assert state["steps"]["c"]["error"] == "Step 'c' was skipped: the run was stopped when 'a' failed"
    assert state["status"] == "partial"


def test_a_run_without_any_result_has_failed(call: Any) -> None:
    state = call(graph_of(step("a", agent="fail"), step("b", agent="fail"), step("c", "b")), ASK)
    assert (state["status"], statuses(state)) == ("failed", "a:failed b:failed c:skipped")
    assert state["stop_reason"].startswith("2 of 3 steps failed; the first: Step 'a' failed")
    assert state["messages"][-1].text == state["stop_reason"]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_failure"):
        graph_of(step("a"), on_failure="explode")


def test_an_agent_that_returns_nothing_has_failed(call: Any) -> None:
    state = call(graph_of(step("a", agent="mute"), agents=[Agent("mute", function=lambda task: None)]), ASK)
    assert state["stop_reason"].endswith("Agent 'mute' returned nothing; an answer is text or data")
    assert state["errors"][0]["kind"] == "AgentError"


def test_a_steps_own_retry_goes_before_the_workflows(call: Any) -> None:
    ann = in_turn("ann", TransientError("1"), TransientError("2"), "fine")
    own = step("a", agent="ann", retry=Retry(attempts=2, wait=0))
    state = call(graph_of(own, agents=[ann], retry=Retry(attempts=9, wait=0)), ASK)
    assert state["stop_reason"] == "Step 'a' failed with agent 'ann' after 2 attempts: 2"


def test_waiting_to_try_again_is_reported() -> None:
    ann = in_turn("ann", LimitedError("0.01"), "fine")
    events = list(graph_of(step("a", agent="ann"), agents=[ann]).stream(ASK, stream_mode="custom"))
    (retry,) = [event for event in events if event["event"] == "retry"]
    assert (retry["step"], retry["agent"], retry["attempt"], retry["wait"]) == ("a", "ann", 1, 0.01)


def test_what_an_attempt_cost_that_timed_out_counts(call: Any) -> None:
    model = ScriptedModel([Reply("late", delay=0.6), *[Reply("fine", usage=(5, 5))] * 20])
    ann = Agent("ann", instructions="Look up.", model=model)
    state = call(graph_of(step("a", agent="ann", timeout=0.3), agents=[ann], retry=MANY_ATTEMPTS), ASK)
    assert statuses(state) == "a:completed"
    assert state["steps"]["a"]["attempts"] >= 2
    assert state["usage"]["calls"] >= 2
    assert state["usage"]["output_tokens"] >= 5


def test_an_attempt_in_which_a_tool_has_run_is_not_repeated(call: Any) -> None:
    charged: list[int] = []

    def charge() -> str:
        """Charge the card."""
        charged.append(1)
        return "charged"

    model = ScriptedModel([Reply(tool_calls=[{"name": "charge", "args": {}}]), Reply("late", delay=3)])
    ann = Agent("ann", instructions="Charge.", model=model, tools=[charge])
    state = call(graph_of(step("a", agent="ann", timeout=1), agents=[ann], retry=AT_ONCE), ASK)
    assert (statuses(state), charged) == ("a:failed", [1])


MANY_ATTEMPTS = Retry(20, wait=0)
"""Enough for a busy machine, on which quick attempts time out too."""


def slow_then_fast() -> tuple[Agent, Agent, Callable[[], None]]:
    """Hang at the first call, in a function and an async one; the third value lets it go."""
    event, calls, later = threading.Event(), iter([1]), iter([1])

    def work(task: str) -> str:
        if next(calls, None):
            event.wait(PATIENCE)
        return task

    async def work_later(task: str) -> str:
        if next(later, None):
            await asyncio.sleep(PATIENCE)
        return task

    return Agent("echo", function=work), Agent("echo", function=work_later), event.set


@pytest.mark.parametrize("kind", [0, 1])
def test_an_attempt_that_takes_too_long_is_given_up_and_made_again(call: Any, kind: int) -> None:
    *agents, cancelled = slow_then_fast()
    state = call(graph_of(step("a", timeout=0.1), agents=[agents[kind]], retry=MANY_ATTEMPTS), ASK)
    cancelled()
    assert statuses(state) == "a:completed"
    assert state["steps"]["a"]["attempts"] >= 2


def test_the_fallback_gets_the_step_after_the_agent_has_failed_for_good(call: Any) -> None:
    ann = in_turn("ann", TransientError("busy"), TransientError("busy"))
    own = step("a", agent="ann", fallback="echo", retry=Retry(attempts=2, wait=0))
    state = call(graph_of(own, step("b", "a", task="{a}"), agents=[ann]), ASK)
    record = state["steps"]["a"]
    assert (record["status"], record["result"], record["attempts"]) == ("completed", "do a", 3)
    assert (record["answered_by"], state["status"]) == ("echo", "completed")
    assert state["errors"][0]["message"] == "Step 'a' failed with agent 'ann' after 2 attempts: busy"


def test_when_the_fallback_fails_too_both_are_reported(call: Any) -> None:
    state = call(graph_of(step("a", agent="fail", fallback="fail2"), agents=[Agent("fail2", function=fail)]), ASK)
    assert [error["message"].split(":")[0] for error in state["errors"]] == [
        "Step 'a' failed with agent 'fail'",
        "Step 'a' failed with agent 'fail2'",
    ]


def test_the_reasons_inside_a_nested_pattern_reach_the_error_of_its_step(call: Any) -> None:
    inner = graph_of(step("a", agent="fail"), step("b", agent="fail"))
    router = Router([Agent("inner", runnable=inner)], classifier=lambda text: "inner", model=False)
    nested = router.as_agent("nested")
    error = call(graph_of(step("outer", agent="nested"), agents=[nested]), ASK)["steps"]["outer"]["error"]
    for reason in ("'outer' failed with agent 'nested'", "Step 'a' failed", "Step 'b' failed", "cannot do 'do b'"):
        assert reason in error
