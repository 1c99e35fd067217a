"""One Runnable for every kind of worker."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import MessagesState
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents import Agent, AgentError, ConfigurationError, Settings
from agents.testing import ScriptedModel
from agents.workers import MAX_TURNS
from tests.chat import ADDING, add
from tests.plain_graphs import own_graph
from tests.tables import each


class Weather(BaseModel):
    city: str
    degrees: int


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


def shout_back(state: Any) -> Any:
    return {"messages": [AIMessage(shout(state["messages"][-1].text))]}


SHOUTING = ScriptedModel(lambda messages: shout(messages[-1].text))
KINDS = {
    "role": Agent("a", instructions="Shout.", model=SHOUTING),
    "role with tools": Agent("a", model=SHOUTING, tools=[add]),
    "chat model": Agent("a", runnable=SHOUTING),
    "chain": Agent("a", runnable=RunnableLambda(lambda state: state["messages"]) | SHOUTING.bind(stop=["."])),
    "create_agent": Agent("a", runnable=create_agent(SHOUTING)),
    "own graph": Agent("a", runnable=own_graph(shout_back)),
    "lambda of messages": Agent("a", runnable=RunnableLambda(shout_back)),
    "lambda of text": Agent("a", runnable=RunnableLambda(lambda state: shout(state["messages"][-1].text))),
    "function": Agent("a", function=shout),
    "async function": Agent("a", function=shout_later),
    "partial": Agent("a", function=partial(end, "!")),
    "async partial": Agent("a", function=partial(end_later, "!")),
    "object": Agent("a", function=Shouter()),
    "async object": Agent("a", function=LaterShouter()),
    "method": Agent("a", function=Shouter().__call__),
    "keywords": Agent("a", function=lambda task, /, **more: shout(task)),
    "message": Agent("a", function=lambda task: AIMessage(shout(task))),
}


@each("agent", KINDS.values())
def test_every_kind_of_worker_answers(call: Any, agent: Agent) -> None:
    answer = call(agent, {"task": "hello"})
    assert (answer["text"], answer["data"]) == ("HELLO!", None)
    assert (answer["status"], answer["errors"]) == ("completed", [])


@each("agent", KINDS.values())
def test_every_kind_of_worker_streams_the_same_answer(agent: Agent) -> None:
    async def streamed() -> list[Any]:
        return [chunk async for chunk in agent.astream("two words")]

    for *deltas, answer in (list(agent.stream("two words")), asyncio.run(streamed())):
        assert answer["text"] == "TWO WORDS!"
        assert "".join(delta["delta"] for delta in deltas) in ("", "TWO WORDS!")


@pytest.mark.parametrize("kind", ["role", "role with tools", "create_agent", "chat model"])
def test_words_stream_as_they_are_written(kind: str) -> None:
    deltas = [chunk["delta"] for chunk in KINDS[kind].stream("two words") if "delta" in chunk]
    assert deltas == ["TWO", " WORDS!"]


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


@each(
    ("function", "text"),
    [
        (lambda task, context: f"{task} {context}", "t {'a': 'A'}"),
        (lambda task, request: f"{task} {request}", "t r"),
        (lambda context, *, task: f"{task} {context}", "t {'a': 'A'}"),
        (lambda task: {"messages": [HumanMessage(task), AIMessage("state of a graph")]}, "state of a graph"),
        (lambda task: Agent("b", function=shout).invoke(task), "T!"),
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


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", "a/b", "a.b", "naïve!", "__start__"])
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


def test_the_config_of_the_caller_reaches_the_worker() -> None:
    graph = own_graph(lambda state, config: {"messages": [AIMessage(str(config["metadata"]["mine"]))]})
    assert Agent("a", runnable=graph).invoke("x", {"metadata": {"mine": 7}})["text"] == "7"


class TaskState(TypedDict, total=False):
    task: str
    text: str


@pytest.mark.parametrize("kind", ["role", "create_agent", "function", "async function"])
def test_an_agent_is_a_node_of_a_users_graph(call: Any, kind: str) -> None:
    assert call(own_graph(KINDS[kind], state=TaskState), {"task": "hello"})["text"] == "HELLO!"


def test_the_words_of_an_agent_in_a_users_graph_stream() -> None:
    graph = own_graph(KINDS["role"], state=TaskState)
    chunks = graph.stream({"task": "two words"}, stream_mode="messages", subgraphs=True)
    assert [chunk.text for _, (chunk, _) in chunks if chunk.text] == ["TWO", " WORDS!"]


class LabelledState(MessagesState):
    status: str
    errors: list[str]
    usage: str


@pytest.mark.parametrize("value", [{"messages": "hi"}, HumanMessage("hi"), None])
def test_what_is_neither_a_text_nor_an_assignment_is_refused(call: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="asked by a text or"):
        call(KINDS["function"], value)


def test_a_users_graph_may_have_a_status_of_its_own() -> None:
    labels = {"status": "failed", "errors": ["x"], "usage": "none"}
    graph = own_graph(lambda state: {**shout_back(state), **labels}, state=LabelledState)
    answer = Agent("a", runnable=graph).invoke("x")
    assert (answer["text"], answer["status"]) == ("X!", "completed")


def test_a_graph_with_the_settings_of_a_run_uses_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PODIUM_MODEL", raising=False)
    graph = own_graph(Agent("a", instructions="Work."), state=TaskState, context=Settings)
    with pytest.raises(ConfigurationError, match="'nonsense' names no model"):
        graph.invoke({"task": "x"}, context=Settings(model="nonsense"))


def test_building_an_agent_needs_no_model() -> None:
    agent = Agent("a", "For nothing.", instructions="Work.", examples=["One."])
    assert (agent.name, agent.description, agent.examples) == ("a", "For nothing.", ("One.",))


@each(
    ("argument", "value"),
    [
        ("tools", ["calculator"]),
        ("tools", [None]),
        ("tools", [lambda x: x]),
        ("tools", add),
        ("tools", {"add": add}),
        ("middleware", ["retry"]),
        ("checks", len),
        ("examples", "Sum up."),
        ("examples", [3]),
        ("description", None),
        ("instructions", 3),
        ("max_turns", "3"),
        ("memory", {}),
        ("response_format", "json"),
        ("response_format", Shouter),
    ],
)
def test_an_argument_of_another_kind_is_refused_when_the_agent_is_built(argument: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        Agent("a", **{argument: value})
