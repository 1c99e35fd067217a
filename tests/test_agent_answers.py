"""What an agent answers: data beside its text, errors instead of no answer, what the calls inside it used."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from pydantic import BaseModel

from agents import Agent, AgentError
from agents.testing import Reply, ScriptedModel
from agents.usage import no_usage
from tests.chat import ADDING, add
from tests.tables import each


class Weather(BaseModel):
    city: str
    degrees: int


@dataclass
class Point:
    x: int
    y: int


@each(
    ("result", "text", "data"),
    [
        ({"a": [1]}, '{"a": [1]}', {"a": [1]}),
        ([], "[]", []),
        (0, "0", 0),
        (False, "false", False),
        ((1, 2), "[1, 2]", [1, 2]),
        (Weather(city="Köln", degrees=3), '{"city": "Köln", "degrees": 3}', {"city": "Köln", "degrees": 3}),
        (Point(1, 2), '{"x": 1, "y": 2}', {"x": 1, "y": 2}),
        ({1: 2}, '{"1": 2}', {"1": 2}),
        ([Weather(city="Rome", degrees=30)], '[{"city": "Rome", "degrees": 30}]', [{"city": "Rome", "degrees": 30}]),
        (
            {"day": date(2026, 1, 2), "price": Decimal("1.10")},
            '{"day": "2026-01-02", "price": "1.10"}',
            {"day": "2026-01-02", "price": "1.10"},
        ),
        ({"tags": {"a"}}, '{"tags": ["a"]}', {"tags": ["a"]}),
        ({"messages": 3, "status": "mine"}, '{"messages": 3, "status": "mine"}', {"messages": 3, "status": "mine"}),
    ],
)
def test_data_is_kept_beside_its_text(result: Any, text: str, data: Any) -> None:
    answer = Agent("a", function=lambda task: result).invoke("x")
    assert (answer["text"], answer["data"]) == (text, data)


@each("result", [object(), {"deep": [object()]}, float("nan"), {"x": float("inf")}])
def test_what_is_no_json_is_no_answer(call: Any, result: Any) -> None:
    with pytest.raises(AgentError, match=r"'a' returned \w+, which cannot be stored as JSON"):
        call(Agent("a", function=lambda task: result), "x")


@each("result", [None, "", " \n\t"])
@each("make", [lambda result: lambda task: result, lambda result: partial(pick, result)])
def test_nothing_is_no_answer(call: Any, make: Any, result: Any) -> None:
    with pytest.raises(AgentError, match="'a' returned nothing") as caught:
        call(Agent("a", function=make(result)), "x")
    assert caught.value.kind == "empty"


async def pick(result: Any, task: str) -> Any:
    return result


NO_ANSWERS = [
    (Reply(""), "empty"),
    (Reply(refusal="I cannot help with that"), "refused"),
    (Reply("half", finish_reason="content_filter"), "filtered"),
    (Reply("half of", finish_reason="length"), "truncated"),
    (Reply(tool_calls=[{"name": "add", "args": "oops"}]), "empty"),
]


@each(("reply", "kind"), NO_ANSWERS)
@each("as_", ["model", "runnable"])
def test_a_reply_that_is_no_answer_is_an_error(call: Any, as_: str, reply: Reply, kind: str) -> None:
    options: Any = {as_: ScriptedModel(reply)}
    with pytest.raises(AgentError, match="'writer'") as caught:
        call(Agent("writer", **options), "x")
    assert caught.value.kind == kind


def test_a_graph_without_messages_gave_no_answer() -> None:
    with pytest.raises(AgentError, match="ended without a new message"):
        Agent("a", runnable=RunnableLambda(lambda state: {"messages": []})).invoke("x")


# Usage


def test_the_calls_of_a_role_are_counted(call: Any) -> None:
    model = ScriptedModel([Reply(tool_calls=ADDING.tool_calls, usage=(10, 2)), Reply("3", usage=(20, 3))])
    usage = call(Agent("a", model=model, tools=[add]), "x")["usage"]
    assert usage == {"calls": 2, "input_tokens": 30, "output_tokens": 5, "agents": {}}


@pytest.mark.parametrize("kind", ["model", "runnable"])
def test_streamed_calls_are_counted(kind: str) -> None:
    agent = Agent("a", **{kind: ScriptedModel(Reply("x", usage=(5, 6)))})  # type: ignore[arg-type]
    usage = list(agent.stream("x"))[-1]["usage"]
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (1, 5, 6)


def ask_twice(task: str) -> str:
    model = ScriptedModel(Reply("x", usage=(1, 2)))
    return model.invoke(task).text + model.invoke(task).text


async def ask_twice_later(task: str) -> str:
    model = ScriptedModel(Reply("x", usage=(1, 2)))
    return (await model.ainvoke(task)).text + (await model.ainvoke(task)).text


def ask_with_config(task: str, config: RunnableConfig) -> str:
    return ask_twice(task) if config.get("callbacks") else "no callbacks"


@pytest.mark.parametrize("function", [ask_twice, ask_twice_later, ask_with_config])
def test_the_calls_of_a_model_inside_a_function_are_counted(call: Any, function: Any) -> None:
    usage = call(Agent("a", function=function), "x")["usage"]
    assert usage == {"calls": 2, "input_tokens": 2, "output_tokens": 4, "agents": {}}


def test_the_calls_of_an_agent_inside_a_function_are_counted_once() -> None:
    inner = Agent("inner", model=ScriptedModel(Reply("x", usage=(1, 2))))
    usage = Agent("outer", function=lambda task: inner.invoke(task)["text"]).invoke("x")["usage"]
    assert (usage["calls"], usage["input_tokens"]) == (1, 1)


def test_what_was_spent_before_a_failure_is_noted(call: Any) -> None:
    refusal = Reply(refusal="No", usage=(6, 7))
    model = ScriptedModel([Reply(tool_calls=ADDING.tool_calls, usage=(4, 5)), refusal])
    with pytest.raises(AgentError) as caught:
        call(Agent("a", model=model, tools=[add]), "x")
    assert caught.value.usage == {"calls": 2, "input_tokens": 10, "output_tokens": 12, "agents": {}}


# Patterns as agents


def pattern(**state: Any) -> RunnableLambda[Any, Any]:
    """Return what one of our own patterns would."""
    ending = {"status": "completed", "stop_reason": None, "errors": [], "usage": no_usage()}
    return RunnableLambda(lambda _: {"messages": [AIMessage("text")], **ending, **state})


def test_the_status_and_errors_of_a_pattern_are_passed_on() -> None:
    errors = [{"where": "a", "kind": "ValueError", "message": "bad"}]
    answer = Agent("a", runnable=pattern(status="partial", errors=errors)).invoke("x")
    assert (answer["text"], answer["status"]) == ("text", "partial")
    assert [error["kind"] for error in answer["errors"]] == ["ValueError", "partial"]


def test_a_failed_pattern_is_an_error_with_its_reason_and_cost() -> None:
    spent = {**no_usage(), "calls": 2, "agents": {"inner": {"calls": 2, "input_tokens": 0, "output_tokens": 0}}}
    with pytest.raises(AgentError, match="'a' failed: too hard") as caught:
        Agent("a", runnable=pattern(status="failed", stop_reason="too hard", usage=spent)).invoke("x")
    assert caught.value.usage == spent
