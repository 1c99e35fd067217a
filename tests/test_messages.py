"""What chat front ends get from the `messages` stream: every text once, under the id it keeps, and no decisions."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from agents import Agent, Retry
from agents.testing import Reply, ScriptedModel
from graphs import Network, Orchestrator, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.engine import CompiledPattern, closing
from tests import roles
from tests.plain_graphs import own_graph

MET = {"evidence": "it is so", "met": True}
VERDICT = {"criteria": {"criterion_1": MET, "criterion_2": MET}, "feedback": ""}
SENT_BACK = {"criteria": {"criterion_1": MET, "criterion_2": {"evidence": "", "met": False}}, "feedback": "Longer."}


def model(**replies: Any) -> ScriptedModel:
    keys = {
        "triage": roles.TRIAGE,
        "plan": roles.PLANNER,
        "verdict": roles.REVIEWER,
        "answer": roles.SYNTHESIZER,
        "route": roles.ROUTER,
    }
    return ScriptedModel({keys.get(name, name): reply for name, reply in replies.items()})


def team(*names: str) -> list[Agent]:
    return [
        Agent(name, f"Is a {name}.", instructions=f"You are a {name}.", model=model(You=f"The {name}'s words"))
        for name in names
    ]


def steps(*agents: str) -> dict[str, Any]:
    return {"steps": [{"id": f"by_{name}", "agent": name, "task": "Work", "dependencies": []} for name in agents]}


def route(*agents: str) -> dict[str, Any]:
    return {"reason": "they fit", "candidates": [{"agent": name, "confidence": 0.9} for name in agents]}


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
ANSWERED_BY_A_STEP = {"a plan of one step", "a plan in a plan", "workflow"}
JOINED = {"workflow with two ends"}
"""Graphs whose answer no model has written."""


async def follow(graph: Any, asked: Any, **options: Any) -> list[tuple[str, Any]]:
    modes: Any = ["messages", "values"]
    return [event[-2:] async for event in graph.astream(asked, stream_mode=modes, **options)]


def run(graph: Any, asked: Any, call: str, **options: Any) -> list[tuple[str, Any]]:
    if call == "ainvoke":
        return asyncio.run(follow(graph, asked, **options))
    modes: Any = ["messages", "values"]
    return [event[-2:] for event in graph.stream(asked, stream_mode=modes, **options)]


def texts(events: list[tuple[str, Any]]) -> dict[str, str]:
    """Return what a front end shows as said by the assistant: by message id, the pieces put together."""
    shown: dict[str, str] = {}
    for mode, chunk in events:
        if mode == "messages" and isinstance(chunk[0], AIMessage) and chunk[0].text:
            shown[chunk[0].id] = shown.get(chunk[0].id, "") + chunk[0].text
    return shown


@pytest.mark.parametrize(("call", "subgraphs"), [("invoke", False), ("ainvoke", True)])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_answer_keeps_its_id_and_no_text_comes_twice(name: str, call: str, subgraphs: bool) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, call, subgraphs=subgraphs)
    shown = texts(events)
    final = events[-1][1]["messages"][-1]
    assert events[-1][1]["status"] == "completed"
    assert shown[final.id] == final.text
    assert len(set(shown.values())) == len(shown)
    assert not [text for text in shown.values() if "{" in text]
    if not subgraphs:  # the answer alone, and drafts of it
        assert set(shown.values()) <= {final.text, "A first try"}


def pieces_of_answer(events: list[tuple[str, Any]]) -> int:
    final = events[-1][1]["messages"][-1].id
    return len([chunk for mode, chunk in events if mode == "messages" and chunk[0].id == final])


@pytest.mark.parametrize("name", sorted(ANSWERED_BY_A_STEP))
def test_the_answer_of_a_step_comes_word_by_word_with_the_graphs_inside(name: str) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, "invoke", subgraphs=True)
    assert pieces_of_answer(events) > 1


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize("name", sorted(GRAPHS.keys() - JOINED - ANSWERED_BY_A_STEP))
def test_the_answer_comes_word_by_word_without_the_graphs_inside(name: str, call: str) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, call)
    assert pieces_of_answer(events) > 1


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize("name", ["a plan of two steps", "orchestrator, a plan"])
def test_steps_are_shown_as_tool_calls_but_not_kept(name: str, call: str) -> None:
    events = run(GRAPHS[name]().compile(), {"messages": "Do it"}, call)
    messages = [chunk[0] for mode, chunk in events if mode == "messages"]
    begun = {asked["name"]: asked for message in messages for asked in getattr(message, "tool_calls", [])}
    ended = {message.tool_call_id: message.text for message in messages if isinstance(message, ToolMessage)}
    assert begun["writer"]["args"] == {"task": "Work"}
    assert begun["writer"]["id"].startswith("by_writer-")
    assert {name: ended[asked["id"]] for name, asked in begun.items()} == {
        "writer": "The writer's words",
        "critic": "The critic's words",
    }
    assert [message.type for message in events[-1][1]["messages"]] == ["human", "ai"]


def test_a_step_that_fails_is_shown_as_failed() -> None:
    broken = Agent("broken", function=lambda task: 1 / 0)
    events = run(Workflow([Step("a", "broken", "Divide")], agents=[broken]).compile(), {"messages": "Do it"}, "invoke")
    [result] = [chunk[0] for mode, chunk in events if mode == "messages" and isinstance(chunk[0], ToolMessage)]
    assert result.status == "error"
    assert "division by zero" in result.text


def test_what_a_tool_asks_a_model_is_not_the_answer() -> None:
    inner = ScriptedModel(["A secret thought"])

    def ask(what: str) -> str:
        """Ask another model."""
        return inner.invoke(what).text

    using = ScriptedModel([Reply(tool_calls=[{"name": "ask", "args": {"what": "it"}, "id": "1"}]), "The answer"])
    router = Router([Agent("asker", instructions="Ask.", tools=[ask], model=using)], model=model(route=route("asker")))
    assert list(texts(run(router.compile(), {"messages": "Do it"}, "invoke")).values()) == ["The answer"]


def broken_off() -> Agent:
    replies = [Reply("Half of", error=ConnectionError("the line is dead")), "The whole answer"]
    return Agent("ann", instructions="A", model=ScriptedModel(replies))


def planned_by_an_orchestrator(writer: Agent) -> Pattern:
    steps = [{"id": name, "agent": "done", "task": "Work", "dependencies": []} for name in "ab"]
    triage = {"reason": "two", "small": False, "agent": "done"}
    decisions = model(triage=triage, plan={"steps": steps}, verdict=VERDICT)
    planner = Planner(
        [Agent("done", function=lambda task: "Done")], model=decisions, synthesizer=writer, retry=Retry(wait=0)
    )
    return Orchestrator(planner.agents.values(), planner=planner, model=decisions)


@pytest.mark.parametrize(
    "make",
    [lambda writer: Router([writer], model=model(route=route("ann")), retry=Retry(wait=0)), planned_by_an_orchestrator],
    ids=["router", "orchestrator"],
)
def test_an_answer_that_is_written_again_comes_word_by_word_too(make: Callable[[Any], Pattern]) -> None:
    events = run(make(broken_off()).compile(), {"messages": "Do it"}, "invoke")
    assert texts(events)[events[-1][1]["messages"][-1].id] == "The whole answer"
    assert pieces_of_answer(events) > 1


def test_a_graph_of_the_users_own_shows_what_is_inside_only_where_it_is_asked_for() -> None:
    graph = own_graph(GRAPHS["a plan of two steps"]().compile())
    shown = run(graph, {"messages": "Do it"}, "invoke")
    assert [chunk[0].text for mode, chunk in shown if mode == "messages"] == ["The answer"]
    assert pieces_of_answer(run(graph, {"messages": "Do it"}, "invoke", subgraphs=True)) > 1


def test_the_answer_comes_word_by_word_from_the_depth_of_nested_patterns() -> None:
    [writer] = team("writer")
    for _ in range(4):
        inner = writer.name
        writer = Router([writer], classifier=lambda *_, inner=inner: inner, model=False).as_agent(f"around_{inner}")
    assert isinstance(writer.runnable, CompiledPattern)
    assert pieces_of_answer(run(writer.runnable, {"messages": "Do it"}, "invoke")) > 1


def test_a_draft_stays_in_sight_while_it_is_reviewed_until_another_replaces_it() -> None:
    events = run(sent_back().compile(), {"messages": "Do it"}, "invoke")
    seen = [[message.text for message in chunk["messages"][1:]] for mode, chunk in events if mode == "values"]
    assert seen == [[], ["A first try"], ["A first try"], ["A second, longer try"], *[["A second, longer try"]] * 2]


def test_the_best_version_replaces_a_later_draft() -> None:
    worse = {"criteria": {name: {"evidence": "", "met": False} for name in VERDICT["criteria"]}, "feedback": "No."}
    works = Agent("writer", instructions="Write.", model=ScriptedModel(["Good", "Bad"]))
    graph = Supervisor(works, model=ScriptedModel([SENT_BACK, worse]), max_revisions=1).compile()
    assert [message.text for message in graph.invoke({"messages": "Do it"})["messages"]] == ["Do it", "Good"]


def test_a_reviewer_with_tools_does_not_stream_its_verdict_word_by_word() -> None:
    events = run(with_a_tool_using_reviewer().compile(), {"messages": "Do it"}, "invoke", subgraphs=True)
    pieces = [chunk[0] for mode, chunk in events if mode == "messages" and isinstance(chunk[0], AIMessageChunk)]
    assert "".join(piece.text for piece in pieces) == "The writer's words"


def test_an_id_that_the_thread_has_already_is_not_used_again() -> None:
    before = [HumanMessage("Hi", id="1"), AIMessage("Ho", id="same")]
    assert closing(before, "New", "same").id not in ("1", "same", None)
    assert closing(before, "New", "other").id == "other"


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_langgraphs_third_event_protocol_streams_the_words_of_the_answer() -> None:
    ann = Agent("ann", instructions="Answer.", model=ScriptedModel(["alpha beta gamma"], repeat=True))
    judge = Agent("judge", function=lambda task: {"acceptable": True, "evidence": "It is."})
    graph = Supervisor(ann, reviewer=judge).compile()
    run = graph.stream_events({"messages": "Name three letters."}, version="v3")
    assert "alpha beta gamma" in ["".join(map(str, message.text)) for message in run.messages]
