"""Tools of MCP servers, local programs or HTTP, for `Agent(tools=[...])`; needs the extra `podium[mcp]`.

first run -> start the server, list its tools -> (run) session at the first call -> calls -> closed with the run
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from os.path import expandvars
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from anyio.from_thread import start_blocking_portal
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, ToolException

from agents.errors import AgentError, ConfigurationError
from agents.runtime import (
    RunScope,
    clean_data,
    explain,
    in_run_scope,
    install_hint,
    masked,
    run_in_background,
    run_scope,
)
from agents.tools.mcp_replies import MAX_TOOLS, CheckedLists, limit_reply, read_result

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

_log = logging.getLogger("podium")
CALL_SECONDS = 60.0
"""Time limit for the start of a server, and for each answer."""
MAX_PAGES = 100
"""Pages of a server's list of tools."""
_RESERVED = {name: f"{name}_" for name in ("config", "run_manager", "self")}
"""Names of LangChain's own arguments of a tool, and what a server's parameters of these names become."""


class MCPTools:
    """The tools of one MCP server.

    A local server is a child process with few variables of the environment (PATH, HOME and the like, and `env`). It
    ends with the run, and so does a session of an HTTP server. An agent loads the list of tools once.

    Args:
        name: What messages call the server.
        command, args, env, cwd: A program that speaks MCP over its standard input and output.
        url, headers: Or the address of a server that speaks it over HTTP. In `env` and `headers`, `${NAME}` stands for
            a variable of the environment.
        only: The tools to use, by the server's names; None for all.
        seconds: Longest wait for the start and for each call.

    Raises:
        ConfigurationError: `command` and `url` are both set, or both missing; or the extra is not installed.
    """

    def __init__(
        self,
        name: str,
        *,
        command: str | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> None:
        if (command is None) == (url is None):
            raise ConfigurationError(f"The MCP server {name!r} needs either a command or a url")
        if find_spec("mcp") is None:
            raise ConfigurationError(f"MCP tools need: {install_hint('mcp')}")
        self.name = name
        self.command, self.args, self.env, self.cwd = command, list(args), env or {}, cwd
        self.url, self.headers = url, headers or {}
        self.only = only
        self.seconds = seconds
        self.left_out: dict[str, str] = {}
        """Reasons why tools of the server are not offered, by name."""
        self._tools: list[BaseTool] | None = None
        self._loading = threading.Lock()

    def load(self, config: RunnableConfig) -> list[BaseTool]:
        """Return the tools, which the server is asked for once; blocks while it starts.

        Raises:
            AgentError: The server cannot be reached, or a tool of `only` is missing or unusable.
        """
        with self._loading:
            if self._tools is None:
                opened, own = in_run_scope(config)
                with opened:
                    session = cast("RunScope", run_scope(own)).resource(self, partial(_Session, self))
                for name, why in self.left_out.items():
                    words = f"The MCP server {self.name!r} has a tool {name} that cannot be used: {why}"
                    if name in (self.only or ()):
                        raise AgentError(words)
                    _log.warning("%s. It is left out.", words)
                if missing := set(self.only or ()) - {tool.name for tool in session.tools}:
                    raise AgentError(f"The MCP server {self.name!r} has no tool {', '.join(sorted(missing))}")
                if (number := len(session.tools)) > MAX_TOOLS:
                    raise AgentError(f"The MCP server {self.name!r} has {number} tools; choose some with only=")
                self._tools = [self._tool(tool) for tool in session.tools]
            return self._tools

    def _tool(self, tool: Tool) -> BaseTool:
        async def acall(config: RunnableConfig, **arguments: object) -> object:
            opened, own = in_run_scope(config)
            async with opened:  # outside a run of Podium a call has a session of its own
                return read_result(tool, await self._call(cast("RunScope", run_scope(own)), tool.name, arguments))

        def call(config: RunnableConfig, **arguments: object) -> object:
            return run_in_background(partial(acall, config, **arguments))

        return StructuredTool(
            name=tool.name,  # an agent makes it one that providers accept
            description=clean_data(tool.description or tool.title or tool.name),
            args_schema=_renamed(tool.input_schema),
            func=call,
            coroutine=acall,
            response_format="content_and_artifact",
            handle_tool_error=True,
        )

    async def _call(self, scope: RunScope, name: str, arguments: dict[str, object]) -> CallToolResult:
        """Call a tool; the failure of a server is text for the model, and the next call starts one that is gone."""
        session = None
        try:
            session = await asyncio.to_thread(scope.resource, self, partial(_Session, self))
            return await asyncio.wrap_future(session.start_call(name, arguments))
        except Exception as error:  # of the protocol, the connection, the process: each library's own
            if session is not None and _is_gone(error):
                scope.discard(self, session)
            raise ToolException(f"The MCP server {self.name!r} failed: {masked(str(error) or repr(error))}") from error


class _Session:
    """An open connection, in a thread and event loop of its own: it serves sync and async callers on any loop."""

    def __init__(self, server: MCPTools) -> None:
        self._open = ExitStack()
        file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by the stack
        output = cast("TextIO", self._open.enter_context(file))
        self._ended = asyncio.Event()
        self._portal = self._open.enter_context(start_blocking_portal(name=f"mcp {server.name}"))
        self._open.callback(self._portal.call, self._ended.set)
        opened: Future[Client] = Future()
        kept = self._portal.start_task_soon(self._keep_open, server, output, opened)
        try:
            # MCP's client asks for the protocol with a time limit of its own, which may be longer than ours.
            wait((opened, kept), server.seconds, FIRST_COMPLETED)
            self._client = kept.result() if kept.done() else opened.result(0)
        except Exception as error:
            output.seek(0)
            last = output.read()[-2000:].strip().rpartition("\n")[2]
            words = masked(last) or explain(error)
            kept.cancel()
            threading.Thread(target=self.close).start()  # a program may take seconds to end
            raise AgentError(f"The MCP server {server.name!r} cannot be used: {words}") from error

    async def _keep_open(self, server: MCPTools, output: TextIO, opened: Future[Client]) -> Client:
        from mcp import Client

        async with Client(_transport(server, output), read_timeout_seconds=server.seconds) as client:
            page = await client.list_tools()
            self.tools = page.tools
            for _ in range(MAX_PAGES):
                if not page.next_cursor or len(self.tools) > MAX_TOOLS:
                    break
                page = await client.list_tools(cursor=page.next_cursor)
                self.tools += page.tools
            opened.set_result(client)
            await self._ended.wait()
        return client

    def start_call(self, name: str, arguments: dict[str, object]) -> Future[CallToolResult]:
        named = {safe: name for name, safe in _RESERVED.items()}
        sent = {named.get(argument, argument): value for argument, value in arguments.items()}
        return self._portal.start_task_soon(self._client.call_tool, name, sent)

    def close(self) -> None:
        with suppress(Exception):  # a server that is gone already
            self._open.close()


@asynccontextmanager
async def _transport(server: MCPTools, output: TextIO) -> AsyncIterator[Any]:
    """Yield the streams to a server; its program, or the connection to it, ends with the block."""
    import httpx2
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if server.url is None:
        env = {name: expandvars(value) for name, value in server.env.items()}
        program = StdioServerParameters(command=server.command or "", args=server.args, env=env, cwd=server.cwd)
        async with stdio_client(program, errlog=output) as (read, write):
            yield CheckedLists(read, server.only, server.left_out), write
    else:
        headers = {"Accept-Encoding": "identity"} | {name: expandvars(value) for name, value in server.headers.items()}
        hooks = {"response": [limit_reply]}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=server.seconds, event_hooks=hooks) as client,
            streamable_http_client(server.url, http_client=client) as (read, write),
        ):
            yield CheckedLists(read, server.only, server.left_out), write


def _renamed(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {_RESERVED.get(name, name): form for name, form in schema.get("properties", {}).items()}
    required = [_RESERVED.get(name, name) for name in schema.get("required", ())]
    return {**schema, "properties": properties, "required": required}


def _is_gone(error: Exception) -> bool:
    """Return whether a session cannot be used after an error; after a refusal or a time-out of one call it can."""
    from mcp import MCPError
    from mcp_types import CONNECTION_CLOSED

    return not isinstance(error, MCPError) or error.error.code == CONNECTION_CLOSED
