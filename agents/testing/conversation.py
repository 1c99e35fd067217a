"""A recorded conversation with a model, as a YAML file that people read and compare line by line.

An exchange is what was asked (`prompt`, `tools`, `form`, ...) and a `reply` or an `error`. Nothing that differs from
run to run is in it: no ids of messages or tool calls, no times; and no keys, addresses or headers.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, cast

import yaml
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from agents.errors import ConfigurationError
from agents.runtime import JsonObject
from agents.testing.replies import Call, Reply

HEAD = """\
# A conversation with a model, recorded by Podium's RecordedModel, which replays it in tests.
# To record it again, run the test with PODIUM_RECORD=1 and access to the model.
"""

Exchange = JsonObject

_ROLES = {"human": "user", "ai": "assistant"}
_DEFINING = ("name", "description", "parameters")
_TEXTUAL = ("text", "tool_use", "function_call", "reasoning", "thinking")
"""Types of content blocks that are in the text or the calls of a message, or that no model reads again."""


def asked(call: Call) -> Exchange:
    """Return a call as an exchange that has no reply yet."""
    tools = [tool.get("function", tool) for tool in call.kwargs.get("tools") or []]
    exchange = {
        "prompt": [_message(message, call.messages) for message in call.messages],
        "tools": [{key: tool[key] for key in _DEFINING if key in tool} for tool in tools],
        "tool_choice": call.kwargs.get("tool_choice"),
        "form": call.kwargs.get("response_format"),
        "stop": call.stop,
    }
    return cast("Exchange", json.loads(json.dumps(_without_empty(exchange), default=str)))


def _message(message: BaseMessage, messages: Sequence[BaseMessage]) -> dict[str, object]:
    """Return a message as `{role: text}`, with its calls and media, or the tool whose result it is."""
    media = [block for block in message.content if isinstance(block, dict) and block.get("type") not in _TEXTUAL]
    result: dict[str, object] = {}
    if isinstance(message, ToolMessage):
        calls = (call for caller in messages if isinstance(caller, AIMessage) for call in caller.tool_calls)
        names = (call["name"] for call in calls if call["id"] == message.tool_call_id)
        result = {"result_of": message.name or next(names, ""), "status": "error" * (message.status == "error")}
    more = {**result, "calls": _calls(message), "media": [{str(item.get("type")): _digest(item)} for item in media]}
    return {_ROLES.get(message.type, message.type): str(message.text), **_without_empty(more)}


def _digest(block: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(block, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _calls(message: BaseMessage) -> list[JsonObject]:
    """Return the tool calls without their ids, which differ in every run."""
    if not isinstance(message, AIMessage):
        return []
    broken = [{str(call["name"]): call["args"] or ""} for call in message.invalid_tool_calls]
    return [{call["name"]: call["args"]} for call in message.tool_calls] + broken


def _without_empty(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}


_JSON = {"json": (", ", ": "), "compact_json": (",", ":")}
"""Ways to keep a reply that is JSON as data, so that people can read it: with what between its parts."""


def kept(message: AIMessage) -> JsonObject:
    """Return a model's reply as the file keeps it."""
    noted, tokens, calls, text = message.response_metadata, message.usage_metadata, _calls(message), str(message.text)
    reason = noted.get("finish_reason") or noted.get("stop_reason") or "stop"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    written = {name: json.dumps(value, ensure_ascii=False, separators=between) for name, between in _JSON.items()}
    as_data = [name for name in written if written[name] == text and isinstance(value, dict)]
    rest = {
        "calls": calls,
        "refusal": message.additional_kwargs.get("refusal"),
        "finish_reason": str(reason) if reason != ("tool_calls" if calls else "stop") else None,
        "tokens": {"input": tokens["input_tokens"], "output": tokens["output_tokens"]} if tokens else None,
    }
    return _without_empty({as_data[0]: value} if as_data else {"text": text}) | _without_empty(rest)


def read(reply: JsonObject) -> Reply:
    """Return the reply that the file keeps."""
    calls = [{"name": name, "args": args} for call in reply.get("calls", ()) for name, args in call.items()]
    tokens = reply.get("tokens") or {"input": 0, "output": 0}
    written = (json.dumps(reply[name], ensure_ascii=False, separators=_JSON[name]) for name in _JSON if name in reply)
    return Reply(
        next(written, reply.get("text", "")),
        tool_calls=calls,
        refusal=reply.get("refusal"),
        finish_reason=reply.get("finish_reason", "stop"),
        usage=(tokens["input"], tokens["output"]),
    )


def load(path: Path) -> JsonObject:
    """Read a file.

    Raises:
        ConfigurationError: It holds no conversation.
    """
    try:
        conversation = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        [list(exchange["prompt"]) for exchange in conversation.setdefault("exchanges", [])]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{path} holds no recorded conversation: {error}") from error
    return cast("JsonObject", conversation)


def save(conversation: JsonObject, path: Path) -> None:
    """Write the file, all of it or nothing; a definition that occurs again is an alias of the first."""
    first: JsonObject = {}
    for exchange in conversation["exchanges"]:
        for name in ("tools", "form"):
            if name in exchange:
                exchange[name] = first.setdefault(json.dumps(exchange[name]), exchange[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
        file.write(HEAD + as_yaml(_without_empty(conversation)))
    os.replace(file.name, path)


def as_yaml(value: Any) -> str:
    """Write YAML with texts of several lines as they are, one line below the other."""
    return str(yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def string(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.string)
