"""Failures as providers, SDKs and langchain-openai report them."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.errors import GraphInterrupt, GraphRecursionError
from pydantic import BaseModel

from agents import Agent
from agents.decisions import Decision
from agents.errors import AgentError, ConfigurationError, EmptyReplyError, TransientError
from agents.runtime import check_reply, explain, is_transient, provider_words
from agents.runtime.provider_errors import retry_after
from agents.testing import LASTING_FAULTS, TRANSIENT_FAULTS, Fault, FaultyProvider, Reply
from agents.testing.faults import EVENT_STREAM
from tests.tables import each
from tests.waiting import PATIENCE


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("its text cannot be made")


class LazyError(Exception):
    response: Any = {"ResponseMetadata": None}  # noqa: RUF012 - as botocore leaves it where nothing came back

    @property
    def body(self) -> str:
        raise RuntimeError("it was not read")


class ProviderError(Exception):
    """What the SDKs of providers raise, in the shape that they have in common."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"Error code: {status} - {body}")
        self.status_code = status
        self.body = body
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def asked(reply: Any, *, stream: bool) -> AIMessage:
    """Ask a provider that gives this reply, as an agent would."""
    with FaultyProvider([reply]) as provider:
        is_late = isinstance(reply, Reply) and reply.delay
        model = provider.chat_model(timeout=0.5 if is_late else PATIENCE)
        first, *rest = list(model.stream("Hi")) if stream else [model.invoke("Hi")]
    message: Any = sum(rest, first)
    check_reply(message, "writer")
    return message


PAGE = {"Content-Type": "text/html"}
OTHER_TRANSIENT = {
    "quota of a minute": Fault.of(429, "Quota exceeded, see your plan and billing details. Please retry in 8s."),
    "list of errors": Fault(429, body=[error("Exceeded your current quota. Retry in 9s", status="RESOURCE_EXHAUSTED")]),
    "time-out": Reply("late", delay=PATIENCE),
    "advice to retry": Fault(400, {"x-should-retry": "true"}, error("busy")),
    "typed error in a 200": Fault(200, body=error("Overloaded", type="overloaded_error")),
    "text as error": Fault(200, body={"error": "the model crashed"}),
    "no choices": Fault(200, body={"choices": None}),
    "choice without message": Fault(200, body={"choices": [{"finish_reason": "stop"}]}),
    "a page": Fault(200, PAGE, "<html>Welcome</html>"),
    "broken off": Reply("half of", finish_reason="error"),
    "huge number": Reply(tool_calls=[{"name": "send", "args": {"to": 2**64}}]),
    "mid-event": Fault(200, EVENT_STREAM, 'data: {"id": "x", "choices": [{"index": 0, "delta": {"content": "5'),
    "no event": Fault(200, EVENT_STREAM, ""),
}
OTHER_LASTING = {
    "key in a 400": Fault.of(400, "API key not valid"),
    "payment": Fault.of(402, "Payment required"),
    "monthly": Fault.of(429, "You exceeded your monthly quota"),
    "one request too large": Fault.of(429, "Request too large for this model", "rate_limit_exceeded"),
    "advice against": Fault(429, {"x-should-retry": "false"}, error("Too many requests")),
    "credit": Fault.of(400, "Credit balance is too low"),
    "too large": Fault(413, body="too large"),
    "validation": Fault(422, body={"detail": [{"loc": ["body"], "input": "the secret prompt"}]}),
    "key in a 200": Fault(200, body=error("Unknown key", code=401)),
    "type in a 200": Fault(200, body=error("No", type="authentication_error")),
}


FAULTS = TRANSIENT_FAULTS | OTHER_TRANSIENT | LASTING_FAULTS | OTHER_LASTING
REFUSED = [name for name, reply in FAULTS.items() if isinstance(reply, Fault) and reply.status != 200]
"""Refused before anything is streamed: whole and streamed replies fail alike, so each is tried in one way."""
WAYS = [
    *((name, number % 2 == 0) for number, name in enumerate(REFUSED)),
    *((name, stream) for name in FAULTS if name not in REFUSED for stream in (False, True)),
]


@pytest.mark.parametrize(("name", "stream"), WAYS)
def test_over_the_wire(name: str, stream: bool) -> None:
    reply, transient = FAULTS[name], name in TRANSIENT_FAULTS | OTHER_TRANSIENT
    with pytest.raises(Exception) as caught:  # noqa: PT011
        asked(reply, stream=stream)
    assert is_transient(caught.value) is transient
    sentence = explain(caught.value)
    assert len(sentence) > 30
    assert not any(secret in sentence for secret in ("sk-test", "secret prompt", "{", "\n"))


def test_a_reply_of_another_api_is_not_asked_for_again() -> None:
    anthropic = {"role": "assistant", "content": [{"type": "text", "text": "cut"}], "stop_reason": "max_tokens"}
    gemini = {"candidates": [{"content": {"parts": [{"text": "cut"}]}, "finishReason": "MAX_TOKENS"}]}
    for body in (anthropic, gemini):
        with pytest.raises((KeyError, TypeError)) as caught:
            asked(Fault(200, body=body), stream=False)
        assert "the form of another API" in explain(caught.value)
        assert not is_transient(caught.value)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("reason", ["stop", None, ""])
def test_a_whole_reply_is_an_answer_without_a_finish_reason_too(stream: bool, reason: str | None) -> None:
    assert asked(Reply("All  is\nwell.", finish_reason=reason), stream=stream).text == "All  is\nwell."


def test_a_garbled_tool_call_is_asked_for_again_where_tools_were_offered() -> None:
    garbled = Fault.of(400, "Failed to call a function. Please adjust your prompt.", "tool_use_failed")
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    with FaultyProvider(garbled) as provider:
        for model, transient in ((provider.chat_model().bind(tools=[tool]), True), (provider.chat_model(), False)):
            with pytest.raises(Exception, match="Failed to call") as caught:
                model.invoke("Hi")
            assert is_transient(caught.value) is transient


def test_the_provider_s_own_words_are_kept_for_the_log_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    fault = Fault.of(500, "Replica 7 is out of memory; key sk-verysecret123 was used", "oom")
    with FaultyProvider([fault, "fine"]) as provider, caplog.at_level(logging.DEBUG, "podium"):
        agent = Agent("ann", model=provider.chat_model())
        with pytest.raises(Exception, match="Replica 7") as caught:
            provider.chat_model().invoke("Hi")
        assert agent.invoke("Hi")["text"] == "fine"
    assert provider_words(caught.value) == "Replica 7 is out of memory; key *** was used"
    assert provider_words(ProviderError(500, {"error": "Replica 7 is out of memory"})) == "Replica 7 is out of memory"


@pytest.mark.parametrize(
    "reply", [ConnectionError("cut"), Reply('{"yes": true, "no": 1}', error=ConnectionError("cut"))], ids=str
)
def test_a_decision_that_is_cut_off_is_no_decision(reply: Any) -> None:
    class Ruling(BaseModel):
        yes: bool

    with FaultyProvider([reply, {"yes": False}]) as provider:
        model = provider.chat_model(streaming=True)
        assert Decision(Ruling, model=model).invoke([HumanMessage("Rule.")])["value"] == {"yes": False}


@each(
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


@each(
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


@each(
    ("fault", "said"),
    [
        (ValueError("wrong\nand a secret"), "ValueError: wrong"),
        (RuntimeError(), "RuntimeError"),
        (SpeechlessError(), "SpeechlessError"),
        (LazyError("gone"), "LazyError: gone"),
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


@each(("message", "kind"), list(messages_that_are_no_answer()))
def test_replies_that_are_no_answer(message: AIMessage, kind: str) -> None:
    with pytest.raises(AgentError, match="'writer'") as caught:
        check_reply(message, "writer")
    assert caught.value.kind == kind
    assert isinstance(caught.value, EmptyReplyError) is (kind == "empty")


@each(
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
)
def test_replies_that_are_an_answer(message: AIMessage) -> None:
    check_reply(message, "writer")
