"""What an exception says about a failed call, whichever SDK raised it: status, words, headers, causes.

Exceptions are read by their shape (`status_code`, `code`, `body`, `response`), so no provider's SDK is imported.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from json import JSONDecodeError
from typing import Any


def is_unreadable(error: BaseException) -> bool:
    """Tell built-in errors that a client library raises over a reply with status 200 but without an answer."""
    if error.args and isinstance(error.args[0], Mapping) and error.args[0].keys() & {"message", "code", "type"}:
        return True  # the error object itself
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    if isinstance(error, JSONDecodeError | AssertionError):  # which a stream without any event raises, too
        return any(module.startswith("openai.") for module in modules)
    if isinstance(error, IndexError):  # no choices
        return modules[-1:] == ["langchain_core.language_models.chat_models"]
    reading = any(frame.f_code.co_name == "_create_chat_result" for frame in frames)
    nothing = re.match("No generation(s found in stream| chunks were returned)", str(error)) is not None
    return reading or nothing or "value for 'choices'" in str(error)


def is_foreign(error: BaseException) -> bool:
    """Tell a reply with status 200 in the form of another API: Anthropic's, Gemini's, Ollama's own, OpenAI's Responses.

    langchain-openai names the parts of a reply that has no choices.
    """
    return (
        re.search(r"(response keys|'choices' key): .*'(stop_reason|candidates|done_reason|output)'", str(error))
        is not None
    )


def names_of(error: BaseException) -> set[str]:
    """Return the names of the exception's class and its base classes."""
    return {parent.__name__ for parent in type(error).__mro__}


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give the error and its causes."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def first(find: Callable[[BaseException], Any], error: BaseException, default: Any = None) -> Any:
    """Return what is found on the error, else on the nearest of its causes."""
    return next((found for one in causes(error) if (found := find(one))), default)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the failure, also where only the body names it."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        found = [response.get("ResponseMetadata", {}).get("HTTPStatusCode")]
    else:
        names = ("status_code", "status", "http_status")
        found = [getattr(one, name, None) for one in (error, response) for name in names]
    found += [getattr(error, "code", None), body_of(error).get("code"), body_of(error).get("status")]
    numbers = (int(one) for one in found if str(one).isdecimal() and not isinstance(one, bool))
    return next((number for number in numbers if 400 <= number <= 599), None)


def body_of(error: BaseException) -> Mapping[str, Any]:
    """Return the error object that the provider sent, out of whatever it was wrapped in."""
    wrapped = error.args[0] if error.args else None  # langchain-openai: ValueError(error)
    if isinstance(getattr(error, "body", None), str):
        return {"message": error.body}  # type: ignore[attr-defined]
    for found in (*(getattr(error, name, None) for name in ("body", "details", "response")), wrapped):
        body = found[0] if isinstance(found, list) and found else found
        if isinstance(body, Mapping):
            inner = body.get("error") or body.get("Error")
            return inner if isinstance(inner, Mapping) else body
    return {}


def words_of(error: BaseException) -> str:
    """Return the provider's words in lower case, to search in only."""
    body = body_of(error)
    names = ("code", "type", "status", "message", "detail", "details", "Code", "Message", "metadata")
    return (" ".join(str(body[name]) for name in names if body.get(name)) or str(error)).lower()


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers of the provider's reply, with names in lower case."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        found: Any = response.get("ResponseMetadata", {}).get("HTTPHeaders")
    else:
        found = getattr(response, "headers", None) or getattr(error, "headers", None)
    return {str(name).lower(): str(value).strip() for name, value in found.items()} if hasattr(found, "items") else {}
