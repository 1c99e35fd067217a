"""Networks in conversations, nested, and with peers that fail."""

from typing import Any

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Step, Workflow, handoff_tool
from tests.networks import ASK, THREAD, hands, outcome, run, says, text, to, way
from tests.plain_graphs import own_graph


def test_the_thread_stays_with_the_peer_that_answered(call: Any) -> None:
    graph = Network([says("ann", to("bob")), says("bob", "one", "two")]).compile(InMemorySaver())
    assert outcome(call(graph, ASK, THREAD)) == ("completed", "bob", "one")
    state = call(graph, {"messages": "And then?"}, THREAD)
    assert (outcome(state), state["handoffs"]) == (("completed", "bob", "two"), [])
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai", "human", "ai"]


def test_a_handoff_is_shown_in_the_thread_and_no_agent_sees_it(call: Any) -> None:
    model = ScriptedModel([hands("bob", "add"), "1", "2"])
    graph = Network([Agent("ann", instructions="A", model=model), Agent("bob", runnable=model)]).compile(
        InMemorySaver()
    )
    asked, result, answer = call(graph, ASK, THREAD)["messages"][1:]
    assert asked.tool_calls[0]["name"] == result.name == "handoff_to_bob"
    assert asked.tool_calls[0]["args"] == {"task": "add", "reason": "because"}
    assert (asked.name, result.text, answer.name) == ("ann", "ann handed over to bob.", "bob")
    call(graph, {"messages": "And then?"}, THREAD)
    assert [message.text for message in model.calls[-1].messages] == ["the request", "1", "And then?"]


def test_a_pattern_after_a_network_sees_its_answer_and_no_handoff(call: Any) -> None:
    seen: list[Any] = []
    use = Agent("use", function=lambda context: seen.append(context) or "used")
    team = Network([says("ann", to("bob")), says("bob", "one")]).compile()
    following = Workflow([Step("a", "use", "Use it")], agents=[use]).compile()
    call(own_graph(("team", team), ("next", following)), ASK)
    assert seen == [{"bob": "one"}]


def test_a_thread_whose_peer_is_gone_begins_with_the_first(call: Any) -> None:
    saver = InMemorySaver()
    run(call, says("ann", to("bob")), says("bob", "b"), checkpointer=saver, config=THREAD)
    state = run(call, says("ann", "a"), says("eve", "e"), checkpointer=saver, config=THREAD)
    assert outcome(state) == ("completed", "ann", "a")


# Failures and nesting


def test_a_failing_peer_ends_the_run_with_its_error(call: Any) -> None:
    state = run(call, says("ann", to("bob")), says("bob", ValueError("no idea")))
    assert (state["status"], state["active"], way(state)) == ("failed", "bob", ["ann>bob"])
    assert state["stop_reason"] == "'bob' failed: ValueError: no idea" == text(state)
    assert [(error["where"], error["kind"]) for error in state["errors"]] == [("bob", "ValueError")]


def test_a_failing_peer_leaves_what_was_said_before(call: Any) -> None:
    ann = Agent("ann", model=ScriptedModel([hands("bob", text="It is about 41.")]))
    state = run(call, ann, says("bob", ValueError("no idea")))
    assert (state["status"], text(state)) == ("partial", "It is about 41.")


def test_a_graph_that_remembers_hands_over_once_per_wish(call: Any) -> None:
    model = ScriptedModel([hands("bob", "one"), "I know now."])
    ann = Agent("ann", runnable=create_agent(model, [handoff_tool("bob")], checkpointer=True))
    graph = Network([ann, says("bob", to("ann", "two"))]).compile(InMemorySaver())
    state = call(graph, ASK, THREAD)
    assert (outcome(state), way(state)) == (("completed", "ann", "I know now."), ["ann>bob", "bob>ann"])
