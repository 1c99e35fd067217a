"""Plans in conversations, several runs at once, and runs that are killed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner, Step, Workflow
from tests.planned import ANSWER, APART, ASK, HALF, SOUND, THREAD, Team, plan, statuses, step

# Conversations, runs at once, kills


def test_the_next_message_of_a_thread_is_planned_anew(call: Any) -> None:
    team = Team()
    first_plan = plan(step("red"), step("blue"), step("bad", task="fail"))
    script = [first_plan, *[plan(step("x", "z"))] * 3, ANSWER, plan(step("green")), plan(step("red", task="new red"))]
    graph = team.planner(*script, checkpointer=InMemorySaver())
    first = call(graph, ASK, THREAD)
    second = call(graph, {"messages": "And green?"}, THREAD)
    third = call(graph, {"messages": "And red again?"}, THREAD)
    assert first["status"] == "partial"
    assert (second["status"], second["errors"], second["stop_reason"]) == ("completed", [], None)
    assert (statuses(second), second["replans"], second["abandoned"]) == ("green:completed", 0, [])
    assert (statuses(third), third["usage"]["calls"]) == ("red:completed", 1)
    assert [message.text for message in third["messages"]] == [
        *["Compare red and blue", "The answer.", "And green?", "[do green]", "And red again?", "[new red]"]
    ]
    assert "The answer." in team.prompts[5]


def test_a_conversation_that_ends_with_the_assistant_is_answered_too() -> None:
    messages = [("user", "Compare red and blue"), ("assistant", "Let me see.")]
    state = Team().planner(plan(step("red"), step("blue")), ANSWER).invoke({"messages": messages})
    assert state["messages"][-1].text == "The answer."


def test_the_same_result_however_it_is_called() -> None:
    def graph() -> Any:
        return Team().planner(HALF, plan(step("x", "red")), ANSWER)

    async def streamed() -> Any:
        return [chunk async for chunk in graph().astream(ASK, stream_mode="values")][-1]

    results = [
        graph().invoke(ASK),
        asyncio.run(graph().ainvoke(ASK)),
        list(graph().stream(ASK, stream_mode="values"))[-1],
        asyncio.run(streamed()),
        *graph().batch([ASK]),
        *asyncio.run(graph().abatch([ASK])),
    ]
    told = [
        (statuses(result), result["status"], result["usage"], result["errors"], result["plan"]) for result in results
    ]
    assert told == [told[0]] * len(told)


def test_runs_at_once_do_not_see_each_other() -> None:
    def reply(messages: Any) -> Any:
        return plan(step("a", task=f"{messages[-1].text}!"), step("b", "a", task="{a}"))

    ann = Agent("ann", function=lambda task: task)
    join = Agent("join", function=lambda task, context: context["b"])
    graph = Planner([ann], model=ScriptedModel(reply), synthesizer=join).compile()

    async def run() -> Any:
        return await asyncio.gather(*(graph.ainvoke({"messages": f"r{at}"}) for at in range(10)))

    for states in (asyncio.run(run()), graph.batch([{"messages": f"r{at}"} for at in range(10)])):
        assert [state["messages"][-1].text for state in states] == [f"r{at}!" for at in range(10)]


def once(error: type[BaseException]) -> Callable[[], None]:
    """Raise at the first call only."""
    left = [error]

    def maybe() -> None:
        if left:
            raise left.pop()

    return maybe


def test_a_killed_run_goes_on_without_planning_or_working_again() -> None:
    log: list[str] = []
    kill = once(KeyboardInterrupt)

    def work(task: str) -> str:
        log.append(task)
        if task == "do blue":
            kill()
        return task

    model = ScriptedModel([plan(step("red"), step("blue", "red"))])
    graph = Planner([Agent("ann", function=work)], model=model).compile(InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    assert graph.invoke(None, THREAD)["status"] == "completed"
    assert (log, len(model.calls)) == (["do red", "do blue", "do blue"], 1)


def test_an_agent_may_ask_a_person(call: Any) -> None:
    ask = Agent("ask", function=lambda task: f"They said {interrupt(task)}")
    model = ScriptedModel([plan(step("a", agent="ask"))])
    graph = Planner([ask], model=model).compile(InMemorySaver())
    (asked,) = call(graph, ASK, THREAD)["__interrupt__"]
    assert asked.value == "do a"
    assert call(graph, Command(resume="yes"), THREAD)["messages"][-1].text == "They said yes"


def test_a_workflow_may_be_one_of_the_team(call: Any) -> None:
    ann = Agent("ann", function=lambda task: task)
    inner = Workflow([Step("x", "ann", "{request}!")], agents=[ann]).as_agent("inner", "Does it.")
    model = ScriptedModel([plan(step("a", agent="inner"))])
    assert call(Planner([inner], model=model).compile(), ASK)["messages"][-1].text.endswith("do a!")


def test_a_planner_may_be_one_of_the_team(call: Any) -> None:
    inner = Planner([Agent("ann", function=lambda task: task)], model=ScriptedModel([plan(step("x"))]))
    model = ScriptedModel([plan(step("a", agent="inner"))])
    state = call(Planner([inner.as_agent("inner")], model=model).compile(), ASK)
    assert state["messages"][-1].text == "do x"
    assert set(state["usage"]["agents"]) == {"planner", "inner/planner"}


def test_events_of_steps_are_streamed() -> None:
    chunks = list(Team().planner(SOUND, ANSWER).stream(ASK, stream_mode="custom"))
    events = [(chunk["step"], chunk["status"]) for chunk in chunks if chunk.get("event") == "step"]
    assert len(events) == 6
    assert events[-1] == ("both", "completed")


def test_only_the_answer_is_streamed_not_the_plan() -> None:
    chunks = Team().planner(APART, ANSWER).stream(ASK, stream_mode="messages", subgraphs=True)
    words = [chunk.text for _, (chunk, _) in chunks if isinstance(chunk, AIMessage)]
    assert "steps" not in "".join(words)
    assert "The answer." in "".join(words)
