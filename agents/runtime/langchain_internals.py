"""Code that leans on undocumented behaviour of LangChain and its providers' packages.

Each item has a contract test (tests/test_langchain_internals.py), which fails where a new version behaves otherwise.
"""

import re
import traceback
from collections.abc import Mapping
from json import JSONDecodeError

from langchain_core.messages import AIMessage

from agents.runtime.sanitize import MAX_SEARCHED, reads_foreign_text, words_of

_EMPTY = re.compile("No generation(s found in stream| chunks were returned)")


@reads_foreign_text(lambda read, text: read(ValueError(text)))
def is_unreadable_reply(error: BaseException) -> bool:
    """Return whether a client library raised a built-in error over a reply with status 200 but without an answer."""
    if error.args and isinstance(error.args[0], Mapping) and error.args[0].keys() & {"message", "code", "type"}:
        return True  # the error object itself
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    if isinstance(error, JSONDecodeError | AssertionError):  # a stream without any event raises the second
        return any(module.startswith("openai.") for module in modules)
    if isinstance(error, IndexError):  # no choices
        return modules[-1:] == ["langchain_core.language_models.chat_models"]
    reading = any(frame.f_code.co_name in ("_create_chat_result", "parse_chat_completion") for frame in frames)
    words = words_of(error)[:MAX_SEARCHED]
    return reading or _EMPTY.match(words) is not None or "value for 'choices'" in words


@reads_foreign_text(lambda read, text: read(ValueError(text)))
def is_foreign_reply(error: BaseException) -> bool:
    """Return whether a reply had the form of another API: Anthropic's, Gemini's, Ollama's, OpenAI's Responses.

    langchain-openai names the parts of a reply that has no choices.
    """
    words = words_of(error)[:MAX_SEARCHED]
    names = ("'stop_reason'", "'candidates'", "'done_reason'", "'output'")
    return ("response keys: " in words or "'choices' key: " in words) and any(name in words for name in names)


def is_cut_stream(message: AIMessage) -> bool:
    """Return whether a streamed reply of OpenAI's protocol has no last event: such a cut is not an error there.

    From that event langchain-openai notes the finish reason or, of the Responses API, status and object; of a reply in
    one piece it notes a finish reason even where a compatible server gives none.
    """
    noted = message.response_metadata
    return noted.get("model_provider") == "openai" and not noted.keys() & {"finish_reason", "status", "object"}
