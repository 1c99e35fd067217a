"""The scripted model and the faulty provider behave like real ones, only predictably."""

import asyncio
import copy
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage
from langchain_openai.chat_models.base import OpenAIRefusalError
from pydantic import BaseModel, ValidationError

from agents.testing import Fault, FaultyProvider, Reply, ScriptedModel, ScriptError
from tests.chat import add
from tests.tables import each


class Plan(BaseModel):
    steps: list[str]


class PlanDict(TypedDict):
    steps: list[str]


PLAN = {"steps": ["draft", "review"]}


def test_replies_come_in_the_order_of_the_calls() -> None:
    model = ScriptedModel(["one", Reply("two"), AIMessage("three")])
    assert [model.invoke(text).text for text in ("a", "b", "c")] == ["one", "two", "three"]
    assert [call.prompt for call in model.calls] == ["a", "b", "c"]


def test_a_script_that_runs_out_says_so() -> None:
    model = ScriptedModel(["only one"])
    model.invoke("first")
    with pytest.raises(ScriptError, match=r"no reply for call 2.*ends with: 'and the second'"):
        model.invoke("and the second")


def test_a_list_repeats_or_ends_in_the_default_only_when_asked_to() -> None:
    again = ScriptedModel(["a", "b"], repeat=True)
    assert [again.invoke("x").text for _ in range(3)] == ["a", "b", "a"]
    then = ScriptedModel(["a"], default="z")
    assert [then.invoke("x").text for _ in range(3)] == ["a", "z", "z"]


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("Review this", "good"),
        ("step 12 please", "numbered"),
        ("f(x", "bracket"),
        ("draft", "bad"),
        ("else", "default"),
    ],
)
def test_a_reply_is_found_by_what_the_prompt_says(prompt: str, reply: str) -> None:
    script = {"Review": "good", r"step \d+": "numbered", "f(x": "bracket", "draft": iter(["bad", "better"])}
    assert ScriptedModel(script, default="default").invoke(prompt).text == reply


def test_a_key_may_have_replies_in_turn() -> None:
    model = ScriptedModel({"draft": iter(["bad", "better"])})
    assert [model.invoke("draft").text for _ in range(2)] == ["bad", "better"]
    with pytest.raises(ScriptError, match="call 3"):
        model.invoke("draft")


async def reply_later(messages: list[Any]) -> dict[str, list[str]]:
    await asyncio.sleep(0)
    return PLAN


def test_an_async_function_replies_to_sync_and_async_calls() -> None:
    model = ScriptedModel(reply_later).with_structured_output(Plan)
    assert asyncio.run(model.ainvoke("x")) == model.invoke("x") == Plan(**PLAN)


@pytest.mark.parametrize("fault", [ValueError("boom"), TimeoutError, Reply(error=ConnectionError("gone"))])
def test_faults_are_raised_and_recorded(fault: Any) -> None:
    model = ScriptedModel([fault])
    with pytest.raises((ValueError, TimeoutError, ConnectionError)):
        model.invoke("x")
    assert len(model.calls) == 1


@each("method", ["json_schema", "json_mode", "function_calling"])
@each("schema", [Plan, PlanDict, Plan.model_json_schema()])
@each("reply", [PLAN, Plan(**PLAN), Reply(data=PLAN)])
def test_structured_output(schema: Any, method: str, reply: Any) -> None:
    plan = ScriptedModel([reply]).with_structured_output(schema, method=method).invoke("Plan it")
    assert plan == (Plan(**PLAN) if schema is Plan else PLAN)


def test_structured_output_keeps_the_raw_reply_of_a_parsing_error() -> None:
    result = ScriptedModel(["no JSON"]).with_structured_output(Plan, include_raw=True).invoke("x")
    assert result["raw"].text == "no JSON"
    assert (result["parsed"], type(result["parsing_error"]).__name__) == (None, "OutputParserException")
    with pytest.raises(ValidationError):
        ScriptedModel([{"steps": 1}]).with_structured_output(Plan, method="function_calling").invoke("x")


def test_a_refusal_looks_like_that_of_openai() -> None:
    model = ScriptedModel(Reply(refusal="I cannot"))
    assert model.invoke("x").additional_kwargs == {"refusal": "I cannot"}
    with pytest.raises(OpenAIRefusalError):
        model.with_structured_output(Plan).invoke("x")


def test_unfinished_json_streams_in_parts() -> None:
    parts = list(ScriptedModel([PLAN]).with_structured_output(PlanDict).stream("x"))
    assert parts[-1] == PLAN
    assert {"steps": ["draft"]} in parts


@pytest.mark.parametrize("text", ["", "one", "  two  words\n", "\n \n", "eins zwei\n\ndrei"])
def test_streamed_words_join_to_the_text(text: str) -> None:
    chunks = list(ScriptedModel([text]).stream("a prompt"))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_the_reply_is_the_same_streamed_or_whole_sync_or_async() -> None:
    reply = Reply("Adding.", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}], usage=(7, 5))
    model = ScriptedModel(reply)

    async def streamed() -> Any:
        return [chunk async for chunk in model.astream("x")]

    wholes = [model.invoke("x"), asyncio.run(model.ainvoke("x"))]
    for whole in (*wholes, sum_of(model.stream("x")), sum_of(asyncio.run(streamed()))):
        assert (whole.text, whole.tool_calls[0]["args"]) == ("Adding.", {"a": 1, "b": 2})
        assert whole.usage_metadata == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        assert whole.response_metadata["finish_reason"] == "tool_calls"


def sum_of(chunks: Any) -> Any:
    first, *rest = chunks
    return sum(rest, first)


def test_an_agent_uses_tools_and_answers_in_its_format() -> None:
    call = Reply(tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}])
    for response_format in (Plan, ToolStrategy(Plan)):
        model = ScriptedModel([call, PLAN])
        state = create_agent(model, [add], response_format=response_format).invoke({"messages": "x"})
        assert state["structured_response"] == Plan(**PLAN)
        assert "3" in model.calls[1].prompt
        assert model.calls[0].tools[0] == "add"


def test_arguments_that_are_no_json_make_an_invalid_tool_call() -> None:
    message = ScriptedModel([Reply(tool_calls=[{"name": "add", "args": "oops"}])]).invoke("x")
    assert (message.tool_calls, message.invalid_tool_calls[0]["args"]) == ([], "oops")


def test_copies_share_the_script_and_the_record() -> None:
    model = ScriptedModel(["1", "2", "3", "4"])
    copies = [model.bind(stop=["."]), model.bind_tools([add]), model.model_copy(), copy.deepcopy(model)]
    assert [copy.invoke("x").text for copy in copies] == ["1", "2", "3", "4"]
    assert (len(model.calls), model.calls[0].stop, model.calls[1].tools) == (4, ["."], ["add"])


def test_every_concurrent_call_gets_its_own_reply() -> None:
    replies = [str(number) for number in range(200)]

    async def gathered(model: ScriptedModel) -> list[AIMessage]:
        return await asyncio.gather(*(model.ainvoke("x") for _ in replies))

    with ThreadPoolExecutor(16) as pool:
        threads = list(pool.map(ScriptedModel(replies).invoke, replies))
    for answers in (threads, asyncio.run(gathered(ScriptedModel(replies)))):
        assert sorted(int(answer.text) for answer in answers) == list(range(200))


def test_a_delay_blocks_neither_the_loop_nor_other_calls() -> None:
    model = ScriptedModel(Reply("late", delay=0.3))

    async def gathered() -> None:
        await asyncio.gather(*(model.ainvoke("x") for _ in range(100)))

    start = time.monotonic()
    asyncio.run(gathered())
    model.invoke("x")
    assert 0.6 <= time.monotonic() - start < 28  # one after the other: 30


@pytest.mark.parametrize("streaming", [False, True])
def test_a_provider_answers_as_the_script_says(streaming: bool) -> None:
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call_1"}
    script = [Reply("Two words", usage=(3, 4)), Reply(tool_calls=[call]), Reply(refusal="No."), PLAN]
    with FaultyProvider(script) as provider:
        model = provider.chat_model(streaming=streaming)
        words, calls, refusal, plan = [model.invoke(text) for text in "abcd"]
    assert (words.text, words.response_metadata["finish_reason"]) == ("Two words", "stop")
    assert words.usage_metadata["output_tokens"] == 4
    assert (calls.tool_calls, calls.response_metadata["finish_reason"]) == (
        [{**call, "type": "tool_call"}],
        "tool_calls",
    )
    assert refusal.additional_kwargs["refusal"] == "No."
    assert plan.text == '{"steps": ["draft", "review"]}'
    assert [request["messages"][-1]["content"] for request in provider.requests] == ["a", "b", "c", "d"]


def test_a_provider_answers_by_the_prompt_and_forced_tools() -> None:
    with FaultyProvider({"plan": PLAN, "fail": Fault(503)}, default="Hm.") as provider:
        model = provider.chat_model()
        assert model.with_structured_output(Plan).invoke("Make a plan") == Plan(**PLAN)
        forced = model.with_structured_output(Plan, method="function_calling")
        assert forced.invoke("Make a plan") == Plan(**PLAN)
        assert model.invoke("Hello").text == "Hm."
        with pytest.raises(Exception, match="Service Unavailable"):
            model.invoke("Now fail")


def test_a_provider_refuses_parameters_and_loads_its_model() -> None:
    with FaultyProvider(["fine"], refuses=["tools"], models=["m"], loading=1) as provider:
        model = provider.chat_model()
        with pytest.raises(Exception, match="'tools' is not supported"):
            model.bind_tools([add]).invoke("Hi")
        assert model.invoke("Hi").text == "fine"
        with pytest.raises(Exception, match="Loading model"):
            model.root_client.models.list()
        assert [listed.id for listed in model.root_client.models.list()] == ["m"]
