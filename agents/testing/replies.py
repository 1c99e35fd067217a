"""Calls and replies of models for tests, and a reply as the chunks of a stream."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic_core import to_jsonable_python


@dataclass(frozen=True)
class Reply:
    """One scripted answer of the model."""

    text: str = ""
    _: KW_ONLY
    tool_calls: Sequence[Mapping[str, Any]] = ()
    """`{"name": ..., "args": {...}}`, with an `id` if need be; `args` that are not JSON make an invalid call."""
    delay: float = 0
    """Seconds before the first word; sleeps the thread in sync code and only the task in async code."""
    usage: tuple[int, int] | None = None
    """Input and output tokens; the words are counted if not given."""
    finish_reason: str | None = "stop"
    """`stop`, `length`, `content_filter`, ... or None; a reply with tool calls says `tool_calls` instead of `stop`."""
    refusal: str | None = None
    data: object = None
    """Answered as JSON, or as a call of the tool that the caller forces and the data fits."""
    error: BaseException | type[BaseException] | None = None
    """Raised after the delay and, when streaming, after the words of `text`."""


@dataclass(frozen=True)
class Call:
    """One call that the model received."""

    messages: list[BaseMessage]
    kwargs: dict[str, Any]
    """Options that were bound or passed: `tools`, `tool_choice`, `response_format`, ..."""
    stop: list[str] | None = None

    @property
    def prompt(self) -> str:
        """The text of all messages, one after the other."""
        return "\n".join(message.text for message in self.messages)

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model could call."""
        return [tool["function"]["name"] for tool in self.kwargs.get("tools") or []]


def chunks(reply: Reply, call: Call, model_name: str) -> Iterator[ChatGenerationChunk]:
    """Yield the reply word by word, then the tool calls, the finish reason and the usage in one last chunk."""
    data = to_jsonable_python(reply.data)
    tool = None if data is None else _forced_tool(data, call.kwargs)
    tool_calls = [*reply.tool_calls, {"name": tool, "args": data}] if tool else list(reply.tool_calls)
    text = reply.text if data is None or tool else json.dumps(data, ensure_ascii=False)
    for word in re.findall(r"\s*\S+|\s+\Z", text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    if reply.error:
        raise reply.error
    ids = [asked.get("id") or f"call_{uuid4().hex}" for asked in tool_calls]
    calls = [
        tool_call_chunk(name=name, args=args if isinstance(args, str) else _json(args), id=ids[index], index=index)
        for index, (name, args) in enumerate((asked["name"], asked["args"]) for asked in tool_calls)
    ]
    words = " ".join([text, reply.refusal or "", *(part["args"] or "" for part in calls)]).split()
    read, written = reply.usage or (len(call.prompt.split()), len(words))
    last = AIMessageChunk(
        content="",
        additional_kwargs={} if reply.refusal is None else {"refusal": reply.refusal},
        tool_call_chunks=calls,
        usage_metadata=UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written),
        chunk_position="last",
    )
    finish_reason = "tool_calls" if calls and reply.finish_reason == "stop" else reply.finish_reason
    yield ChatGenerationChunk(message=last, generation_info={"finish_reason": finish_reason, "model_name": model_name})


def _forced_tool(data: object, kwargs: Mapping[str, Any]) -> str | None:
    """Return the tool whose call carries the data, if the caller forces a call and the data fits."""
    choice = kwargs.get("tool_choice")
    choice = choice["function"]["name"] if isinstance(choice, dict) else choice
    if choice in (None, False, "auto", "none") or not isinstance(data, dict):
        return None
    schemas = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in kwargs.get("tools") or []}
    if choice in schemas:
        return str(choice)
    fitting = (name for name, schema in schemas.items() if data.keys() <= schema.get("properties", {}).keys())
    return next(iter(schemas)) if len(schemas) == 1 else next(fitting, None)


def _json(args: object) -> str:
    return args if isinstance(args, str) else json.dumps(to_jsonable_python(args), ensure_ascii=False)
