"""An MCP server for tests: with a port over HTTP, by the SDK; without one over standard input and output.

That one is written by hand, because it is started for nearly every test and the SDK takes a second to import.
"""

import json
import os
import sys
import threading
from typing import Any

ROOM = {"type": "integer"}
SCHEMAS: dict[str, Any] = {
    "price": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
    "process": {"type": "object", "properties": {}},
    "odd name/äöü": {"type": "object", "properties": dict.fromkeys(("config", "run_manager", "self"), ROOM)},
}
calls: list[str] = []


def price(item: str) -> str:
    """Look up the price of an item."""
    calls.append(item)
    if item == "gold":
        raise ValueError("we do not sell gold")
    if item == "crash":
        os._exit(3)
    return f"{item} costs {len(item)}.00"


def process() -> dict[str, Any]:
    """Return the number of this process, its environment, and how many prices it was asked for."""
    return {"pid": os.getpid(), "environment": dict(os.environ), "prices": len(calls)}


def odd_data() -> dict[str, int]:
    """Return a number that cannot be stored."""
    return {"number": 10**30}


def odd(config: int, run_manager: int = 0, self: int = 0) -> int:
    return config + run_manager + self


BROKEN: dict[str, Any] = {
    "no_type": {"type": "objekt"},
    "no_object": [],
    "elsewhere": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/x.json"}}},
    "nowhere": {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}},
    "bomb": {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/0"}},
        "$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)} | {"40": ROOM},
    },
    "long": {"type": "object", "description": "x" * 100_000},
    "日本": {"type": "object"},
}
"""Schemas, and a name, that no provider accepts."""
OUTPUT = {"type": "object", "properties": {"result": {"type": "string", "pattern": "^(a+)+$"}}}
"""The schema of the results of `price`, which takes hours to search a result of some letters."""
TOOLS: dict[str, Any] = {"price": price, "process": process, "odd name/äöü": odd}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a tool, or its failure as the SDK words it."""
    try:
        if missing := [field for field in SCHEMAS[name].get("required", ()) if field not in arguments]:
            raise TypeError(f"1 validation error: {missing[0]}: Field required")
        result = TOOLS[name](**arguments)
    except Exception as error:
        text = f"Error executing tool {name}: {error}"
        return {"content": [{"type": "text", "text": text}], "isError": True}
    text = result if isinstance(result, str) else json.dumps(result)
    structured = result if isinstance(result, dict) else {"result": result}
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}


def reply_to(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what answers a request: `result` or `error`."""
    if method == "initialize":
        about = {"name": "shop", "version": "1"}
        chosen = {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        return {"result": chosen}
    if method == "tools/list":
        tools = [
            {"name": name, "description": TOOLS[name].__doc__ or "", "inputSchema": SCHEMAS[name]} for name in TOOLS
        ]
        tools[0]["outputSchema"] = OUTPUT
        return {"result": {"tools": tools}}
    if method == "tools/call":
        if parameters.get("arguments") == {"item": "silver"}:
            return {"error": {"code": -32602, "message": "an error of the protocol"}}
        return {"result": call(parameters["name"], parameters.get("arguments") or {})}
    return {"error": {"code": -32601, "message": f"Method not found: {method}"}}


def serve_lines() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = reply_to(message["method"], message.get("params") or {})
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)


def serve_http(port: int) -> None:
    from mcp.server import MCPServer

    server = MCPServer("shop")
    for name, tool in TOOLS.items():
        server.tool(name=name)(tool)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()  # ends with the test
    server.run("streamable-http", host="127.0.0.1", port=port)


if __name__ == "__main__":
    if sys.argv[1:] == ["many"]:
        odd_ones = [f"odd_data_{number}" for number in range(501)]
        TOOLS |= dict.fromkeys(odd_ones, odd_data)
        SCHEMAS |= dict.fromkeys(odd_ones, SCHEMAS["process"])
        serve_lines()
    elif sys.argv[1:] == ["broken"]:
        TOOLS |= dict.fromkeys(BROKEN, odd_data)
        SCHEMAS |= BROKEN
        serve_lines()
    elif len(sys.argv) > 1:
        serve_http(int(sys.argv[1]))
    else:
        serve_lines()
