"""What chat front ends get from the `messages` stream: every text once, under the id it keeps, and no decisions."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.state import closing

MET = {"evidence": "it is so", "met": True}
VERDICT = {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""}
SENT_BACK = {"criteria": {"criterion_1": MET, "criterion_2": {"evidence": "", "met": False}}, "feedback": "Longer."}
Replies = dict[str, Any]


def model(**replies: Any) -> ScriptedModel:
    keys = {
        "triage": "You decide how a team",
        "plan": "You are the planner",
        "verdict": "You review a piece",
        "answer": "You write the final answer",
        "route": "You decide which agent",
    }
    return ScriptedModel({keys.get(name, name): reply for name, reply in replies.items()})


def team(*names: str) -> list[Agent]:
    return [
        Agent(one, f"Is a {one}.", instructions=f"You are a {one}.", model=model(You=f"The {one}'s words"))
        for one in names
    ]


def steps(*agents: str) -> dict[str, Any]:
    return {"steps": [{"id": f"by_{one}", "agent": one, "task": "Work", "dependencies": []} for one in agents]}


def route(*agents: str) -> dict[str, Any]:
    return {"reason": "they fit", "candidates": [{"agent": one, "confidence": 0.9} for one in agents]}


def network() -> Pattern:
    call = {"name": "handoff_to_writer", "args": {"task": "Write it", "reason": "it is a text"}, "id": "1"}
    [writer] = team("writer")
    desk = Agent("desk", instructions="You are the desk.", model=ScriptedModel([Reply(tool_calls=[call])]))
    return Network([desk, writer])


def nested() -> Pattern:
    inner = Planner(team("writer", "critic"), model=model(plan=steps("writer", "critic"), answer="The inner answer"))
    return Planner([inner.as_agent("editor")], model=model(plan=steps("editor")))


def sent_back() -> Pattern:
    verdicts = ScriptedModel([SENT_BACK, VERDICT])
    works = ScriptedModel(["A first try", "A second, longer try"])
    return Supervisor(Agent("writer", instructions="Write.", model=works), model=verdicts)


def with_a_tool_using_reviewer() -> Pattern:
    def look(what: str) -> str:
        """Look something up."""
        return what

    reviewer = Agent("critic", instructions="Judge.", tools=[look], model=ScriptedModel([json.dumps(VERDICT)]))
    return Supervisor(*team("writer"), reviewer=reviewer)


GRAPHS: dict[str, Callable[[], Pattern]] = {
    "a plan of two steps": lambda: Planner(
        team("writer", "critic"), model=model(plan=steps("writer", "critic"), answer="The answer")
    ),
    "a plan of one step": lambda: Planner(team("writer"), model=model(plan=steps("writer"))),
    "a plan in a plan": nested,
    "router": lambda: Router(team("writer", "critic"), model=model(route=route("writer"))),
    "router, both": lambda: Router(
        team("writer", "critic"), model=model(route=route("writer", "critic"), answer="Both answers"), multiple=True
    ),
    "workflow": lambda: Workflow(
        [Step("draft", "writer", "Write"), Step("faults", "critic", "Find", ["draft"])], agents=team("writer", "critic")
    ),
    "workflow with two ends": lambda: Workflow(
        [Step("draft", "writer", "Write"), Step("faults", "critic", "Find")], agents=team("writer", "critic")
    ),
    "supervisor": lambda: Supervisor(*team("writer"), model=model(verdict=VERDICT)),
    "supervisor, sent back": sent_back,
    "network": network,
    "orchestrator, small": lambda: Orchestrator(
        team("writer"), model=model(triage={"reason": "one", "small": True, "agent": "writer"}, verdict=VERDICT)
    ),
    "orchestrator, a plan": lambda: Orchestrator(
        team("writer", "critic"),
        model=model(
            triage={"reason": "two", "small": False, "agent": "writer"},
            plan=steps("writer", "critic"),
            verdict=VERDICT,
            answer="The answer",
        ),
    ),
    "orchestrator, alone": lambda: Orchestrator(team("writer"), model=model(helpful="Alone"), baseline=True),
}
JOINED = {"workflow with two ends"}
"""Graphs whose answer no model has written."""


async def follow(graph: Any, given: Any, **options: Any) -> list[tuple[str, Any]]:
    modes: Any = ["messages", "values"]
    return [event[-2:] async for event in graph.astream(given, stream_mode=modes, **options)]


def run(graph: Any, given: Any, call: str, **options: Any) -> list[tuple[str, Any]]:
    if call == "ainvoke":
        return asyncio.run(follow(graph, given, **options))
    modes: Any = ["messages", "values"]
    return [event[-2:] for event in graph.stream(given, stream_mode=modes, **options)]


def texts(events: list[tuple[str, Any]]) -> dict[str, str]:
    """Return what a front end shows as said by the assistant: by message id, the pieces put together."""
    shown: dict[str, str] = {}
    for mode, chunk in events:
        if mode == "messages" and isinstance(chunk[0], AIMessage) and chunk[0].text:
            shown[chunk[0].id] = shown.get(chunk[0].id, "") + chunk[0].text
    return shown


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_answer_keeps_its_id_and_no_text_comes_twice(name: str, call: str, subgraphs: bool) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, call, subgraphs=subgraphs)
    shown = texts(events)
    final = events[-1][1]["messages"][-1]
    assert events[-1][1]["status"] == "completed"
    assert shown[final.id] == final.text
    assert len(set(shown.values())) == len(shown)
    assert not [one for one in shown.values() if "{" in one]


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize("name", sorted(GRAPHS.keys() - JOINED))
def test_a_model_has_streamed_the_answer(name: str, call: str) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, call, subgraphs=True)
    final = events[-1][1]["messages"][-1]
    pieces = [chunk[0] for mode, chunk in events if mode == "messages" and chunk[0].id == final.id]
    assert len(pieces) > 1


def test_a_reviewer_with_tools_does_not_stream_its_verdict_word_by_word() -> None:
    events = run(with_a_tool_using_reviewer().compile(), {"messages": "Do it"}, "invoke", subgraphs=True)
    pieces = [chunk[0] for mode, chunk in events if mode == "messages" and isinstance(chunk[0], AIMessageChunk)]
    assert "".join(one.text for one in pieces) == "The writer's words"


def repeating() -> Pattern:
    """A supervisor whose worker says the same in every run."""
    works = ScriptedModel("The same words", repeat=True)
    return Supervisor(
        Agent("writer", instructions="W", model=works), model=ScriptedModel(Reply(data=VERDICT), repeat=True)
    )


def test_each_turn_of_a_thread_adds_its_own_messages() -> None:
    graph = repeating().compile(InMemorySaver())
    options: Any = {"config": {"configurable": {"thread_id": "1"}}}
    for question in ("Do it", "Do it again"):
        state = run(graph, {"messages": question}, "invoke", **options)[-1][1]
    kinds = [type(one) for one in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    assert len({one.id for one in state["messages"]}) == len(kinds)


def test_an_id_that_the_thread_has_already_is_not_used_again() -> None:
    before = [HumanMessage("Hi", id="1"), AIMessage("Ho", id="same")]
    assert closing(before, "New", "same").id is None
    assert closing(before, "New", "other").id == "other"
