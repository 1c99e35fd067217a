"""What servers refuse that the API allows: names, histories, options; it is sent another way, and remembered."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents.middleware import TodoListMiddleware
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import convert_to_openai_messages

from agents import Agent, AgentError, ConfigurationError
from agents.models.normalize import NO_SYSTEM, PLAIN, normalised
from agents.testing import Fault, FaultyProvider, Reply
from agents.workers import safe_name
from graphs import Network
from tests.chat import answer, calling
from tests.picky import PickyProvider, flaw_of_messages, in_turn, no_names, no_system, text_only


def look_up() -> str:
    """Look it up."""
    return "found"


CALL = {"name": "look_up", "args": {}}


@pytest.mark.parametrize(
    ("name", "safe"),
    [("look_up", "look_up"), ("look up!", "look_up_"), ("Jörg", "Jorg"), ("Straße", "Strasse"), ("x" * 80, "x" * 64)],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_name(name, {safe}) not in (name, safe)


@pytest.mark.parametrize("name", ["财务", "handoff_to_财务", "!"])
def test_what_cannot_be_named_is_refused_when_it_is_built(name: str) -> None:
    with pytest.raises(ConfigurationError, match="ASCII"):
        safe_name(name)


def test_peers_of_any_name_and_description_are_handed_over_to() -> None:
    names = ("Jörg", "Jorg", "b" * 60)
    for number, name in enumerate(names):
        tool = safe_name(f"handoff_to_{name}", [] if number != 1 else ["handoff_to_Jorg"])
        with PickyProvider([calling(tool, task="Do it", reason="x")]) as provider:
            model = provider.chat_model()
            peers = [Agent(peer, "Knows it. " * 150, function=str.upper) for peer in names]
            state = (
                Network([Agent("desk", "A", instructions="Help.", model=model), *peers])
                .compile()
                .invoke({"messages": "hi"})
            )
        assert (provider.refusals, state["active"]) == ([], name)


@pytest.mark.parametrize("call_id", ["", None])
def test_tool_calls_without_an_id_get_one(ask: Any, call_id: Any) -> None:
    def now() -> list[str]:
        """The time."""
        return []

    class Idless(PickyProvider):
        def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Any:
            reply = super().reply_to(request, headers)
            if len(self.requests) > 1:
                return reply
            named = {"name": "now", "arguments": "{}"}
            calls = [{"index": 0, "id": call_id, "type": "function", "function": named}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
            key = "delta" if request.get("stream") else "message"
            return Fault(200, body={"choices": [{"index": 0, key: message, "finish_reason": "tool_calls"}]})

    with Idless(["x", "Noon."]) as provider:
        state = ask(Agent("a", model=provider.chat_model(), tools=[now]))
    assert (answer(state), provider.refusals) == (("completed", "Noon."), [])
    assert provider.requests[1]["messages"][-1]["content"] == "(no output)"


HISTORY: list[BaseMessage] = [
    SystemMessage("Be kind."),
    HumanMessage(
        [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there", "cache_control": {}}], name="Bo"
    ),
    HumanMessage("Anybody?"),
    AIMessage("Yes."),
    SystemMessage("Be brief."),
]


@pytest.mark.parametrize("rules", [[no_names], [text_only], [in_turn], [no_system], [no_names, text_only, no_system]])
def test_what_a_server_refuses_is_remembered(rules: Any) -> None:
    with PickyProvider("Fine.", rules=rules) as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model())
        for _ in range(2):
            assert agent.invoke({"task": "Go on", "conversation": HISTORY})["text"] == "Fine."
            agent = Agent("b", instructions="Work.", model=provider.chat_model())
    assert provider.requests[-2]["messages"] == provider.requests[-1]["messages"]
    assert len(provider.refusals) <= 2
    said = json.dumps(provider.requests[-1]["messages"])
    assert all(word in said for word in ("Be kind.", "Hello", "there", "Anybody?", "Be brief.", "Go on"))


@pytest.mark.parametrize(
    "words",
    [
        "gemma:2b does not support tools",
        '"auto" tool choice requires --tool-call-parser to be set',
        "Unknown field: tools",
    ],
)
def test_an_agent_does_without_tools_where_a_server_refuses_them(words: str) -> None:
    choice = Reply(data={"choice": {"tool": "handoff_to_bob", "arguments": {"task": "Do it", "reason": "x"}}})
    with FaultyProvider([choice, "done", choice, "done"], refuses={"tools": Fault.of(400, words)}) as provider:
        model = provider.chat_model()
        peers = [Agent("ann", instructions="Ask bob.", model=model), Agent("bob", "B.", instructions="B.", model=model)]
        graph = Network(peers, links={"ann": ["bob"], "bob": []}).compile()
        states = [graph.invoke({"messages": "hi"}) for _ in range(2)]
    assert [(*answer(state), state["active"]) for state in states] == [("completed", "done", "bob")] * 2
    assert len(provider.requests) == 5  # the refused one is the first


def test_a_server_that_goes_on_refusing_tools_is_asked_once_without_them(ask: Any) -> None:
    with FaultyProvider(Fault.of(400, "Tools are not supported")) as provider:
        state = ask(Agent("ann", instructions="Look.", model=provider.chat_model(), tools=[look_up]))
    assert state["status"] == "failed"
    assert sum("tools" in request for request in provider.requests) == 1
    assert len(provider.requests) <= 3


@pytest.mark.parametrize("tools", [[look_up], []], ids=["tools", "tools of the middleware"])
def test_middleware_is_not_left_out_where_a_server_refuses_tools(tools: list[Any]) -> None:
    with FaultyProvider("done", refuses={"tools": Fault.of(400, "This model does not support tools")}) as provider:
        agent = Agent("ann", model=provider.chat_model(), tools=tools, middleware=[TodoListMiddleware()])
        for ask in (agent.invoke, lambda task: list(agent.stream(task))):
            with pytest.raises(ConfigurationError, match="'ann': tools of a provider, and middleware beside tools"):
                ask("hi")


def test_a_fault_in_a_tool_is_not_a_server_that_refuses_tools() -> None:
    fault = Fault.of(400, "Invalid 'tools[0].function': not supported")
    with FaultyProvider(refuses={"tools": fault}) as provider, pytest.raises(Exception, match="not supported"):
        Agent("ann", instructions="Work.", model=provider.chat_model(), tools=[print]).invoke("hi")
    assert len(provider.requests) == 1


@pytest.mark.parametrize("tools", [[], [look_up]], ids=["alone", "with tools"])
def test_a_stream_that_breaks_is_made_again_and_its_words_are_void(tools: list[Any]) -> None:
    cut, call = Reply("This reply breaks", error=ConnectionError("cut")), Reply("I look.", tool_calls=[CALL])
    for before in [[], [call]] if tools else [[]]:
        with FaultyProvider([*before, cut, "All is well."]) as provider:
            *pieces, last = Agent("a", model=provider.chat_model(), tools=tools).stream("x")
        place = next(place for place, piece in enumerate(pieces) if "void" in piece)
        shown, again = ["".join(piece["delta"] for piece in part) for part in (pieces[:place], pieces[place + 1 :])]
        assert shown == "".join(reply.text for reply in before) + pieces[place]["void"]
        assert (pieces[place]["void"], again, last["text"]) == ("This reply breaks", "All is well.", "All is well.")


def test_a_stream_ends_as_a_call_ends() -> None:
    with FaultyProvider([Reply("And then", finish_reason="length")] * 2) as provider:
        agent = Agent("a", model=provider.chat_model())
        for ask in (agent.invoke, lambda task: list(agent.stream(task))):
            with pytest.raises(AgentError, match="cut off"):
                ask("x")


def test_a_picture_is_not_left_out_for_a_server_that_takes_text_only() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = HumanMessage([{"type": "text", "text": "What is it?"}, picture])
    with PickyProvider("Fine.", rules=[text_only]) as provider, pytest.raises(Exception, match="expected a string"):
        Agent("a", model=provider.chat_model()).invoke({"task": "What is it?", "request": request})


@pytest.mark.parametrize("refusal", [Fault.of(400), Fault(422, body={"detail": [{"loc": ["body", "stream_options"]}]})])
def test_a_server_that_refuses_stream_options_streams_all_the_same(refusal: Fault) -> None:
    refusal = Fault.of(400, "Unknown field: stream_options") if refusal.status == 400 else refusal
    with FaultyProvider("Two words.", refuses={"stream_options": refusal}) as provider:
        for _ in range(2):
            agent = Agent("a", instructions="Work.", model=provider.chat_model())
            *deltas, last = agent.stream("x")
            assert ([chunk["delta"] for chunk in deltas], last["text"]) == (["Two", " words."], "Two words.")
    assert ["stream_options" in request for request in provider.requests] == [True, False, False]


def texts() -> st.SearchStrategy[str]:
    return st.sampled_from(["", " ", "word", "half \ud83d", "<think>hm</think>", "<think>hm</think>done"])


def contents() -> st.SearchStrategy[Any]:
    block = st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, texts()), st.just({"type": "thinking", "thinking": "hm"})
    )
    return st.one_of(texts(), st.lists(block, max_size=2))


def messages() -> st.SearchStrategy[AnyMessage]:
    ids = st.sampled_from(["", "a", "b"])
    arguments = st.sampled_from([{}, {"a": "half \ud83d"}])
    tool_call = st.builds(lambda id_, args: {"name": "f", "args": args, "id": id_}, ids, arguments)
    names = st.sampled_from([None, "Bo", "Bo Smith", "<x>"])
    return st.one_of(
        st.builds(HumanMessage, contents(), name=names),
        st.builds(SystemMessage, st.sampled_from(["Rule.", "Other rule."])),
        st.builds(
            lambda content, calls: AIMessage(content, tool_calls=calls), contents(), st.lists(tool_call, max_size=2)
        ),
        st.builds(lambda content, id_: ToolMessage(content, tool_call_id=id_), contents(), ids),
    )


@given(st.lists(messages(), max_size=6), st.sampled_from([0, PLAIN, NO_SYSTEM]))
def test_any_history_is_made_one_that_servers_accept(history: list[AnyMessage], level: int) -> None:
    normalised(history, level)
    asked = [*history, HumanMessage("Go on.")]
    sent = normalised(asked, level)
    wire: Sequence[Any] = convert_to_openai_messages(sent)  # type: ignore[assignment]
    rules = {0: [], PLAIN: [no_names, text_only, in_turn], NO_SYSTEM: [no_names, text_only, no_system]}[level]
    assert [rule(wire) for rule in [flaw_of_messages, *rules]] == [None] * (len(rules) + 1)
    assert normalised(sent, level) == sent
    assert json.dumps(wire, ensure_ascii=False).encode()
    assert "<think>" not in str([message for message in wire if message["role"] == "assistant"])


def test_results_of_calls_with_the_same_id_stay_those_of_their_calls() -> None:
    calls = [{"name": "f", "args": {"a": number}, "id": "same", "type": "tool_call"} for number in (1, 2)]
    results = [ToolMessage(text, tool_call_id="same") for text in ("first", "second")]
    asked, *answered = normalised([AIMessage("", tool_calls=calls), *results])  # type: ignore[arg-type]
    assert isinstance(asked, AIMessage)
    assert [message.text for message in answered] == ["first", "second"]
    assert [call["id"] for call in asked.tool_calls] == [getattr(message, "tool_call_id", "") for message in answered]
