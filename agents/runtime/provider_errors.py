"""Failed calls and replies that are no answer: is trying again of use, how long to wait, what to tell people.

exception -> what the provider said (status, words) -> its kind -> is_transient | explain
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage
from langgraph.errors import EmptyInputError, GraphBubbleUp, InvalidUpdateError

from agents.errors import AgentError, EmptyReplyError, PodiumError, TransientError
from agents.runtime.error_evidence import (
    body_of,
    causes,
    first,
    headers_of,
    is_foreign,
    is_unreadable,
    names_of,
    status_of,
    words_of,
)
from agents.runtime.sanitize import clean_data, masked

_PERMANENT = (
    *(TypeError, AttributeError, NameError, LookupError, ImportError, SyntaxError, ArithmeticError, ValueError),
    *(NotImplementedError, AssertionError, RecursionError, InvalidUpdateError, EmptyInputError),
)
"""Errors of programs: the same call ends the same way."""


class _Kind(NamedTuple):
    transient: bool
    sentence: str


_KINDS = {
    "rate limit": _Kind(True, "The provider limits the rate of requests; wait, or do less at once"),
    "quota": _Kind(False, "The account's quota or credit is used up; check its plan and billing"),
    "key": _Kind(False, "The provider did not accept the API key; check the key and the base URL"),
    "permission": _Kind(False, "The API key may not use this model or service; check its permissions"),
    "too long": _Kind(False, "The request is longer than the model accepts; shorten the task or its context"),
    "filtered": _Kind(False, "The provider's content filter stepped in; word the request differently"),
    "refused": _Kind(False, "The model refused to answer; word the request differently or use another model"),
    "truncated": _Kind(False, "The reply was cut off at the output limit; raise max_tokens or ask for less"),
    "unknown": _Kind(False, "The provider knows no such model or address; check the model's name and the base URL"),
    "invalid": _Kind(False, "The provider rejected the request as invalid; check the model's settings and tools"),
    "unsendable": _Kind(False, "The request cannot be sent; check the form of base URL, API key and certificate"),
    "server": _Kind(True, "The provider failed to answer; try again later"),
    "time-out": _Kind(True, "No answer came in time; try again, or allow more time"),
    "connection": _Kind(True, "The connection to the provider or server failed; check the network and the base URL"),
    "foreign": _Kind(False, "The server replied in the form of another API; check the base URL and the model's class"),
    "unreadable": _Kind(True, "The provider's reply held no answer; if that goes on, check the base URL"),
}
_BY_STATUS = {
    0: "unreadable",
    401: "key",
    402: "quota",
    403: "permission",
    404: "unknown",
    408: "time-out",
    413: "too long",
}
_BY_STATUS |= {409: "server", 425: "server", 429: "rate limit", 498: "server", 499: "server", 504: "time-out"}

_BY_NAME = {"LengthFinishReasonError": "truncated", "ContentFilterFinishReasonError": "filtered"}
_BY_NAME |= {"OpenAIRefusalError": "refused", "ContextOverflowError": "too long"}
_UNSENDABLE = {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"}

_LABELS = {
    429: r"rate.?limit|too.?many.?requests|throttl|resource.?exhausted",
    401: r"api.?key|authenticat|unauthorized|credentials",
    403: r"permission|forbidden",
    404: r"not.?found|not.?exist",
    400: r"invalid.?(request|argument|value|param)|bad.?request|validation|unsupported",
}
"""Words by which an error body without an HTTP status stands for one."""

_TOO_LONG = (
    r"context.?(length|size|window)|maximum context|(request|entity|payload).too.large|(prompt|input) is too long|"
)
_TOO_LONG += r"reduce the length|too many tokens:|tokens? (count )?.{0,30}exceeds? the (maximum|configured)"
_NO_QUOTA = r"insufficient.?(quota|balance|credit|funds)|credit balance|(available|enough|any) credits|out of credits|"
_NO_QUOTA += r"(spending|usage|billing)[ _](hard[ _])?limit|billing_not_active|payment.required|perday"
_OUT_OF_QUOTA = (
    r"exceeded your .{0,20}quota|quota (is |has been )?(exhausted|used up)|billing|daily|monthly|(per.?|/ ?)(day|month)"
)
_SOON = r"rate_limit_exceeded|(try|retry) (again )?(in|after)\b|retry.?delay|per.?(min|sec)"
"""What tells a limit that passes within minutes, though its message speaks of plans and billing."""
_FILTER = r"content.?filter|content.?(policy|management)|responsible.?ai|moderation|safety.?(system|filter)"


def is_transient(error: BaseException) -> bool:
    """Tell whether making the same call again may succeed."""
    if isinstance(error, GraphBubbleUp) or not isinstance(error, Exception):
        return False  # an interrupt or a cancellation is no failure
    if isinstance(error, PodiumError):
        return isinstance(error, TransientError)
    if isinstance(error, ExceptionGroup):
        return all(is_transient(one) for one in error.exceptions)
    headers: dict[str, str] = first(headers_of, error, {})
    advice = headers.get("x-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    kind = _kind(error)
    return _KINDS[kind].transient if kind else not isinstance(error, _PERMANENT)


def is_rate_limit(error: BaseException) -> bool:
    """Return whether a provider refused a call because there were too many; not because a quota is used up."""
    return _kind(error) == "rate limit" and is_transient(error)


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that the server asked to wait; None if it did not, or asked for no time at all."""
    headers = first(headers_of, error, {})
    milliseconds = _seconds(headers.get("retry-after-ms"))
    wait = _seconds(headers.get("retry-after")) if milliseconds is None else milliseconds / 1000
    return wait if wait and wait > 0 else None


def provider_words(error: BaseException) -> str:
    """Return what the provider itself said, masked."""
    return masked(first(words_of, error) or "") or explain(error)


def explain(error: BaseException) -> str:
    """Say in one sentence what went wrong and what to do, without keys, prompts or bodies."""
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    if isinstance(error, PodiumError):
        return masked(" ".join(str(error).split())) or type(error).__name__
    kind = _kind(error)
    if kind is None or _is_own_words(error):
        return f"{type(error).__name__}: {masked(str(error))}".removesuffix(": ")
    return f"{_KINDS[kind].sentence}{_codes(error)}."


def _is_own_words(error: BaseException) -> bool:
    """Tell a `ConnectionError` or `TimeoutError` that a function raised with a message from those of a connection.

    The operating system's have a number, and clients such as httpx have classes of their own or give a cause.
    """
    own = isinstance(error, ConnectionError | TimeoutError) and type(error).__module__ == "builtins"
    return own and error.__cause__ is None and len(error.args) == 1 and " " in str(error)


def check_reply(message: AIMessage, who: str) -> None:
    """Raise for a model's reply that is no answer, which providers return as if it were one.

    Raises:
        AgentError: The reply was refused, filtered or cut off (`kind`).
        EmptyReplyError: It has no text, broke off, or calls a tool with arguments that are no JSON or too large.
    """
    reason = _finish_reason(message)
    said = f" (finish reason {reason!r})" if reason else ""
    refusal = _refusal(message)
    for kind, pattern in _NO_ANSWER.items():
        if re.fullmatch(pattern, reason) or (kind == "refused" and refusal):
            quoted = f'; it said "{masked(refusal)}"' if kind == "refused" and refusal else ""
            raise AgentError(f"Agent {who!r} gave no usable answer{said}. {_KINDS[kind].sentence}{quoted}.", kind=kind)
    if re.fullmatch(_BROKEN_OFF, reason):
        raise EmptyReplyError(f"Agent {who!r} gave no answer: the reply broke off{said}; ask again.")
    if _is_cut(message):
        raise EmptyReplyError(f"Agent {who!r} gave no whole answer: the stream of the reply broke off; ask again.")
    if message.invalid_tool_calls:
        raise EmptyReplyError(f"Agent {who!r} called a tool with arguments that are no JSON{said}; ask again.")
    _check_arguments(message, who)
    if not (message.text.strip() or message.tool_calls or _has_media(message)):
        raise EmptyReplyError(f"Agent {who!r} replied without text{said}; ask again or use another model.")


_NO_ANSWER = {
    "refused": r"refusal|refused",
    "filtered": r"(content|guardrails?|image)_?(filter|filtered|intervened|safety|prohibited_content|recitation)"
    r"|safety|recitation|blocklist|prohibited_content|spii|language|sensitive|moderation|error_toxic|model_armor",
    "truncated": r"length|(model|max)_?length|max_(output_|completion_)?tokens|token_limit|error_limit"
    r"|model_context_window_exceeded",
}
"""Finish reasons of OpenAI, Azure, Anthropic, Bedrock, Gemini, Cohere, Mistral and others, in lower case."""
_BROKEN_OFF = r"error|failed|abort(ed)?|cancell?ed|network_error|insufficient_system_resource|other"
_BROKEN_OFF += r"|malformed_(function_call|response)|unexpected_tool_call|too_many_tool_calls|eos_token_missing"


def _is_cut(message: AIMessage) -> bool:
    """Tell a streamed reply of OpenAI's protocol whose last event never came: a closed connection is no error there.

    From that event langchain-openai notes the finish reason or, of the Responses API, status and object; of a reply in
    one piece it notes a finish reason even where a compatible server gives none.
    """
    said = message.response_metadata
    return said.get("model_provider") == "openai" and not said.keys() & {"finish_reason", "status", "object"}


def _check_arguments(message: AIMessage, who: str) -> None:
    for call in message.tool_calls:
        try:
            clean_data(call["args"])
        except ValueError as error:
            raise EmptyReplyError(f"Agent {who!r} called a tool with {error}; ask again.") from error


def _finish_reason(message: AIMessage) -> str:
    """Return why the model stopped in lower case, whatever the provider calls that."""
    said = message.response_metadata
    incomplete = said.get("incomplete_details") or {}  # OpenAI's Responses API
    names = ("finish_reason", "stop_reason", "stopReason", "done_reason")
    found = incomplete.get("reason") or next((said[name] for name in names if said.get(name)), "")
    return str(found).rsplit(".", 1)[-1].lower()  # an enum's text is FinishReason.SAFETY


def _blocks(message: AIMessage) -> list[dict[str, Any]]:
    return [block for block in message.content if isinstance(block, dict)]


def _refusal(message: AIMessage) -> str:
    found = [message.additional_kwargs.get("refusal"), *(block.get("refusal") for block in _blocks(message))]
    return " ".join(str(refusal) for refusal in found if refusal)


def _has_media(message: AIMessage) -> bool:
    kinds = {str(block.get("type")) for block in _blocks(message)}
    return bool(kinds & {"image", "image_url", "audio", "video", "file"} or message.additional_kwargs.get("audio"))


def _kind(error: BaseException) -> str | None:
    """Name what went wrong between us and the provider; None if the error has nothing to do with a provider."""
    if any(names_of(one) & _UNSENDABLE or "CERTIFICATE_VERIFY_FAILED" in str(one) for one in causes(error)):
        return "unsendable"
    return next((kind for one in causes(error) if (kind := _kind_of(one))), None)


def _kind_of(error: BaseException) -> str | None:
    names = names_of(error)
    known = next((kind for name, kind in _BY_NAME.items() if name in names), None)
    status = status_of(error)
    if known or status:
        return known or _kind_by_words(status or 0, words_of(error))
    transport = " ".join(() if isinstance(error, _PERMANENT) else names)
    if re.search("Timeout", transport):
        return "time-out"
    if re.search("Connect|Network|Protocol|ReadError", transport):
        return "connection"
    unreadable = is_unreadable(error)
    if getattr(error, "body", None) or isinstance(error, ModelError) or (unreadable and isinstance(error, ValueError)):
        return _kind_by_words(_status_by_label(error), words_of(error))
    if not unreadable:
        return None
    return "foreign" if is_foreign(error) else "unreadable"


def _status_by_label(error: BaseException) -> int:
    """Return the HTTP status that an error body's code or type stands for, else 0."""
    body = body_of(error)
    labels = [str(body[name]) for name in ("code", "type", "status") if body.get(name)]
    labels += names_of(error) if isinstance(error, ModelError) else []
    said = " ".join(labels).lower() or words_of(error)
    return next((status for status, words in _LABELS.items() if re.search(words, said)), 0)


def _kind_by_words(status: int, said: str) -> str:
    def says(words: str) -> bool:
        return re.search(words, said) is not None

    if says(_TOO_LONG):
        return "too long"
    if status in (0, 400, 403, 429) and says(_NO_QUOTA):
        return "quota"
    if status == 429 and says(_OUT_OF_QUOTA) and not says(_SOON):
        return "quota"
    if status in (0, 400, 403, 422) and says(_FILTER):
        return "filtered"
    if status == 400 and says(r"api.?key"):
        return "key"
    if status == 400 and says(r"throttl|too.?many.?requests|resource.?exhausted"):
        return "rate limit"
    return _BY_STATUS.get(status, "server" if status >= 500 else "invalid")


def _codes(error: BaseException) -> str:
    """Quote what identifies a fault and can hold no prompt: HTTP status, error code, name of the parameter."""
    status, body = first(status_of, error), first(body_of, error, {})
    named = [str(body.get(name) or "") for name in ("code", "param")]
    codes = [f"HTTP {status}"] * bool(status) + [
        name for name in named if re.fullmatch(r"[a-z][a-z_.\[\]0-9]{,40}", name)
    ]
    return f" ({', '.join(codes)})" if codes else ""


def _seconds(header: str | None) -> float | None:
    """Read a wait, given as a number of seconds or as an HTTP date."""
    try:
        seconds = float(header or "")
    except ValueError:
        pass
    else:
        return seconds if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(header or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
