"""Peers without a centre answer or hand over, within limits, and the thread stays with the one that answered."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import handoff_tool
from tests.networks import hands, outcome, run, says, text, to, way

# Answering and handing over


def test_the_first_peer_answers(call: Any) -> None:
    state = run(call, says("ann", "hello"), says("bob", "never"))
    assert outcome(state) == ("completed", "ann", "hello")
    assert (state["handoffs"], state["stop_reason"], state["errors"]) == ([], None, [])


KINDS: dict[str, Callable[[Any], Agent]] = {
    "role": lambda model: Agent("ann", model=model),
    "graph": lambda model: Agent("ann", runnable=create_agent(model, [handoff_tool("bob")])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_hands_over_with_task_and_reason(call: Any, kind: str) -> None:
    ann = KINDS[kind](ScriptedModel([hands("bob", "add them", text="Bob knows.")]))
    bob = Agent("bob", function=lambda task, context, request: [task, context, request])
    state = run(call, ann, bob)
    assert (state["status"], state["active"], state["usage"]["calls"]) == ("completed", "bob", 1)
    assert state["handoffs"] == [{"by": "ann", "to": "bob", "task": "add them", "reason": "because", "ignored": []}]
    assert json.loads(text(state)) == ["add them", {"ann": "Bob knows.\n(to bob: because)"}, "the request"]


def test_a_handoff_without_a_task_passes_the_request_on(call: Any) -> None:
    state = run(call, says("ann", {"to": "bob"}), Agent("bob", function=lambda task: task))
    assert text(state) == "the request"


@pytest.mark.parametrize("kind", KINDS)
def test_ten_handoffs_between_two_peers_cost_eleven_calls(call: Any, kind: str) -> None:
    replies = [hands("bob", f"task {number}") for number in range(5)]
    bob = Agent("bob", model=ScriptedModel([hands("ann", f"task {number}") for number in range(5)]))
    state = run(call, KINDS[kind](ScriptedModel([*replies, "the answer"])), bob, max_handoffs=10)
    assert outcome(state) == ("completed", "ann", "the answer")
    shares = {name: share["calls"] for name, share in state["usage"]["agents"].items()}
    assert (len(state["handoffs"]), shares) == (10, {"ann": 6, "bob": 5})


@pytest.mark.parametrize(
    ("history", "seen"),
    [
        ("last", {}),
        (1, {"bob": "(to eve: r2)"}),
        (lambda messages: messages[:1], {"ann": "A note.\n(to bob: r1)"}),
        ("full", {"ann": "A note.\n(to bob: r1)", "bob": "(to eve: r2)"}),
    ],
    ids=["last", "one", "function", "full"],
)
def test_what_a_peer_sees_of_the_run_before_it(call: Any, history: Any, seen: Any) -> None:
    note = Reply("A note.", tool_calls=[{"name": "handoff_to_bob", "args": {"task": "t1", "reason": "r1"}}])
    ann, bob = Agent("ann", model=ScriptedModel([note])), says("bob", to("eve", "t2", "r2"))
    state = run(call, ann, bob, Agent("eve", function=lambda task, context: [task, context]), history=history)
    assert json.loads(text(state)) == ["t2", seen]


def test_a_peer_that_speaks_twice_has_two_labels(call: Any) -> None:
    ann = says("ann", to("bob", "t1", "r1"), to("bob", "t3", "r3"))
    seen: list[Any] = []

    def speak(task: str, context: dict[str, str]) -> Any:
        seen.append(context)
        return to("ann", "t2", "r2") if len(seen) == 1 else "done"

    run(call, ann, Agent("bob", function=speak))
    assert seen[1] == {"ann": "(to bob: r1)", "bob": "(to ann: r2)", "ann_2": "(to bob: r3)"}


# Unknown peers


STRANGERS = {
    "a function": lambda: says("ann", to("nobody", "t"), "alone"),
    "a graph": lambda: Agent(
        "ann", runnable=create_agent(ScriptedModel([hands("nobody", "t"), "alone"]), [handoff_tool("nobody")])
    ),
    "itself": lambda: says("ann", to("ann", "t"), "alone"),
}


@pytest.mark.parametrize("ann", STRANGERS.values(), ids=STRANGERS)
def test_a_handoff_to_nobody_is_refused_and_the_peer_asked_again(call: Any, ann: Any) -> None:
    state = run(call, ann(), says("bob", "never"))
    assert outcome(state) == ("completed", "ann", "alone")
    (refused,) = state["handoffs"]
    assert refused["refused"] == f"'ann' may hand over to bob, not to {refused['to']!r}"
    assert [(error["where"], error["kind"]) for error in state["errors"]] == [("ann", "UnknownAgentError")]


def test_a_peer_learns_why_its_handoff_failed_and_keeps_its_task(call: Any) -> None:
    model = ScriptedModel([hands("nobody", "another task"), "alone"])
    bob = Agent("bob", runnable=create_agent(model, [handoff_tool("nobody")]))
    run(call, says("ann", to("bob", "the task")), bob)
    assert "'bob' may hand over to ann, not to 'nobody'" in model.calls[1].prompt
    assert model.calls[1].prompt.endswith("Your task: the task")


def test_a_peer_that_insists_on_nobody_is_stopped(call: Any) -> None:
    state = run(call, says("ann", to("nobody")), says("bob", "never"))
    assert (state["status"], way(state)) == ("failed", ["ann>nobody refused", "ann>nobody refused"])


# Several calls in one turn


def test_one_handoff_of_a_turn_wins_and_the_others_are_reported(call: Any) -> None:
    both = Reply(tool_calls=[*hands("eve", "write").tool_calls, *hands("bob", "add").tool_calls])
    state = run(call, Agent("ann", model=ScriptedModel([both])), says("bob", "b"), says("eve", "e"))
    assert outcome(state) == ("completed", "eve", "e")
    assert state["handoffs"][0]["ignored"] == [to("bob", "add")]


# Limits


def test_ping_pong_is_stopped(call: Any) -> None:
    ann = says("ann", to("bob", "Do it."), to("bob", " Do\nit. "))
    state = run(call, ann, says("bob", to("ann", "You do it.")))
    assert (state["status"], way(state)) == ("failed", ["ann>bob", "bob>ann", "ann>bob refused"])
    assert state["stop_reason"] == "'ann' handed the same task to 'bob' twice" == text(state)


def test_going_back_with_another_task_is_work(call: Any) -> None:
    ann = says("ann", to("bob", "draft"), to("bob", "revise"), "done")
    state = run(call, ann, says("bob", to("ann", "review"), to("ann", "review again")))
    assert (outcome(state), len(state["handoffs"])) == (("completed", "ann", "done"), 4)


@pytest.mark.parametrize("most", [0, 3])
def test_handoffs_are_limited(call: Any, most: int) -> None:
    counted = iter(range(100))
    peers = [Agent(name, function=lambda task, o=other: to(o, str(next(counted)))) for name, other in ("ab", "ba")]
    state = run(call, *peers, max_handoffs=most)
    assert (state["status"], state["stop_reason"]) == ("failed", f"No answer within {most} handoffs")
    assert [handoff.endswith("refused") for handoff in way(state)] == [False] * most + [True]
    assert state["active"] == "ab"[most % 2]


def test_what_was_said_before_a_stop_is_the_partial_answer(call: Any) -> None:
    ann = Agent("ann", model=ScriptedModel([hands("bob", "x", text="So far: 41."), hands("bob", "x")]))
    state = run(call, ann, says("bob", to("ann", "y")))
    assert outcome(state) == ("partial", "ann", "So far: 41.")


# Links


def test_handoffs_go_along_the_links(call: Any) -> None:
    models = {name: ScriptedModel(["x"]) for name in ("ann", "bob", "eve")}
    peers = [Agent(name, f"Knows {name}.", model=model) for name, model in models.items()]
    links = {"ann": ["bob", "eve", "bob"], "bob": ["ann"]}
    for name in models:
        run(call, *peers, links=links, start=name)
    offered = {name: model.calls[0].tools for name, model in models.items()}
    assert offered == {"ann": ["handoff_to_bob", "handoff_to_eve"], "bob": ["handoff_to_ann"], "eve": []}


def test_a_known_peer_off_the_links_is_refused(call: Any) -> None:
    state = run(call, says("ann", to("bob"), "alone"), says("bob", "b"), links={"bob": {"ann"}})
    assert (text(state), way(state)) == ("alone", ["ann>bob refused"])
    assert state["errors"][0]["message"] == "'ann' may hand over to nobody, not to 'bob'"
