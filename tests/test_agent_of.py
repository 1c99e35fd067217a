"""Anything a user has is an agent, or one clear error."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from functools import partial, wraps
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph

from agents import Agent, ConfigurationError, agent_of
from agents.testing import ScriptedModel
from graphs import InvalidPlanError, Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from tests.chat import add
from tests.tables import each

MODEL = ScriptedModel("fine")


def tidy(task: str) -> str:
    """Tidy a text
    up.

    It is fast.
    """
    return " ".join(task.split())


async def tidy_later(task: str) -> str:
    return tidy(task)


class Tidy:
    name = "neat-clerk"
    description = "Tidies."

    def __call__(self, task: str) -> str:
        return tidy(task)


ANN = Agent("ann", function=tidy)


@each(
    ("value", "name", "description"),
    [
        (ANN, "ann", ""),
        (tidy, "tidy", "Tidy a text up."),
        (tidy_later, "tidy_later", ""),
        (partial(tidy), "tidy", "Tidy a text up."),
        (Tidy(), "neat_clerk", "Tidies."),
        (RunnableLambda(tidy), "tidy", "Tidy a text up."),
        (create_agent(MODEL, [], name="the clerk"), "the_clerk", ""),
        (create_agent(MODEL, [], name="clerk").with_config(tags=["x"]), "clerk", ""),
        (MODEL.with_config(run_name="1st"), "_1st", ""),
        (Supervisor(ANN), "supervisor", ""),
        (Supervisor(ANN).compile(), "supervisor", ""),
        (Supervisor(ANN).compile(name="careful"), "careful", ""),
        (RemoteGraph("far-planner", url="http://localhost:1"), "far_planner", ""),
    ],
)
def test_what_a_user_has_is_an_agent(value: Any, name: str, description: str) -> None:
    agent = agent_of(value, name="unused")
    assert (agent.name, agent.description) == (name, description)


@pytest.mark.parametrize("value", [ANN.with_config(run_name="bo"), Agent("bo", runnable=ANN.with_retry())])
def test_an_agent_with_options_is_one(call: Any, value: Any) -> None:
    agent = agent_of(value)
    assert (agent.name, call(agent, "x y")["text"]) == ("bo", ANN.invoke("x y")["text"])
    assert list(agent.stream("x y"))[-1]["text"] == ANN.invoke("x y")["text"]


@pytest.mark.parametrize("value", [lambda task: "so", RunnableLambda(lambda state: "so"), create_agent(MODEL, [])])
def test_what_has_no_name_takes_that_of_its_place(value: Any) -> None:
    assert agent_of(value, name="worker").name == "worker"
    with pytest.raises(ConfigurationError, match="has no name"):
        agent_of(value)


@each(
    ("value", "reason"),
    [
        (MODEL, "it is a model; give it a name"),
        (add, "it is a tool"),
        (Planner, "it is a class; pass an instance"),
        (StateGraph(MessagesState), "it is not compiled"),
        ("ann", "it is of type str"),
        ([Agent("ann", function=str)], r"^\[Agent\('ann'\)\] is not an agent: it is of type list"),
        ({"api_key": "sk-secretsecret1"}, r"^\{'\*\*\*.* is not an agent: it is of type dict"),
        ([ANN], "it is of type list"),
        (None, "it is of type NoneType"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(value: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{reason}.*Accepted are an Agent, a pattern"):
        agent_of(value, name="worker")


@pytest.mark.parametrize("worker", [{"runnable": Planner}, {"runnable": Supervisor(ANN)}, {"function": "tidy"}])
def test_a_worker_of_another_kind_is_refused(worker: Any) -> None:
    with pytest.raises(ConfigurationError, match="The worker of agent 'a' cannot be a"):
        Agent("a", **worker)


TEAM: Any = [ANN, Agent("bo", function=tidy)]


@each(
    "build",
    [
        lambda: Planner(TEAM, max_steps="3"),  # type: ignore[arg-type]
        lambda: Planner(TEAM, synthesizer=[]),  # type: ignore[arg-type]
        lambda: Router(TEAM, threshold="high"),  # type: ignore[arg-type]
        lambda: Workflow(None, agents=TEAM),  # type: ignore[arg-type]
        lambda: Workflow(agents=TEAM, max_parallel=1.5),  # type: ignore[arg-type]
        lambda: Supervisor(ANN, checks=len),  # type: ignore[arg-type]
        lambda: Supervisor(ANN, criteria=3),  # type: ignore[arg-type]
        lambda: Network(TEAM, links=["ann"]),  # type: ignore[arg-type]
        lambda: Network(TEAM, max_turns=True),
        lambda: Orchestrator(TEAM, planner=ANN),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_kind_is_refused_when_the_pattern_is_built(build: Any) -> None:
    with pytest.raises((ConfigurationError, InvalidPlanError)):
        build()


WORKERS: list[Any] = [
    {"function": lambda task: "fine"},
    {"instructions": "Work.", "model": MODEL, "tools": [add]},
    {"runnable": Supervisor(ANN, reviewer=Agent("judge", function=lambda: {"acceptable": True, "evidence": "e"}))},
]


@pytest.mark.parametrize("worker", WORKERS)
def test_a_deep_copy_of_an_agent_works(worker: Any) -> None:
    compiled = {"runnable": worker["runnable"].compile()} if "runnable" in worker else worker
    agent = Agent("a", "Works.", examples=["One."], **compiled)
    copied = deepcopy({"agent": agent})["agent"]
    assert copied is not agent
    assert copied.invoke("fine")["text"] == agent.invoke("fine")["text"] == "fine"


@pytest.mark.parametrize("worker", [{"function": tidy}, {"model": "openai:m", "tools": [tidy]}])
def test_an_agent_that_can_be_found_by_name_is_pickled(worker: Any) -> None:
    agent = pickle.loads(pickle.dumps(Agent("a", "Works.", **worker)))
    assert (agent.name, agent.description, agent.model) == ("a", "Works.", worker.get("model"))


async def write_later(state: Any) -> Any:
    return {"messages": [AIMessage("fine")]}


async def route_later(state: Any) -> str:
    return END


def graph_of(node: Any, route: Any = END) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("write", node)
    graph.add_edge(START, "write")
    graph.add_conditional_edges("write", route if callable(route) else lambda state: route, [END])
    return graph.compile(name="later")


async def pieces(task: str) -> Any:
    for piece in task.split():
        yield piece


@pytest.mark.parametrize(
    ("worker", "text"),
    [
        ({"runnable": graph_of(write_later)}, "fine"),
        ({"runnable": graph_of(lambda state: {"messages": [AIMessage("fine")]}, route_later)}, "fine"),
        ({"runnable": RunnableLambda(write_later) | RunnableLambda(lambda state: state)}, "fine"),
        ({"function": pieces}, '["x", "y"]'),
    ],
    ids=["node", "route", "chain", "pieces"],
)
def test_what_is_only_async_works_for_a_sync_caller_too(call: Any, worker: Any, text: str) -> None:
    agent = Agent("later", **worker)
    assert call(agent, "x y")["text"] == text
    assert list(agent.stream("x y"))[-1]["text"] == text
    state = call(Workflow([Step("a", "later", "x y")], agents=[agent]).compile(), {"messages": "go"})
    assert (state["status"], state["messages"][-1].text) == ("completed", text)


def priced(function: Callable[..., str]) -> Callable[..., str]:
    return wraps(function)(lambda **arguments: function(**arguments, price=3))


def test_a_decorator_may_pass_what_a_function_needs() -> None:
    @priced
    def cost(task: str, price: int) -> str:
        return f"{task}: {price}"

    assert Agent("clerk", function=cost).invoke("Tea")["text"] == "Tea: 3"


@each("function", [lambda task, price: "", lambda *, text: ""])
def test_a_function_that_needs_more_than_an_assignment_has_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="which no assignment has"):
        Agent("a", function=function)
