"""Replies of a form, and models that are wrapped in fallbacks, retries and bound options."""

from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from agents import Agent, ConfigurationError, Retry
from agents.testing import TRANSIENT_FAULTS, Fault, FaultyProvider, ScriptedModel
from graphs import Router, Step, Workflow
from tests.chat import JSON, ROME, City, answer, weather


@pytest.mark.parametrize(
    ("tools", "replies", "requests"),
    [
        ([], [JSON], 1),
        ([], [f"```json\n{JSON}\n```"], 1),
        ([], [f"<think>hm</think>{JSON}"], 1),
        ([], ["It is Rome.", JSON], 2),
        ([], [Fault.of(429, retry_after="0.01"), "{}", JSON], 3),
        ([], ["", JSON], 2),
        ([weather], [JSON], 1),
        ([weather], ["It is Rome.", JSON], 2),
    ],
)
def test_a_reply_of_a_form_is_data(ask: Any, tools: Any, replies: Any, requests: int) -> None:
    with FaultyProvider(replies) as provider:
        agent = Agent("a", instructions="Say.", model=provider.chat_model(), tools=tools, response_format=City)
        state = ask(agent)
    assert (state["steps"]["s"]["data"], len(provider.requests)) == (ROME, requests)


@pytest.mark.parametrize(
    ("tools", "reply"),
    [([], "prose"), ([], '{"name": "Rome"}'), ([], ""), ([], f"{JSON} {JSON}"), ([weather], "prose")],
)
def test_without_data_an_agent_with_a_form_fails_after_three_calls(ask: Any, tools: Any, reply: str) -> None:
    with FaultyProvider(reply) as provider:
        state = ask(Agent("a", model=provider.chat_model(), tools=tools, response_format=City))
    assert (state["status"], len(provider.requests)) == ("failed", 3)


def test_a_form_works_with_a_model_that_cannot_call_tools(ask: Any) -> None:
    with FaultyProvider({"Choose the tool": {"choice": {"tool": "none"}}, "": ROME}) as provider:
        model = provider.chat_model(profile={"tool_calling": False})
        state = ask(Agent("a", instructions="Say.", model=model, tools=[weather], response_format=City))
    assert state["steps"]["s"]["data"] == ROME


def test_a_form_may_be_a_json_schema(ask: Any) -> None:
    with FaultyProvider(['{"name": 7, "people": 3}', JSON]) as provider:
        state = ask(Agent("a", model=provider.chat_model(), response_format=City.model_json_schema()))
    assert (state["steps"]["s"]["data"], len(provider.requests)) == (ROME, 2)
    assert "name: 7 is not of type 'string'" in provider.requests[1]["messages"][-1]["content"]


def test_a_form_must_be_that_of_an_object() -> None:
    with pytest.raises(ConfigurationError, match="must describe an object"):
        Agent("a", response_format={"type": "array", "title": "List"})


# Wrapped models


@pytest.mark.parametrize(
    ("wrapper", "options"),
    [
        ("fallbacks", {}),
        ("fallbacks", {"tools": [weather]}),
        ("fallbacks", {"response_format": City}),
        ("retry", {"response_format": City}),
        ("bind", {"tools": [weather]}),
        ("config", {}),
    ],
)
def test_wrapped_models_are_models(ask: Any, wrapper: str, options: Any) -> None:
    with FaultyProvider(["x"] * 0, default=Fault.of(401)) as broken, FaultyProvider(default=JSON) as provider:
        plain = provider.chat_model()
        model = {
            "fallbacks": broken.chat_model().with_fallbacks([plain]),
            "retry": plain.with_retry(),
            "bind": plain.bind(stop=["END"]),
            "config": plain.with_config(tags=["mine"]),
        }[wrapper]
        state = ask(Agent("a", instructions="Work.", model=model, **options))  # type: ignore[arg-type]
    assert answer(state) == ("completed", JSON)
    assert state["usage"]["output_tokens"] > 0
    (request,) = provider.requests
    assert (request.get("stop"), "tools" in request) == (["END"] if wrapper == "bind" else None, "tools" in options)


@pytest.mark.parametrize(
    ("fault", "options"),
    [("cut stream", {}), ("half a tool call", {"tools": [weather]}), ("empty reply", {"response_format": City})],
)
def test_a_fallback_is_asked_after_a_reply_that_is_not_an_answer(fault: str, options: Any) -> None:
    with FaultyProvider(default=TRANSIENT_FAULTS[fault]) as broken, FaultyProvider(default=JSON) as provider:
        model = broken.chat_model().with_fallbacks([provider.chat_model()])
        agent = Agent("a", instructions="Work.", model=model, **options)  # type: ignore[arg-type]
        graph = Workflow([Step("s", "a", "x")], agents=[agent], retry=Retry(2, wait=0)).compile()
        modes: Any = ["messages", "values"]
        *_, (_, state) = (part for part in graph.stream({"messages": "x"}, stream_mode=modes) if part[0] == "values")
    assert answer(state) == ("completed", JSON)
    assert (len(broken.requests), len(provider.requests)) == (1, 1)


def test_what_models_with_fallbacks_refuse_is_remembered() -> None:
    with FaultyProvider(default=JSON, refuses=["response_format"]) as provider:
        urls = {"base_url": provider.base_url, "api_key": "test"}
        model = ChatOpenAI(model="remembers", **urls).with_fallbacks([ChatOpenAI(model="other", **urls)])
        agent = Agent("a", instructions="Work.", model=model, response_format=City)  # type: ignore[arg-type]
        assert [agent.invoke("x")["usage"]["calls"] for _ in range(2)] == [3, 1]


def test_a_wrapped_model_decides_too() -> None:
    ranking = {"reason": "", "candidates": [{"agent": "a", "confidence": 1}]}
    model = ScriptedModel(ConnectionError("gone")).with_fallbacks([ScriptedModel([ranking])])
    router = Router([Agent("a", "A.", function=str.upper), Agent("b", "B.", function=str)], model=model)  # type: ignore[arg-type]
    assert answer(router.compile().invoke({"messages": "hi"})) == ("completed", "HI")


@pytest.mark.parametrize("model", [3, Agent("a", function=str), ScriptedModel("x") | (lambda message: message.text)])
def test_what_is_not_a_model_is_refused_when_it_is_built(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="model"):
        Agent("a", model=model)
