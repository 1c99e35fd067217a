"""Tool calls that a model without tool calls writes as lines of text, and the answer that follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import BaseTool

from agents.figures import figures_in, unknown_figures

_MONEY = re.compile(r"cost|price|pays?|paid|fee|sales|worth", re.IGNORECASE)
_MEASURE = r"(?:(?:kilo|centi|milli)?(?:met(?:re|er)|gram|lit(?:re|er))s?|k[mg]|miles?|hours?|minutes?|days?|pages?)"


class Lines(Protocol):
    """The protocol of a tool whose calls a model writes as lines of text: `metadata["in_lines"]`."""

    rules: str
    examples: Sequence[tuple[str, str]]
    use: str

    def wanted(self, task: str, read: str, known: str) -> bool:
        """Tell whether a task may need the tool, with what was read for it and what is known around it."""

    def is_all(self, task: str) -> bool:
        """Tell whether the results alone do the task."""

    def read(self, text: str, known: MutableMapping[str, float]) -> str:
        """Return the lines of a reply that can be used; empty if there are none."""

    def computed(self, lines: str, computed: str) -> dict[str, str]:
        """Return by name what was computed."""

    def results(self, lines: str, computed: str) -> dict[str, str]:
        """Return by name what the task asks for of it."""


def lines_of(tool: BaseTool) -> Lines | None:
    """Return how a tool's calls are written as lines, if they are."""
    lines: Lines | None = (tool.metadata or {}).get("in_lines")
    return lines


def in_lines(lines: Lines, task: str, instructions: str) -> list[BaseMessage]:
    """Return the messages that are asked for lines: first the examples, which a local runtime reads once.

    An agent's instructions are for its answer; a small model would follow them here. With figures they are data too.
    """
    examples = [message for task, reply in lines.examples for message in (HumanMessage(task), AIMessage(reply))]
    return [*examples, HumanMessage(f"{instructions if figures_in(instructions) else ''}\n\n{task}".strip())]


def plainly(results: Mapping[str, str]) -> str:
    """Return results as lines for people."""
    return "\n".join(f"{name}: {result}" for name, result in results.items()).replace("_", " ")


def with_results(reply: AIMessage, results: Mapping[str, str], own: Sequence[str]) -> AIMessage:
    """Add the results that an answer leaves out; one with figures that are not its own is replaced by them."""
    rest = [line for line in reply.text.splitlines() if not re.fullmatch(r"\w+ = [-\d.]+", line.strip())]
    if any(map(str.strip, rest)):  # A small model likes to begin with the lines it has read.
        reply = reply.model_copy(update={"content": "\n".join(rest).strip()})
    reply = reply.model_copy(update={"content": _without_wrong_units(reply.text, results)})
    is_distorted = bool(unknown_figures(reply.text, own))
    words = re.sub(r"```.*?(?:```|\Z)", "", reply.text, flags=re.DOTALL)
    left_out = {
        name: result
        for name, result in results.items()
        if is_distorted or unknown_figures(result, [words], derived=False, counts=True)
    }
    if not left_out:
        return reply
    plain = plainly(left_out)
    return reply.model_copy(update={"content": plain if is_distorted else f"{reply.text}\n\n{plain}"})


def _without_wrong_units(text: str, results: Mapping[str, str]) -> str:
    """Leave out a measure after an amount of money, as in `petrol_cost = 46.8` answered with `46.8 litres`."""
    for name, result in results.items():
        if _MONEY.search(name) and re.fullmatch(r"[\d.]+", result) and not re.search(_MEASURE, name):
            text = re.sub(rf"(?<![\w.,])({re.escape(result)}0?) {_MEASURE}\b(?! *[/*])", r"\1", text)
    return text
