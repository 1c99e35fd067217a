"""Replies of MCP servers, checked and bounded: bytes over HTTP, lists of tools, results.

A list is checked before MCP's client reads it, which refuses all of it for one tool; so do providers.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any

import httpx2
from anyio.abc import ObjectReceiveStream
from langchain_core.tools import ToolException

from agents.errors import ConfigurationError
from agents.runtime import JsonObject, clean_data, explain, visible
from agents.workers import safe_name

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ImageContent, Tool

MAX_REPLY = 50_000_000
"""Bytes of one reply over HTTP; MCP's client limits single events of a stream."""
MAX_TOOLS = 500
"""Tools of one server; no model chooses well among more."""
MAX_RESULT, MAX_PICTURES = 50_000, 10_000_000
"""Characters of a tool's result that are passed on, and of the pictures in it."""
MAX_BLOCKS = 1_000
_PICTURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8", "image/webp": b"RIFF"}
"""First bytes of the kinds of picture that providers read."""
MAX_SCHEMA = 100_000
"""Characters and parts of a schema whose references are followed, as LangChain does: a few can mean billions."""


class CheckedLists(ObjectReceiveStream[Any]):
    """The messages of a server, with the tools in `only`; `left_out` gets the reasons why some cannot be used."""

    def __init__(self, messages: Any, only: Collection[str] | None, left_out: dict[str, str]) -> None:
        self._messages = messages
        self._only = only
        self._left_out = left_out

    async def receive(self) -> Any:
        item = await self._messages.receive()
        result = getattr(getattr(item, "message", None), "result", None)
        if isinstance(result, dict) and isinstance(result.get("tools"), list):
            tools = [tool for tool in result["tools"] if self._only is None or _name(tool) in self._only]
            result["tools"] = tools if len(tools) > MAX_TOOLS else [tool for tool in tools if self._is_usable(tool)]
        return item

    async def aclose(self) -> None:
        await self._messages.aclose()

    def _is_usable(self, tool: Any) -> bool:
        try:
            check_tool(tool)
        except Exception as error:  # of a validator, or of what is not even a tool
            self._left_out[visible(_name(tool)[:100])] = explain(error)
            return False
        return True


def _name(tool: Any) -> str:
    return str(tool.get("name")) if isinstance(tool, dict) else type(tool).__name__


def check_tool(tool: JsonObject) -> None:
    """Raise if a tool as a server describes it cannot be offered to a model."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from mcp_types.methods import validate_server_result
    from mcp_types.version import LATEST_HANDSHAKE_VERSION

    safe_name(tool["name"])
    # Results would be searched for its patterns, which can hold a regex, and the process, forever.
    tool.pop("outputSchema", None)
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict) or schema.setdefault("type", "object") != "object":
        raise ConfigurationError("The schema of its arguments is not that of an object")
    _check_size(schema)
    validator_for(schema, Draft202012Validator).check_schema(schema)
    validate_server_result("tools/list", LATEST_HANDSHAKE_VERSION, {"tools": [tool]})


def _check_size(schema: JsonObject) -> None:
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    inner = Registry[object]().with_resource("", DRAFT202012.create_resource(schema)).resolver()
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
                if not f"{place}/".startswith("#/"):  # LangChain reads no others
                    raise ConfigurationError(f"The schema of its arguments refers to {place}")
                waiting.append((inner.lookup(place).contents, inside | {place}))
        elif isinstance(part, list):
            waiting += [(item, inside) for item in part]


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_REPLY
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise httpx2.ReadError(f"The reply has more than {MAX_REPLY:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def limit_reply(response: httpx2.Response) -> None:
    """Limit the bytes of a reply; refuse one that is compressed in spite of the request, for it can be a bomb."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.ReadError("The reply is compressed, which was not asked for")
    response.stream = _Limited(response.stream)


def read_result(tool: Tool, result: CallToolResult) -> tuple[object, object]:
    """Return a result's content and data; an error is raised, for the model."""
    texts: list[str] = []
    pictures: list[object] = []
    left = MAX_PICTURES
    for block in result.content[:MAX_BLOCKS]:
        if block.type == "text":
            texts.append(block.text)
        elif block.type == "image" and len(block.data) <= left and _is_picture(block):
            left -= len(block.data) + MAX_PICTURES // 20  # and 20 of them at most
            pictures.append({"type": "image", "base64": block.data, "mime_type": block.mime_type})
        else:
            texts.append(block.model_dump_json(exclude_none=True)[:MAX_RESULT])
    try:
        data = clean_data(result.structured_content)
    except ValueError:  # such as a number that cannot be stored; the content says it, too
        data = None
    text: str = clean_data("\n".join(texts) or ("" if pictures or data is None else json.dumps(data)))[:MAX_RESULT]
    if result.is_error:
        raise ToolException(text or f"{tool.name} failed without a reason.")
    if not pictures:
        return text or "(an empty result)", data
    return [*([{"type": "text", "text": text}] if text else []), *pictures], data


def _is_picture(block: ImageContent) -> bool:
    """Return whether a block is what it says, and providers read it; they refuse a request with any other."""
    try:
        return b64decode(block.data, validate=True).startswith(_PICTURES[block.mime_type])
    except (KeyError, ValueError):
        return False
