"""Calls and tokens are counted, in all and per agent."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent, Settings
from agents.runtime import extended
from agents.testing import Reply, ScriptedModel
from agents.usage import COUNTS, Tally, Usage, add_usage, named, no_usage, plausible, usage_of
from graphs import Step, Workflow


def used(calls: int, tokens_in: int, tokens_out: int, **agents: tuple[int, int, int]) -> Usage:
    shares: Any = {name.replace("__", "/"): used_by(*tokens) for name, tokens in agents.items()}
    return {**used_by(calls, tokens_in, tokens_out), "agents": shares}  # type: ignore[typeddict-item]


def used_by(calls: int, tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"calls": calls, "input_tokens": tokens_in, "output_tokens": tokens_out}


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [
        (None, None, no_usage()),
        (None, used(1, 2, 3), used(1, 2, 3)),
        (used(1, 2, 3), None, used(1, 2, 3)),
        (used(1, 2, 3), used(4, 5, 6), used(5, 7, 9)),
        (used(1, 2, 3, a=(1, 2, 3)), used(1, 1, 1, b=(1, 1, 1)), used(2, 3, 4, a=(1, 2, 3), b=(1, 1, 1))),
        (used(1, 2, 3, a=(1, 2, 3)), used(1, 1, 1, a=(1, 1, 1)), used(2, 3, 4, a=(2, 3, 4))),
    ],
)
def test_adding(one: Usage | None, other: Usage | None, total: Usage) -> None:
    assert add_usage(one, other) == total


@pytest.mark.parametrize(
    ("usage", "booked"),
    [
        (no_usage(), no_usage()),
        (used(1, 2, 3), used(1, 2, 3, ann=(1, 2, 3))),
        (used(3, 5, 7, bob=(3, 5, 7)), used(3, 5, 7, ann__bob=(3, 5, 7))),
        (used(3, 5, 7, bob=(1, 2, 3)), used(3, 5, 7, ann=(2, 3, 4), ann__bob=(1, 2, 3))),
    ],
)
def test_booking_on_a_name_keeps_the_shares_of_those_inside(usage: Usage, booked: Usage) -> None:
    assert named(usage, "ann") == booked


def test_every_call_beneath_a_config_is_counted() -> None:
    tally = Tally()
    model = ScriptedModel([Reply("one", usage=(10, 1)), Reply("two", usage=(20, 2))])
    model.invoke("x", extended({"tags": ["kept"]}, callbacks=[tally]))
    list(model.stream("x", extended({}, callbacks=[tally])))
    assert tally.usage == used(2, 30, 3)


def test_calls_from_many_threads_are_all_counted() -> None:
    tally = Tally()
    model = ScriptedModel(Reply("x", usage=(1, 1)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: model.invoke("x", extended({}, callbacks=[tally])), range(100)))
    assert tally.usage == used(100, 100, 100)


@pytest.mark.parametrize("generation", [Generation(text="x"), ChatGeneration(message=AIMessage("x"))])
def test_a_call_without_reported_tokens_still_counts(generation: Generation) -> None:
    tally = Tally()
    tally.on_llm_end(LLMResult(generations=[[generation]]))
    assert tally.usage == used(1, 0, 0)


def test_a_call_that_failed_counts(call: Any) -> None:
    tally = Tally()
    with pytest.raises(ConnectionError):
        call(ScriptedModel([ConnectionError("gone")]), "x", extended({}, callbacks=[tally]))
    assert tally.usage == used(1, 0, 0)


def test_an_error_carries_what_was_spent_before_it() -> None:
    tally = Tally()
    ScriptedModel(Reply("x", usage=(3, 4))).invoke("x", extended({}, callbacks=[tally]))
    with pytest.raises(LookupError) as caught, tally:
        raise LookupError
    assert usage_of(caught.value) == used(1, 3, 4)


class ClosedError(Exception):
    @property
    def usage(self) -> None:
        return None


def test_an_error_that_takes_no_note_is_raised_all_the_same() -> None:
    with pytest.raises(ClosedError), Tally():
        raise ClosedError


def test_an_error_from_elsewhere_has_no_usage() -> None:
    assert usage_of(ValueError()) is None


@pytest.mark.parametrize("reported", [(-1000, -1000), (10**30, 1)])
def test_numbers_that_a_server_cannot_mean_neither_lift_a_limit_nor_break_a_record(reported: tuple[int, int]) -> None:
    model = ScriptedModel(lambda messages: Reply("x", usage=reported))
    steps = [Step("a", "ann", "x"), Step("b", "ann", "x", ["a"])]
    graph = Workflow(steps, agents=[Agent("ann", model=model)]).compile(InMemorySaver())
    state = graph.invoke({"messages": "x"}, {"configurable": {"thread_id": "1"}}, context=Settings(max_tokens=50))
    assert (state["status"] != "completed", len(model.calls)) == (True, 1)
    assert 0 <= state["usage"]["input_tokens"] < 2**63


SHARE = {"calls": 9, "input_tokens": 1, "output_tokens": 1}


@pytest.mark.parametrize(
    "usage",
    [{"calls": -5, "input_tokens": 1e30, "agents": 3}, {}, None, {"calls": True}, {"calls": 1, "agents": {"a": SHARE}}],
)
def test_the_usage_of_another_process_is_made_plausible(usage: Any) -> None:
    counts = plausible(usage)
    assert counts["agents"] == {}
    assert all(isinstance(counts[key], int) and 0 <= counts[key] <= 2**53 for key in COUNTS)  # type: ignore[literal-required]
