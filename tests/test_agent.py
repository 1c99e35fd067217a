"""One Runnable for every kind of worker."""

import asyncio
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import ANY

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents import Agent, AgentError, ConfigurationError, Settings
from agents.agent import MAX_TURNS, Answer
from agents.assignment import quote
from agents.runtime import no_usage
from agents.testing import Reply, ScriptedModel


class Weather(BaseModel):
    city: str
    degrees: int


@dataclass
class Point:
    x: int
    y: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def shout(task: str) -> str:
    return task.upper() + "!"


async def shout_later(task: str) -> str:
    await asyncio.sleep(0)
    return shout(task)


class Shouter:
    def __call__(self, task: str) -> str:
        return shout(task)


class LaterShouter:
    async def __call__(self, task: str) -> str:
        return await shout_later(task)


def end(mark: str, task: str) -> str:
    return task.upper() + mark


async def end_later(mark: str, task: str) -> str:
    return end(mark, task)


def graph_of(reply: Any) -> Any:
    """Compile a user's own graph with messages."""
    graph = StateGraph(MessagesState)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    return graph.compile()


def shout_back(state: Any) -> Any:
    return {"messages": [AIMessage(shout(state["messages"][-1].text))]}


SHOUTING = ScriptedModel(lambda messages: shout(messages[-1].text))
KINDS = {
    "role": Agent("a", instructions="Shout.", model=SHOUTING),
    "role with tools": Agent("a", model=SHOUTING, tools=[add]),
    "chat model": Agent("a", runnable=SHOUTING),
    "chain": Agent("a", runnable=RunnableLambda(lambda state: state["messages"]) | SHOUTING.bind(stop=["."])),
    "create_agent": Agent("a", runnable=create_agent(SHOUTING)),
    "own graph": Agent("a", runnable=graph_of(shout_back)),
    "lambda of messages": Agent("a", runnable=RunnableLambda(shout_back)),
    "lambda of text": Agent("a", runnable=RunnableLambda(lambda state: shout(state["messages"][-1].text))),
    "function": Agent("a", function=shout),
    "async function": Agent("a", function=shout_later),
    "lambda": Agent("a", function=lambda task: shout(task)),
    "partial": Agent("a", function=partial(end, "!")),
    "async partial": Agent("a", function=partial(end_later, "!")),
    "object": Agent("a", function=Shouter()),
    "async object": Agent("a", function=LaterShouter()),
    "method": Agent("a", function=Shouter().__call__),
    "keywords": Agent("a", function=lambda task, /, **more: shout(task)),
    "message": Agent("a", function=lambda task: AIMessage(shout(task))),
}


@pytest.mark.parametrize("agent", KINDS.values(), ids=KINDS)
def test_every_kind_of_worker_answers(call: Any, agent: Agent) -> None:
    answer = call(agent, {"task": "hello"})
    assert (answer["text"], answer["data"]) == ("HELLO!", None)
    assert (answer["status"], answer["errors"]) == ("completed", [])


@pytest.mark.parametrize("agent", KINDS.values(), ids=KINDS)
def test_every_kind_of_worker_streams_the_same_answer(agent: Agent) -> None:
    async def streamed() -> list[Any]:
        return [chunk async for chunk in agent.astream("two words")]

    for *deltas, answer in (list(agent.stream("two words")), asyncio.run(streamed())):
        assert answer["text"] == "TWO WORDS!"
        assert "".join(delta["delta"] for delta in deltas) in ("", "TWO WORDS!")


@pytest.mark.parametrize("kind", ["role", "role with tools", "create_agent"])
def test_words_stream_as_they_are_written(kind: str) -> None:
    deltas = [chunk["delta"] for chunk in KINDS[kind].stream("two words") if "delta" in chunk]
    assert deltas == ["TWO", " WORDS!"]


def test_the_words_of_a_chat_model_as_runnable_stream() -> None:
    assert {"delta": "TWO"} in list(KINDS["chat model"].stream("two words"))


def test_a_stream_may_be_left_early() -> None:
    stream = KINDS["role"].stream("two words")
    assert next(stream) == {"delta": "TWO"}
    stream.close()  # type: ignore[attr-defined]


def test_a_batch_answers_in_order() -> None:
    agent = KINDS["async function"]
    tasks = [f"task {number}" for number in range(20)]
    texts = [shout(task) for task in tasks]
    assert [answer["text"] for answer in agent.batch(tasks)] == texts
    assert [answer["text"] for answer in asyncio.run(agent.abatch(tasks))] == texts


def test_it_composes_with_other_runnables(call: Any) -> None:
    assert call(KINDS["function"] | RunnableLambda(lambda answer: answer["text"] * 2), "x") == "X!X!"


def test_its_schemas_are_known() -> None:
    assert "task" in json.dumps(KINDS["function"].get_input_jsonschema())
    assert "text" in json.dumps(KINDS["function"].get_output_jsonschema())


ASSIGNMENT: Any = {"task": "t", "context": {"a": "A"}, "request": HumanMessage("r")}


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda task, context: f"{task} {context}", "t {'a': 'A'}"),
        (lambda task, request: f"{task} {request}", "t r"),
        (lambda text, *, request, context: f"{text} {request} {context['a']}", "t r A"),
        (lambda context: context["a"], "A"),
        (lambda request: request, "r"),
        (lambda task, config: str(config["configurable"]["mine"]), "1"),
        (lambda: "nothing needed", "nothing needed"),
        (lambda *tasks: tasks[0], "t"),
        (str.upper, "T"),
        (len, "1"),
    ],
)
def test_a_function_gets_what_it_has_parameters_for(call: Any, function: Any, text: str) -> None:
    assert call(Agent("a", function=function), ASSIGNMENT, {"configurable": {"mine": 1}})["text"] == text


def test_extras_are_empty_where_nothing_was_given() -> None:
    agent = Agent("a", function=lambda task, context, request: f"{task}{context}{request!r}")
    assert agent.invoke("t")["text"] == "t{}''"


@pytest.mark.parametrize(
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
        ({"day": date(2026, 1, 2), "price": Decimal("1.10")}, '{"day": "2026-01-02", "price": "1.10"}', ANY),
        ({"tags": {"a"}}, '{"tags": ["a"]}', {"tags": ["a"]}),
        ({"messages": 3, "status": "mine"}, '{"messages": 3, "status": "mine"}', {"messages": 3, "status": "mine"}),
    ],
)
def test_data_is_kept_beside_its_text(result: Any, text: str, data: Any) -> None:
    answer = Agent("a", function=lambda task: result).invoke("x")
    assert (answer["text"], answer["data"]) == (text, data)


@pytest.mark.parametrize("result", [object(), {"deep": [object()]}, float("nan"), {"x": float("inf")}])
def test_what_is_no_json_is_no_answer(call: Any, result: Any) -> None:
    with pytest.raises(AgentError, match=r"'a' returned \w+, which is not JSON"):
        call(Agent("a", function=lambda task: result), "x")


@pytest.mark.parametrize("result", [None, "", " \n\t"])
@pytest.mark.parametrize("make", [lambda result: lambda task: result, lambda result: partial(pick, result)])
def test_nothing_is_no_answer(call: Any, make: Any, result: Any) -> None:
    with pytest.raises(AgentError, match="'a' returned nothing") as caught:
        call(Agent("a", function=make(result)), "x")
    assert caught.value.kind == "empty"


async def pick(result: Any, task: str) -> Any:
    return result


NO_ANSWERS = [
    (Reply(""), "empty"),
    (Reply("  \n"), "empty"),
    (Reply(refusal="I cannot help with that"), "refused"),
    (Reply("half", finish_reason="content_filter"), "filtered"),
    (Reply("half of", finish_reason="length"), "truncated"),
    (Reply(tool_calls=[{"name": "add", "args": "oops"}]), "empty"),
]


@pytest.mark.parametrize(("reply", "kind"), NO_ANSWERS)
@pytest.mark.parametrize("as_", ["model", "runnable"])
def test_a_reply_that_is_no_answer_is_an_error(call: Any, as_: str, reply: Reply, kind: str) -> None:
    options: Any = {as_: ScriptedModel(reply)}
    with pytest.raises(AgentError, match="'writer'") as caught:
        call(Agent("writer", **options), "x")
    assert caught.value.kind == kind


@pytest.mark.parametrize(("reply", "kind"), NO_ANSWERS)
def test_a_streamed_reply_that_is_no_answer_is_an_error(reply: Reply, kind: str) -> None:
    with pytest.raises(AgentError) as caught:
        list(Agent("writer", model=ScriptedModel(reply)).stream("x"))
    assert caught.value.kind == kind


def test_a_graph_without_messages_gave_no_answer() -> None:
    with pytest.raises(AgentError, match="ended without a new message"):
        Agent("a", runnable=RunnableLambda(lambda state: {"messages": []})).invoke("x")


ADDING = Reply(tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}])


def test_tools_are_used(call: Any) -> None:
    model = ScriptedModel([ADDING, "It is 3."])
    assert call(Agent("a", instructions="Count.", model=model, tools=[add]), "1 + 2?")["text"] == "It is 3."
    assert model.calls[0].messages[0] == SystemMessage("Count.")
    assert model.calls[1].messages[-1].text == "3"


def test_plain_functions_are_tools(call: Any) -> None:
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    model = ScriptedModel([Reply(tool_calls=[{"name": "double", "args": {"number": 4}}]), "8"])
    assert call(Agent("a", model=model, tools=[double]), "?")["text"] == "8"


def test_a_tool_loop_is_stopped(call: Any) -> None:
    model = ScriptedModel(ADDING)
    with pytest.raises(AgentError, match=f"'a' gave no answer in {MAX_TURNS} model calls") as caught:
        call(Agent("a", model=model, tools=[add]), "x")
    assert (caught.value.kind, len(model.calls)) == ("loop", MAX_TURNS)


def test_a_tool_loop_is_stopped_in_a_stream_and_in_an_outer_run_with_a_higher_limit() -> None:
    agent = Agent("a", model=ScriptedModel(ADDING), tools=[add])
    with pytest.raises(AgentError, match="25 model calls"):
        list(agent.stream("x", {"recursion_limit": 10_000}))


def test_as_many_turns_as_allowed_are_fine() -> None:
    model = ScriptedModel([ADDING] * (MAX_TURNS - 1) + ["done"])
    assert Agent("a", model=model, tools=[add]).invoke("x")["text"] == "done"


@pytest.mark.parametrize("form", [Weather, Weather.model_json_schema()])
def test_a_structured_reply_is_data(call: Any, form: Any) -> None:
    model = ScriptedModel([{"city": "Rome", "degrees": 30}])
    answer = call(Agent("a", model=model, response_format=form), "Weather?")
    assert answer["data"] == {"city": "Rome", "degrees": 30}
    assert json.loads(answer["text"]) == answer["data"]


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", "a/b", "a.b", "naïve!"])
def test_a_name_must_be_an_identifier(name: str) -> None:
    with pytest.raises(ConfigurationError, match="must be an identifier"):
        Agent(name, function=shout)


@pytest.mark.parametrize(
    "kinds",
    [
        {"function": shout, "runnable": SHOUTING},
        {"function": shout, "model": SHOUTING},
        {"function": shout, "instructions": "Shout."},
        {"runnable": SHOUTING, "tools": [add]},
        {"runnable": SHOUTING, "response_format": Weather},
        {"runnable": SHOUTING, "function": shout, "model": SHOUTING},
    ],
)
def test_an_agent_is_one_kind_of_worker(kinds: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be one of"):
        Agent("a", **kinds)


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


def test_the_config_of_the_caller_reaches_the_worker() -> None:
    graph = graph_of(lambda state, config: {"messages": [AIMessage(str(config["metadata"]["mine"]))]})
    assert Agent("a", runnable=graph).invoke("x", {"metadata": {"mine": 7}})["text"] == "7"


def test_a_chat_model_is_told_context_request_and_task(call: Any) -> None:
    model = ScriptedModel("fine")
    call(Agent("a", instructions="Be brief.", model=model), ASSIGNMENT)
    (asked,) = [call.messages for call in model.calls]
    assert asked[0] == SystemMessage("Be brief.")
    assert quote("a", "A") in asked[1].text


def test_a_task_with_braces_reaches_a_chat_model_unchanged() -> None:
    model = ScriptedModel("fine")
    Agent("a", model=model).invoke("Explain {{x}}, {request} and {y}")
    assert model.calls[0].prompt == "Explain {{x}}, {request} and {y}"


def test_an_agent_works_in_a_node_of_a_users_graph(call: Any) -> None:
    def node(state: MessagesState) -> Any:
        return {"messages": [AIMessage(KINDS["role"].invoke(state["messages"][-1].text)["text"])]}

    assert call(graph_of(node), {"messages": "hello"})["messages"][-1].text == "HELLO!"


class TaskState(TypedDict, total=False):
    task: str
    text: str


@pytest.mark.parametrize("kind", ["role", "create_agent", "function", "async function"])
def test_an_agent_is_a_node_of_a_users_graph(call: Any, kind: str) -> None:
    graph = StateGraph(TaskState)
    graph.add_node("work", KINDS[kind])
    graph.add_edge(START, "work")
    graph.add_edge("work", END)
    assert call(graph.compile(), {"task": "hello"})["text"] == "HELLO!"


def test_the_words_of_an_agent_in_a_users_graph_stream() -> None:
    graph = StateGraph(TaskState)
    graph.add_node("work", KINDS["role"])
    graph.add_edge(START, "work")
    chunks = graph.compile().stream({"task": "two words"}, stream_mode="messages", subgraphs=True)
    assert [chunk.text for _, (chunk, _) in chunks if chunk.text] == ["TWO", " WORDS!"]


class LabelledState(MessagesState):
    status: str


def test_a_users_graph_may_have_a_status_of_its_own() -> None:
    graph = StateGraph(LabelledState)
    graph.add_node("reply", lambda state: {**shout_back(state), "status": "shouted"})
    graph.add_edge(START, "reply")
    answer = Agent("a", runnable=graph.compile()).invoke("x")
    assert (answer["text"], answer["status"]) == ("X!", "completed")


def pattern(**state: Any) -> RunnableLambda[Any, Any]:
    """Return what one of our own patterns would."""
    envelope = {"messages": [AIMessage("text")], "status": "completed", "errors": [], "usage": no_usage()}
    return RunnableLambda(lambda _: {**envelope, **state})


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


def test_a_graph_with_the_settings_of_a_run_uses_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PODIUM_MODEL", raising=False)
    graph = StateGraph(TaskState, context_schema=Settings)
    graph.add_node("work", Agent("a", instructions="Work."))
    graph.add_edge(START, "work")
    with pytest.raises(ConfigurationError, match="'nonsense' names no model"):
        graph.compile().invoke({"task": "x"}, context=Settings(model="nonsense"))


def test_building_an_agent_needs_no_model() -> None:
    agent = Agent("a", "For nothing.", instructions="Work.", examples=["One."])
    assert (agent.name, agent.description, agent.examples) == ("a", "For nothing.", ("One.",))


def test_errors_of_a_function_are_raised_as_they_are(call: Any) -> None:
    def fail(task: str) -> Answer:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError, match="by zero"):
        call(Agent("a", function=fail), "x")
