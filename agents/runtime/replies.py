"""Replies that are not answers: empty, refused, filtered, cut off, with half a tool call."""

import json
import re

from langchain_core.messages import AIMessage, AIMessageChunk

from agents.errors import AgentError, EmptyReplyError
from agents.runtime.langchain_internals import is_cut_stream
from agents.runtime.provider_errors import SENTENCES
from agents.runtime.sanitize import clean_data, masked, reads_foreign_text

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


@reads_foreign_text(lambda read, text: read(AIMessage("", additional_kwargs={"refusal": text}), text))
def check_reply(message: AIMessage, who: str, *, calls: bool = True) -> None:
    """Raise if a model's reply is not an answer; providers return these as ordinary messages.

    Without `calls` tool calls alone are not an answer.

    Raises:
        AgentError: The reply was refused, filtered or cut off (`kind`).
        EmptyReplyError: It has no text, broke off, or calls a tool with arguments that are not JSON or too large.
    """
    reason = _finish_reason(message)
    note = f" (finish reason {reason!r})" if reason else ""
    refusals = [message.additional_kwargs.get("refusal"), *(block.get("refusal") for block in _blocks(message))]
    refusal = " ".join(str(part) for part in refusals if part)
    for kind, pattern in _NO_ANSWER.items():
        if re.fullmatch(pattern, reason) or (kind == "refused" and refusal):
            quoted = f'; it said "{masked(refusal)}"' if kind == "refused" and refusal else ""
            raise AgentError(f"Agent {who!r} gave no usable answer{note}. {SENTENCES[kind]}{quoted}.", kind=kind)
    if re.fullmatch(_BROKEN_OFF, reason):
        raise EmptyReplyError(f"Agent {who!r} gave no answer: the reply broke off{note}; ask again.")
    if is_cut_stream(message):
        raise EmptyReplyError(f"Agent {who!r} gave no whole answer: the stream of the reply broke off; ask again.")
    # LangChain completes the arguments of a streamed call that was cut off.
    parts = message.tool_call_chunks if isinstance(message, AIMessageChunk) else ()
    if message.invalid_tool_calls or not all(is_json(part["args"] or "{}") for part in parts):
        raise EmptyReplyError(f"Agent {who!r} called a tool with arguments that are not JSON{note}; ask again.")
    for call in message.tool_calls:
        try:
            clean_data(call["args"])
        except ValueError as error:
            raise EmptyReplyError(f"Agent {who!r} called a tool with {error}; ask again.") from error
    if not (message.text.strip() or (calls and message.tool_calls) or _has_media(message)):
        raise EmptyReplyError(f"Agent {who!r} replied without text{note}; ask again or use another model.")


def is_json(text: str) -> bool:
    """Return whether a text is JSON that can be read."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _finish_reason(message: AIMessage) -> str:
    """Return why the model stopped in lower case, whatever the provider calls that."""
    noted = message.response_metadata
    incomplete = noted.get("incomplete_details") or {}  # OpenAI's Responses API
    names = ("finish_reason", "stop_reason", "stopReason", "done_reason")
    reason = incomplete.get("reason") or next((noted[name] for name in names if noted.get(name)), "")
    return str(reason)[:100].rsplit(".", 1)[-1].lower()  # an enum's text is FinishReason.SAFETY


def _blocks(message: AIMessage) -> list[dict[str, object]]:
    return [] if isinstance(message.content, str) else [block for block in message.content if isinstance(block, dict)]


def _has_media(message: AIMessage) -> bool:
    kinds = {str(block.get("type")) for block in _blocks(message)}
    return bool(kinds & {"image", "image_url", "audio", "video", "file"} or message.additional_kwargs.get("audio"))
