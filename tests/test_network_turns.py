"""Discussions in turns, and what a network may be built of."""

import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Network, UnknownAgentError, handoff_tool
from tests.networks import ASK, THREAD, hands, outcome, run, tells, text, to

# In turns


def finishing(answer: str, text: str = "") -> Reply:
    return Reply(text, tool_calls=[{"name": "finish", "args": {"answer": answer}}])


def test_peers_speak_in_order_until_one_finishes(call: Any) -> None:
    bob = Agent("bob", model=ScriptedModel(["b1", finishing("the answer", "So:")]))
    state = run(call, tells("ann", "a1", "a2"), bob, tells("eve", "e1"), turns="round_robin")
    assert outcome(state) == ("completed", "bob", "the answer")
    assert [f"{one['by']}:{one['text']}" for one in state["said"]] == [
        "ann:a1",
        "bob:b1",
        "eve:e1",
        "ann:a2",
        "bob:So:",
    ]
    assert (state["handoffs"], state["usage"]["calls"]) == ([], 2)


def test_a_speaker_sees_the_discussion_and_the_request(call: Any) -> None:
    model = ScriptedModel([finishing("done")])
    peers = [tells("ann", "One."), tells("bob", "Two."), Agent("eve", model=model)]
    run(call, *peers, turns="round_robin", history="last")
    (asked,) = model.calls
    assert asked.tools == ["finish"]
    assert "```\nann: One.\n\nbob: Two.\n```" in asked.prompt
    assert "```\nthe request\n```" in asked.prompt
    assert "You are eve," in asked.prompt


def test_a_function_finishes_too(call: Any) -> None:
    state = run(call, tells("ann", "a"), tells("bob", {"to": "finish", "task": "the end"}), turns="round_robin")
    assert outcome(state) == ("completed", "bob", "the end")


@pytest.mark.parametrize(
    ("peers", "answer"),
    [
        ([tells("ann", "a"), tells("bob", {"to": "finish"})], "a"),
        ([tells("bob", {"to": "finish"})], "'bob' finished without an answer"),
        ([Agent("bob", model=ScriptedModel([finishing("", "My words.")], repeat=True))], "My words."),
    ],
)
def test_finishing_without_an_answer_takes_the_last_words(call: Any, peers: list[Agent], answer: str) -> None:
    assert text(run(call, *peers, turns="round_robin")) == answer


@pytest.mark.parametrize(("most", "last"), [(1, "a1"), (3, "a2"), (4, "b2")])
def test_turns_are_limited(call: Any, most: int, last: str) -> None:
    peers = [tells("ann", "a1", "a2"), tells("bob", "b1", "b2")]
    state = run(call, *peers, turns="round_robin", max_turns=most)
    assert (state["status"], text(state), len(state["said"])) == ("partial", last, most)
    assert state["stop_reason"] == f"Nobody finished in {most} turns"


def test_a_speaker_that_only_hands_over_uses_up_its_turn(call: Any) -> None:
    peers = [tells("ann", {"to": "bob"}), tells("bob", to("ann", "Say it."))]
    state = run(call, *peers, turns="round_robin", max_turns=5)
    assert (state["status"], text(state), len(state["said"])) == ("partial", "Say it.", 5)


def test_a_speaker_that_fails_ends_the_discussion_with_what_was_said(call: Any) -> None:
    state = run(call, tells("ann", "a"), tells("bob", ValueError("bad")), turns="round_robin")
    assert (state["status"], text(state), state["errors"][0]["where"]) == ("partial", "a", "bob")


def test_the_next_message_of_a_discussion_goes_to_the_peer_that_finished(call: Any) -> None:
    bob = tells("bob", to("finish", "one"), to("finish", "two"))
    graph = Network([tells("ann", "a"), bob], turns="round_robin").compile(InMemorySaver())
    assert text(call(graph, ASK, THREAD)) == "one"
    state = call(graph, {"messages": "Again."}, THREAD)
    assert (text(state), [one["by"] for one in state["said"]]) == ("two", ["bob"])


def test_one_peer_can_think_in_turns(call: Any) -> None:
    state = run(call, tells("ann", "a1", "a2", to("finish", "a3")), turns="round_robin")
    assert (text(state), [one["text"] for one in state["said"]]) == ("a3", ["a1", "a2", "a3"])


# Building


def test_the_state_is_plain_json(call: Any) -> None:
    state = run(call, tells("ann", to("nobody"), to("bob", "x")), tells("bob", ValueError("bad")))
    record = {key: value for key, value in state.items() if key != "messages"}
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("name", ["messages", "active", "handoffs", "said", "status", "usage", "finish", "start"])
def test_peers_may_be_called_anything(call: Any, name: str) -> None:
    state = run(call, tells("ann", to(name)), tells(name, "x"))
    assert outcome(state) == ("completed", name, "x")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"agents": []}, ConfigurationError, "at least one agent"),
        ({"start": "eve"}, UnknownAgentError, "start 'eve' is not in the team; known: ann, bob"),
        ({"links": {"eve": ["ann"]}}, UnknownAgentError, "link 'eve'"),
        ({"links": {"ann": ["eve"]}}, UnknownAgentError, "link 'eve'"),
        ({"links": {"ann": ["ann"]}}, ConfigurationError, "'ann' is linked to itself"),
        ({"turns": "random"}, ConfigurationError, "turns='random'"),
        ({"history": "none"}, ConfigurationError, "history='none'"),
        ({"max_handoffs": -1}, ConfigurationError, "max_handoffs must be 0 or more"),
        ({"max_turns": 0}, ConfigurationError, "max_turns 1 or more"),
    ],
)
def test_a_network_put_together_wrongly_is_refused(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Network(**{"agents": [tells("ann", "a"), tells("bob", "b")], **options})


@pytest.mark.parametrize("options", [{"links": {}}, {"turns": "round_robin"}])
def test_a_handoff_tool_beyond_the_links_is_refused(options: Any) -> None:
    ann = Agent("ann", instructions="Help.", tools=[handoff_tool("bob")])
    with pytest.raises(ConfigurationError, match="'ann' has a tool for handing over to bob"):
        Network([ann, tells("bob", "b")], **options)


def test_a_peer_may_bring_its_handoff_tool(call: Any) -> None:
    model = ScriptedModel([hands("bob")])
    state = run(call, Agent("ann", model=model, tools=[handoff_tool("bob", "Mine.")]), tells("bob", "b"))
    assert (text(state), model.calls[0].tools) == ("b", ["handoff_to_bob"])


def edges(network: Network) -> set[tuple[str, str]]:
    return {(one.source, one.target) for one in network.compile().get_graph().edges}


def test_the_drawing_has_the_links() -> None:
    roles = [Agent(name, instructions="Help.") for name in ("ann", "bob", "eve")]
    starts = {("__start__", name) for name in ("ann", "bob", "eve")}
    ends = {(name, "__end__") for name in ("ann", "bob", "eve")}
    links = {"ann": ["bob"], "bob": ["eve"]}
    assert edges(Network(roles, links=links)) == starts | ends | {("ann", "bob"), ("bob", "eve")}
    in_turns = edges(Network(roles, turns="round_robin"))
    assert in_turns == starts | ends | {("ann", "bob"), ("bob", "eve"), ("eve", "ann")}
    assert ("ann", "ann") in edges(Network([tells("ann", "a"), tells("bob", "b")]))
