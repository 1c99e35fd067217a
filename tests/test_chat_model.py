"""Agents that are chat models, over the real wire: what is retried, what is answered, what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from agents import Agent, AgentError, ConfigurationError, Retry, TransientError
from agents.errors import BudgetError
from agents.models.normalize import NO_SYSTEM, PLAIN, normalised
from agents.models.thinking import VisibleText, without_thinking
from agents.runtime import Attempts
from agents.testing import Fault, FaultyProvider, Reply, ScriptedModel
from agents.tools import calculator
from agents.workers import safe_name
from graphs import Network, Router, Step, Workflow
from tests.picky import PickyProvider, flaw_of_messages, in_turn, no_names, no_system, text_only

AT_ONCE = Retry(wait=0)
OVERLOADED = Fault.of(503, "overloaded")


def calling(name: str, /, **args: Any) -> Reply:
    return Reply(tool_calls=[{"name": name, "args": args, "id": "call_1"}])


@pytest.fixture(params=["ainvoke", "stream"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give an agent a task in a workflow, in async code as it is, in sync code streamed; return the result."""

    def asked(agent: Agent, retry: Retry = AT_ONCE) -> Any:
        graph = Workflow([Step("s", agent.name, "Do it")], agents=[agent], retry=retry).compile()
        if request.param == "ainvoke":
            return asyncio.run(graph.ainvoke({"messages": "Do it"}))
        return list(graph.stream({"messages": "Do it"}, stream_mode=["messages", "values"]))[-1][1]

    return asked


def answer(state: Any) -> tuple[str, str]:
    return state["status"], state["messages"][-1].text


# The loop


class Runs(BaseCallbackHandler):
    """The names of all runs."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_chain_start(self, *_: Any, name: str = "", **about: Any) -> None:
        self.names.append(name)

    def on_chat_model_start(self, *_: Any, **about: Any) -> None:
        self.names.append("model")


def test_a_model_alone_is_called_and_nothing_else(call: Any) -> None:
    runs = Runs()
    agent = Agent("ann", instructions="Be brief.", model=ScriptedModel("fine"))
    assert call(agent, "x", {"callbacks": [runs]})["text"] == "fine"
    assert runs.names == ["agent:ann", "model"]


def test_a_failed_call_is_repeated_and_a_tool_that_has_run_is_not(ask: Any) -> None:
    charged: list[int] = []

    def charge(amount: int) -> str:
        """Charge a card."""
        charged.append(amount)
        return "charged"

    with FaultyProvider([calling("charge", amount=10), OVERLOADED, OVERLOADED, "Paid."]) as provider:
        state = ask(Agent("clerk", instructions="Pay.", model=provider.chat_model(), tools=[charge]))
    assert (answer(state), charged, state["steps"]["s"]["attempts"]) == (("completed", "Paid."), [10], 3)


def test_faults_that_do_not_pass_end_an_agent_after_as_many_calls_as_allowed(ask: Any) -> None:
    with FaultyProvider(OVERLOADED) as provider:
        state = ask(Agent("clerk", instructions="Pay.", model=provider.chat_model(), tools=[print]), Retry(2, 0))
    assert (state["status"], len(provider.requests), state["steps"]["s"]["attempts"]) == ("failed", 2, 2)


def test_a_tools_exception_is_an_answer_for_the_model(ask: Any) -> None:
    def look_up(order: str) -> str:
        """Look an order up."""
        if len(order) < 8:
            raise ValueError("an order has eight digits")
        return "shipped"

    with FaultyProvider([calling("look_up", order="7"), calling("look_up", order="00000007"), "Shipped."]) as provider:
        state = ask(Agent("clerk", instructions="Help.", model=provider.chat_model(), tools=[look_up]))
    assert answer(state) == ("completed", "Shipped.")
    assert "an order has eight digits" in provider.requests[1]["messages"][-1]["content"]


def test_an_unknown_tool_and_wrong_arguments_are_answered(ask: Any) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = [calling("multiply", a=1), calling("add", a="one", b=2), calling("add", a=1, b=2), "3"]
    with FaultyProvider(script) as provider:
        assert answer(ask(Agent("a", model=provider.chat_model(), tools=[add]))) == ("completed", "3")
    told = [request["messages"][-1]["content"] for request in provider.requests[1:]]
    assert "multiply is not a valid tool" in told[0]
    assert "valid integer" in told[1]


def test_a_budget_ends_the_run_from_within_a_tool() -> None:
    def spend() -> str:
        """Spend."""
        raise BudgetError("used up")

    model = ScriptedModel([calling("spend"), "fine"])
    with pytest.raises(BudgetError):
        Agent("a", model=model, tools=[spend]).invoke("x")


def test_a_tool_is_called_again_only_if_it_says_so(ask: Any) -> None:
    tried: list[str] = []

    def fetch(page: str) -> str:
        """Fetch a page."""
        tried.append(page)
        if len(tried) == 1:
            raise TransientError("busy")
        raise OSError("gone")

    with FaultyProvider([calling("fetch", page="p"), "Not there."]) as provider:
        assert answer(ask(Agent("a", model=provider.chat_model(), tools=[fetch])))[1] == "Not there."
    assert len(tried) == 2


HALVES = ['{"path": "/srv/data/pro', '{"path": "/srv", "recursive": tr', '{"path": lis/srv"}']


@pytest.mark.parametrize("half", HALVES)
def test_half_a_tool_call_never_runs(ask: Any, half: str) -> None:
    removed: list[str] = []

    def remove(path: str, recursive: bool = False) -> str:
        """Remove a folder."""
        removed.append(path)
        return "removed"

    script = [Reply(tool_calls=[{"name": "remove", "args": half}]), "Nothing done."]
    with FaultyProvider(script) as provider:
        state = ask(Agent("a", model=provider.chat_model(), tools=[remove]))
    assert (answer(state), removed) == (("completed", "Nothing done."), [])


def test_a_question_of_a_tool_stops_the_agent_and_its_answer_goes_on(call: Any) -> None:
    ran: list[str] = []

    def order(item: str) -> str:
        """Order."""
        ran.append(item)
        return f"ordered {item}, says {interrupt('Sure?')}"

    model = ScriptedModel([calling("order", item="tea"), "Done."])
    agent = Agent("a", model=model, tools=[order])
    graph = Workflow([Step("s", "a", "Order tea")], agents=[agent]).compile(InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    call(graph, {"messages": "Order tea"}, thread)
    state = call(graph, Command(resume="yes"), thread)
    assert (answer(state), len(model.calls)) == (("completed", "Done."), 2)
    assert model.calls[1].messages[-1].text == "ordered tea, says yes"


class Weather(BaseTool):
    name: str = "weather"
    description: str = "The weather in a city."

    def _run(self, city: str) -> str:
        raise NotImplementedError

    async def _arun(self, city: str) -> str:
        await asyncio.sleep(0)
        return f"sunny in {city}"


async def weather(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0)
    return f"sunny in {city}"


@pytest.mark.parametrize("tool", [weather, Weather(), StructuredTool.from_function(coroutine=weather)])
def test_async_tools_work_in_sync_code_too(ask: Any, tool: Any) -> None:
    with FaultyProvider([calling("weather", city="Rome"), "Sunny."]) as provider:
        state = ask(Agent("a", model=provider.chat_model(), tools=[tool]))
    assert answer(state) == ("completed", "Sunny.")
    assert provider.requests[1]["messages"][-1]["content"] == "sunny in Rome"


@pytest.mark.parametrize("profile", [{}, {"tool_calling": False}])
def test_an_async_tool_may_call_sync_code_that_calls_async_code(profile: Any) -> None:
    inner = Agent("inner", function=weather)

    async def ask_inner(city: str) -> str:
        """Ask."""
        return inner.invoke(city)["text"]

    choice = {"choice": {"tool": "ask_inner", "arguments": {"city": "Rome"}}}
    model = ScriptedModel([choice if profile else calling("ask_inner", city="Rome"), "Sunny."], profile=profile)
    assert Agent("a", model=model, tools=[ask_inner]).invoke("x")["text"] == "Sunny."


@pytest.mark.parametrize("max_turns", [1, 4])
def test_the_limit_counts_model_calls_also_in_a_network(call: Any, max_turns: int) -> None:
    def look() -> str:
        """Look."""
        return "nothing"

    model = ScriptedModel(calling("look"))
    agent = Agent("a", model=model, tools=[look], max_turns=max_turns)
    state = call(Network([agent, Agent("b", function=str)]).compile(), {"messages": "x"})
    assert len(model.calls) == max_turns
    assert f"gave no answer in {max_turns} model calls" in state["errors"][0]["message"]


def test_a_tool_call_alone_is_not_an_answer(ask: Any) -> None:
    with FaultyProvider([calling("unknown")] * 3) as provider:
        state = ask(Agent("a", model=provider.chat_model(), instructions="Work."))
    assert (state["status"], len(provider.requests)) == ("failed", 3)


NO_ANSWERS = {
    "refused": Reply(refusal="I cannot help with that."),
    "filtered": Reply("half", finish_reason="content_filter"),
    "truncated": Reply("half of", finish_reason="length"),
}


def streamed(agent: Agent, task: str) -> Any:
    return list(agent.stream(task))


def awaited(agent: Agent, task: str) -> Any:
    return asyncio.run(agent.ainvoke(task))


@pytest.mark.parametrize("kind", NO_ANSWERS)
@pytest.mark.parametrize("options", [{}, {"tools": [print]}, {"response_format": Weather}], ids=["", "tools", "form"])
def test_what_is_not_an_answer_is_asked_once_and_named_alike(kind: str, options: Any) -> None:
    if "response_format" in options:
        options = {"response_format": City}
    with FaultyProvider(NO_ANSWERS[kind]) as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model(), **options)
        kinds = []
        for attempt in (
            agent.invoke,
            lambda task: list(agent.stream(task)),
            lambda task: asyncio.run(agent.ainvoke(task)),
        ):
            with pytest.raises(AgentError) as caught:
                attempt("x")
            kinds.append(caught.value.kind)
    assert (kinds, len(provider.requests)) == ([kind] * 3, 3)


# What servers refuse


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


# Thinking


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<think>a</think>\n\nTen.", "Ten."),
        ("<think>a</think><think>b</think> Ten.", "Ten."),
        ("hm</think>Ten.", "Ten."),
        ("[THINK]hm[/THINK]Ten.", "Ten."),
        ("<think>without an end", ""),
        ("The mark <think> opens and </think> closes.", "The mark <think> opens and </think> closes."),
        ("```\n<think>\nx\n</think>\n```", "```\n<think>\nx\n</think>\n```"),
    ],
)
def test_thinking_is_not_an_answer(said: str, text: str) -> None:
    assert without_thinking(said) == text


@given(st.sampled_from(["", "<think>a < b</think>", "<think>a</think>\n<think>b</think>"]), st.integers(1, 9))
def test_thinking_is_not_streamed(thinking: str, size: int) -> None:
    said = f"{thinking}Ten is < 11."
    visible = VisibleText()
    shown = "".join(visible.see(said[place : place + size]) for place in range(0, len(said), size))
    assert shown.strip() == "Ten is < 11."


def test_thinking_reaches_neither_the_answer_nor_the_next_prompt(ask: Any) -> None:
    with FaultyProvider(["<think>only</think>", "<think>hm</think>Ten."]) as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model())
        assert answer(ask(agent)) == ("completed", "Ten.")
    with FaultyProvider("<think>hm</think>Ten.") as provider:
        agent = Agent("a", instructions="Work.", model=provider.chat_model())
        assert "".join(chunk.get("delta", "") for chunk in agent.stream("x")) == "Ten."
        steps = [Step("one", "a", "Say ten"), Step("two", "a", "{one} again", ["one"])]
        Workflow(steps, agents=[agent]).compile().invoke({"messages": "x"})
    assert "<think>" not in json.dumps(provider.requests)


# Forms


class City(BaseModel):
    name: str
    people: int


ROME = {"name": "Rome", "people": 3}
JSON = json.dumps(ROME)


@pytest.mark.parametrize(
    ("replies", "requests"),
    [
        ([JSON], 1),
        ([f"```json\n{JSON}\n```"], 1),
        ([f"<think>hm</think>{JSON}"], 1),
        (["It is Rome.", JSON], 2),
        ([Fault.of(429, retry_after="0.01"), "{}", JSON], 3),
        (["", JSON], 2),
    ],
)
@pytest.mark.parametrize("tools", [[], [weather]], ids=["alone", "tools"])
def test_a_reply_of_a_form_is_data(ask: Any, tools: Any, replies: Any, requests: int) -> None:
    with FaultyProvider(replies) as provider:
        agent = Agent("a", instructions="Say.", model=provider.chat_model(), tools=tools, response_format=City)
        state = ask(agent)
    assert (state["steps"]["s"]["data"], len(provider.requests)) == (ROME, requests)


@pytest.mark.parametrize("reply", ["prose", '{"name": "Rome"}', "", f"{JSON} {JSON}"])
@pytest.mark.parametrize("tools", [[], [weather]], ids=["alone", "tools"])
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


@pytest.mark.parametrize("wrapper", ["fallbacks", "retry", "bind", "config"])
@pytest.mark.parametrize("options", [{}, {"tools": [weather]}, {"response_format": City}], ids=["", "tools", "form"])
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


def test_a_wrapped_model_decides_too() -> None:
    ranking = {"reason": "", "candidates": [{"agent": "a", "confidence": 1}]}
    model = ScriptedModel(ConnectionError("gone")).with_fallbacks([ScriptedModel([ranking])])
    router = Router([Agent("a", "A.", function=str.upper), Agent("b", "B.", function=str)], model=model)  # type: ignore[arg-type]
    assert answer(router.compile().invoke({"messages": "hi"})) == ("completed", "HI")


@pytest.mark.parametrize("model", [3, Agent("a", function=str), ScriptedModel("x") | (lambda message: message.text)])
def test_what_is_not_a_model_is_refused_when_it_is_built(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="model"):
        Agent("a", model=model)


def test_the_policy_of_an_attempt_is_that_of_the_calls_in_it(call: Any) -> None:
    model = ScriptedModel(ConnectionError("gone"))
    outcome = call(Attempts(Agent("a", instructions="Work.", model=model), Retry(4, 0)), "x")
    assert (len(model.calls), outcome.attempts, len(outcome.faults)) == (4, 4, 3)


def test_results_of_a_calculation_are_names_in_the_next_of_the_same_assignment(call: Any) -> None:
    def calculation(expression: str) -> Reply:
        return Reply(tool_calls=[{"name": "calculator", "args": {"expression": expression}}])

    model = ScriptedModel([calculation("net = 4 * 45; tax = net * 0.2"), calculation("net + tax"), "It is 216."] * 2)
    agent = Agent("clerk", model=model, tools=[calculator])
    assert call(agent, "What do 4 chairs at 45 cost with tax?")["text"] == "It is 216."
    assert model.calls[2].messages[-1].text == "216"
