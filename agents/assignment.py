"""How an assignment is put to a chat model, and how somebody's words are quoted in any prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Required

from typing_extensions import TypedDict

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w[\w.\-]*)\}")
_NAME = re.compile(r"\w[\w.\-]*")
_OWN_WORDS = {"item": "The item", "feedback": "Feedback", "result": "The result"}
"""How labels of one word are called that are no names."""


class Assignment(TypedDict, total=False):
    """What an agent is asked to do."""

    task: Required[str]
    context: dict[str, str]
    """By label, the text of exactly the results this task depends on."""
    request: str
    """The user's own wording, for orientation."""
    template: str
    """The task before `{request}` and `{label}` were filled in; chat models get those as fenced data instead."""


def placeholders(template: str) -> list[str]:
    """Return the names that a template quotes as `{name}`; `{{` and `}}` are plain braces."""
    return [found[1] for found in _PLACEHOLDER.finditer(template) if found[1]]


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders of a template; those without a value stay as they are."""

    def value(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else values.get(found[1], found[0])

    return _PLACEHOLDER.sub(value, template)


def quote(label: str, text: str) -> str:
    """Fence somebody's words as data, in a fence that the words themselves cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{label}:\n{fence}\n{text}\n{fence}"


def prompt(assignment: Assignment) -> str:
    """Write an assignment for a chat model: the results it builds on, the request behind it, then the task."""
    context = assignment.get("context", {})
    request = assignment.get("request", "")
    below = {label: f"[{_called(label)}, quoted here]" for label in context}
    values = {**below, "request": "[the user's request]"}
    task = fill(assignment["template"], values) if "template" in assignment else assignment["task"]
    parts = [quote(_called(label), text) for label, text in context.items()]
    if request and request != task:
        parts.append(quote("The user's whole request; take figures and names from it, but do only your part", request))
    return "\n\n".join([*parts, f"Your task: {task}"]) if parts else task


def _called(label: str) -> str:
    """Only what can be the name of a step or an agent has a result; other labels say themselves what they are."""
    if label in _OWN_WORDS:
        return _OWN_WORDS[label]
    return f"Result of {label}" if _NAME.fullmatch(label) else label[:1].upper() + label[1:]
