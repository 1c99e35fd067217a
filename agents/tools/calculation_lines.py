"""Calculations of models that cannot call tools: plain lines `name = formula`, which the library computes.

A small model writes right formulas as lines, and wrong ones as the arguments of a JSON call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import ClassVar

from langchain_core.tools import ToolException

Compute = Callable[[str, MutableMapping[str, float]], str]

MAX_LINES = 4_000
"""Characters of a reply that are read."""
MAX_LABEL = 60

_NAME = re.compile(r"[^\W\d]\w*")
_LABEL = re.compile(r"[^\W\d][\w '(),]*")
_WITH_UNIT = re.compile(r"(?<=\d)[ \t]*[^\W\d_]+\b(?![ \t]*\()(?<!of)|[€$£]")
_OPERATOR = re.compile(r"[\w)%]\s*[-+*/]|\w\s*\(|%\s*of\b")
_FIGURE = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
_DIFFERENCE = re.compile(r"(?:abs\()?[^\W\d]\w* ?- ?[^\W\d]\w*\)?")
_EXTREME = re.compile(r"(?:min|max)\([^\W\d]\w*(?:, ?[^\W\d]\w*)+\)")
_TABLE = re.compile(r"([^\W\d]\w{0,60}) ?= ?[\[{]([^\[\]{}]{0,1000})[\]}]")
_ENTRY = re.compile(r"(?:[\"']([^\"'\n]{1,60})[\"'] ?: ?)?([-+]?\d+(?:\.\d+)?)")


def plain_lines(text: str) -> str:
    """Return a reply with dicts and lists as lines: of `cup = {"price": 3}` the price is named `cup_price`."""
    for table in list(_TABLE.finditer(text)):
        name, inside = table.groups()
        entries = [(key or str(place), figure) for place, (key, figure) in enumerate(_ENTRY.findall(inside))]
        named = {key: f"{name}_{_as_name(key)}" for key, _ in entries}
        text = text.replace(table[0], "\n".join(f"{named[key]} = {figure}" for key, figure in entries))
        for key, plain in named.items():
            text = re.sub(rf"\b{name}\[[\"']?{re.escape(key)}[\"']?\]", plain, text)
        text = re.sub(rf"\bsum\({name}(?:\.values\(\))?\)", f"sum({', '.join(named.values())})", text)
        text = re.sub(rf"\blen\({name}\)", str(len(named)), text)
    return text


def _as_name(label: str) -> str:
    return "_".join(re.findall(r"\w+", label))[:MAX_LABEL]


class CalculationLines:
    """The protocol by which a model without tool calls uses the calculator, as its `metadata["in_lines"]`."""

    rules = """Before you answer, write the calculation that the task needs as lines `name = formula`: first the figures
that it needs, with a name that says what each is of and per what; then one formula a line, up to everything that is
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
        (
            "A sauna asks 14 a visit, or 9 a visit with a card for 45. What do 10 visits cost each way, and which"
            " way is cheaper?",
            "visits = 10\nwithout_card_per_visit = 14\nwith_card_per_visit = 9\ncard = 45\n"
            "without_card = visits * without_card_per_visit\nwith_card = visits * with_card_per_visit + card\n"
            "difference = without_card - with_card",
        ),
        ("By when must guests leave?\n\nrules.txt:\n```\nLeave by 10:00.\nQuiet from 22:00.\n```", "none"),
    ]
    use = """All that the task needs is computed. Answer the task in one to three sentences with these figures, as they
stand, and only with units that the task names for them. Do not calculate anything again."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def wanted(self, task: str, read: str) -> bool:
        """Return whether a task has figures to calculate with, or what was read for it has any."""
        return len(_FIGURE.findall(task)) > 1 or _FIGURE.search(read) is not None

    def read(self, text: str, known: MutableMapping[str, float]) -> str:
        """Return the lines of a reply that can be computed with what is known; empty if they only repeat figures.

        A line may have a label of several words, units, and a result that the model adds: that one is not used.
        """
        names = dict(known)
        kept: list[str] = []
        for line in plain_lines(text[:MAX_LINES]).splitlines():
            for named in _readings(line.partition("#")[0], f"result_{len(kept) + 1}"):
                with suppress(ToolException):
                    self.compute(named, names)
                    kept.append(named)
                    break
        return "\n".join(kept) if any(map(_is_formula, kept)) else ""

    def computed(self, lines: str, computed: str) -> dict[str, str]:
        """Return the values by name; differences, least and greatest say of what, which a small model mistakes."""
        formulas = dict(_sides(line) for line in lines.splitlines())
        is_single = len(formulas) == 1
        values = (
            dict.fromkeys(formulas, computed) if is_single else dict(_sides(line) for line in computed.splitlines())
        )
        return {name: _compared(formulas.get(name, ""), value, values) for name, value in values.items()}

    def results(self, lines: str, computed: str) -> dict[str, str]:
        """Return by name the results that no later formula uses: what the task asks for."""
        formulas = dict(_sides(line) for line in lines.splitlines())
        used = {name for formula in formulas.values() for name in re.findall(r"[^\W\d]\w*", formula)}
        wanted = {name for name, formula in formulas.items() if name not in used and _is_formula(f"{name} = {formula}")}
        return {name: value for name, value in self.computed(lines, computed).items() if name in wanted}


def _sides(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" = ")
    return name, value


def _compared(formula: str, value: str, values: Mapping[str, str]) -> str:
    """Add to a value what it says of two results that are subtracted, or of which it is the least or greatest."""
    names = re.findall(r"[^\W\d]\w*", formula)
    if not {*names} - {"abs", "min", "max"} <= values.keys():
        return value
    if _DIFFERENCE.fullmatch(formula):
        first, second = names[-2:]
        amount, gap = value.lstrip("-"), float(values[first]) - float(values[second])
        return f"{amount} ({first} is {amount} {'less' if gap < 0 else 'more'} than {second})" if gap else value
    if _EXTREME.fullmatch(formula):
        return f"{value} ({', '.join(name for name in names[1:] if values[name] == value)})"
    return value


def _readings(line: str, unnamed: str) -> Iterator[str]:
    """Yield what a line may mean, as `name = formula`: its label, and each of its sides that is not one."""
    label, *sides = re.split(r"(?<![=<>!])=(?!=)", line.strip(" \t-*`$"))
    if not sides:
        return
    name = _as_name(label) if _LABEL.fullmatch(label.strip()) else unnamed
    for side in sides if name != unnamed else [label, *sides]:
        for formula in dict.fromkeys((side.strip(), _WITH_UNIT.sub("", side).strip())):
            if formula and "\n" not in formula and not formula.startswith(('"', "'")):
                yield f"{name} = {formula}"


def _is_formula(line: str) -> bool:
    return _OPERATOR.search(line.partition("=")[2]) is not None
