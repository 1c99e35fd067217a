"""Peers without a centre answer or hand over, within limits, and the thread stays with the one that answered."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent
from agents.testing import Reply, ScriptedModel
from graphs import Network, Router, Step, Workflow, handoff_tool
from tests.networks import ASK, THREAD, hands, outcome, run, tells, text, to, way

# Answering and handing over


def test_the_first_peer_answers(call: Any) -> None:
    state = run(call, tells("ann", "hello"), tells("bob", "never"))
    assert outcome(state) == ("completed", "ann", "hello")
    assert (state["handoffs"], state["stop_reason"], state["errors"]) == ([], None, [])


def test_another_peer_can_be_the_first(call: Any) -> None:
    assert outcome(run(call, tells("ann", "a"), tells("bob", "b"), start="bob"))[1:] == ("bob", "b")


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
    task, context, request = json.loads(text(state))
    assert (task, request) == ("add them", "the request")
    assert context == {"what happened before": "ann handed over to bob: because\nann said: Bob knows."}


def test_a_handoff_without_a_task_passes_the_request_on(call: Any) -> None:
    state = run(call, tells("ann", {"to": "bob"}), Agent("bob", function=lambda task: task))
    assert text(state) == "the request"


NAMES = ["ann", "bob", "eve", "joe"]


def relay(handoffs: int) -> list[ScriptedModel]:
    """Script four peers that hand over in turn, each time with another task, until one of them answers."""
    scripts: dict[str, list[Any]] = {name: [] for name in NAMES}
    for turn in range(handoffs):
        scripts[NAMES[turn % 4]].append(hands(NAMES[(turn + 1) % 4], f"task {turn:03}", text=f"word {turn:03}"))
    scripts[NAMES[handoffs % 4]].append("the answer")
    return [ScriptedModel(one) for one in scripts.values()]


def run_relay(call: Any, handoffs: int, kind: str = "role", **options: Any) -> tuple[Any, list[int]]:
    """Return the last state, and the size of each prompt in the order of the calls."""
    models = relay(handoffs)
    tools = {one: [handoff_tool(other) for other in NAMES if other != one] for one in NAMES}
    peers = [
        Agent(one, model=model) if kind == "role" else Agent(one, runnable=create_agent(model, tools[one]))
        for one, model in zip(NAMES, models, strict=True)
    ]
    state = run(call, *peers, max_handoffs=handoffs, **options)
    calls = [models[turn % 4].calls[turn // 4] for turn in range(handoffs + 1)]
    return state, [len(one.prompt) for one in calls]


@pytest.mark.parametrize("kind", ["role", "graph"])
def test_ten_handoffs_among_four_peers_cost_ten_calls(call: Any, kind: str) -> None:
    state, prompts = run_relay(call, 10, kind)
    assert outcome(state) == ("completed", "eve", "the answer")
    assert (len(state["handoffs"]), len(prompts), state["usage"]["calls"]) == (10, 11, 11)
    shares = {name: one["calls"] for name, one in state["usage"]["agents"].items()}
    assert shares == {"ann": 3, "bob": 3, "eve": 3, "joe": 2}


LINE = "\nann handed over to bob: because"
WORDS = "\nann said: word 000\nThe task for bob was: task 000"


@pytest.mark.parametrize(("history", "added"), [("last", 0), ("brief", len(LINE)), ("full", len(LINE + WORDS))])
def test_what_each_handoff_adds_to_the_prompt(call: Any, history: Any, added: int) -> None:
    _, sizes = run_relay(call, 12, history=history)
    assert {after - before for before, after in pairwise(sizes[2:])} == {added}


@pytest.mark.parametrize(
    ("history", "seen"),
    [
        ("last", {}),
        ("brief", {"what happened before": "ann handed over to bob: r1\nbob handed over to eve: r2"}),
        (
            "full",
            {
                "what happened before": "ann handed over to bob: r1\nbob handed over to eve: r2\n"
                "ann said: A note.\nThe task for bob was: t1"
            },
        ),
    ],
)
def test_what_a_peer_sees_of_the_run_before_it(call: Any, history: Any, seen: Any) -> None:
    note = Reply("A note.", tool_calls=[{"name": "handoff_to_bob", "args": {"task": "t1", "reason": "r1"}}])
    eve = Agent("eve", function=lambda task, context: [task, context])
    state = run(
        call, Agent("ann", model=ScriptedModel([note])), tells("bob", to("eve", "t2", "r2")), eve, history=history
    )
    assert json.loads(text(state)) == ["t2", seen]


def test_the_last_history_leaves_only_task_and_request_in_the_prompt(call: Any) -> None:
    model = ScriptedModel(["done"])
    run(call, tells("ann", to("bob", "add them")), Agent("bob", model=model), history="last")
    (prompt,) = [one.text for one in model.calls[0].messages]
    assert prompt.endswith("```\nthe request\n```\n\nYour task: add them")


# Unknown peers


STRANGERS = {
    "a function": lambda: tells("ann", to("nobody", "t"), "alone"),
    "a graph": lambda: Agent(
        "ann",
        runnable=create_agent(ScriptedModel([hands("nobody", "t"), "alone"]), [handoff_tool("nobody")]),
    ),
    "itself": lambda: tells("ann", to("ann", "t"), "alone"),
}


@pytest.mark.parametrize("ann", STRANGERS.values(), ids=STRANGERS)
def test_a_handoff_to_nobody_is_refused_and_the_peer_asked_again(call: Any, ann: Any) -> None:
    state = run(call, ann(), tells("bob", "never"))
    assert outcome(state) == ("completed", "ann", "alone")
    (refused,) = state["handoffs"]
    assert refused["refused"] == f"'ann' may hand over to bob, not to {refused['to']!r}"
    assert [(one["where"], one["kind"]) for one in state["errors"]] == [("ann", "UnknownAgentError")]


def test_a_peer_is_told_why_its_handoff_failed_and_keeps_its_task(call: Any) -> None:
    model = ScriptedModel([hands("nobody", "another task"), "alone"])
    bob = Agent("bob", runnable=create_agent(model, [handoff_tool("nobody")]))
    run(call, tells("ann", to("bob", "the task")), bob)
    assert "'bob' may hand over to ann, not to 'nobody'" in model.calls[1].prompt
    assert model.calls[1].prompt.endswith("Your task: the task")


def test_a_peer_that_insists_on_nobody_is_stopped(call: Any) -> None:
    state = run(call, tells("ann", to("nobody")), tells("bob", "never"))
    assert (state["status"], way(state)) == ("failed", ["ann>nobody refused", "ann>nobody refused"])


def test_a_tool_that_does_not_exist_is_the_models_to_mend(call: Any) -> None:
    state = run(call, Agent("ann", model=ScriptedModel([hands("nobody"), "alone"])), tells("bob", "never"))
    assert (outcome(state), state["handoffs"]) == (("completed", "ann", "alone"), [])


# Several calls in one turn


def test_one_handoff_of_a_turn_wins_and_the_others_are_reported(call: Any) -> None:
    both = Reply(tool_calls=[*hands("eve", "write").tool_calls, *hands("bob", "add").tool_calls])
    peers = [Agent("ann", model=ScriptedModel([both])), tells("bob", "b"), tells("eve", "e")]
    state = run(call, *peers)
    assert outcome(state) == ("completed", "eve", "e")
    assert state["handoffs"][0]["ignored"] == [to("bob", "add")]


def test_what_a_tool_beside_a_handoff_found_reaches_the_next_peer(call: Any) -> None:
    @tool
    def look_up(order: int) -> str:
        """Look up an order."""
        return f"order {order} is lost"

    reply = hands("bob", beside=[{"name": "look_up", "args": {"order": 5}}])
    ann = Agent("ann", model=ScriptedModel([reply]), tools=[look_up])
    bob = Agent("bob", function=lambda task, context: context)
    state = run(call, ann, bob)
    assert (state["active"], state["usage"]["calls"]) == ("bob", 1)
    assert "ann said: look_up: order 5 is lost" in json.loads(text(state))["what happened before"]


# Limits


def test_ping_pong_is_stopped(call: Any) -> None:
    state = run(call, tells("ann", to("bob", "Do it.")), tells("bob", to("ann", "You do it.")))
    assert (state["status"], way(state)) == ("failed", ["ann>bob", "bob>ann", "ann>bob refused"])
    assert state["stop_reason"] == "'ann' handed the same task to 'bob' twice" == text(state)


def test_the_same_task_in_another_layout_is_ping_pong_too(call: Any) -> None:
    ann = tells("ann", to("bob", "Do it."), to("bob", " Do\nit. "))
    assert way(run(call, ann, tells("bob", to("ann", "You."))))[-1] == "ann>bob refused"


def test_going_back_with_another_task_is_work(call: Any) -> None:
    ann = tells("ann", to("bob", "draft"), to("bob", "mend"), "done")
    state = run(call, ann, tells("bob", to("ann", "review"), to("ann", "review again")))
    assert (outcome(state), len(state["handoffs"])) == (("completed", "ann", "done"), 4)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_handoffs_are_limited(call: Any, most: int) -> None:
    counted = iter(range(100))
    peers = [Agent(one, function=lambda task, o=other: to(o, str(next(counted)))) for one, other in ("ab", "ba")]
    state = run(call, *peers, max_handoffs=most)
    assert (state["status"], state["stop_reason"]) == ("failed", f"No answer within {most} handoffs")
    assert [one.endswith("refused") for one in way(state)] == [False] * most + [True]
    assert state["active"] == "ab"[most % 2]


def test_answering_is_no_handoff(call: Any) -> None:
    assert outcome(run(call, tells("ann", to("bob")), tells("bob", "b"), max_handoffs=1))[0] == "completed"


def test_what_was_said_before_a_stop_is_the_partial_answer(call: Any) -> None:
    ann = Agent("ann", model=ScriptedModel([hands("bob", "x", text="So far: 41."), hands("bob", "x")]))
    state = run(call, ann, tells("bob", to("ann", "y")))
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


def test_without_links_everyone_reaches_everyone() -> None:
    network = Network([tells("ann", "x"), tells("bob", "x"), tells("eve", "x")])
    assert network.links == {"ann": ["bob", "eve"], "bob": ["ann", "eve"], "eve": ["ann", "bob"]}


def test_a_known_peer_off_the_links_is_refused(call: Any) -> None:
    state = run(call, tells("ann", to("bob"), "alone"), tells("bob", "b"), links={"bob": ["ann"]})
    assert (text(state), way(state)) == ("alone", ["ann>bob refused"])
    assert state["errors"][0]["message"] == "'ann' may hand over to nobody, not to 'bob'"


def test_models_without_tool_calls_hand_over_by_one_decision(call: Any) -> None:
    choice = {"choice": {"tool": "handoff_to_bob", "arguments": {"task": "add", "reason": "numbers"}}}
    models = [
        ScriptedModel(script, profile={"tool_calling": False})
        for script in ([choice], [{"choice": {"tool": "none"}}, "3"])
    ]
    state = run(call, *(Agent(name, model=model) for name, model in zip(("ann", "bob"), models, strict=True)))
    assert (outcome(state), state["usage"]["calls"]) == (("completed", "bob", "3"), 3)


def test_a_plain_chat_model_is_a_peer_that_answers(call: Any) -> None:
    model = ScriptedModel(["I am a model."])
    state = run(call, tells("ann", to("bob", "say who you are")), Agent("bob", runnable=model))
    assert (outcome(state), state["usage"]["calls"]) == (("completed", "bob", "I am a model."), 1)
    assert model.calls[0].tools == []


# Threads


def test_the_thread_stays_with_the_peer_that_answered(call: Any) -> None:
    graph = Network([tells("ann", to("bob")), tells("bob", "one", "two")]).compile(InMemorySaver())
    assert outcome(call(graph, ASK, THREAD)) == ("completed", "bob", "one")
    state = call(graph, {"messages": "And then?"}, THREAD)
    assert (outcome(state), state["handoffs"], len(state["messages"])) == (("completed", "bob", "two"), [], 4)


def test_each_message_has_its_own_handoffs(call: Any) -> None:
    saver = InMemorySaver()
    for expected in (["ann>bob", "bob>ann"], ["ann>bob", "bob>ann"]):
        ann, bob = tells("ann", to("bob"), "done"), tells("bob", to("ann"))
        state = run(call, ann, bob, checkpointer=saver, config=THREAD)
        assert (state["status"], way(state)) == ("completed", expected)


def test_a_peer_sees_the_conversation_before(call: Any) -> None:
    bob = Agent("bob", function=lambda task, context: [task, context])
    graph = Network([tells("ann", "Hello."), bob], start="ann").compile(InMemorySaver())
    call(graph, {"messages": "Hi."}, THREAD)
    graph.update_state(THREAD, {"active": "bob"}, as_node="ann")
    task, context = json.loads(text(call(graph, {"messages": "Who?"}, THREAD)))
    assert (task, context) == ("Who?", {"the conversation before": "User: Hi.\n\nAssistant: Hello."})


def test_a_thread_whose_peer_is_gone_begins_with_the_first(call: Any) -> None:
    saver = InMemorySaver()
    run(call, tells("ann", to("bob")), tells("bob", "b"), checkpointer=saver, config=THREAD)
    state = run(call, tells("ann", "a"), tells("eve", "e"), checkpointer=saver, config=THREAD)
    assert outcome(state) == ("completed", "ann", "a")


def test_a_whole_conversation_can_be_given_at_once(call: Any) -> None:
    talk = [HumanMessage("Hi."), AIMessage("Hello."), {"role": "user", "content": "What is it?"}]
    state = run(call, Agent("ann", function=lambda task: task), ask={"messages": talk})
    assert text(state) == "What is it?"


# Failures and nesting


def test_a_failing_peer_ends_the_run_with_its_error(call: Any) -> None:
    state = run(call, tells("ann", to("bob")), tells("bob", ValueError("no idea")))
    assert (state["status"], state["active"], way(state)) == ("failed", "bob", ["ann>bob"])
    assert state["stop_reason"] == "'bob' failed: ValueError: no idea" == text(state)
    assert [(one["where"], one["kind"]) for one in state["errors"]] == [("bob", "ValueError")]


def test_a_failing_peer_leaves_what_was_said_before(call: Any) -> None:
    ann = Agent("ann", model=ScriptedModel([hands("bob", text="It is about 41.")]))
    state = run(call, ann, tells("bob", ValueError("no idea")))
    assert (state["status"], text(state)) == ("partial", "It is about 41.")


def test_a_fault_that_may_pass_is_tried_again(call: Any) -> None:
    wrong = Reply(tool_calls=[{"name": "handoff_to_bob", "args": {}}])
    ann = Agent("ann", model=ScriptedModel([ConnectionError("reset"), wrong, hands("bob")]))
    state = run(call, ann, tells("bob", "b"))
    assert (outcome(state), state["usage"]["calls"]) == (("completed", "bob", "b"), 3)


def test_status_errors_and_usage_of_a_pattern_come_through(call: Any) -> None:
    writer = Agent("writer", model=ScriptedModel(["text"]))
    steps = [Step("a", "writer", "x"), Step("b", "bust", "y")]
    inner = Workflow(steps, agents=[writer, tells("bust", ValueError("bad"))]).as_agent("inner")
    state = run(call, tells("ann", to("inner")), inner)
    assert (state["status"], state["stop_reason"]) == ("partial", "'inner' ended as partial")
    assert state["errors"][0]["where"] == "inner/b"
    assert state["usage"]["agents"]["inner/writer"]["calls"] == 1


def test_a_network_is_a_peer_of_a_network(call: Any) -> None:
    inner = Network([tells("x", to("y")), tells("y", "deep")]).as_agent("inner", "Peers.")
    assert outcome(run(call, tells("ann", to("inner")), inner)) == ("completed", "inner", "deep")


def test_a_question_of_a_router_reaches_the_user(call: Any) -> None:
    inner = Router([tells("x", "x")], classifier=lambda said: None, model=False).as_agent("inner")
    state = run(call, tells("ann", to("inner")), inner)
    assert (state["status"], "- x: Knows x." in text(state)) == ("needs_input", True)


def test_a_failed_pattern_is_a_failing_peer(call: Any) -> None:
    inner = Network([tells("x", ValueError("bad"))]).as_agent("inner")
    state = run(call, tells("ann", to("inner")), inner)
    assert (state["status"], state["errors"][0]["where"]) == ("failed", "inner")


def test_a_peer_may_ask_a_person_in_between(call: Any) -> None:
    bob = Agent("bob", function=lambda task: f"{task}: {interrupt('Which?')}")
    graph = Network([tells("ann", to("bob")), bob]).compile(InMemorySaver())
    assert call(graph, ASK, THREAD)["__interrupt__"][0].value == "Which?"
    assert outcome(call(graph, Command(resume="blue"), THREAD)) == ("completed", "bob", "go on: blue")


def test_peers_of_langgraph_swarm_hand_over_as_they_are(call: Any) -> None:
    @tool
    def transfer_to_bob() -> Command[Any]:
        """Ask Bob."""
        return Command(goto="bob", graph=Command.PARENT, update={"active_agent": "bob", "messages": []})

    model = ScriptedModel([Reply(tool_calls=[{"name": "transfer_to_bob", "args": {}}])])
    ann = Agent("ann", runnable=create_agent(model, [transfer_to_bob]))
    state = run(call, ann, Agent("bob", function=lambda task: f"bob: {task}"))
    assert (outcome(state), way(state)) == (("completed", "bob", "bob: the request"), ["ann>bob"])


def test_a_graph_that_remembers_hands_over_once_per_wish(call: Any) -> None:
    model = ScriptedModel([hands("bob", "one"), "I know now."])
    ann = Agent("ann", runnable=create_agent(model, [handoff_tool("bob")], checkpointer=True))
    graph = Network([ann, tells("bob", to("ann", "two"))]).compile(InMemorySaver())
    state = call(graph, ASK, THREAD)
    assert (outcome(state), way(state)) == (("completed", "ann", "I know now."), ["ann>bob", "bob>ann"])


def test_the_words_of_peers_stream() -> None:
    peers = [Agent("ann", model=ScriptedModel([hands("bob")])), Agent("bob", model=ScriptedModel(["two words"]))]
    chunks = Network(peers).compile().stream(ASK, stream_mode="messages", subgraphs=True)
    assert [chunk.text for _, (chunk, _) in chunks if chunk.type == "AIMessageChunk" and chunk.text] == [
        "two",
        " words",
    ]
