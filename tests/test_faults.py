"""Failures as providers, SDKs and langchain-openai report them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.errors import GraphInterrupt, GraphRecursionError
from pydantic import BaseModel

from agents import Agent
from agents.decisions import Decision
from agents.errors import AgentError, ConfigurationError, EmptyReplyError, TransientError
from agents.models.openai_compatible import openai_chat
from agents.runtime import check_reply, explain, is_transient
from agents.runtime.provider_errors import retry_after
from tests.endpoint import Cut, Endpoint, Fault, Late


class ProviderError(Exception):
    """What the SDKs of providers raise, in the shape that they have in common."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"Error code: {status} - {body}")
        self.status_code = status
        self.body = body
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def call(reply: Any, *, stream: bool = False) -> AIMessage:
    """Ask an endpoint that gives this reply, as an agent would."""
    with Endpoint([reply]) as endpoint:
        model = ChatOpenAI(base_url=endpoint.url, api_key="test", model="test", max_retries=0, timeout=1)
        with model.root_client:
            chunks = list(model.stream("Hi")) if stream else [model.invoke("Hi")]
    first, *rest = chunks
    message: Any = sum(rest, first)
    check_reply(message, "writer")
    return message


PAGE = {"Content-Type": "text/html"}
PASSING = [
    Fault(429, body=error("Rate limit reached", code="rate_limit_exceeded")),
    Fault(429, body=error("Quota exceeded, see your plan and billing details. Please retry in 8s.")),
    Fault(429, body=json.dumps([error("Exceeded your current quota. Retry in 9s", status="RESOURCE_EXHAUSTED")])),
    *[Fault(status, body=error("sorry")) for status in (408, 409, 425, 500, 503, 529)],
    Fault(502, PAGE, "<html>Bad gateway</html>"),
    Fault(400, {"x-should-retry": "true"}, error("busy")),
    "drop",
    Late(30),
    error("Provider returned error", code=502),
    error("Overloaded", type="overloaded_error"),
    {"error": "the model crashed"},
    {"choices": None},
    {"choices": []},
    {"choices": [{"finish_reason": "stop"}]},
    Fault(200, body="{"),
    Fault(200, PAGE, "<html>Welcome</html>"),
    "",
    " \n",
    {"content": "half of", "finish_reason": "error"},
    {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "oops"}}]},
]
LASTING = [
    Fault(401, body=error("Incorrect API key provided: sk-test-0123456789", code="invalid_api_key")),
    Fault(400, body=error("API key not valid", code=400)),
    Fault(402, body=error("Payment required")),
    Fault(403, body=error("Not in your country")),
    Fault(404, body=error("No such model", code="model_not_found")),
    Fault(429, body=error("Check your plan", code="insufficient_quota")),
    Fault(429, body=error("You exceeded your monthly quota")),
    Fault(429, body=error("Request too large for this model", code="rate_limit_exceeded")),
    Fault(429, {"x-should-retry": "false"}, error("Too many requests")),
    Fault(400, body=error("Credit balance is too low")),
    Fault(400, body=error("The prompt is too long", code="context_length_exceeded")),
    Fault(413, body="too large"),
    Fault(422, body={"detail": [{"loc": ["body"], "input": "the secret prompt"}]}),
    Fault(200, body={"role": "assistant", "content": [{"type": "text", "text": "cut"}], "stop_reason": "max_tokens"}),
    {"candidates": [{"content": {"parts": [{"text": "cut"}]}, "finishReason": "MAX_TOKENS"}]},
    error("Unknown key", code=401),
    error("No", type="authentication_error"),
    {"content": None, "refusal": "I cannot help with that"},
    {"content": "cut", "finish_reason": "length"},
    {"content": "cut", "finish_reason": "content_filter"},
]


@pytest.mark.parametrize(
    ("reply", "transient"), [*((reply, True) for reply in PASSING), *((reply, False) for reply in LASTING)], ids=str
)
def test_over_the_wire(reply: Any, transient: bool) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(reply)
    assert is_transient(caught.value) is transient
    said = explain(caught.value)
    assert len(said) > 30
    assert not any(secret in said for secret in ("sk-test", "secret prompt", "{", "\n"))


CUT_CALL = {"id": "1", "type": "function", "function": {"name": "send", "arguments": '{"to": "ann", "text": "half of'}}
SENDING = {"id": "1", "type": "function", "function": {"name": "send", "arguments": '{"to": "ann"}'}}
TOO_LARGE = {"id": "1", "type": "function", "function": {"name": "send", "arguments": '{"to": 18446744073709551616}'}}
STREAMS: list[Any] = ["drop", error("Overloaded", code=529), "", Fault(200, PAGE, ""), Fault(500)]
STREAMS += [Cut("The dose is 5 mg"), Cut("The dose is 5 mg", inside=True), Cut("x", events=0), Cut("x", events=9)]
STREAMS += [Cut({"content": "", "tool_calls": [CUT_CALL]}, events=9)]


@pytest.mark.parametrize("reply", STREAMS, ids=str)
def test_over_the_wire_streaming(reply: Any) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(reply, stream=True)
    assert is_transient(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_an_answer(stream: bool) -> None:
    assert call("All  is\nwell.", stream=stream).text == "All  is\nwell."


def test_a_reply_in_one_piece_needs_no_finish_reason() -> None:
    assert call({"content": "All is well.", "finish_reason": None}).text == "All is well."


@pytest.mark.parametrize(
    "reply", [Cut("", events=0), Cut('{"yes": true, "no": 1}'), Cut('{"yes": true}', events=9)], ids=str
)
def test_a_decision_that_is_cut_off_is_no_decision(reply: Any) -> None:
    class Ruling(BaseModel):
        yes: bool

    with Endpoint([reply, '{"yes": false}']) as endpoint:
        model = openai_chat("test", base_url=endpoint.url, api_key="test", streaming=True)
        assert Decision(Ruling, model=model).invoke([HumanMessage("Rule.")])["value"] == {"yes": False}


@pytest.mark.parametrize(
    "reply",
    [
        Cut({"content": "", "tool_calls": [CUT_CALL]}, events=9),
        {"content": "", "tool_calls": [TOO_LARGE]},
        {"content": "", "tool_calls": [SENDING], "finish_reason": "length"},
    ],
    ids=["cut off", "too large", "too long"],
)
@pytest.mark.parametrize("as_", ["invoke", "ainvoke"])
def test_no_tool_is_called_by_half_a_reply(reply: Any, as_: str) -> None:
    sent = []

    def send(to: Any, text: str = "") -> str:
        """Send a text."""
        sent.append(text)
        return "sent"

    with Endpoint([reply, "done"]) as endpoint:
        model = openai_chat("test", base_url=endpoint.url, api_key="test", streaming=True)
        agent = Agent("writer", model=model, tools=[send])
        with suppress(AgentError):  # what is too long is not asked for again
            agent.invoke("Write") if as_ == "invoke" else asyncio.run(agent.ainvoke("Write"))
    assert sent == []


@pytest.mark.parametrize(
    ("fault", "transient"),
    [
        (TransientError("later"), True),
        (EmptyReplyError("nothing"), True),
        (AgentError("no"), False),
        (ConfigurationError("no"), False),
        (GraphInterrupt(()), False),
        (GraphRecursionError("loop"), False),
        (KeyboardInterrupt(), False),
        *((kind("x"), False) for kind in (TypeError, AttributeError, KeyError, ImportError, SyntaxError, ValueError)),
        *((kind("x"), False) for kind in (ZeroDivisionError, NotImplementedError, AssertionError, IndexError)),
        *((kind("x"), True) for kind in (RuntimeError, OSError, TimeoutError, ConnectionResetError, Exception)),
        (ExceptionGroup("both", [OSError("x"), TypeError("y")]), False),
        (ProviderError(503), True),
        (ProviderError(501), True),
        (ProviderError(418), False),
    ],
    ids=repr,
)
def test_exceptions(fault: BaseException, transient: bool) -> None:
    assert is_transient(fault) is transient


def test_the_cause_decides_over_its_wrapping() -> None:
    wrapped = ValueError("the tool failed")
    wrapped.__cause__ = ProviderError(429)
    assert is_transient(wrapped)
    assert "HTTP 429" in explain(wrapped)


def test_the_shape_of_botocore_is_known() -> None:
    fault = RuntimeError("denied")
    fault.response = {  # type: ignore[attr-defined]
        "Error": {"Code": "AccessDeniedException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"retry-after": "3"}},
    }
    assert (is_transient(fault), retry_after(fault)) == (False, 3.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "1e9"}, 1e9),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "2026 Jan 00:00:00 +0100 99999999999 Jan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +9999999999999999"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(ProviderError(429, headers=headers)) == seconds


def test_retry_after_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 70 < (retry_after(ProviderError(429, headers={"retry-after": date})) or 0) <= 100


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("wrong\nand a secret"), "ValueError: wrong"),
        (RuntimeError(), "RuntimeError"),
        (OSError("Bearer abcdefghij was sent with api_key=abc"), "OSError: *** was sent with ***"),
        (ConnectionError("the coach company: token=abc"), "ConnectionError: the coach company: ***"),
        (TimeoutError("the museum does not answer"), "TimeoutError: the museum does not answer"),
        (ConnectionRefusedError(111, "Connection refused"), "The connection to the provider or server failed"),
        (TimeoutError(), "No answer came in time"),
        (AgentError("The agent\nfailed"), "The agent failed"),
        (ProviderError(400, error("the prompt", param="stop")), "(HTTP 400, stop)."),
        (ProviderError(404), "check the model's name and the base URL (HTTP 404)."),
    ],
)
def test_explanations(fault: Exception, said: str) -> None:
    assert said in explain(fault)
    assert "the prompt" not in explain(fault)


def messages_that_are_no_answer() -> Iterator[tuple[AIMessage, str]]:
    for reason in ("length", "max_tokens", "MAX_TOKENS", "model_length", "FinishReason.MAX_TOKENS"):
        yield AIMessage("half of", response_metadata={"finish_reason": reason}), "truncated"
    for reason in ("content_filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "ERROR_TOXIC"):
        yield AIMessage("", response_metadata={"finish_reason": reason}), "filtered"
    yield AIMessage("", response_metadata={"stopReason": "guardrail_intervened"}), "filtered"
    yield AIMessage("", response_metadata={"stop_reason": "refusal"}), "refused"
    yield AIMessage("cut", response_metadata={"model_provider": "anthropic", "stop_reason": "max_tokens"}), "truncated"
    yield AIMessage("cut", response_metadata={"done_reason": "length"}), "truncated"
    yield AIMessage("cut", response_metadata={"incomplete_details": {"reason": "max_output_tokens"}}), "truncated"
    yield AIMessage([{"type": "refusal", "refusal": "I cannot"}]), "refused"
    yield AIMessage("", additional_kwargs={"refusal": "I cannot"}), "refused"
    yield AIMessage(""), "empty"
    yield AIMessage([]), "empty"
    yield AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": " \n"}]), "empty"
    yield AIMessage("half of", response_metadata={"finish_reason": "MALFORMED_FUNCTION_CALL"}), "empty"
    yield AIMessage("half of", response_metadata={"model_provider": "openai", "id": "resp_1"}), "empty"
    yield AIMessage("half of", response_metadata={"model_provider": "openai", "model_name": "m"}), "empty"


@pytest.mark.parametrize(("message", "kind"), list(messages_that_are_no_answer()), ids=str)
def test_replies_that_are_no_answer(message: AIMessage, kind: str) -> None:
    with pytest.raises(AgentError, match="'writer'") as caught:
        check_reply(message, "writer")
    assert caught.value.kind == kind
    assert isinstance(caught.value, EmptyReplyError) is (kind == "empty")


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("yes", response_metadata={"finish_reason": "stop"}, additional_kwargs={"refusal": None}),
        AIMessage([{"type": "text", "text": "yes"}], response_metadata={"stop_reason": "end_turn"}),
        AIMessage("yes", response_metadata={"model_provider": "openai", "model_name": "m", "finish_reason": None}),
        AIMessage("yes", response_metadata={"model_provider": "openai", "id": "resp_1", "status": "completed"}),
        AIMessage("yes", response_metadata={"model_provider": "openai", "id": "resp_1", "object": "response"}),
        AIMessage("yes", response_metadata={"model_provider": "another"}),
        AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "1"}]),
        AIMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}]),
    ],
    ids=str,
)
def test_replies_that_are_an_answer(message: AIMessage) -> None:
    check_reply(message, "writer")
