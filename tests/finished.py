"""Finished runs of all six graphs, real ones with scripted models, for the tests of what shows them."""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from graphs.engine import new_record
from tests import roles

MET = {"evidence": "It says so.", "met": True}
PLAN = [
    {"id": "weather", "agent": "forecaster", "task": "Look up the weather", "dependencies": []},
    {"id": "trains", "agent": "timetable", "task": "Find a train", "dependencies": []},
    {"id": "day", "agent": "editor", "task": "Put a day together", "dependencies": ["weather", "trains"]},
]
AGAIN = [
    {"id": "bus", "agent": "editor", "task": "Find a bus", "dependencies": []},
    {"id": "day", "agent": "editor", "task": "Put a day together", "dependencies": ["weather", "bus"]},
]


def planner() -> Any:
    """One step is repeated, one fails for good, and the rest is planned again."""
    left = [TimeoutError("no answer"), "Rain until noon"]

    async def forecast(task: str) -> str:
        await asyncio.sleep(0.1)
        if isinstance(found := left.pop(0), Exception):
            raise found
        return found

    team = [
        Agent("forecaster", "Knows the weather.", function=forecast),
        Agent("timetable", "Knows trains.", model=ScriptedModel([ValueError("no trains")]), instructions="Look it up."),
        Agent("editor", "Writes.", model=ScriptedModel(["A bus at ten", "Bus, museum, boat"]), instructions="Write."),
    ]
    model = ScriptedModel([{"steps": PLAN}, {"steps": AGAIN}, "Saturday:\n  10:00 bus\n  11:00 museum"])
    graph = Planner(team, model=model, retry=Retry(attempts=2, wait=0)).compile()
    return asyncio.run(graph.ainvoke({"messages": "Plan a Saturday in Ghent"}))


def workflow() -> Any:
    echo = Agent("echo", function=lambda task: task)
    broken = Agent("broken", model=ScriptedModel([ValueError("out of paper")]), instructions="Print.")
    steps = [Step("a", "echo", "{request}"), Step("b", "broken", "Print"), Step("c", "echo", "x {b}", ["a", "b"])]
    return Workflow(steps, agents=[echo, broken], retry=Retry(attempts=1)).compile().invoke({"messages": "rain"})


def router() -> Any:
    ranked = [{"agent": "bank", "confidence": 0.9}, {"agent": "travel", "confidence": 0.6}]
    model = ScriptedModel([{"reason": "it is about money", "candidates": ranked}])
    closed = Agent("bank", "Accounts.", instructions="Help.", model=ScriptedModel([ValueError("closed")]))
    travel = Agent("travel", "Flights.", function=lambda task: "Your flight is on time.")
    return Router([closed, travel], model=model).compile().invoke({"messages": "What is my balance?"})


def supervisor() -> Any:
    versions = iter(["Hi", "Dear Ms Lee"])
    judged = iter(
        [
            {"criteria": [{"criterion": "polite", "met": False, "evidence": "Hi"}], "feedback": "Greet properly."},
            {"acceptable": True, "evidence": "all is well"},
        ]
    )
    writer = Agent("writer", function=lambda task: next(versions))
    judge = Agent("judge", function=lambda context: next(judged))
    return Supervisor(writer, reviewer=judge).compile().invoke({"messages": "Answer the letter."})


def network() -> Any:
    call = {"name": "handoff_to_billing", "args": {"task": "Refund order 7", "reason": "it is about money"}, "id": "1"}
    desk = Agent("desk", "Phone.", instructions="Help.", model=ScriptedModel([Reply(tool_calls=[call])]))
    billing = Agent("billing", "Refunds.", instructions="Refund.", model=ScriptedModel(["Order 7 is refunded."]))
    return Network([desk, billing]).compile().invoke({"messages": "I want my money back."})


def orchestrator() -> Any:
    """The steps of its plan are supervised agents: patterns inside steps."""
    clock = Agent("clock", "Tells the time.", instructions="Tell.", model=ScriptedModel(lambda messages: "noon"))
    said = {
        roles.TRIAGE: {"reason": "two parts", "small": False, "agent": "clock"},
        roles.PLANNER: {"steps": [{"id": "one", "agent": "clock", "task": "Time?", "dependencies": []}]},
        roles.REVIEWER: {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""},
    }
    return Orchestrator([clock], model=ScriptedModel(said)).compile().invoke({"messages": "What time is it?"})


_MAKERS: tuple[Callable[[], Any], ...] = (planner, workflow, router, supervisor, network, orchestrator)
PATTERNS = tuple(maker.__name__ for maker in _MAKERS)


@cache
def finished(pattern: str) -> Any:
    """Return the result of a real run."""
    return next(maker for maker in _MAKERS if maker.__name__ == pattern)()


@cache
def asking() -> Any:
    """Return a run that waits for a person to approve its plan."""
    agents = [Agent(item, item, function=lambda task: task) for item in ("forecaster", "timetable", "editor")]
    graph = Planner(agents, model=ScriptedModel([{"steps": PLAN}]), approval=True).compile(InMemorySaver())
    return graph.invoke({"messages": "Plan it"}, {"configurable": {"thread_id": "1"}})


def timed(*steps: tuple[str, float, float, list[str]], **known: Any) -> dict[str, Any]:
    """Return a result of steps that were at work from and to so many seconds."""
    records = {
        name: new_record(
            Step(name, "worker", f"Do {name}", after),
            **{"status": "completed", "started": 1e9 + start, "ended": 1e9 + end, "attempts": 1, **known},
        )
        for name, start, end, after in steps
    }
    return {"status": "completed", "steps": records}


def large(number: int) -> dict[str, Any]:
    """Return a run of many steps, every tenth of which has failed."""
    result = timed(
        *((f"s{item}", item / 10, item / 10 + 1, [f"s{item // 2}"] if item else []) for item in range(number))
    )
    for entry in range(0, number, 10):
        result["steps"][f"s{entry}"] |= {"status": "failed", "result": None, "error": "it broke"}
    return result
