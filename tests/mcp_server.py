"""An MCP server for tests: `python -m tests.mcp_server` over standard input and output, with a port over HTTP."""

import os
import sys
import threading
from typing import Any

from mcp import MCPError
from mcp.server import MCPServer

server = MCPServer("shop")
calls: list[str] = []


@server.tool()
def price(item: str) -> str:
    """Look up the price of an item."""
    calls.append(item)
    if item == "gold":
        raise ValueError("we do not sell gold")
    if item == "silver":
        raise MCPError(-32602, "an error of the protocol")
    if item == "crash":
        os._exit(3)
    return f"{item} costs {len(item)}.00"


@server.tool()
def process() -> dict[str, Any]:
    """Return the number of this process, its environment, and how many prices it was asked for."""
    return {"pid": os.getpid(), "environment": dict(os.environ), "prices": len(calls)}


def odd_data() -> dict[str, int]:
    """Return a number that cannot be stored."""
    return {"number": 10**30}


@server.tool(name="odd name/äöü")
def odd(config: int, run_manager: int = 0) -> int:
    return config + run_manager


if __name__ == "__main__":
    if sys.argv[1:] == ["many"]:
        for number in range(501):
            server.add_tool(odd_data, name=f"odd_data_{number}")
        server.run("stdio")
    elif len(sys.argv) > 1:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()  # ends with the test
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
