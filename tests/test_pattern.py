"""What all patterns share: nodes of pure halves, records per message, compiled graphs."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents import Agent, AgentError, Retry, TransientError
from agents.runtime import no_usage
from agents.testing import Reply, ScriptedModel
from graphs import (
    ConfigurationError,
    Network,
    Orchestrator,
    Pattern,
    Planner,
    Router,
    Step,
    Supervisor,
    UnknownAgentError,
    Workflow,
)
from graphs.engine import Node, PatternGraph, PatternState, describe, last_request, member, problem, team_of

ECHO = Agent("echo", "Says the same.", function=lambda task: task)
STATE = {"messages": [("user", "x")]}


def node(*replies: Any, **options: Any) -> Node:
    """Make a node whose work returns or raises one after the other."""
    left = iter(replies)

    def work(asked: Any) -> Any:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        return {"text": one, "usage": {**no_usage(), "calls": 1}, "asked": asked}

    ask = options.pop("before", lambda state: "question")
    return Node(ask, RunnableLambda(work), lambda state, reply: {"said": reply}, retry=Retry(wait=0), **options)


def test_a_node_asks_works_and_keeps_the_reply(call: Any) -> None:
    update = call(node("fine"), STATE)
    assert (update["said"]["text"], update["said"]["asked"]) == ("fine", "question")
    assert update["usage"]["calls"] == 1


def test_a_node_without_work_only_updates(call: Any) -> None:
    assert call(Node(after=lambda state: {"number": len(state["messages"])}), STATE)["number"] == 1


def test_a_node_with_nothing_to_ask_does_not_work(call: Any) -> None:
    assert call(node(before=lambda state: None), STATE)["said"] is None


def test_a_fault_that_may_pass_is_tried_again(call: Any) -> None:
    assert call(node(TransientError("busy"), "fine"), STATE)["said"]["text"] == "fine"


def test_a_fault_goes_where_the_node_says(call: Any) -> None:
    update = call(node(AgentError("no"), failed=lambda state, error: {"error": str(error)}), STATE)
    assert update["error"] == "no"


def test_a_fault_that_goes_nowhere_is_raised(call: Any) -> None:
    with pytest.raises(AgentError, match="no"):
        call(node(AgentError("no")), STATE)


def test_usage_is_booked_as_the_node_says(call: Any) -> None:
    update = call(node("fine", booked=lambda usage: {**usage, "calls": 7}), STATE)
    assert update["usage"]["calls"] == 7


class Echoing(Pattern):
    """The smallest pattern: it answers with the request."""

    name = "echoing"

    def build(self) -> PatternGraph:
        graph = PatternGraph(self, PatternState)
        graph.add_node("answer", Node(after=self.answer, blank={}))
        graph.add_edge(START, "answer")
        graph.add_edge("answer", END)
        return graph

    def answer(self, state: Any) -> dict[str, Any]:
        text = last_request(state["messages"]).text
        errors = [problem("answer", ValueError(text))]
        return {"status": "completed", "errors": errors, "messages": [AIMessage(text)]}


def test_a_pattern_is_a_compiled_graph() -> None:
    graph = Echoing().compile()
    assert isinstance(graph, CompiledStateGraph)
    assert (graph.name, Echoing().compile(name="other").name) == ("echoing", "other")
    assert isinstance(Echoing().build(), StateGraph)


def test_every_message_of_a_thread_opens_a_record(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for text in ("one", "two"):
        state = call(graph, {"messages": text}, config)
        assert [one["message"] for one in state["errors"]] == [f"ValueError: {text}"]
    assert [one.text for one in state["messages"]] == ["one", "one", "two", "two"]


def test_threads_do_not_mix(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver())
    for name in ("a", "b"):
        state = call(graph, {"messages": name}, {"configurable": {"thread_id": name}})
        assert [one.text for one in state["messages"]] == [name, name]


def test_a_pattern_is_an_agent(call: Any) -> None:
    agent = Echoing().as_agent("echo", "Says the same.", examples=["Say hi."])
    answer = call(agent, "hello")
    assert (answer["text"], answer["status"], len(answer["errors"])) == ("hello", "completed", 1)
    assert (agent.name, agent.description, agent.examples) == ("echo", "Says the same.", ("Say hi.",))


def test_interrupts_before_a_node_work_as_in_every_graph(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver(), interrupt_before=["answer"])
    config = {"configurable": {"thread_id": "1"}}
    assert "status" not in call(graph, {"messages": "x"}, config)
    assert call(graph, None, config)["status"] == "completed"


@pytest.mark.parametrize("settings", [{"tags": ["t"]}, {"max_concurrency": 2}, {"metadata": {"a": 1}}])
def test_a_config_may_be_kept_with_the_graph(call: Any, settings: Any) -> None:
    graph = Echoing().compile().with_config(**settings)
    assert call(graph, {"messages": "x"})["status"] == "completed"


def test_it_runs_in_a_node_of_a_users_graph(call: Any) -> None:
    outer = StateGraph(MessagesState)
    outer.add_node("echo", Echoing().compile())
    outer.add_edge(START, "echo")
    assert call(outer.compile(), {"messages": "x"})["messages"][-1].text == "x"


PATTERNS = {
    "workflow": Workflow([Step("a", "echo", "x")], agents=[ECHO]),
    "planner": Planner([ECHO], model=ScriptedModel(Reply(data={"steps": []}), repeat=True)),
    "echoing": Echoing(),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_studio_can_show_the_forms_of_input_output_and_settings(name: str) -> None:
    graph = PATTERNS[name].compile()
    assert "messages" in graph.get_input_jsonschema()["properties"]
    assert "status" in graph.get_output_jsonschema()["properties"]
    assert "model" in graph.get_context_jsonschema()["properties"]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("mode", ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"])
def test_every_stream_mode_works(name: str, mode: Any) -> None:
    graph = PATTERNS[name].compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": mode}}

    async def streamed() -> list[Any]:
        return [one async for one in graph.astream({"messages": "x"}, config, stream_mode=mode)]

    first = list(graph.stream({"messages": "x"}, config, stream_mode=mode))
    assert [type(one) for one in first] == [type(one) for one in asyncio.run(streamed())]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_result_has_the_envelope(call: Any, name: str) -> None:
    state = call(PATTERNS[name].compile(), {"messages": "x"})
    assert {"messages", "status", "stop_reason", "errors", "usage"} <= state.keys()
    assert isinstance(state["messages"][-1], AIMessage)
    json.dumps({key: value for key, value in state.items() if key != "messages"})


def test_teams() -> None:
    assert team_of([ECHO]) == {"echo": ECHO}
    assert member("echo", {"echo": ECHO}, role="agent") is ECHO
    assert describe([ECHO, Agent("ann")]) == "- echo: Says the same.\n- ann: no description"


@pytest.mark.parametrize(("team", "said"), [([], "at least one"), ([ECHO, ECHO], "Two agents are called 'echo'")])
def test_teams_that_cannot_be(team: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        team_of(team)


def test_an_unknown_name_is_told_with_those_member() -> None:
    with pytest.raises(UnknownAgentError, match="The critic 'eve' is not in the team; known: echo"):
        member("eve", {"echo": ECHO}, role="critic")


def test_the_request_is_the_last_thing_a_person_said() -> None:
    graph = Echoing().compile()
    messages = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    assert graph.invoke({"messages": messages})["messages"][-1].text == "three"
    assert last_request([]).text == ""


UNASKED = ScriptedModel()
EVERY = [
    Planner([ECHO], model=UNASKED),
    Router([ECHO], model=UNASKED),
    Supervisor(ECHO, model=UNASKED),
    Network([ECHO]),
    Orchestrator([ECHO], model=UNASKED),
]
EMPTY: list[Any] = [
    {"messages": ""},
    {"messages": " \n"},
    {"messages": []},
    {"messages": [("assistant", "Hello")]},
    {"messages": [HumanMessage([{"type": "text", "text": ""}])]},
    {"message": "a typing error"},
    {},
]


@pytest.mark.parametrize("pattern", EVERY, ids=lambda one: one.name)
@pytest.mark.parametrize("value", EMPTY, ids=str)
def test_a_call_without_a_request_is_refused_before_anything_runs(call: Any, pattern: Pattern, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="There is no request: call the graph with"):
        call(pattern.compile(), value)
    assert UNASKED.calls == []


def test_a_thread_goes_on_after_an_empty_message(call: Any) -> None:
    graph, thread = Echoing().compile(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    call(graph, {"messages": "one"}, thread)
    with pytest.raises(ConfigurationError, match="There is no request"):
        call(graph, {"messages": ""}, thread)
    assert call(graph, {"messages": "two"}, thread)["messages"][-1].text == "two"


def test_a_picture_alone_is_a_request(call: Any) -> None:
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])
    assert (
        call(Network([Agent("ann", function=lambda: "A cat.")]).compile(), {"messages": [picture]})["status"]
        == "completed"
    )


def test_a_pattern_in_a_step_with_an_empty_item_is_not_refused(call: Any) -> None:
    steps = [Step("a", "echo", "Do it"), Step("b", "inner", "{item}", ["a"], for_each="a")]
    listing = Agent("echo", function=lambda: ["", "x"])
    state = call(Workflow(steps, agents=[listing, Echoing().as_agent("inner")]).compile(), {"messages": "go"})
    assert (state["status"], state["steps"]["b"]["status"]) == ("completed", "completed")


def test_one_agent_in_place_of_a_team_is_told() -> None:
    with pytest.raises(ConfigurationError, match="agents must be a list of agents, not Agent"):
        Planner(Agent("upper", function=str.upper))  # type: ignore[arg-type]
