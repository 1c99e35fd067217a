"""A chat model that follows a script: record the call -> find its reply in the script -> wait, raise or answer."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from operator import itemgetter
from threading import Lock
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel, PrivateAttr

from agents.errors import PodiumError
from agents.runtime import AnyRunnable, JsonObject, run_in_background
from agents.testing.replies import Call, Reply, chunks

_QUOTED = 200
"""Characters of the prompt's end that an error quotes."""


class ScriptError(PodiumError, AssertionError):
    """The script has no reply for a call; never retried, because the test is wrong."""


class ScriptedModel(BaseChatModel):
    """Answer from a script: a list in the order of the calls, a function of the messages, or a dict by the prompt.

    A reply is a text, a `Reply`, an `AIMessage`, an exception to raise, a dict, list or pydantic object to answer as
    JSON, a function of the messages, sync or async, or an iterator that is asked once per call. The keys of a dict are
    substrings or regular expressions, looked for in the text of all messages; the first that fits wins. A single reply
    in place of a script answers every call.
    """

    model_name: str = "scripted"

    _script: Script = PrivateAttr()

    def __init__(self, script: object = (), *, repeat: bool = False, default: object = None, **fields: Any) -> None:
        """`repeat` starts a list over when it has run out; `default` answers whatever the script does not."""
        super().__init__(**{"cache": False, **fields})
        self._script = Script(script, repeat=repeat, default=default)

    @property
    def calls(self) -> list[Call]:
        """Every call so far in the order of arrival, also through `bind`, `bind_tools` and copies of the model."""
        return list(self._script.calls)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _resolve_model_profile(self) -> ModelProfile:
        return {"tool_calling": True, "structured_output": True}

    def bind_tools(
        self,
        tools: Sequence[dict[str, object] | type | Callable[..., object] | BaseTool],
        *,
        tool_choice: str | dict[str, object] | bool | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer the tools; only the script decides whether they are called."""
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **choice, **kwargs)

    def with_structured_output(
        self, schema: JsonObject | type, *, include_raw: bool = False, method: str = "json_schema", **kwargs: object
    ) -> Runnable[LanguageModelInput, Any]:
        """Parse the replies as ChatOpenAI does; `method` is `json_schema`, `json_mode` or `function_calling`."""
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in ("json_schema", "json_mode"):
            raise ValueError(f"Unknown method {method!r}; known: json_schema, json_mode, function_calling")
        model = self.bind(response_format=_response_format(schema, method), **kwargs)
        parser: AnyRunnable = JsonOutputParser()
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            parser = RunnableLambda(_raise_refusal) | PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(self._stream(*args, **kwargs))

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return await agenerate_from_stream(self._astream(*args, **kwargs))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: object = None, **kwargs: object
    ) -> Iterator[ChatGenerationChunk]:
        call = Call(list(messages), kwargs, stop)
        reply = self._script.next(call)
        ready = run_in_background(partial(_reply, reply)) if inspect.isawaitable(reply) else as_reply(reply)
        time.sleep(ready.delay)
        yield from chunks(ready, call, self.model_name)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: object = None, **kwargs: object
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = Call(list(messages), kwargs, stop)
        reply = await _reply(self._script.next(call))
        await asyncio.sleep(reply.delay)
        for chunk in chunks(reply, call, self.model_name):
            yield chunk


async def _reply(reply: object) -> Reply:
    return as_reply(await reply if inspect.isawaitable(reply) else reply)


class Script:
    """The replies that are left, and the calls that were made; one object for all copies of a model."""

    def __init__(self, script: object, *, repeat: bool = False, default: object = None) -> None:
        self.calls: list[Call] = []
        self._lock = Lock()
        self._rules = dict(script) if isinstance(script, Mapping) else {"": script}
        if isinstance(script, list | tuple):
            self._rules = {"": cycle(script) if repeat else iter(script)}
        self._default = default

    def __deepcopy__(self, memo: dict[int, object]) -> Script:
        return self

    def next(self, call: Call) -> object:
        """Record the call and return what the script has for it, perhaps an awaitable.

        Raises:
            ScriptError: The script has no reply for the call.
        """
        with self._lock:
            self.calls.append(call)
            number = len(self.calls)
            fitting = next((reply for key, reply in self._rules.items() if _fits(key, call.prompt)), None)
            for reply in (fitting, self._default):
                reply = next(reply, None) if isinstance(reply, Iterator) else reply
                if reply is not None:
                    break
        if reply is None:
            raise ScriptError(
                f"The script has no reply for call {number}: its replies ran out, or no key fits. "
                f"The prompt ends with: {call.prompt[-_QUOTED:]!r}"
            )
        return reply(call.messages) if callable(reply) and not isinstance(reply, type) else reply


def _fits(key: str | re.Pattern[str], prompt: str) -> bool:
    if isinstance(key, str) and key in prompt:
        return True
    try:
        return re.search(key, prompt) is not None
    except re.error:
        return False


def as_reply(value: object) -> Reply:
    """Return what a script holds as a `Reply`."""
    match value:
        case None:
            raise ScriptError("The function of the script returned None instead of a reply.")
        case Reply():
            return value
        case str():
            return Reply(value)
        case AIMessage():
            return Reply(value.text, tool_calls=value.tool_calls)
        case BaseException():
            return Reply(error=value)
        case type() if issubclass(value, BaseException):
            return Reply(error=value)
    return Reply(data=value)


def _response_format(schema: dict[str, object] | type, method: str) -> Mapping[str, object]:
    if method == "json_mode":
        return {"type": "json_object"}
    json_schema = convert_to_json_schema(schema)
    return {"type": "json_schema", "json_schema": {"name": json_schema.get("title", "reply"), "schema": json_schema}}


def _raise_refusal(message: AIMessage) -> AIMessage:
    if refusal := message.additional_kwargs.get("refusal"):
        from langchain_openai.chat_models.base import OpenAIRefusalError  # slow to import, and rarely needed

        raise OpenAIRefusalError(refusal)
    return message
