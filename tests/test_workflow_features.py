"""Steps with typed results, loops, cached results and bounded lists."""

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import CachePolicy
from pydantic import BaseModel

from agents import Agent
from agents.testing import Reply, ScriptedModel
from agents.tools import calculator
from graphs import InvalidPlanError, Planner, Step, Workflow
from graphs.storage import sqlite
from tests.chat import in_turn
from tests.workflows import ASK, THREAD, field, graph_of, statuses, step


class Invoice(BaseModel):
    total: float
    due: datetime.date


GOOD = {"total": "3.5", "due": "2026-01-31"}


def failing_once(log: list[Any]) -> Agent:
    """Make an agent that notes the data it gets, and is killed at its first call."""

    def use(task: str, data: dict[str, Any]) -> str:
        log.append(data)
        if len(log) == 1:
            raise KeyboardInterrupt
        return "used"

    return Agent("use", function=use)


def test_a_typed_result_is_an_object_for_the_next_step_also_after_a_resume(tmp_path: Path) -> None:
    log: list[Any] = []
    bill = Agent("bill", function=lambda task: GOOD)
    steps = [Step("bill", "bill", "Bill", returns=Invoice), step("use", "bill", agent="use")]
    with sqlite(tmp_path / "runs.sqlite") as storage:
        with pytest.raises(KeyboardInterrupt):
            graph_of(*steps, agents=[bill, failing_once(log)], checkpointer=storage).invoke(ASK, THREAD)
        again = Agent("use", function=lambda task, data, context: [log.append(data), type(context["bill"]).__name__][1])
        state = graph_of(*steps, agents=[bill, again], checkpointer=storage).invoke(None, THREAD)
    assert log == [{"bill": Invoice(**GOOD)}] * 2
    assert state["steps"]["use"]["result"] == "Invoice"
    assert state["steps"]["bill"]["data"] == {"total": 3.5, "due": "2026-01-31"}


def test_a_chat_model_is_asked_for_the_form_and_its_items_arrive_as_objects(call: Any) -> None:
    seen: list[Any] = []
    model = ScriptedModel(lambda messages: GOOD)
    use = Agent("use", function=lambda task, data: seen.append(data) or "ok")
    steps = [
        step("list", agent="list", task="[1, 2]"),
        step("bills", "list", agent="clerk", task="{item}", for_each="list", returns=Invoice),
        step("use", "bills", agent="use", for_each="bills", task="{item}"),
    ]
    state = call(graph_of(*steps, agents=[Agent("clerk", model=model), use]), ASK)
    assert statuses(state) == "list:completed bills:completed use:completed"
    assert [data["item"] for data in seen] == [Invoice(**GOOD)] * 2


class Invoices(BaseModel):
    invoices: list[Invoice]


def test_items_of_a_form_around_a_list_arrive_as_objects(call: Any) -> None:
    seen: list[Any] = []
    bill = Agent("bill", function=lambda task: {"invoices": [GOOD, GOOD]})
    use = Agent("use", function=lambda task, data: seen.append(data["item"]) or "ok")
    steps = [Step("bills", "bill", "x", returns=Invoices), step("use", "bills", agent="use", for_each="bills")]
    assert statuses(call(graph_of(*steps, agents=[bill, use]), ASK)) == "bills:completed use:completed"
    assert seen == [Invoice(**GOOD)] * 2


def test_a_result_of_another_form_is_a_typed_error_and_goes_to_the_fallback(call: Any) -> None:
    bad = Agent("bad", function=lambda task: {"total": 1})
    good = Agent("good", function=lambda task: GOOD)
    steps = [Step("a", "bad", "x", returns=Invoice), Step("b", "bad", "x", fallback="good", returns=Invoice)]
    state = call(graph_of(*steps, agents=[bad, good]), ASK)
    assert statuses(state) == "a:failed b:completed"
    assert {error["kind"] for error in state["errors"]} == {"DecisionError"}
    assert "due: Field required" in state["steps"]["a"]["error"]


def test_a_nested_pattern_gets_typed_results_as_json(call: Any) -> None:
    inner = Workflow([step("x", agent="see")], agents=[Agent("see", function=lambda task, data: data)]).as_agent(
        "inner"
    )
    steps = [Step("bill", "bill", "Bill", returns=Invoice), step("in", "bill", agent="inner")]
    graph = graph_of(*steps, agents=[Agent("bill", function=lambda task: GOOD), inner], checkpointer=InMemorySaver())
    assert '"due": "2026-01-31"' in call(graph, ASK, THREAD)["steps"]["in"]["result"]


# Loops


def counter(kill_at: int = 0) -> tuple[Agent, list[str]]:
    """Make an agent that counts on from the last round; it is killed at the first call of this number."""
    log: list[str] = []

    def count(task: str) -> str:
        log.append(task)
        if len(log) == kill_at:
            raise KeyboardInterrupt
        return f"{task}+1"

    return Agent("count", function=count), log


LOOP: dict[str, Any] = {"agent": "count", "task": "{last_round}"}


def test_a_loop_ends_when_its_result_fits_and_finished_rounds_never_run_again() -> None:
    agent, log = counter(kill_at=3)
    graph = graph_of(step("a", until={"contains": "+1+1+1"}, **LOOP), agents=[agent], checkpointer=InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    state = graph.invoke(None, THREAD)
    assert log == ["(none yet)", "(none yet)+1", "(none yet)+1+1", "(none yet)+1+1"]
    assert (state["steps"]["a"]["result"], state["steps"]["a"]["attempts"]) == ("(none yet)+1+1+1", 3)


def test_a_loop_that_does_not_end_fails_with_its_last_result(call: Any) -> None:
    agent, log = counter()
    state = call(graph_of(step("a", until=lambda text: False, max_rounds=2, **LOOP), agents=[agent]), ASK)
    assert (len(log), field(state, "result")) == (2, {"a": "(none yet)+1+1"})
    assert "not done in 2 rounds" in state["stop_reason"]


def test_the_test_of_a_loop_may_be_async(call: Any) -> None:
    async def is_long(text: str) -> bool:
        return text.endswith("+1+1")

    agent, log = counter()
    call(graph_of(step("a", until=is_long, **LOOP), agents=[agent]), ASK)
    assert len(log) == 2


def test_items_loop_by_themselves_and_a_broken_test_fails_its_step(call: Any) -> None:
    grow = Agent("grow", function=lambda task, data: [data["item"], *data.get("last_round", [])])
    steps = [
        step("list", agent="list", task="[1, 2]"),
        step("each", "list", agent="grow", for_each="list", until=lambda data: len(data) > data[0]),
        step("odd", agent="list", task="1", until=lambda data: data["x"]),
    ]
    state = call(graph_of(*steps, agents=[grow]), ASK)
    assert state["steps"]["each"]["data"] == [[1, 1], [2, 2, 2]]
    assert "not subscriptable" in state["steps"]["odd"]["error"]


# Caches


def test_an_equal_assignment_is_answered_from_the_cache(call: Any) -> None:
    agent, log = counter()
    steps = [
        step("a", agent="count", cache=CachePolicy()),
        step("b", "a", agent="count", task="{a}", cache=CachePolicy()),
    ]
    workflow = Workflow(steps, agents=[agent])
    graph = workflow.compile(cache=InMemoryCache())
    first, second = call(graph, ASK), call(graph, ASK)
    assert len(log) == 2
    assert field(first, "result") == field(second, "result")
    assert (field(second, "attempts"), second["usage"]["calls"]) == ({"a": 0, "b": 0}, 0)
    call(graph, {"messages": "another request"})
    call(workflow.compile(), ASK)  # without a cache, as LangGraph does
    assert len(log) == 6


def test_a_nested_pattern_uses_the_cache_around_it_and_a_key_may_be_chosen(call: Any) -> None:
    agent, log = counter()
    policy = CachePolicy(key_func=lambda asked: asked["task"])
    inner = Workflow([step("x", agent="count", cache=policy)], agents=[agent]).as_agent("inner")
    graph = Workflow([step("a", agent="inner")], agents=[inner]).compile(cache=InMemoryCache())
    for request in ("one", "two"):
        assert call(graph, {"messages": request})["status"] == "completed"
    assert log == ["do x"]


def test_a_failure_is_not_cached(call: Any) -> None:
    agent = in_turn("fail", ValueError("no"), "yes")
    graph = Workflow([step("a", agent="fail", cache=CachePolicy())], agents=[agent]).compile(cache=InMemoryCache())
    assert [call(graph, ASK)["status"] for _ in range(2)] == ["failed", "completed"]


# Bounds


def test_a_list_with_too_many_items_fails_before_any_starts(call: Any) -> None:
    agent, log = counter()
    lists = Agent("list", function=lambda task: list(range(1001)))
    steps = [step("l", agent="list"), step("a", "l", agent="count", for_each="l")]
    state = call(graph_of(*steps, agents=[agent, lists]), ASK)
    assert (log, statuses(state)) == ([], "l:completed a:failed")
    assert "1001 items; max_items is 1000" in state["steps"]["a"]["error"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"max_items": 0}, "max_items of 0"),
        ({"until": {"contains": "x"}, "max_rounds": 0}, "max_rounds of 0"),
        ({"until": {"step": "a", "equals": "x"}}, "until needs one of equals"),
        ({"task": "{last_round}"}, "quotes {last_round}"),
    ],
)
def test_senseless_features_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidPlanError, match=sentence):
        graph_of(step("a", **wrong))


def test_a_long_plan_is_refused_by_its_length_first() -> None:
    steps = [{"id": f"s{number}", "agent": "echo", "task": "{x}", "dependencies": ["y"]} for number in range(500)]
    model = ScriptedModel(lambda messages: {"steps": steps})
    graph = Planner([Agent("echo", function=lambda task: task)], model=model, max_plan_attempts=1).compile()
    errors = [error["message"] for error in asyncio.run(graph.ainvoke(ASK))["errors"]]
    assert errors == ["There are 500 steps; use at most 10."]


def test_results_of_calculations_are_names_in_those_of_the_next_step(call: Any) -> None:
    def clerk(name: str, formula: str) -> Agent:
        call = Reply(tool_calls=[{"name": "calculator", "args": {"expression": formula}}])
        return Agent(name, tools=[calculator], model=ScriptedModel([call, lambda messages: messages[-1].text] * 2))

    team = [
        clerk("chairs", "net = 12 * 45.5; weight = 9"),
        clerk("tables", "net = 4 * 120"),
        clerk("sum", "both = chairs_net + tables_net; load = 12 * weight"),
    ]
    steps = [
        step("chairs", agent="chairs"),
        step("tables", agent="tables"),
        step("sum", "chairs", "tables", agent="sum"),
    ]
    state = call(graph_of(*steps, agents=team), ASK)
    assert state["steps"]["sum"]["result"] == "both = 1026\nload = 108"
    assert state["steps"]["sum"]["figures"] == {"both": 1026.0, "load": 108}
    model = team[-1].model
    assert isinstance(model, ScriptedModel)
    assert "chairs_net = 546\nweight = 9\ntables_net = 480" in model.calls[0].messages[-1].text
