"""The caller's `max_concurrency` for a whole run, and what the patterns in a user's own graph share."""

import operator
import threading
import time
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send

from agents import Agent, Settings
from agents.testing import ScriptedModel
from graphs import Pattern, Router, Supervisor, Workflow
from graphs.engine import PatternGraph, PatternState
from tests.plain_graphs import own_graph
from tests.workflows import ASK, THREAD, Counter, graph_of, step


@pytest.fixture(params=["plain", "async"])
def counted(request: pytest.FixtureRequest) -> tuple[Counter, Agent]:
    counter = Counter()
    return counter, Agent("echo", function=counter.blocking if request.param == "plain" else counter.waiting)


def nested(agent: Agent, depth: int) -> Agent:
    """Put a workflow of two steps at once in a workflow of two steps at once, so many levels deep."""
    if not depth:
        return agent
    inner = nested(agent, depth - 1)
    return Workflow([step("a", agent=inner.name), step("b", agent=inner.name)], agents=[inner]).as_agent(f"deep{depth}")


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_counts_for_all_levels_and_locks_none(call: Any, counted: tuple[Counter, Agent], limit: int) -> None:
    counter, agent = counted
    counter.expected = limit
    inner = Supervisor(nested(agent, 3), review=lambda task, work, context: None).as_agent("reviewed")
    graph = graph_of(*[step(f"s{at}", agent="reviewed") for at in range(2)], agents=[inner], max_parallel=2)
    call(graph, ASK, {"max_concurrency": limit})
    assert (counter.peak, counter.calls >= 16) == (limit, True)


def test_agents_of_a_router_that_are_asked_at_once_count(call: Any) -> None:
    counter = Counter(expected=2)
    team = [Agent(name, function=counter.blocking) for name in ("ann", "bob", "eve")]
    router = Router(team, classifier=lambda text: ["ann", "bob", "eve"], model=False, multiple=True)
    call(router.compile(), ASK, {"max_concurrency": 2})
    assert (counter.peak, counter.calls) == (2, 3)


class FannedState(PatternState):
    heard: Annotated[list[str], operator.add]


class Fanned(Pattern[FannedState]):
    """Sends one request to a node function many times at once."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter

    def hear(self, state: Any) -> dict[str, Any]:
        return {"heard": [self.counter.blocking(state["task"])]}

    def conclude(self, state: Any) -> Any:
        return {"text": str(len(state["heard"])), "status": "completed", "stop_reason": None}

    def build(self) -> PatternGraph[FannedState]:
        graph = PatternGraph(self, FannedState)
        graph.add_node("start", lambda state: {})
        graph.add_node("hear", self.hear)
        graph.add_edge(START, "start")
        sends = [Send("hear", {"task": str(at)}) for at in range(6)]
        graph.add_conditional_edges("start", lambda state: sends, ["hear"])
        graph.add_edge("hear", END)
        return graph


def test_node_functions_that_are_sent_to_at_once_count(call: Any) -> None:
    counter = Counter(expected=2)
    assert call(Fanned(counter).compile(), ASK, {"max_concurrency": 2})["heard"] != []
    assert (counter.peak, counter.calls) == (2, 6)


def test_a_function_that_runs_a_graph_does_not_wait_for_itself(call: Any) -> None:
    counter = Counter()
    inner = graph_of(step("a"), step("b"), agents=[Agent("echo", function=counter.blocking)])
    outer = Agent("outer", function=lambda task: str(inner.invoke(ASK)["status"]))
    graph = graph_of(step("x", agent="outer"), step("y", agent="outer"), agents=[outer])
    state = call(graph, ASK, {"max_concurrency": 1})
    assert state["steps"]["y"]["result"] == "completed"
    assert (counter.peak, counter.calls) == (1, 4)


def test_an_inner_limit_holds_beside_the_outer_one(call: Any) -> None:
    counter = Counter(expected=2)
    inner = graph_of(*[step(f"i{at}") for at in range(4)], agents=[Agent("echo", function=counter.blocking)])
    one = Agent("one", runnable=inner.with_config(max_concurrency=1))
    graph = graph_of(*[step(f"s{at}", agent="one") for at in range(3)], agents=[one])
    call(graph, ASK, {"max_concurrency": 2})
    assert (counter.peak, counter.calls) == (2, 12)


# In a user's own graph


def side_by_side(*patterns: Any, saver: Any = None) -> Any:
    """Run patterns side by side in a graph of the user's own."""
    graph = StateGraph(MessagesState)
    for number, pattern in enumerate(patterns):
        graph.add_node(f"p{number}", pattern)
        graph.add_edge(START, f"p{number}")
    return graph.compile(saver)


def test_patterns_side_by_side_in_a_users_graph_share_the_limit(call: Any) -> None:
    counter = Counter(expected=2)
    patterns = [graph_of(*[step(f"s{at}") for at in range(3)], agents=[Agent("echo", function=counter.blocking)])] * 2
    call(side_by_side(*patterns), ASK, {"max_concurrency": 2})
    assert (counter.peak, counter.calls) == (2, 6)


def test_patterns_of_one_run_share_a_budget_and_the_next_run_has_its_own(call: Any) -> None:
    ann = Agent("ann", model=ScriptedModel(lambda messages: "yes"))
    patterns = [graph_of(step("s", agent="ann"), agents=[ann])] * 3
    graph = own_graph(*((f"p{number}", pattern) for number, pattern in enumerate(patterns)), context=Settings)
    for _ in range(2):
        texts = [message.text for message in call(graph, ASK, context=Settings(max_calls=2))["messages"][1:]]
        assert texts.count("yes") == 2


def test_patterns_of_one_run_hold_the_lock_of_its_thread_together(call: Any) -> None:
    counter = Counter(expected=2)
    patterns = [graph_of(step("s"), agents=[Agent("echo", function=counter.blocking)]) for _ in range(2)]
    graph = side_by_side(*patterns, saver=InMemorySaver())
    config = {"configurable": {**THREAD["configurable"], "when_busy": "refuse"}}
    call(graph, ASK, config)
    assert (counter.peak, counter.calls) == (2, 2)


def test_a_second_run_of_a_users_graph_waits_for_the_pattern_in_it_and_repeats_no_step() -> None:
    counter, saver = Counter(), InMemorySaver()
    agent = Agent("echo", function=lambda task: [time.sleep(0.2), counter.blocking(task)][1])
    graph = own_graph(graph_of(step("a"), step("b", "a"), agents=[agent]), saver=saver)
    starting = threading.Thread(target=graph.invoke, args=(ASK, THREAD), kwargs={"durability": "sync"})
    starting.start()
    while not counter.calls and starting.is_alive():
        time.sleep(0.01)
    graph.invoke(None, THREAD, durability="sync")
    starting.join()
    assert counter.calls == 2
