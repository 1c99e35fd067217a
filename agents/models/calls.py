"""One call of a chat model: history normalised -> called -> reply read, or the fault passed on to be retried.

What a model's server turned out to refuse is remembered for the process, so that it is refused once.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message

from agents.errors import AgentError, EmptyReplyError
from agents.models.normalize import AS_IT_IS, NO_SYSTEM, PLAIN, normalised, whole_calls
from agents.models.thinking import answer_only
from agents.models.wrapped import without_stream_usage
from agents.runtime import (
    AnyRunnable,
    check_reply,
    explain,
    is_json,
    is_rejection,
    is_transient,
    per_model,
    raised_ending,
)

T = TypeVar("T")

_STREAM_OPTIONS = re.compile(r"stream_?options|include_usage", re.IGNORECASE)
_TEMPLATE = re.compile(r"jinja|chat.?template|must alternate", re.IGNORECASE)
"""Words of servers that answer 500 where the chat template of their model refuses a history."""
_FORM = re.compile(r"response_format|json.?schema|grammar", re.IGNORECASE)
_TOOLS = re.compile(r"\btool\b|tools\b(?!\W?\d)|tool_choice|function.?call", re.IGNORECASE)
_UNSUPPORTED = re.compile(r"support|requires?\b|enabled?\b|unknown|unrecogni|permitted|unexpected", re.IGNORECASE)
_NO_MODEL = re.compile(r"model_not_found|model\b.{0,80}\b(not|n't) (exist|found|a valid)", re.IGNORECASE)
_ROLES = re.compile(r"system|role", re.IGNORECASE)


@dataclass
class Habits:
    """Limits that a model's server turned out to have."""

    level: int = AS_IT_IS
    """Level to which histories are simplified for it (`agents.models.normalize`)."""
    form_in_words: bool = False
    """Whether it is asked for JSON in words, because it refused structured output."""
    no_stream_options: bool = False
    no_tools: bool = False
    """Whether it refused requests that offer tools."""


habits_of = per_model(Habits)
"""Return the habits of a model's server, to be read and corrected."""


async def call_once(
    model: AnyRunnable,
    messages: Sequence[BaseMessage],
    call: Callable[[AnyRunnable, list[BaseMessage]], Awaitable[T]],
    who: str,
) -> T:
    """Call a model; where its server refuses the form of the request, call it again at once in a simpler form.

    Raises:
        AgentError: The reply was refused, filtered or cut off, and the client raises that.
    """
    habits = habits_of(model)
    level, no_stream_options = habits.level, habits.no_stream_options
    while True:
        sent = normalised(messages, level)
        try:
            reply = await call(without_stream_usage(model) if no_stream_options else model, sent)
        except Exception as error:
            if kind := raised_ending(error):
                raise AgentError(f"Agent {who!r} gave no usable answer. {explain(error)}", kind=kind) from error
            words = _words(error)
            is_refused = is_rejection(error) or isinstance(error, ValueError)
            if not _TEMPLATE.search(words) and (is_transient(error) or not is_refused):
                raise
            if _STREAM_OPTIONS.search(words) and not no_stream_options:
                no_stream_options = True
            elif not _FORM.search(words) and (simpler := _simpler(level, words, messages, sent)) is not None:
                level = simpler
            else:
                raise
        else:
            habits.level, habits.no_stream_options = level, no_stream_options
            return reply


def _words(error: BaseException) -> str:
    """Return what a server said of a request, to search in only."""
    return f"{error} {getattr(error, 'body', '')}"


def refuses_form(error: Exception) -> bool:
    """Return whether a server may have refused structured output: most do so by 400, 404 or 422, in many words."""
    words = _words(error)
    is_refused = is_rejection(error) and not _NO_MODEL.search(words)
    return isinstance(error, UnstructuredError) or is_refused or _FORM.search(words) is not None


def refuses_tools(error: Exception) -> bool:
    """Return whether a server refused a request because its model cannot call tools, not for what is wrong in one."""
    words = _words(error)
    return is_rejection(error) and all(form.search(words) for form in (_TOOLS, _UNSUPPORTED))


def _simpler(level: int, words: str, messages: Sequence[BaseMessage], sent: list[BaseMessage]) -> int | None:
    """Return the next level at which a refused history looks different; None after the last."""
    highest = NO_SYSTEM if _ROLES.search(words) else PLAIN
    return next((other for other in range(level + 1, highest + 1) if normalised(messages, other) != sent), None)


class UnstructuredError(Exception):
    """The model's class has no structured output."""


class WrittenArguments(BaseCallbackHandler):
    """Collects the arguments of streamed tool calls as they were written, for LangChain completes what was cut off."""

    run_inline = True

    def __init__(self) -> None:
        self._texts: dict[object, dict[object, str]] = {}
        self._are_whole = True

    def on_llm_new_token(self, token: object, *, chunk: object = None, run_id: object = None, **about: object) -> None:
        message = getattr(chunk, "message", None)
        for part in message.tool_call_chunks if isinstance(message, AIMessageChunk) else ():
            texts = self._texts.setdefault(run_id, {})
            key = part.get("id") if part.get("index") is None else part["index"]
            texts[key] = texts.get(key, "") + (part.get("args") or "")

    def on_llm_end(self, response: object, *, run_id: object = None, **about: object) -> None:
        texts = self._texts.pop(run_id, {}).values()
        self._are_whole = all(not text.strip() or is_json(text) for text in texts)

    def check(self, who: str) -> None:
        """Raise `EmptyReplyError` for half a tool call; it is asked for again."""
        if not self._are_whole:
            raise EmptyReplyError(f"Agent {who!r} called a tool with arguments that broke off; ask again.")


def read_reply(message: AIMessage, who: str, *, calls: bool = False) -> AIMessage:
    """Return a reply without thinking, its tool calls with ids; one that calls tools alone is empty without `calls`.

    Raises:
        AgentError: The reply was refused, filtered or cut off.
        EmptyReplyError: It is empty, or calls a tool with arguments that are not JSON.
    """
    message = whole_calls(answer_only(cast("AIMessage", message_chunk_to_message(message))))
    check_reply(message, who, calls=calls)
    return message
