"""What all patterns share: nodes, records, and compiled graphs that are LangGraph's."""

import asyncio
import copy
import json
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph

from agents import Agent, AgentError
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Network, Pattern, Planner, Router, Step, Supervisor, Workflow
from graphs.engine import PatternGraph, PatternState, last_request, problem
from tests.plain_graphs import own_graph

ECHO = Agent("echo", "Says the same.", function=lambda task: task)
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.mark.parametrize(
    ("checkpointer", "input_", "options", "hint"),
    [
        (None, {"input": "Go."}, {}, "request goes under 'messages'"),
        (None, {"messages": "Go."}, {"context": {"max_cals": 3}}, "did you mean 'max_calls'"),
        (InMemorySaver(), {"messages": "Go."}, {}, "name the thread of the run"),
    ],
    ids=["key", "limit", "thread"],
)
def test_a_mistaken_call_says_what_to_do(checkpointer: Any, input_: Any, options: Any, hint: str) -> None:
    graph = Workflow([Step("say", "echo", "Hi")], agents=[ECHO]).compile(checkpointer)
    with pytest.raises(ConfigurationError, match=hint):
        graph.invoke(input_, **options)


def test_a_pattern_that_is_not_compiled_says_so() -> None:
    with pytest.raises(AttributeError, match=r"'Planner' object .*compile it first: \.compile\(\)\.invoke"):
        Planner([ECHO], model=ScriptedModel()).invoke({"messages": "Go."})  # type: ignore[attr-defined]
    assert not hasattr(Planner([ECHO], model=ScriptedModel()), "route")


# The smallest pattern


class Echoing(Pattern[PatternState]):
    """Answers with the request, and with an error of the same words."""

    name = "echoing"

    def repeat(self, state: PatternState) -> dict[str, Any]:
        text = last_request(state["messages"]).text
        errors = [problem("repeat", ValueError(text))]
        return {"status": "completed", "errors": errors, "messages": [AIMessage(text)]}

    def build(self) -> PatternGraph[PatternState]:
        graph = PatternGraph(self, PatternState)
        graph.add_rule("repeat", self.repeat)
        graph.add_edge(START, "repeat")
        graph.add_edge("repeat", END)
        return graph


def test_a_pattern_is_a_compiled_graph() -> None:
    graph = Echoing().compile()
    assert isinstance(graph, CompiledStateGraph)
    assert (graph.name, Echoing().compile(name="other").name) == ("echoing", "other")


def test_every_input_of_a_thread_opens_a_record(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver())
    for text in ("one", "two"):
        state = call(graph, {"messages": text}, THREAD)
        assert [error["message"] for error in state["errors"]] == [f"ValueError: {text}"]
    assert [message.text for message in state["messages"]] == ["one", "one", "two", "two"]


def test_the_same_message_sent_again_opens_a_record_too(call: Any) -> None:
    count: list[str] = []
    agent = Agent("counter", function=lambda task: count.append(task) or str(len(count)))
    graph = Workflow([Step("a", "counter", "count")], agents=[agent]).compile(InMemorySaver())
    for number, messages in enumerate([[], [], [HumanMessage("q", id="1")], [HumanMessage("q", id="1")]], 1):
        assert call(graph, {"messages": messages}, THREAD)["steps"]["a"]["result"] == str(number)


def test_a_new_input_runs_the_plan_that_comes_with_it(call: Any) -> None:
    graph = Workflow(agents=[ECHO]).compile(InMemorySaver())
    for task in ("old", "new"):
        plan = [Step("a", "echo", task).as_dict()]
        assert call(graph, {"messages": [], "plan": plan}, THREAD)["steps"]["a"]["result"] == task


def test_an_earlier_result_with_a_new_message_is_a_new_request(call: Any) -> None:
    graph = Workflow([Step("a", "ann", "{request}")], agents=[Agent("ann", function=str.upper)]).compile()
    state = call(graph, {"messages": "one"})
    state = call(graph, {**state, "messages": [*state["messages"], HumanMessage("two")]})
    assert [message.text for message in state["messages"]] == ["one", "ONE", "two", "TWO"]
    assert len(state["worked"]) == len(call(graph, {"messages": "one"})["worked"])


def test_a_caller_cannot_pass_what_a_run_has_used() -> None:
    graph = Router([Agent("ann", function=str.upper)], classifier=lambda text: "ann", model=False).compile()
    with pytest.raises(ConfigurationError, match="fills 'usage' itself"):
        graph.invoke({"messages": "x", "usage": {"calls": -100}})


def test_a_pattern_is_an_agent(call: Any) -> None:
    agent = Echoing().as_agent("echo", "Says the same.", examples=["Say hi."])
    answer = call(agent, "hello")
    assert (answer["text"], answer["status"], len(answer["errors"])) == ("hello", "completed", 1)
    assert (agent.name, agent.description, agent.examples) == ("echo", "Says the same.", ("Say hi.",))


def test_interrupts_before_a_node_work_as_in_every_graph(call: Any) -> None:
    graph = Echoing().compile(InMemorySaver(), interrupt_before=["repeat"])
    assert call(graph, {"messages": "x"}, THREAD)["status"] == "running"
    assert call(graph, None, THREAD)["status"] == "completed"


def test_copies_of_an_agent_and_of_a_compiled_pattern_work_as_the_original(call: Any) -> None:
    graph = Supervisor(Agent("ann", model=ScriptedModel("hi")), checks=[str.islower], review=accept).compile()
    for each in (graph, copy.copy(graph), copy.deepcopy(graph)):
        assert call(each, {"messages": "x"})["messages"][-1].text == "hi"
    assert call(copy.deepcopy(Agent("ann", function=str.upper)), "hi")["text"] == "HI"


def accept(task: str, work: str, context: dict[str, str]) -> dict[str, Any]:
    return {"acceptable": True, "evidence": work}


# Plain functions as nodes, guards before the answer


class Plain(Pattern[PatternState]):
    """A pattern of one plain function, which calls a model by itself."""

    def __init__(self, status: str = "completed") -> None:
        self.model = ScriptedModel("hello")
        self.status = status

    def speak(self, state: PatternState) -> dict[str, Any]:
        errors = [problem("speak", ValueError("x"))]
        return {"status": self.status, "errors": errors, "messages": [self.model.invoke("hi")]}

    async def speak_later(self, state: PatternState) -> dict[str, Any]:
        return {"status": self.status, "messages": [await self.model.ainvoke("hi")]}

    def build(self) -> PatternGraph[PatternState]:
        graph = PatternGraph(self, PatternState)
        graph.add_node(self.speak)
        graph.add_edge(START, "speak")
        graph.add_edge("speak", END)
        return graph


def test_a_plain_function_is_a_full_node(call: Any) -> None:
    graph = Plain().compile(InMemorySaver())
    for _ in range(2):
        state = call(graph, {"messages": "x"}, THREAD)
        assert (state["status"], len(state["errors"]), state["usage"]["calls"]) == ("completed", 1, 1)


def test_an_async_function_is_a_full_node() -> None:
    pattern = Plain()
    pattern.speak = pattern.speak_later
    graph = PatternGraph(pattern, PatternState).add_node("speak", pattern.speak_later).add_edge(START, "speak")
    state = asyncio.run(graph.add_edge("speak", END).compile().ainvoke({"messages": "x"}))
    assert (state["status"], state["usage"]["calls"]) == ("completed", 1)


def test_a_run_without_a_final_status_fails_with_a_reason(call: Any) -> None:
    state = call(Plain(status="running").compile(), {"messages": "x"})
    assert state["status"] == "failed"
    assert "ended without a status" in state["stop_reason"]
    answer = "The graph ended without a status"
    with pytest.raises(AgentError, match=answer):
        call(Plain(status="running").as_agent("plain"), "x")


class Ending(Plain):
    """A route that goes on though the run has ended."""

    def build(self) -> PatternGraph[PatternState]:
        graph = super().build()
        graph.edges.discard(("speak", "answer"))
        graph.add_rule("more", lambda state: {"stop_reason": "never"})
        graph.add_conditional_edges("speak", self.on)
        graph.add_edge("more", END)
        return graph

    def on(self, state: PatternState) -> Literal["more"]:
        return "more"


def test_a_final_status_ends_the_run_whatever_the_route_says(call: Any) -> None:
    assert call(Ending().compile(), {"messages": "x"})["stop_reason"] is None


def test_a_route_must_say_where_it_leads() -> None:
    graph = PatternGraph(Echoing(), PatternState).add_node("a", lambda state: {})
    with pytest.raises(ConfigurationError, match="needs a return type"):
        graph.add_conditional_edges("a", lambda state: "a")


# In LangGraph's hands


def test_a_pattern_runs_as_a_node_of_a_users_graph_and_sees_what_others_wrote(call: Any) -> None:
    seen: list[Any] = []
    writer = Agent("writer", function=lambda task, context: seen.append((task, context)) or "done")
    facts = [AIMessage("FACT 42"), AIMessage("FACT 43", name="bob")]
    team = Supervisor(writer, review=accept).compile()
    outer = own_graph(("research", lambda state: {"messages": facts}), ("team", team))
    assert call(outer, {"messages": "Use it."})["messages"][-1].text == "done"
    assert seen == [("Use it.", {"note_1": "FACT 42", "bob": "FACT 43"})]


PATTERNS = {
    "workflow": Workflow([Step("a", "echo", "x")], agents=[ECHO]),
    "planner": Planner([ECHO], model=ScriptedModel(Reply(data={"steps": []}), repeat=True)),
    "echoing": Echoing(),
}


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"])
def test_every_stream_mode_works(mode: Any) -> None:
    graph = PATTERNS["planner"].compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": mode}}

    async def streamed() -> list[Any]:
        return [chunk async for chunk in graph.astream({"messages": "x"}, config, stream_mode=mode)]

    first = list(graph.stream({"messages": "x"}, config, stream_mode=mode))
    assert [type(chunk) for chunk in first] == [type(chunk) for chunk in asyncio.run(streamed())]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_result_is_plain_json_with_the_shared_keys(call: Any, name: str) -> None:
    state = call(PATTERNS[name].compile(), {"messages": "x"})
    assert {"messages", "status", "stop_reason", "errors", "usage"} <= state.keys()
    assert not {"assignment", "since_request", "remaining_steps"} & state.keys()
    assert isinstance(state["messages"][-1], AIMessage)
    json.dumps({key: value for key, value in state.items() if key != "messages"})


@pytest.mark.parametrize("limit", [24, 25])
def test_a_run_that_reaches_the_recursion_limit_still_answers(call: Any, limit: int) -> None:
    peers = [Agent(name, function=lambda task: "x") for name in ("ann", "bob")]
    graph = Network(peers, turns="round_robin", max_turns=40).compile()
    state = call(graph, {"messages": "q"}, {"recursion_limit": limit})
    assert (state["status"], state["messages"][-1].text) == ("partial", "x")
    assert "recursion_limit" in state["stop_reason"]


@pytest.mark.parametrize("wrong", [3, {"attempts": 3}])
def test_a_retry_that_is_not_one_is_refused_before_anything_runs(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="retry must be a Retry"):
        Workflow([Step("a", "echo", "x")], agents=[ECHO], retry=wrong).compile()
