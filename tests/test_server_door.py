"""Who gets in: nobody without the token, and without one only programs of this machine."""

from __future__ import annotations

import asyncio
import stat
from typing import Any

import httpx
import httpx2
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Planner
from tests.server_process import TOKEN, Desk, ServerProcess
from tests.waiting import PATIENCE

RIGHT = {"authorization": f"Bearer {TOKEN}"}
ASK = {"messages": [{"role": "user", "content": "Do it"}]}
SOME_ID = "00000000-0000-0000-0000-000000000000"
CARD = "/.well-known/agent-card.json"


GUARDED = [
    *(("POST", path) for path in ("/assistants/search", "/threads", "/threads/search", "/store/items/search")),
    *(("POST", path) for path in ("/runs/wait", "/runs/stream", "/mcp", f"/a2a/{SOME_ID}")),
    *(("GET", path) for path in (f"/a2a/{SOME_ID}{CARD}", CARD, "/docs", "/openapi.json", "/info", "/metrics")),
    *(("GET", path) for path in ("/ui/planner", "/no/such/path")),
]
SHUT = [
    ("GET", f"/internal/debug/thread/{SOME_ID}"),
    ("POST", "/internal/truncate"),
    ("POST", "/%69nternal/truncate"),
    ("GET", "/deploy"),
    ("POST", "/deploy"),
]
WRONG: dict[str, dict[str, Any]] = {
    "none": {},
    "wrong": {"authorization": "Bearer another"},
    "empty": {"authorization": "Bearer"},
    "longer": {"authorization": f"Bearer {TOKEN}x"},
    "shorter": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "another after it": {"authorization": f"Bearer {TOKEN} another"},
    "no scheme": {"authorization": TOKEN},
    "another scheme": {"authorization": f"Basic {TOKEN}"},
    "no text": {"authorization": b"Bearer \xff\xfe"},
    "from Studio": {"x-auth-scheme": "langsmith", "x-api-key": "any"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_nobody_gets_in_without_the_token(shut: ServerProcess, headers: dict[str, Any]) -> None:
    with httpx.Client(base_url=shut.url, headers=headers, timeout=PATIENCE) as client:
        replies = {path: client.request(method, path, json={}) for method, path in GUARDED + SHUT}
    assert {path: reply.status_code for path, reply in replies.items()} == {path: 401 for _, path in GUARDED + SHUT}
    assert all("Authorization: Bearer" in reply.json()["detail"] for reply in replies.values())


def test_a_web_socket_is_refused_too(shut: ServerProcess) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    path = f"{shut.url}/threads/{SOME_ID}/stream/events"
    assert httpx.get(path, timeout=PATIENCE, headers=upgrade).status_code in (401, 403)
    assert httpx.get(path, timeout=PATIENCE, headers={**upgrade, **RIGHT}).status_code not in (401, 403)


def test_the_health_check_is_open_and_tells_nothing(shut: ServerProcess) -> None:
    assert httpx.get(f"{shut.url}/ok", timeout=PATIENCE).json() == {"ok": True, "services": {}}


@pytest.mark.parametrize(
    ("page", "allowed"),
    [
        ("https://smith.langchain.com", True),
        ("https://eu.smith.langchain.com", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:5173", True),
        ("https://smith.langchain.com.example.org", False),
        ("https://example.org", False),
        ("https://notlangchain.com", False),
        ("http://localhost.example.org", False),
    ],
)
def test_only_studio_and_pages_of_this_machine_may_talk_to_the_server(
    shut: ServerProcess, page: str, allowed: bool
) -> None:
    asked = {"origin": page, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    before = httpx.options(f"{shut.url}/runs/wait", timeout=PATIENCE, headers=asked)
    refused = httpx.post(f"{shut.url}/runs/wait", timeout=PATIENCE, headers={"origin": page}, json={})
    assert [item.headers.get("access-control-allow-origin") for item in (before, refused)] == [
        page if allowed else None
    ] * 2
    assert (before.status_code, refused.status_code) == (200 if allowed else 400, 401)


def test_with_the_token_everything_works(shut: ServerProcess, desk: Desk) -> None:
    with get_sync_client(url=shut.url, headers=RIGHT) as client:
        state: Any = client.runs.wait(None, "planner", input=ASK)
        assert state["status"] == "completed"
        assert len(client.assistants.search()) == 8  # two of them our own
    assert httpx.get(f"{shut.url}/info", timeout=PATIENCE, headers=RIGHT).status_code == 200


def test_mcp_and_a2a_work_with_the_token(shut: ServerProcess, desk: Desk) -> None:
    from a2a.client import A2ACardResolver
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> tuple[Any, str]:
        async with (
            httpx2.AsyncClient(headers=RIGHT, timeout=PATIENCE) as http,
            Client(streamable_http_client(f"{shut.url}/mcp", http_client=http)) as client,
        ):
            result = await client.call_tool("router", {"messages": "Do it"})
        with get_sync_client(url=shut.url, headers=RIGHT) as client:
            agent = client.assistants.search(graph_id="router")[0]["assistant_id"]
        async with httpx.AsyncClient(headers=RIGHT, timeout=PATIENCE) as http:
            card = await A2ACardResolver(http, f"{shut.url}/a2a/{agent}").get_agent_card()
        return result, card.name

    result, name = asyncio.run(ask())
    assert "Text of an agent" in result.content[0].text
    assert name == "router"


def test_a_remote_graph_without_the_token_fails_and_says_why(shut: ServerProcess) -> None:
    plan = {"steps": [{"id": "a", "agent": "remote", "task": "Do it", "dependencies": []}]}
    there = RemoteGraph("planner", url=shut.url)
    agent = Agent("remote", "A planner on a server.", runnable=there)
    with there.sync_client:
        state = Planner([agent], model=ScriptedModel([plan]), max_replans=0).compile().invoke({"messages": "Do it"})
    assert "The provider did not accept the API key" in state["stop_reason"]


def closed(server: ServerProcess, headers: dict[str, str]) -> list[int]:
    """Return the status of every path that is shut."""
    with httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE) as client:
        return [client.request(method, path).status_code for method, path in SHUT]


def test_what_nobody_needs_is_shut_also_with_the_token(shut: ServerProcess) -> None:
    assert closed(shut, RIGHT) == [404] * 5


def test_what_nobody_needs_is_shut_without_a_token(langgraph: ServerProcess) -> None:
    assert closed(langgraph, {}) == [404] * 5


def test_a_token_in_the_address_does_for_clients_without_headers(shut: ServerProcess, desk: Desk) -> None:
    with get_sync_client(url=f"{shut.url}/t/{TOKEN}") as client:
        state: Any = client.runs.wait(None, "router", input=ASK)
        assert state["status"] == "completed"
    for wrong in (f"/t/{TOKEN}x/info", f"/t/{TOKEN[:-1]}/info", "/t//info", "/t/"):
        assert httpx.get(f"{shut.url}{wrong}", timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize(("origin", "status"), [("http://localhost:3000", 200), ("https://example.org", 403)])
def test_without_a_token_web_pages_of_others_are_refused(langgraph: ServerProcess, origin: str, status: int) -> None:
    reply = httpx.post(f"{langgraph.url}/threads/search", timeout=PATIENCE, headers={"origin": origin}, json={})
    assert reply.status_code == status


def test_what_the_server_leaves_is_private(shut: ServerProcess) -> None:
    left = shut.folder / ".langgraph_api"
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in left.iterdir()} == {0o600}
