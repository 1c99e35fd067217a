"""The server's other doors with their real clients: MCP, A2A, and a graph of it as an agent in a local planner."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from agents import Agent, Settings
from agents.testing import ScriptedModel
from graphs import Planner
from tests.markdown import page
from tests.server_process import TOKEN, Desk, ServerProcess, free_port
from tests.waiting import PATIENCE

FINAL = "The *final* answer"
NAMES = ["network", "orchestrator", "planner", "router", "supervisor", "workflow"]


# MCP


async def by_mcp(url: str, tool: str, **arguments: Any) -> tuple[list[Any], Any]:
    """Return the tools and the result of one, in one session: for each the server derives all schemas."""
    from mcp import Client  # slow to import: only the worker with the server does

    async with Client(f"{url}/mcp") as client:
        return list((await client.list_tools()).tools), await client.call_tool(tool, arguments)


def test_every_graph_is_an_mcp_tool_that_takes_a_message_and_returns_the_whole_record(
    langgraph: ServerProcess, desk: Desk
) -> None:
    tools, result = asyncio.run(by_mcp(langgraph.url, "planner", messages="Do it"))
    ours = [tool for tool in tools if tool.name not in ("broken", "clerk")]
    assert sorted(tool.name for tool in ours) == NAMES
    assert {tool.input_schema["properties"]["messages"]["type"] for tool in ours} == {"string"}
    assert all(len(tool.description) > 40 for tool in ours)
    state = ast.literal_eval(result.content[0].text)
    assert not result.is_error
    assert (state["status"], state["messages"][-1]["content"]) == ("completed", FINAL)
    assert set(state["steps"]) == {"one", "two", "three"}


# A2A


async def by_a2a(url: str, graph: str, text: str, context: str | None = None) -> tuple[str, Any]:
    from a2a.client import ClientConfig, create_client
    from a2a.helpers import get_stream_response_text, new_text_message
    from a2a.types.a2a_pb2 import Role, SendMessageRequest

    with get_sync_client(url=url) as client:
        agent = client.assistants.search(graph_id=graph)[0]["assistant_id"]
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        config = ClientConfig(streaming=False, httpx_client=http)
        async with await create_client(f"{url}/a2a/{agent}", config, resolver_http_kwargs={}) as remote:
            message = new_text_message(text, context_id=context, role=Role.ROLE_USER)
            replies = [item async for item in remote.send_message(SendMessageRequest(message=message))]
    return get_stream_response_text(replies[-1]), replies[-1].task


def test_an_a2a_client_gets_an_answer_and_can_ask_on(langgraph: ServerProcess, desk: Desk) -> None:
    from a2a.types.a2a_pb2 import TaskState

    text, task = asyncio.run(by_a2a(langgraph.url, "router", "Do it"))
    assert (text, task.status.state) == ("Text of an agent", TaskState.TASK_STATE_COMPLETED)
    asyncio.run(by_a2a(langgraph.url, "router", "And now?", task.context_id))
    assert {"role": "user", "content": "Do it"} in desk.requests[-1]["messages"]


# The examples of the documentation


def documented(server: ServerProcess) -> dict[str, Any]:
    """Return what the examples of docs/deploy.md define, for this server."""
    known: dict[str, Any] = {}
    for block in page("docs/deploy.md").blocks:
        if block.language == "python":
            exec(block.text.replace("http://127.0.0.1:2024", server.url), known)
    return known


def test_the_documented_calls_do_what_they_say(langgraph: ServerProcess, desk: Desk) -> None:
    known = documented(langgraph)
    assert known["ask"]("Do it") == f"completed: {FINAL}"
    assert asyncio.run(known["ask_by_mcp"]("Do it")) == FINAL
    assert asyncio.run(known["ask_by_a2a"]("Do it")) == FINAL
    plans: list[str] = []
    decisions: list[dict[str, Any]] = [{"type": "reject", "message": "too long"}, {"type": "approve"}]
    assert known["ask_with_approval"]("Do it", lambda plan: plans.append(plan) or decisions.pop(0)) == FINAL
    assert ["one (writer): Write one" in plan for plan in plans] == [True, True]
    assert "too long" in str(desk.requests)
    with known["there"].sync_client:
        assert known["far"].invoke("Do it")["text"] == FINAL


# A graph on the server as an agent


def remote(graph: str, url: str, token: str = "") -> Iterator[RemoteGraph]:
    """Give a remote graph whose clients do not try a dead server for seconds, as those of the SDK do."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, timeout=PATIENCE, headers=headers) as http:
        # No connection outlives its call, and with it the event loop of that call.
        alone = httpx.Limits(max_keepalive_connections=0)
        client = LangGraphClient(httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=alone, headers=headers))
        yield RemoteGraph(graph, client=client, sync_client=SyncLangGraphClient(http))


@pytest.fixture
def far(langgraph: ServerProcess, desk: Desk) -> Iterator[RemoteGraph]:
    yield from remote("planner", langgraph.url)


@pytest.fixture
def nowhere() -> Iterator[RemoteGraph]:
    yield from remote("planner", f"http://127.0.0.1:{free_port()}")


def step(name: str) -> dict[str, Any]:
    return {"id": name, "agent": "remote", "task": f"Do {name}", "dependencies": []}


def local(graph: RemoteGraph, *script: Any) -> Any:
    agent = Agent("remote", "A planner on a server.", runnable=graph)
    return Planner([agent], model=ScriptedModel(list(script)), max_replans=0).compile(InMemorySaver())


ASK = {"messages": "the request"}
THREAD = {"configurable": {"thread_id": "not an id of the server"}}


def test_a_remote_graph_is_an_agent(call: Any, far: RemoteGraph) -> None:
    state = call(local(far, {"steps": [step("a"), step("b")]}, "Both are done."), ASK, THREAD)
    assert (state["status"], state["messages"][-1].text) == ("completed", "Both are done.")
    assert [step["result"] for step in state["steps"].values()] == [FINAL, FINAL]
    assert state["usage"]["agents"]["remote/synthesizer"]["calls"] == 2
    assert state["usage"]["calls"] == 12


def test_what_a_remote_graph_used_counts_against_the_budget(call: Any, far: RemoteGraph) -> None:
    planner = local(far, {"steps": [step("a"), step("b")]}, "never asked")
    state = call(planner, ASK, THREAD, context=Settings(max_calls=6))
    assert (state["status"], state["errors"][-1]["kind"]) == ("partial", "BudgetError")


def test_a_remote_graph_that_asks_a_person_fails_and_says_why(call: Any, far: RemoteGraph) -> None:
    asking = far.with_config({"configurable": {"approval": True}})
    state = call(local(asking, {"steps": [step("a")]}), ASK, THREAD)
    assert state["status"] == "failed"
    assert "The remote graph waits for a person" in state["stop_reason"]


def test_what_is_given_up_here_does_not_go_on_there(langgraph: ServerProcess, desk: Desk, far: RemoteGraph) -> None:
    async def give_up() -> None:
        running = asyncio.ensure_future(Agent("remote", runnable=far).ainvoke("Do it"))
        await asyncio.to_thread(desk.until_asked, "one")
        await asyncio.to_thread(desk.until_asked, "three")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    desk.fresh(slow="one")
    asyncio.run(give_up())
    with get_sync_client(url=langgraph.url) as client:
        for _ in range(2):  # gives what should not be there time to show itself
            client.runs.wait(None, "router", input={"messages": "Do it"})
        desk.released.set()
        client.runs.wait(None, "router", input={"messages": "Do it"})
    assert {"two", "synthesizer"}.isdisjoint(desk.asked)


def test_without_its_server_the_step_fails_and_says_why(call: Any, nowhere: RemoteGraph) -> None:
    state = call(local(nowhere, {"steps": [step("a")]}), ASK, THREAD)
    assert state["status"] == "failed"
    assert state["steps"]["a"]["attempts"] == 3
    assert (
        "with agent 'remote' after 3 attempts: The connection to the provider or server failed" in state["stop_reason"]
    )


# Graphs of one's own on a server


def test_any_graph_on_a_server_is_an_agent(shut: ServerProcess) -> None:
    for clerk in remote("clerk", shut.url, TOKEN):
        answer = Agent("clerk", runnable=clerk).invoke("What is the price of tea?")
        assert (answer["text"], answer["usage"]["calls"]) == ("Tea costs 3.", 2)
        assert answer["usage"]["output_tokens"]


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ("broken", "with agent 'remote': The remote graph failed: ValueError: there is no ink"),
        ("no_such", "with agent 'remote': The server refused: Invalid assistant: 'no_such'"),
    ],
)
def test_a_graph_that_fails_on_its_server_fails_the_step_at_once(
    call: Any, shut: ServerProcess, graph: str, reason: str
) -> None:
    for broken in remote(graph, shut.url, TOKEN):
        state = call(local(broken, {"steps": [step("a")]}), ASK, THREAD)
        assert (state["status"], state["steps"]["a"]["attempts"]) == ("failed", 1)
        assert reason in state["stop_reason"]
