"""The JSON in a reply of a model: after thinking, fenced, in prose, slightly broken, or encoded twice."""

import json
import re

from agents.errors import DecisionError
from agents.models import without_thinking
from agents.runtime import reads_foreign_text

MAX_REPAIRED = 50_000
"""Characters of broken JSON that are repaired; repairing takes a second for a few times as many."""

_FENCED = re.compile(r"(?<!`)```++\w*+\s*+(?=[\[{])")
_BRACES = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[{}]', re.DOTALL)
_HARMLESS = ("Multiple top-level", "Empty key")
"""Beginnings of json-repair's objections to values whose meaning is plain."""


@reads_foreign_text()
def read_json(text: str) -> object:
    """Read the JSON in a model's reply: after thinking, fenced, in prose, or slightly broken.

    JSON that was cut off is completed; several values are a list.

    Raises:
        DecisionError: The reply has no JSON, or its meaning would be a guess.
    """
    text = without_thinking(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import json_repair  # slow to import, and needed only where the JSON is broken or surrounded

    fence = None if text.lstrip().startswith(("{", "[")) else _FENCED.search(text)
    # A lone backslash at the end is half of an escape that was cut off; strict mode tells repair from guesswork.
    body = (text[fence.end() :] if fence else text).rstrip("\\")
    if len(body) > MAX_REPAIRED:
        raise DecisionError("the JSON is broken, and too long to be repaired")
    try:
        json_repair.loads(body, strict=True)
    except (ValueError, RecursionError) as error:
        if not str(error).startswith(_HARMLESS):
            raise DecisionError(f"the JSON is broken: {error}") from error
    value = json_repair.loads(body)
    if value == "":
        raise DecisionError("there is no JSON in the reply")
    return value


@reads_foreign_text()
def read_object(text: str, *, whole: bool = True) -> dict[str, object]:
    """Read a reply that holds exactly one JSON object, in whatever dressing.

    With `whole`, an object that was cut off is not completed, and one within a sentence, perhaps a quotation, not read.

    Raises:
        DecisionError: The reply has none or more than one, or it cannot be read.
    """
    text = _decoded(without_thinking(text))
    fence = None if text.lstrip().startswith("{") else _FENCED.search(text)
    start = text.find("{", fence.end() if fence else 0)
    if start < 0:
        raise DecisionError("there is no JSON object in the reply")
    end = _end(text, start)
    if end is None and whole:
        raise DecisionError("the JSON object in the reply is cut off")
    if end is not None and "{" in text[end:]:
        raise DecisionError("the reply holds several JSON objects")
    if whole and (text[:start].rstrip(" ") or ":")[-1] not in ":`[\n":
        raise DecisionError("the JSON object stands within a sentence; answer with the object alone")
    value = read_json(text[start:end])
    if not isinstance(value, dict):
        raise DecisionError("there is no JSON object in the reply")
    return value


def _decoded(text: str) -> str:
    """Return the text in a reply that is nothing but a JSON text: some models encode an object twice."""
    try:
        inner = json.loads(text) if text.startswith('"') else text
    except ValueError:
        return text
    return inner if isinstance(inner, str) else text


def _end(text: str, start: int) -> int | None:
    """Return where the object ends that starts there, None if it is cut off."""
    depth = 0
    for token in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None
