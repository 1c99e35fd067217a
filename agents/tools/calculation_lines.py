"""Calculations of models that cannot call tools: plain lines `name = formula`, which the library computes.

A small model writes right formulas as lines, and wrong ones as the arguments of a JSON call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from typing import ClassVar

from langchain_core.tools import ToolException

Compute = Callable[[str, MutableMapping[str, float]], str]

_LINE = re.compile(r"[ \t]{0,8}([^\W\d]\w{0,60})[ \t]*=(?!=)[ \t]*([^=\"'\n]{1,200})")
_OPERATOR = re.compile(r"[\w)%]\s*[-+*/]|\w\s*\(")
_FIGURE = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")


class CalculationLines:
    """The protocol by which a model without tool calls uses the calculator, as its `metadata["in_lines"]`."""

    rules = """Before you answer, write the calculation that the task needs as lines `name = formula`: first every
figure of the task, with a name that says what it is of and per what; then one formula a line, up to everything that is
asked. No results, no functions, no units. If there is nothing to calculate, write: none"""
    examples: ClassVar = [
        (
            "A mower takes 3 litres of petrol per 1000 square metres, at 1.90 a litre. What does the petrol for 4500"
            " square metres cost, and what is left of 40?",
            "litres_per_1000_m2 = 3\nprice_per_litre = 1.90\narea_m2 = 4500\nbudget = 40\n"
            "litres = area_m2 / 1000 * litres_per_1000_m2\npetrol_cost = litres * price_per_litre\n"
            "left = budget - petrol_cost",
        ),
        (
            "Read fees.txt and group.txt. What does the group pay for the entry and one boat, and what does each pay?"
            "\n\nfees.txt:\n```\nentry 12.00\nboat 30.00\n```\n\ngroup.txt:\n```\nEva\nTom\nIda\n```",
            "entry = 12.00\nboat = 30.00\npeople = 3\n"
            "group_pays = people * entry + boat\neach_pays = group_pays / people",
        ),
        (
            "A film costs 9 a ticket at the cinema and 4.50 in all at home. Compare both for one viewer and for four.",
            "cinema_per_viewer = 9\nhome_for_all = 4.50\nviewers = 4\ncinema_for_one = 1 * cinema_per_viewer\n"
            "home_for_one = 1 * home_for_all\ncinema_for_four = viewers * cinema_per_viewer\n"
            "home_for_four = 1 * home_for_all",
        ),
        ("By when must guests leave?\n\nrules.txt:\n```\nLeave by 10:00.\nQuiet from 22:00.\n```", "none"),
    ]
    use = """All that the task needs is computed. Answer the task in one to three sentences with these figures, as they
stand and with their units. Do not calculate anything again."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def wanted(self, task: str, read: str) -> bool:
        """Tell whether a task has figures to calculate with, or what was read for it has any."""
        return len(_FIGURE.findall(task)) > 1 or _FIGURE.search(read) is not None

    def read(self, text: str, known: MutableMapping[str, float]) -> str:
        """Return the lines of a reply that can be computed with what is known; empty if they only repeat figures."""
        names = dict(known)
        kept: list[str] = []
        for line in text.splitlines():
            if match := _LINE.fullmatch(line.partition("#")[0].rstrip()):
                try:
                    self.compute(match[0].strip(), names)
                except ToolException:
                    continue
                kept.append(f"{match[1]} = {match[2].strip()}")
        return "\n".join(kept) if any(map(_is_formula, kept)) else ""

    def results(self, lines: str, computed: str) -> dict[str, str]:
        """Return by name the results that no later formula uses: what the task asks for."""
        formulas = dict(line.split(" = ", 1) for line in lines.splitlines())
        used = {name for formula in formulas.values() for name in re.findall(r"[^\W\d]\w*", formula)}
        if len(formulas) == 1:
            return dict.fromkeys(formulas, computed)
        values = dict(line.split(" = ", 1) for line in computed.splitlines())
        wanted = (name for name, formula in formulas.items() if name not in used and _is_formula(f"{name} = {formula}"))
        return {name: values[name] for name in wanted}


def _is_formula(line: str) -> bool:
    return _OPERATOR.search(line.partition("=")[2]) is not None
