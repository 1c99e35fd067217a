"""Discussions in turns, and what a network may be built of."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Network, UnknownAgentError, handoff_tool
from tests.networks import ASK, THREAD, hands, outcome, run, says, text, to
from tests.tables import each

# In turns

TEAM = ("ann", "bob", "eve")


def spoke(state: Any) -> str:
    return " ".join(utterance["by"] for utterance in state["said"])


def test_a_function_of_the_state_names_the_next_speaker(call: Any) -> None:
    def after(state: Any) -> str | None:
        return {"ann": "Eve", "eve": "the agent bob"}.get(state["said"][-1]["by"])

    async def later(state: Any) -> str | None:
        return after(state)

    for turns in (after, later):
        state = run(call, *map(says, TEAM, TEAM), turns=turns)
        assert (spoke(state), *outcome(state)) == ("ann eve bob", "completed", "bob", "bob")


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (lambda state: "zoe", "turns= named 'zoe'; known: ann, bob, eve, finish"),
        (lambda state: state["nothing"], "No speaker was chosen: KeyError"),
        (lambda state: "ann", "Nobody finished in 2 turns"),
    ],
    ids=["unknown", "broken", "endless"],
)
def test_a_discussion_whose_function_fails_or_never_ends_is_partial(call: Any, turns: Any, reason: str) -> None:
    state = run(call, *map(says, TEAM, TEAM), turns=turns, max_turns=2)
    assert (state["status"], state["messages"][-1].text) == ("partial", "ann")
    assert reason in state["stop_reason"]


def choosing(*names: str) -> ScriptedModel:
    return ScriptedModel([{"reason": "so", "speaker": name} for name in names])


def test_a_model_names_each_speaker_and_the_end(call: Any) -> None:
    model = choosing("**Bob**", "agent eve", "nobody", "bob", "finish")
    state = run(call, *map(says, TEAM, TEAM), turns="chosen", model=model)
    assert (spoke(state), *outcome(state)) == ("bob eve bob", "completed", "bob", "bob")
    assert "- bob: Knows bob." in model.calls[0].prompt
    assert "eve:\n```\neve\n```" in model.calls[2].prompt
    assert state["usage"]["calls"] == 5
    first = run(call, *map(says, TEAM, TEAM), turns="chosen", model=choosing("finish"), start="eve")
    assert spoke(first) == "eve"


def test_chosen_turns_that_have_ended_do_not_run_again_after_a_kill() -> None:
    log: list[str] = []

    def speak(task: str, context: dict[str, str]) -> str:
        log.append(f"{len(context)}")
        if len(log) == 2:
            raise KeyboardInterrupt
        return "words"

    model = choosing("ann", "ann", "finish")
    peers = [Agent("ann", function=speak), says("bob", "b")]
    graph = Network(peers, turns="chosen", model=model).compile(InMemorySaver())
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(ASK, THREAD)
    state = graph.invoke(None, THREAD)
    assert (log, len(model.calls), spoke(state)) == (["0", "1", "1"], 3, "ann ann")


def finishing(answer: str, text: str = "") -> Reply:
    return Reply(text, tool_calls=[{"name": "finish", "args": {"answer": answer}}])


def test_peers_speak_in_order_until_one_finishes(call: Any) -> None:
    bob = Agent("bob", model=ScriptedModel(["b1", finishing("the answer", "So:")]))
    state = run(call, says("ann", "a1", "a2"), bob, says("eve", "e1"), turns="round_robin")
    assert outcome(state) == ("completed", "bob", "the answer")
    said = [f"{utterance['by']}:{utterance['text']}" for utterance in state["said"]]
    assert said == ["ann:a1", "bob:b1", "eve:e1", "ann:a2", "bob:So:"]
    assert (state["handoffs"], state["usage"]["calls"]) == ([], 2)


def test_a_speaker_sees_the_discussion_and_the_request(call: Any) -> None:
    model = ScriptedModel([finishing("done")])
    run(call, says("ann", "One."), says("bob", "Two."), Agent("eve", model=model), turns="round_robin")
    (asked,) = model.calls
    assert asked.tools == ["finish"]
    for quoted in ("One.", "Two."):
        assert f"\n```\n{quoted}\n```" in asked.prompt
    assert "\n\nYour task: the request\n\nYou are eve," in asked.prompt


@pytest.mark.parametrize(
    ("history", "seen"), [("full", {"ann": "a1", "bob": "b1", "ann_2": "a2"}), (1, {"ann": "a2"}), ("last", {})]
)
def test_how_much_of_the_discussion_a_speaker_sees(call: Any, history: Any, seen: Any) -> None:
    contexts: list[Any] = []

    def speak(task: str, context: dict[str, str]) -> Any:
        contexts.append(context)
        return "b1" if len(contexts) == 1 else to("finish", "done")

    run(call, says("ann", "a1", "a2"), Agent("bob", function=speak), turns="round_robin", history=history)
    assert contexts[1] == seen


@pytest.mark.parametrize(
    ("peers", "answer"),
    [
        ([says("ann", "a"), says("bob", to("finish", "the end"))], "the end"),
        ([says("ann", "a"), says("bob", {"to": "finish"})], "a"),
        ([says("bob", {"to": "finish"})], "'bob' finished without an answer"),
        ([Agent("bob", model=ScriptedModel([finishing("", "My words.")], repeat=True))], "My words."),
    ],
)
def test_a_peer_finishes_with_an_answer_or_the_last_words(call: Any, peers: list[Agent], answer: str) -> None:
    assert outcome(run(call, *peers, turns="round_robin")) == ("completed", "bob", answer)


@pytest.mark.parametrize(("most", "last"), [(1, "a1"), (4, "b2")])
def test_turns_are_limited(call: Any, most: int, last: str) -> None:
    peers = [says("ann", "a1", "a2"), says("bob", "b1", "b2")]
    state = run(call, *peers, turns="round_robin", max_turns=most)
    assert (state["status"], text(state), len(state["said"])) == ("partial", last, most)
    assert state["stop_reason"] == f"Nobody finished in {most} turns"


def test_a_speaker_that_only_hands_over_uses_up_its_turn(call: Any) -> None:
    peers = [says("ann", {"to": "bob"}), says("bob", to("ann", "Say it."))]
    state = run(call, *peers, turns="round_robin", max_turns=5)
    assert (state["status"], text(state), len(state["said"])) == ("partial", "Say it.", 5)


def test_a_speaker_that_fails_ends_the_discussion_with_what_was_said(call: Any) -> None:
    state = run(call, says("ann", "a"), says("bob", ValueError("bad")), turns="round_robin")
    assert (state["status"], text(state), state["errors"][0]["where"]) == ("partial", "a", "bob")


def test_the_next_message_of_a_discussion_goes_to_the_peer_that_finished(call: Any) -> None:
    bob = says("bob", to("finish", "one"), to("finish", "two"))
    graph = Network([says("ann", "a"), bob], turns="round_robin").compile(InMemorySaver())
    assert text(call(graph, ASK, THREAD)) == "one"
    state = call(graph, {"messages": "Again."}, THREAD)
    assert (text(state), [utterance["by"] for utterance in state["said"]]) == ("two", ["bob"])


# Building


@pytest.mark.parametrize("name", ["messages", "active", "finish", "start"])
def test_peers_may_be_called_as_keys_and_tools_are(call: Any, name: str) -> None:
    state = run(call, says("ann", to(name)), says(name, "x"))
    assert outcome(state) == ("completed", name, "x")


@each(
    ("options", "error", "message"),
    [
        ({"agents": []}, ConfigurationError, "at least one agent"),
        ({"agents": [says("answer", "a")]}, ConfigurationError, "answer: a reserved node name"),
        ({"start": "eve"}, UnknownAgentError, "start 'eve' is not in the team; known: ann, bob"),
        ({"links": {"eve": ["ann"]}}, UnknownAgentError, "link 'eve'"),
        ({"links": {"ann": ["eve"]}}, UnknownAgentError, "link 'eve'"),
        ({"links": {"ann": ["ann"]}}, ConfigurationError, "'ann' is linked to itself"),
        ({"turns": "random"}, ConfigurationError, "turns must be 'handoff', 'round_robin', 'chosen' or a function"),
        ({"max_handoffs": -1}, ConfigurationError, "max_handoffs must be a whole number"),
        ({"max_turns": 0}, ConfigurationError, "max_turns must be a whole number"),
    ],
)
def test_a_network_put_together_wrongly_is_refused(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Network(**{"agents": [says("ann", "a"), says("bob", "b")], **options})


@pytest.mark.parametrize("options", [{"links": {}}, {"turns": "round_robin"}])
def test_a_handoff_tool_beyond_the_links_is_refused(options: Any) -> None:
    ann = Agent("ann", instructions="Help.", tools=[handoff_tool("bob")])
    with pytest.raises(ConfigurationError, match="'ann' has a tool to hand over to bob"):
        Network([ann, says("bob", "b")], **options)


def test_a_peer_may_bring_its_handoff_tool(call: Any) -> None:
    model = ScriptedModel([hands("bob")])
    state = run(call, Agent("ann", model=model, tools=[handoff_tool("bob", "Mine.")]), says("bob", "b"))
    assert (text(state), model.calls[0].tools) == ("b", ["handoff_to_bob"])


def edges(network: Network) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in network.compile().get_graph().edges}


def test_the_drawing_has_the_links() -> None:
    roles = [Agent(name, instructions="Help.") for name in ("ann", "bob", "eve")]
    ends = {end for agent in roles for end in (("__start__", agent.name), (agent.name, "answer"))}
    ends.add(("answer", "__end__"))
    links = {"ann": ["bob"], "bob": ["eve"]}
    assert edges(Network(roles, links=links)) == ends | {("ann", "bob"), ("bob", "eve")}
    in_turns = edges(Network(roles, turns="round_robin"))
    assert in_turns == ends | {("ann", "bob"), ("bob", "eve"), ("eve", "ann")}
    assert ("ann", "ann") in edges(Network([says("ann", "a"), says("bob", "b")]))
