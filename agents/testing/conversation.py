"""A recorded conversation with a model, as a YAML file that people read and compare line by line.

An exchange is what was asked (messages, tools, form of the reply) and what came back (a reply or an error). Nothing
that differs from run to run is in it: no ids of messages or tool calls, no times; and no keys, addresses or headers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, ValidationError

from agents.errors import ConfigurationError
from agents.testing.replies import Call, Reply

HEAD = """\
# A conversation with a model, recorded by Podium's RecordedModel, which replays it in tests.
# To record it anew, run the test with PODIUM_RECORD=1 and access to the model.
"""


class Exchange(BaseModel):
    """One call of a model: what was asked, and either `reply` or `error`."""

    model_config = ConfigDict(extra="forbid")

    prompt: list[dict[str, Any]]
    tools: list[str] = []
    """Names in `Conversation.tools`."""
    tool_choice: Any = None
    form: Any = None
    """The name of a form in `Conversation.forms`, or a response format that is no JSON schema."""
    stop: list[str] | None = None
    reply: dict[str, Any] = {}
    error: dict[str, Any] = {}


class Conversation(BaseModel):
    """All that one file holds."""

    model_config = ConfigDict(extra="forbid")

    model: str = "recorded"
    profile: dict[str, Any] = {}
    """What the model can do, by which agents choose how to ask it."""
    exchanges: list[Exchange] = []
    tools: dict[str, Any] = {}
    """The definitions of the tools that were on offer."""
    forms: dict[str, Any] = {}
    """The JSON schemas that replies had to have."""

    def exchange(self, call: Call) -> Exchange:
        """Describe a call as an exchange that has no reply yet; new tools and forms are added to the definitions."""
        asked = [_definition(tool) for tool in call.kwargs.get("tools") or []]
        form = call.kwargs.get("response_format")
        schema = (form or {}).get("json_schema") if isinstance(form, Mapping) else None
        return Exchange(
            prompt=[said(one, call.messages) for one in call.messages],
            tools=[_named(self.tools, str(tool.get("name", "tool")), tool) for tool in asked],
            tool_choice=call.kwargs.get("tool_choice"),
            form=_named(self.forms, str(schema.get("name", "reply")), schema.get("schema")) if schema else form,
            stop=call.stop,
        )

    def asked(self, exchange: Exchange) -> dict[str, Any]:
        """Return all that was asked in an exchange, with the definitions in place of their names."""
        whole = {
            "prompt": exchange.prompt,
            "tools": [self.tools[name] for name in exchange.tools],
            "tool_choice": exchange.tool_choice,
            "form": self.forms[exchange.form] if isinstance(exchange.form, str) else exchange.form,
            "stop": exchange.stop,
        }
        return {name: value for name, value in whole.items() if value}

    def save(self, path: Path) -> None:
        """Write the file, all of it or nothing."""
        text = HEAD + as_yaml(self.model_dump(exclude_defaults=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)

    @classmethod
    def load(cls, path: Path) -> Conversation:
        """Read a file.

        Raises:
            ConfigurationError: It holds no conversation.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigurationError(f"{path} holds no recorded conversation: {error}") from error


_ROLES = {"human": "user", "ai": "assistant"}


def said(message: BaseMessage, messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """Return a message as `{role: text}`, with the calls that it makes, or the tool whose result it is."""
    one: dict[str, Any] = {_ROLES.get(message.type, message.type): str(message.text)}
    if isinstance(message, ToolMessage):
        one["result_of"] = message.name or _name_of_call(message.tool_call_id, messages)
        if message.status == "error":
            one["status"] = "error"
    if calls := _calls(message):
        one["calls"] = calls
    if media := _media(message):
        one["media"] = media
    return one


def written(message: AIMessage) -> dict[str, Any]:
    """Return a model's reply as the file keeps it."""
    about = message.response_metadata
    tokens = message.usage_metadata
    calls = _calls(message)
    reason = about.get("finish_reason") or about.get("stop_reason") or "stop"
    kept = {
        **_text(str(message.text)),
        "calls": calls,
        "refusal": message.additional_kwargs.get("refusal"),
        "finish_reason": None if reason == ("tool_calls" if calls else "stop") else str(reason),
        "tokens": {"input": tokens["input_tokens"], "output": tokens["output_tokens"]} if tokens else None,
    }
    return {name: value for name, value in kept.items() if value}


def read(kept: Mapping[str, Any]) -> Reply:
    """Return the reply that the file keeps."""
    calls = [{"name": name, "args": args} for call in kept.get("calls", ()) for name, args in call.items()]
    tokens = kept.get("tokens") or {"input": 0, "output": 0}
    dumped = (json.dumps(kept[name], ensure_ascii=False, separators=how) for name, how in _JSON.items() if name in kept)
    return Reply(
        next(dumped, kept.get("text", "")),
        tool_calls=calls,
        refusal=kept.get("refusal"),
        finish_reason=kept.get("finish_reason", "stop"),
        usage=(tokens["input"], tokens["output"]),
    )


_JSON = {"json": (", ", ": "), "compact_json": (",", ":")}
"""How a reply that is JSON is kept, so that people can read it: with what between its parts."""


def _text(text: str) -> dict[str, Any]:
    """Keep a text as it is, or as the structure it says if the text can be made from that again."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    again = {name: json.dumps(value, ensure_ascii=False, separators=how) for name, how in _JSON.items()}
    name = next((name for name, one in again.items() if one == text and isinstance(value, dict)), None)
    return {name: value} if name else {"text": text}


def as_yaml(value: Any) -> str:
    """Write YAML with texts of several lines as they are, one line below the other."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)
    return text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def string(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.string)


def _calls(message: BaseMessage) -> list[dict[str, Any]]:
    """Return the tool calls without their ids, which differ in every run."""
    if not isinstance(message, AIMessage):
        return []
    broken = [{str(call["name"]): call["args"] or ""} for call in message.invalid_tool_calls]
    return [{call["name"]: call["args"]} for call in message.tool_calls] + broken


def _name_of_call(call_id: str, messages: Sequence[BaseMessage]) -> str:
    made = (call for one in messages if isinstance(one, AIMessage) for call in one.tool_calls)
    return next((call["name"] for call in made if call["id"] == call_id), "")


_TEXTUAL = ("text", "tool_use", "function_call", "reasoning", "thinking")
"""Types of content blocks that are in the text or the calls of a message, or that no model reads again."""


def _media(message: BaseMessage) -> list[dict[str, str]]:
    """Return for each picture, file and the like what it is, and a digest in place of its bytes."""
    blocks = [one for one in message.content if isinstance(one, dict) and one.get("type") not in _TEXTUAL]
    contents = [json.dumps(one, sort_keys=True, default=str).encode() for one in blocks]
    digests = [hashlib.sha256(content).hexdigest()[:16] for content in contents]
    return [{str(block.get("type")): digest} for block, digest in zip(blocks, digests, strict=True)]


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    defined = tool.get("function", tool)
    return {name: defined[name] for name in ("name", "description", "parameters") if name in defined}


def _named(known: dict[str, Any], name: str, definition: Any) -> str:
    """Return the name under which a definition is known; a second one of that name is called `name (2)`."""
    definition = json.loads(json.dumps(definition, default=str))
    number = 1
    key = name
    while key in known and known[key] != definition:
        number += 1
        key = f"{name} ({number})"
    known[key] = definition
    return key
