"""Contracts: what our reading of LangChain's and its providers' undocumented behaviour needs."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from agents.models.openai_compatible import ChatOpenAI as KeepsRefusals
from agents.runtime.langchain_internals import is_cut_stream, is_foreign_reply, is_unreadable_reply
from agents.testing import Fault, FaultyProvider, Reply
from agents.testing.faults import EVENT_STREAM


def raised(reply: Any, *, stream: bool = False) -> BaseException:
    with FaultyProvider(reply) as provider, pytest.raises(Exception) as caught:  # noqa: PT011
        list(provider.chat_model().stream("Hi")) if stream else provider.chat_model().invoke("Hi")
    return caught.value


@pytest.mark.parametrize("body", ["{", {"error": {"message": "no"}}, {"choices": None}, {"choices": []}], ids=str)
def test_built_in_errors_over_a_reply_without_an_answer_are_told_from_those_of_programs(body: Any) -> None:
    error = raised(Fault(200, body=body))
    assert type(error).__module__ in ("builtins", "json.decoder")
    assert is_unreadable_reply(error)
    with pytest.raises(type(error)):
        raise type(error)(*error.args[:1]) if not hasattr(error, "doc") else error


@pytest.mark.parametrize("body", [{"stop_reason": "end_turn"}, {"choices": None, "candidates": []}], ids=str)
def test_the_parts_of_a_reply_without_choices_are_named(body: Any) -> None:
    assert is_foreign_reply(raised(Fault(200, body=body)))


def test_a_stream_without_events_raises_a_built_in_error() -> None:
    assert is_unreadable_reply(raised(Fault(200, EVENT_STREAM, ""), stream=True))


def test_the_finish_reason_is_noted_from_the_last_event_only() -> None:
    event = '{"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": null}]}'
    with FaultyProvider([Fault(200, EVENT_STREAM, f"data: {event}\n\n"), Reply("whole")], repeat=True) as provider:
        model = provider.chat_model(streaming=True)
        cut, whole = model.invoke("a"), model.invoke("b")
    assert (is_cut_stream(cut), is_cut_stream(whole)) == (True, False)
    assert not is_cut_stream(AIMessage("x", response_metadata={"model_provider": "openai", "status": "completed"}))


def test_langchain_openai_itself_drops_streamed_refusals() -> None:
    with FaultyProvider(Reply(refusal="No.")) as provider:
        fields: dict[str, Any] = {"model": "m", "base_url": provider.base_url, "api_key": "k", "streaming": True}
        kept, dropped = (cls(**fields, http_socket_options=()).invoke("Hi") for cls in (KeepsRefusals, ChatOpenAI))
    assert kept.additional_kwargs == {"refusal": "No."}
    assert dropped.additional_kwargs == {}  # once it does not, our subclass can go
