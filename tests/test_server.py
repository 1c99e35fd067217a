"""The graphs on a real `langgraph dev`, used through the real client as Studio and chat front ends do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from agents import team
from tests.processes import Processes
from tests.server_process import Desk, ServerProcess

ASK = {"messages": [{"role": "user", "content": "Do it"}]}
NAMES = ["network", "orchestrator", "planner", "router", "supervisor", "workflow"]
TEAM = {agent.name for agent in team()}
FINAL = "The *final* answer"
APPROVE = {"resume": {"decisions": [{"type": "approve"}]}}


@pytest.fixture
def client(langgraph: ServerProcess, desk: Desk) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=langgraph.url) as client:
        yield client


def said(state: Any) -> str:
    return str(state["messages"][-1]["content"])


def assistant(client: SyncLangGraphClient, graph: str) -> str:
    return str(client.assistants.search(graph_id=graph)[0]["assistant_id"])


# What Studio shows before a run


def test_all_graphs_are_listed_with_what_they_are_for(client: SyncLangGraphClient) -> None:
    listed = client.assistants.search()
    assert sorted(item["graph_id"] for item in listed) == sorted([*NAMES, "broken", "clerk"])  # two of our own
    assert all(len(item["description"] or "") > 40 for item in listed)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ("workflow", {"facts", "figures", "draft", "faults", "final"}),
        ("supervisor", {"writer", "critic"}),
        *((name, TEAM) for name in ("planner", "router", "network", "orchestrator")),
    ],
)
def test_a_drawing_has_every_agent_and_step_as_a_node(client: SyncLangGraphClient, graph: str, expected: Any) -> None:
    drawn = client.assistants.get_graph(assistant(client, graph), xray=True)
    nodes = {str(node["id"]) for node in drawn["nodes"]}
    assert {part for node in nodes for part in node.split(":")} >= expected
    assert {str(edge[end]) for edge in drawn["edges"] for end in ("source", "target")} <= nodes


def test_the_settings_are_a_form_and_the_input_is_a_chat(client: SyncLangGraphClient) -> None:
    schemas = client.assistants.get_schemas(assistant(client, "planner"))
    form = (schemas["context_schema"] or {})["properties"]
    assert {"model", "approval", "max_calls", "max_cost"} <= set(form)
    assert all({"description", "default", "title"} <= set(field) for field in form.values())
    assert "messages" in (schemas["input_schema"] or {})["properties"]
    assert schemas["state_schema"]
    assert schemas["output_schema"]


# Runs


def test_every_graph_answers(client: SyncLangGraphClient) -> None:
    def run(graph: str) -> Any:
        return client.runs.wait(None, graph, input=ASK)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        states = dict(zip(NAMES, pool.map(run, NAMES), strict=True))
    assert {(state["status"], len(state["errors"]), state["messages"][-1]["type"]) for state in states.values()} == {
        ("completed", 0, "ai")
    }
    assert {name for name, state in states.items() if said(state) == FINAL} == {"planner", "orchestrator"}
    assert {said(state) for state in states.values()} == {FINAL, "Text of an agent"}


def test_tokens_steps_and_events_are_streamed(client: SyncLangGraphClient) -> None:
    modes: Any = ["messages-tuple", "updates", "custom"]
    parts = [
        (item.event.partition("|")[0], item.data)
        for item in client.runs.stream(None, "planner", input=ASK, stream_mode=modes, stream_subgraphs=True)
    ]
    tokens = [data[0]["content"] for mode, data in parts if mode == "messages" and data[0]["type"] == "AIMessageChunk"]
    assert [token for token in tokens if token][-3:] == ["The", " *final*", " answer"]
    steps = [(data["path"], data["status"]) for mode, data in parts if mode == "custom"]
    assert steps.index(("execute/one", "completed")) < steps.index(("execute/two", "running"))
    updates = [data for mode, data in parts if mode == "updates"]
    done = [next(iter(data)) for data in updates]
    assert done[-2:] == ["synthesize", "answer"]
    assert {"plan", "check", "one", "two", "three", "execute"} <= set(done)


def test_a_thread_remembers(client: SyncLangGraphClient, desk: Desk) -> None:
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, "router", input=ASK)
    state = client.runs.wait(thread, "router", input={"messages": [{"role": "user", "content": "And now?"}]})
    said_before = [(message["role"], message["content"]) for message in desk.requests[-1]["messages"][1:]]
    assert said_before == [("user", "Do it"), ("assistant", "Text of an agent"), ("user", "And now?")]
    assert len(state["messages"]) == 4  # type: ignore[call-overload]
    assert state["usage"]["calls"] == 2  # type: ignore[call-overload] - the record is that of the second message


def test_runs_go_on_at_the_same_time(client: SyncLangGraphClient, desk: Desk) -> None:
    desk.fresh(together=4)  # no call is answered before four are there

    def run(_: int) -> Any:
        return client.runs.wait(None, "router", input=ASK)

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(run, range(4)))
    assert [state["status"] for state in states] == ["completed"] * 4


# Settings


def test_the_form_chooses_the_model(client: SyncLangGraphClient, desk: Desk) -> None:
    client.runs.wait(None, "router", input=ASK, context={"model": "openai:another"})
    assert {request["model"] for request in desk.requests} == {"another"}


def test_the_form_limits_a_run(client: SyncLangGraphClient, desk: Desk) -> None:
    state = client.runs.wait(None, "planner", input=ASK, context={"max_calls": 2})
    assert state["stop_reason"]  # type: ignore[call-overload]
    assert state["status"] != "completed"  # type: ignore[call-overload]
    assert len(desk.requests) <= 2
    state = client.runs.wait(None, "planner", input=ASK, context={"max_calls": 30})
    assert state["status"] == "completed"  # type: ignore[call-overload]


def test_a_setting_that_makes_no_sense_is_named(client: SyncLangGraphClient) -> None:
    with pytest.raises(Exception, match="max_calls must be a number from 0 up"):
        client.runs.wait(None, "planner", input=ASK, context={"max_calls": -1})


# People


def test_a_plan_waits_for_a_person_and_goes_on(client: SyncLangGraphClient, desk: Desk) -> None:
    thread = client.threads.create()["thread_id"]
    waiting = client.runs.wait(thread, "planner", input=ASK, context={"approval": True})
    (question,) = waiting["__interrupt__"][0]["value"]["action_requests"]  # type: ignore[call-overload]
    assert question["name"] == "run_plan"
    assert (client.threads.get(thread)["status"], desk.asked) == ("interrupted", ["planner"])
    state = client.runs.wait(thread, "planner", command=APPROVE, context={"approval": True})  # type: ignore[arg-type]
    assert (said(state), client.threads.get(thread)["status"]) == (FINAL, "idle")


def test_a_cancelled_run_leaves_nothing_running_and_can_go_on(client: SyncLangGraphClient, desk: Desk) -> None:
    desk.fresh(slow="one")
    thread = client.threads.create()["thread_id"]
    run = client.runs.create(thread, "planner", input=ASK)
    desk.until_asked("one")
    desk.until_asked("three")
    client.runs.cancel(thread, run["run_id"], wait=True)
    assert client.runs.get(thread, run["run_id"])["status"] == "interrupted"
    desk.released.set()
    client.runs.wait(None, "router", input=ASK)  # gives what should not be there time to show itself
    assert sorted(desk.asked) == ["agent", "one", "planner", "router", "three"]
    desk.slow = ""
    assert said(client.runs.wait(thread, "planner", input=None)) == FINAL
    # The cancellation may have come before the answer of `three` was stored.
    assert [name for name in desk.asked[5:] if name != "three"] == ["one", "two", "synthesizer"]


# The first run of somebody who has set nothing, and what is left when the server ends

FIRST_RUN = """
import json
from graphs.server import exports
names = ["network", "orchestrator", "planner", "router", "supervisor", "workflow"]
states = [getattr(exports, name).invoke({"messages": "Do it"}) for name in names]
print(json.dumps([[state["status"], state["stop_reason"], state["messages"][-1].text] for state in states]))
"""


def test_without_a_model_a_run_says_what_to_do(processes: Processes) -> None:
    done = processes.start(script=FIRST_RUN).wait()
    states = json.loads(done.out)
    assert (len(states), done.told) == (6, "")
    for ended, *texts in states:
        assert ended == "failed"
        for text in texts:
            assert "Set PODIUM_MODEL=provider:model" in text
            assert "OPENAI_API_KEY" in text


def test_a_run_goes_on_when_the_server_is_started_again(restarted: dict[str, Any]) -> None:
    asked = restarted["asked"]
    assert restarted["state"]["status"] == "completed"
    assert asked[:1] + sorted(asked[1:3]) + asked[3:] == [*("planner", "one", "three"), *("one", "two", "synthesizer")]
