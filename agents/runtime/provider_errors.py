"""Failed calls of providers: may the call be repeated, how long to wait first, and what to tell people.

exception -> status, body, words (whichever SDK raised it) -> kind -> is_transient | is_rate_limit | explain
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from langgraph.errors import EmptyInputError, GraphBubbleUp, InvalidUpdateError

from agents.errors import PodiumError, TransientError
from agents.runtime.langchain_internals import is_foreign_reply, is_unreadable_reply
from agents.runtime.sanitize import MAX_SEARCHED, attribute_of, masked, reads_foreign_text, words_of

T = TypeVar("T")

_PERMANENT = (
    *(TypeError, AttributeError, NameError, LookupError, ImportError, SyntaxError, ArithmeticError, ValueError),
    *(NotImplementedError, AssertionError, RecursionError, InvalidUpdateError, EmptyInputError),
)
"""Errors of programs: the same call ends the same way."""

SENTENCES = {
    "rate limit": "The provider limits the rate of requests; wait, or do less at once",
    "quota": "The account's quota or credit is used up; check its plan and billing",
    "key": "The provider did not accept the API key; check the key and the base URL",
    "permission": "The API key may not use this model or service; check its permissions",
    "too long": "The request is longer than the model accepts; shorten the task or its context",
    "filtered": "The provider's content filter stepped in; word the request differently",
    "refused": "The model refused to answer; word the request differently or use another model",
    "truncated": "The reply was cut off at the output limit; raise max_tokens or ask for less",
    "unknown": "The provider knows no such model or address; check the model's name and the base URL",
    "invalid": "The provider rejected the request as invalid; check the model's settings and tools",
    "garbled": "The model wrote a tool call that its provider could not read; ask again",
    "unsendable": "The request cannot be sent; check the form of base URL, API key and certificate",
    "server": "The provider failed to answer; try again later",
    "time-out": "No answer came in time; try again, or allow more time",
    "connection": "The connection to the provider or server failed; check the network and the base URL",
    "foreign": "The server replied in the form of another API; check the base URL and the model's class",
    "unreadable": "The provider's reply held no answer; if that goes on, check the base URL",
}
"""Sentences for people by kind of failure."""

_TRANSIENT = {"rate limit", "garbled", "server", "time-out", "connection", "unreadable"}

_CLASSES = {"ContextOverflowError": "too long", "ModelRateLimitError": "rate limit", "ModelAuthenticationError": "key"}
_CLASSES |= {"ModelPermissionDeniedError": "permission", "ModelNotFoundError": "unknown"}
_CLASSES |= {"LengthFinishReasonError": "truncated", "ContentFilterFinishReasonError": "filtered"}
_CLASSES |= {"OpenAIRefusalError": "refused"}
"""Kinds of failure by class of langchain-core and the OpenAI client; `is_retryable` judges other `ModelError`s."""

_STATUSES = {401: "key", 402: "quota", 403: "permission", 404: "unknown", 408: "time-out", 413: "too long"}
_STATUSES |= {409: "server", 425: "server", 429: "rate limit", 498: "server", 499: "server", 504: "time-out"}
"""Other statuses below 500 are `invalid`, others above are `server`."""

_LABELS = {
    "rate limit": r"rate.?limit|too.?many.?requests|throttl|resource.?exhausted",
    "key": r"api.?key|authenticat|unauthorized|credentials",
    "permission": r"permission|forbidden|access.?denied",
    "unknown": r"not.?found|not.?exist",
    "invalid": r"invalid.?(request|argument|value|param)|bad.?request|validation|unsupported",
}
"""Words of an error's code or type that stand for a kind, where the error has no HTTP status."""

_TOO_LONG = (
    r"context.?(length|size|window)|maximum context|(request|entity|payload).too.large|(prompt|input) is too long"
)
_TOO_LONG += r"|reduce the length|too many tokens:|tokens? (count )?.{0,30}exceeds? the (maximum|configured)"
_NO_QUOTA = r"insufficient.?(quota|balance|credit|funds)|credit balance|(available|enough|any) credits|out of credits"
_NO_QUOTA += r"|(spending|usage|billing)[ _](hard[ _])?limit|billing_not_active|payment.required|perday"
_LASTING = r"exceeded your .{0,20}quota|quota (is |has been )?(exhausted|used up)|billing|daily|monthly"
_LASTING += r"|(per.?|/ ?)(day|month)"
_SOON = r"rate_limit_exceeded|(try|retry) (again )?(in|after)\b|retry.?delay|per.?(min|sec)"
"""A limit that passes within minutes, though its message speaks of plans and billing."""
_FILTER = r"content.?filter|content.?(policy|management)|responsible.?ai|moderation|safety.?(system|filter)"


def is_transient(error: BaseException) -> bool:
    """Return whether making the same call again may succeed."""
    if isinstance(error, GraphBubbleUp) or not isinstance(error, Exception):
        return False  # an interrupt or a cancellation is not a failure
    if isinstance(error, PodiumError):
        return isinstance(error, TransientError)
    if isinstance(error, ExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    advice = _first(_headers, error).get("x-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    kind = _kind(error)
    return kind in _TRANSIENT if kind else not isinstance(error, _PERMANENT)


def is_rate_limit(error: BaseException) -> bool:
    """Return whether a provider refused a call because there were too many; not because a quota is used up."""
    return _kind(error) == "rate limit" and is_transient(error)


def is_rejection(error: BaseException) -> bool:
    """Return whether a request was refused for its form, not for key, quota, rate, length or content."""
    return _first(_status, error) in (400, 404, 422) and _kind(error) in ("invalid", "unknown")


def raised_ending(error: BaseException) -> str | None:
    """Return why a reply is not an answer where the client raised that: `refused`, `filtered` or `truncated`."""
    kind = next((kind for name, kind in _CLASSES.items() if name in _names(error)), None)
    return kind if kind in ("refused", "filtered", "truncated") else None


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that the server asked to wait; None if it did not, or asked for no time at all."""
    headers = _first(_headers, error)
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    wait = _seconds(headers.get("retry-after", "")) if milliseconds is None else milliseconds / 1000
    return wait if wait and wait > 0 else None


@reads_foreign_text(lambda read, text: read(ValueError({"message": text})))
def explain(error: BaseException) -> str:
    """Return one sentence on what went wrong and what to do, without keys, prompts or bodies."""
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    if isinstance(error, PodiumError):
        return masked(" ".join(words_of(error)[:MAX_SEARCHED].split())) or type(error).__name__
    kind = _kind(error)
    if kind is None or _has_own_words(error):
        return f"{type(error).__name__}: {masked(words_of(error))}".removesuffix(": ")
    return f"{SENTENCES[kind]}{_codes(error)}."


def provider_words(error: BaseException) -> str:
    """Return the provider's own words, masked, or nothing if it said none; they may quote the prompt."""
    message = next((str(body[name]) for body in [_first(_body, error)] for name in _WORDY if body.get(name)), "")
    return masked(message)


def evidence(error: BaseException) -> dict[str, object]:
    """Return, as attributes for a copy without the response, what this module judges an error by."""
    headers = {name: value for name, value in _headers(error).items() if "retry" in name}
    return {"status_code": _status(error), "headers": headers, "body": dict(_body(error))}


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _first(find: Callable[[BaseException], T], error: BaseException) -> T:
    """Return what is there of the error, else of the nearest of its causes."""
    return next((value for cause in causes(error) if (value := find(cause))), find(error))


def _has_own_words(error: BaseException) -> bool:
    """Return whether a function raised a `ConnectionError` or `TimeoutError` with a message of its own.

    The operating system's have a number; clients such as httpx have classes of their own or give a cause.
    """
    own = isinstance(error, ConnectionError | TimeoutError) and type(error).__module__ == "builtins"
    return own and error.__cause__ is None and len(error.args) == 1 and " " in words_of(error)


def _kind(error: BaseException) -> str | None:
    """Name what went wrong between us and the provider; None if the error has nothing to do with a provider."""
    wrong = {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"}
    if any(_names(cause) & wrong or "CERTIFICATE_VERIFY_FAILED" in words_of(cause) for cause in causes(error)):
        return "unsendable"
    return _first(_kind_of, error)


def _kind_of(error: BaseException) -> str | None:
    names, status = _names(error), _status(error)
    kind = next((kind for name, kind in _CLASSES.items() if name in names), None)
    if kind or status:
        return _refined(kind or _STATUSES.get(status, "server" if status >= 500 else "invalid"), status, error)
    transport = " ".join(() if isinstance(error, _PERMANENT) else names)
    if re.search("Timeout|Connect|Network|Protocol|ReadError", transport):
        return "time-out" if "Timeout" in transport else "connection"
    if "ModelError" in names:
        return _refined("server" if getattr(error, "is_retryable", False) else "invalid", 0, error)
    unreadable = is_unreadable_reply(error)
    if attribute_of(error, "body") or (unreadable and _body(error)):
        return _refined(_labelled(error), 0, error)
    return ("foreign" if is_foreign_reply(error) else "unreadable") if unreadable else None


def _labelled(error: BaseException) -> str:
    """Return the kind that the code or type in an error's body stands for."""
    body = _body(error)
    labels = " ".join(str(body[name]) for name in ("code", "type", "status") if body.get(name)).lower()
    labels = labels[:MAX_SEARCHED] or _words(error)
    return next((kind for kind, words in _LABELS.items() if re.search(words, labels)), "unreadable")


def _refined(kind: str, status: int, error: BaseException) -> str:
    """Return the kind that the provider's words say, where the status covers several."""
    words = _words(error)

    def says(pattern: str) -> bool:
        return re.search(pattern, words) is not None

    if says(_TOO_LONG):
        return "too long"
    if (status in (0, 400, 403, 429) and says(_NO_QUOTA)) or (status == 429 and says(_LASTING) and not says(_SOON)):
        return "quota"
    if status in (0, 400, 403, 422) and says(_FILTER):
        return "filtered"
    if status == 400 and says("api.?key"):
        return "key"
    if status == 400 and says("throttl|too.?many.?requests|resource.?exhausted"):
        return "rate limit"
    # Groq's code for a tool call that it could not read; without tools in the request it is the caller's mistake.
    return "garbled" if status == 400 and "tool_use_failed" in words and _offered_tools(error) else kind


def _offered_tools(error: BaseException) -> bool:
    request = getattr(getattr(error, "response", None), "request", None)
    return b'"tools":' in getattr(request, "content", b"").replace(b" ", b"")


def _names(error: BaseException) -> set[str]:
    return {parent.__name__ for parent in type(error).__mro__}


def _status(error: BaseException) -> int:
    """Return the HTTP status of the failure, also where only the body names it; else 0."""
    response = attribute_of(error, "response")
    if isinstance(response, Mapping):  # botocore
        values: list[Any] = [(response.get("ResponseMetadata") or {}).get("HTTPStatusCode")]
    else:
        names = ("status_code", "status", "http_status")
        values = [attribute_of(holder, name) for holder in (error, response) for name in names]
    values += [attribute_of(error, "code"), _body(error).get("code"), _body(error).get("status")]
    return next((int(value) for value in values if re.fullmatch("[45][0-9][0-9]", str(value)[:4])), 0)


def _body(error: BaseException) -> Mapping[str, object]:
    """Return the error object that the provider sent, out of whatever it was wrapped in."""
    wrapped = error.args[0] if error.args else None  # langchain-openai: ValueError(error)
    values = [attribute_of(error, name) for name in ("body", "details", "response")]
    if isinstance(values[0], str):
        return {"message": values[0]}
    for value in (*values, wrapped):
        body = value[0] if isinstance(value, list) and value else value
        if isinstance(body, Mapping):
            inner = body.get("error") or body.get("Error")
            if isinstance(inner, str):  # Ollama, Hugging Face
                return {"message": inner, **body}
            return inner if isinstance(inner, Mapping) else body
    return {}


_WORDY = ("message", "detail", "details", "Message", "code", "type", "status", "Code", "metadata")


def _words(error: BaseException) -> str:
    body = _body(error)
    return (" ".join(str(body[name]) for name in _WORDY if body.get(name)) or words_of(error))[:MAX_SEARCHED].lower()


def _headers(error: BaseException) -> dict[str, str]:
    """Return the headers of the provider's reply, with names in lower case."""
    response = attribute_of(error, "response")
    if isinstance(response, Mapping):
        headers: Any = (response.get("ResponseMetadata") or {}).get("HTTPHeaders")
    else:
        headers = attribute_of(response, "headers") or attribute_of(error, "headers")
    items = headers.items() if hasattr(headers, "items") else ()
    return {str(name).lower(): str(value).strip() for name, value in items}


def _codes(error: BaseException) -> str:
    """Quote what identifies a fault and can hold no prompt: HTTP status, error code, name of the parameter."""
    status, body = _first(_status, error), _first(_body, error)
    names = [str(body.get(name)) for name in ("code", "param") if body.get(name)]
    plain = [name for name in names if re.fullmatch(r"[a-z][a-z_.\[\]0-9]{,40}", name)]
    codes = [f"HTTP {status}" if status else "", *plain]
    return f" ({', '.join(filter(None, codes))})" if any(codes) else ""


def _seconds(header: str) -> float | None:
    """Read a wait: a number of seconds, perhaps with a unit (`250ms`, `2s`, `1m`), or an HTTP date."""
    wait = r"([-+]?(?:\d{1,15}\.?\d{0,9}|\.\d{1,9})(?:e[+-]?\d{1,3})?)\s?(ms|s|m)?"
    if number := re.fullmatch(wait, header[:30].strip().lower()):
        return float(number[1]) * {"ms": 0.001, "m": 60.0}.get(number[2], 1.0)
    try:
        date = parsedate_to_datetime(header[:100])
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
