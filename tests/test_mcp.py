"""Tools of MCP servers: real servers over standard input and output and over HTTP, in runs and outside of them."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from agents import Agent, AgentError, ConfigurationError
from agents.runtime import RunScope, WorkCancelledError, in_run_scope
from agents.testing import Reply, ScriptedModel
from agents.tools import MCPTools
from agents.tools.mcp_replies import MAX_PICTURES, limit_reply, read_result
from graphs import Step, Workflow
from tests.mcp_server import BROKEN

ROOT = Path(__file__).parents[1]
LOCAL = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "cwd": ROOT}


def is_alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, "-m", "tests.mcp_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        for _ in range(1200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


@pytest.fixture
def run() -> Iterator[RunnableConfig]:
    """Be in a run, which ends with the test."""
    scope, config = in_run_scope(RunnableConfig())
    with scope:
        yield config


def tools(server: MCPTools, config: RunnableConfig) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in server.load(config)}


def data(tool: BaseTool, config: RunnableConfig) -> Any:
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {}}
    return tool.invoke(call, config).artifact


def test_a_server_may_have_too_many_tools_and_data_that_cannot_be_stored(run: RunnableConfig) -> None:
    many: Any = LOCAL | {"args": ["-m", "tests.mcp_server", "many"]}
    with pytest.raises(AgentError, match=r"50\d tools; choose some"):
        MCPTools("shop", **many).load(run)
    (tool,) = MCPTools("shop", **many, only=["odd_data_7"]).load(run)
    assert data(tool, run) is None
    assert str(10**30) in tool.invoke({}, run)


def test_a_tool_that_no_provider_accepts_is_left_out_and_named(
    run: RunnableConfig, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = LOCAL | {"args": ["-m", "tests.mcp_server", "broken"]}
    assert list(tools(MCPTools("shop", **broken), run)) == ["price", "process", "odd name/äöü"]
    left_out = [record.getMessage() for record in caplog.records]
    assert len(left_out) == len(BROKEN)
    for name, words in zip(BROKEN, left_out, strict=True):
        assert words.startswith(f"The MCP server 'shop' has a tool {name} that cannot be used: ")
    for name in BROKEN:
        with pytest.raises(AgentError, match=f"'shop' has a tool {name} that cannot be used"):
            MCPTools("shop", **broken, only=["price", name]).load(run)
    assert list(tools(MCPTools("shop", **broken, only=["price"]), run)) == ["price"]


def test_a_result_holds_only_pictures_that_providers_read_and_not_too_many() -> None:
    from mcp.types import CallToolResult, ImageContent, Tool  # slow to import: only for the worker of these tests

    def block(kind: str, data: bytes) -> ImageContent:
        return ImageContent(mime_type=kind, data=b64encode(data).decode())

    content: Any
    price = Tool(name="price", input_schema={})
    png = block("image/png", b"\x89PNG" + bytes(100))
    others = [block("image/svg+xml", b"<svg/>"), block("image/png", b"<svg/>"), block("image/png\x1b[2J", b"\x89PNG")]
    content, _ = read_result(price, CallToolResult(content=[png, *others]))
    assert [part["type"] for part in content] == ["text", "image"]
    content, _ = read_result(price, CallToolResult(content=[png] * 5_000))
    assert 2 < len(content) < 25
    large = block("image/png", b"\x89PNG" + bytes(3_000_000))
    content, _ = read_result(price, CallToolResult(content=[large] * 5))
    assert sum(len(part.get("base64", "")) for part in content) < MAX_PICTURES
    assert read_result(price, CallToolResult(content=[], structured_content={"a": 1})) == ('{"a": 1}', {"a": 1})


class Endless(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield bytes(1_000_000)


def test_a_reply_over_http_is_bounded() -> None:
    async def read(**headers: str) -> None:
        response = httpx2.Response(200, headers=headers, stream=Endless())
        await limit_reply(response)
        await response.aread()

    with pytest.raises(httpx2.ReadError, match="more than"):
        asyncio.run(read())
    with pytest.raises(httpx2.ReadError, match="compressed"):
        asyncio.run(read(**{"Content-Encoding": "gzip"}))


def test_the_patterns_of_a_servers_schemas_are_not_searched(run: RunnableConfig) -> None:
    price = tools(MCPTools("shop", **LOCAL, seconds=5), run)["price"]
    assert price.invoke({"item": "a" * 50 + "!"}, run).endswith(" costs 51.00")


def test_a_run_has_one_session_that_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("SHOP_KEY", "for the shop")
    server = MCPTools("shop", **LOCAL, env={"KEY": "${SHOP_KEY}"})
    processes = []
    for _ in range(2):
        scope, config = in_run_scope(RunnableConfig())
        with scope:
            offered = tools(server, config)
            assert offered["price"].invoke({"item": "tea"}, config) == "tea costs 3.00"
            process = data(offered["process"], config)
            assert process["prices"] == 1
            assert process["environment"]["KEY"] == "for the shop"
            assert not process["environment"].keys() & {"OPENAI_API_KEY", "SHOP_KEY"}  # no variables but its own
            processes.append(process["pid"])
    assert len(set(processes)) == 2
    assert not any(map(is_alive, processes))


def test_async_calls_run_side_by_side_and_failures_are_text_for_the_model(run: RunnableConfig) -> None:
    price = tools(MCPTools("shop", **LOCAL), run)["price"]

    async def ask() -> list[str]:
        return list(await asyncio.gather(*[price.ainvoke({"item": "x" * length}, run) for length in (1, 2, 3)]))

    assert asyncio.run(ask()) == ["x costs 1.00", "xx costs 2.00", "xxx costs 3.00"]
    assert "Error executing tool price" in price.invoke({"item": "gold"}, run)
    assert "Field required" in price.invoke({}, run)
    assert "The MCP server 'shop' failed" in price.invoke({"item": "crash"}, run)
    assert price.invoke({"item": "tea"}, run) == "tea costs 3.00"  # started again


def test_a_refusal_leaves_the_session_open(run: RunnableConfig) -> None:
    offered = tools(MCPTools("shop", **LOCAL), run)
    before = json.loads(offered["process"].invoke({}, run))
    assert "failed" in offered["price"].invoke({"item": "silver"}, run)
    assert offered["odd name/äöü"].invoke({"config_": 1, "run_manager_": 2, "self_": 3}, run) == "6"
    assert json.loads(offered["process"].invoke({}, run))["pid"] == before["pid"]


def test_what_is_broken_is_closed_once_and_nothing_is_made_after_the_end() -> None:
    scope, closed = RunScope(), []

    class Resource:
        def close(self) -> None:
            closed.append(self)

    first = scope.resource("a", Resource)
    scope.discard("a", first)
    second = scope.resource("a", Resource)
    scope.discard("a", first)  # by another call that failed with the first
    assert (scope.resource("a", Resource), closed) == (second, [first])
    asyncio.run(scope.__aexit__())
    assert closed == [first, second]
    with pytest.raises(WorkCancelledError):
        scope.resource("a", Resource)


def test_a_server_over_http(http: str, run: RunnableConfig) -> None:
    offered = tools(MCPTools("shop", url=http, only=["price"]), run)
    assert list(offered) == ["price"]
    assert offered["price"].invoke({"item": "tea"}, run) == "tea costs 3.00"
    assert "Error executing tool price" in offered["price"].invoke({"item": "gold"}, run)
    assert "Field required" in offered["price"].invoke({}, run)
    with pytest.raises(AgentError, match=r"'shop' .*has no tool sell"):
        MCPTools("shop", url=http, only=["sell"]).load(run)


def test_outside_a_run_each_call_has_a_session_of_its_own() -> None:
    process = tools(MCPTools("shop", **LOCAL), {})["process"]
    answer = asyncio.run(process.ainvoke({}))
    assert not is_alive(json.loads(answer)["pid"])


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ({"command": "/no/such/program"}, "No such file"),
        ({"command": sys.executable, "args": ["-c", "import sys; sys.exit('no luck')"]}, "no luck"),
        ({"command": sys.executable, "args": ["-c", "input(); input()"], "seconds": 0.3}, "No answer came in time"),
        ({"url": "http://127.0.0.1:9/mcp"}, "connection"),
    ],
)
def test_a_server_that_cannot_be_used_is_named(server: dict[str, Any], why: str, run: RunnableConfig) -> None:
    with pytest.raises(AgentError, match=rf"'broken' .*{why}"):  # MCP's client, which waits 10 s, words it otherwise
        MCPTools("broken", **server).load(run)


@pytest.mark.parametrize("server", [{}, {"command": "a", "url": "http://b"}])
def test_a_server_is_a_command_or_a_url(server: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="a command or a url"):
        MCPTools("shop", **server)


def shopping(*items: str) -> ScriptedModel:
    calls = [Reply(tool_calls=[{"name": "price", "args": {"item": item}}]) for item in items]
    return ScriptedModel([*calls, Reply(tool_calls=[{"name": "process", "args": {}}]), "Done."])


def results(model: ScriptedModel) -> list[str]:
    return [message.text for message in model.calls[-1].messages if message.type == "tool"]


def test_an_agent_uses_the_tools_of_servers(call: Any, http: str) -> None:
    model = shopping("tea", "gold")
    servers = [MCPTools("shop", **LOCAL), MCPTools("other", url=http, only=["odd name/äöü"])]
    answer = call(Agent("clerk", instructions="Sell.", model=model, tools=servers), "What does tea cost?")
    price, failure, process = results(model)
    assert (answer["text"], price) == ("Done.", "tea costs 3.00")
    assert "Error executing tool price" in failure
    assert not is_alive(json.loads(process)["pid"])
    assert model.calls[0].tools == ["price", "process", "odd_name_aou", "odd_name_aou_2"]


def test_the_agents_of_a_run_share_a_session(call: Any) -> None:
    models = [shopping("tea"), shopping("jam")]
    shop = MCPTools("shop", **LOCAL)
    agents = [Agent(f"clerk_{n}", instructions="Sell.", model=model, tools=[shop]) for n, model in enumerate(models)]
    steps = [Step("first", "clerk_0", "Sell tea."), Step("second", "clerk_1", "Sell jam.", ["first"])]
    state = call(Workflow(steps, agents=agents).compile(), {"messages": "Sell."})
    assert state["status"] == "completed"
    first, second = (json.loads(results(model)[-1]) for model in models)
    assert (first["pid"], first["prices"], second["prices"]) == (second["pid"], 1, 2)
    assert not is_alive(first["pid"])
