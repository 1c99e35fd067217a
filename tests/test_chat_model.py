"""Agents that are chat models, over the real wire: what is retried, what is answered, what is no answer."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent, AgentError, Retry, TransientError
from agents.errors import BudgetError
from agents.runtime import Attempts
from agents.testing import Fault, FaultyProvider, Reply, ScriptedModel
from agents.tools import calculator
from graphs import Network, Step, Workflow
from tests.chat import City, answer, calling, weather

OVERLOADED = Fault.of(503, "overloaded")


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


def test_a_tool_that_cancels_itself_has_failed_and_its_agent_is_not_repeated(ask: Any) -> None:
    calls: list[str] = []

    async def fetch(page: str) -> str:
        """Fetch a page."""
        calls.append(page)
        raise asyncio.CancelledError

    model = ScriptedModel([calling("fetch", page="p"), "Not there."])
    assert answer(ask(Agent("a", instructions="Work.", model=model, tools=[fetch]))) == ("completed", "Not there.")
    assert (calls, len(model.calls)) == (["p"], 2)


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
