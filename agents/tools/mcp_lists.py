"""Lists of tools from MCP servers, without those that no provider would accept: one of them fails a whole request.

messages of a server -> lists checked -> MCP's client, which refuses a whole list for one tool
"""

from __future__ import annotations

from typing import Any

from anyio.abc import ObjectReceiveStream

from agents.errors import ConfigurationError
from agents.runtime import JsonObject, explain, visible
from agents.workers import safe_name

MAX_SCHEMA = 100_000
"""Characters and parts of a schema whose references are followed, as LangChain does: a few can mean billions."""


class CheckedLists(ObjectReceiveStream[Any]):
    """The messages of a server; `left_out` gets the names of the tools that cannot be used, with the reasons."""

    def __init__(self, messages: Any, left_out: dict[str, str]) -> None:
        self._messages = messages
        self._left_out = left_out

    async def receive(self) -> Any:
        """Return the next message."""
        item = await self._messages.receive()
        result = getattr(getattr(item, "message", None), "result", None)
        if isinstance(result, dict) and isinstance(result.get("tools"), list):
            result["tools"] = [tool for tool in result["tools"] if self._is_usable(tool)]
        return item

    async def aclose(self) -> None:
        """Close the connection."""
        await self._messages.aclose()

    def _is_usable(self, tool: Any) -> bool:
        try:
            check_tool(tool)
        except Exception as error:  # of a validator, or of what is not even a tool
            name = str(tool.get("name")) if isinstance(tool, dict) else type(tool).__name__
            self._left_out[visible(name[:100])] = explain(error)
            return False
        return True


def check_tool(tool: JsonObject) -> None:
    """Raise if a tool as a server describes it cannot be offered to a model."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from mcp_types.methods import validate_server_result
    from mcp_types.version import LATEST_HANDSHAKE_VERSION

    safe_name(tool["name"])
    # Results would be searched for its patterns, which can hold a regex, and the process, for ever.
    tool.pop("outputSchema", None)
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict) or schema.setdefault("type", "object") != "object":
        raise ConfigurationError("The schema of its arguments is not that of an object")
    _check_size(schema)
    validator_for(schema, Draft202012Validator).check_schema(schema)
    validate_server_result("tools/list", LATEST_HANDSHAKE_VERSION, {"tools": [tool]})


def _check_size(schema: JsonObject) -> None:
    waiting: list[tuple[object, frozenset[str]]] = [(schema, frozenset())]
    size = 0
    while waiting:
        part, inside = waiting.pop()
        size += len(part) if isinstance(part, str) else 1
        if size > MAX_SCHEMA:
            raise ConfigurationError(f"The schema of its arguments means more than {MAX_SCHEMA:,} characters")
        if isinstance(part, dict):
            waiting += [(item, inside) for item in (*part, *part.values())]
            if isinstance(place := part.get("$ref"), str) and place not in inside:
                waiting.append((_at(schema, place), inside | {place}))
        elif isinstance(part, list):
            waiting += [(item, inside) for item in part]


def _at(schema: JsonObject, place: str) -> object:
    """Return what a reference leads to."""
    start, *keys = place.split("/")
    part: Any = schema if start == "#" else None
    try:
        for key in keys:
            part = part[int(key)] if isinstance(part, list) else part[key.replace("~1", "/").replace("~0", "~")]
    except (LookupError, TypeError, ValueError):
        part = None
    if part is None:
        raise ConfigurationError(f"The schema of its arguments refers to {place}, which is not in it")
    return part
