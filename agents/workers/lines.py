"""Calculations of models that cannot call tools: plain lines `name = formula`, which the library computes.

A small model writes right formulas as lines, and wrong ones as the arguments of a JSON call.
"""

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import ToolException

from agents.checks import asks_for_figures, figures_in, unknown_figures

Compute = Callable[[str, MutableMapping[str, float]], str]
"""A calculator's own function, as its `metadata["in_lines"]`: models without tool calls use it by lines."""

MAX_LINES = 4_000
"""Characters of a reply that are read."""
MAX_LABEL = 60

_LABEL = re.compile(r"[^\W\d][\w '(),]*")
_WITH_UNIT = re.compile(r"(?<=\d)[ \t]*[^\W\d_]+\b(?![ \t]*\()(?<!of)|[€$£]")
_FORMULA_AT_END = re.compile(r"[\d(][\d .()+*/-]*$")
_OPERATOR = re.compile(r"[\w)%€$£]\s*[-+*/^\u00d7\u00f7\u2212\u00b7]|\w\s*\(|%\s*of\b|\d x [\d(]")
_LATEX = {r"\times": "*", r"\cdot": "*", r"\div": "/", r"\(": "", r"\)": "", r"\[": "", r"\]": "", r"\%": "%"}
_MARKUP = re.compile(
    r"\\text\{([^{}\n]{0,60})\}|(?<![\w)])\*\*(?=[^\W\d_])([^*\n]{1,60})\*\*|^[ \t]*\d{1,2}[.)][ \t]+(?=\*\*|[^\W\d])",
    re.MULTILINE,
)
"""Words in LaTeX, bold ones, and numbers of a list."""
_COLON = re.compile(r"([^\W\d][\w '(),]*):=?\s+(?=[\d(])|([^\W\d]\w*)\s*:=")
_FIGURE = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
_NUMBER_WORD = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|twenty|thirty|forty|fifty|hundred|thousand"
    r"|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|deux|trois|quatre|cinq|huit|neuf|dix|dos|tres|cuatro|cinco|diez)\b",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(
    r"\bhow (?:many|much) (\w+)|\bwie viele? (\w+)|\bcombien de (\w+)|\bcu[aá]nt[oa]s? (\w+)", re.IGNORECASE
)
_DIFFERENCE = re.compile(r"(?:abs\()?[^\W\d]\w* ?- ?[^\W\d]\w*\)?")
_EXTREME = re.compile(r"(?:min|max)\([^\W\d]\w*(?:, ?[^\W\d]\w*)+\)")
_OF_WHAT = re.compile(r"^(?:total|costs?|price)_|_(?:total|costs?|price)\b")
_MONEY = re.compile(r"cost|price|pays?|paid|fee|sales|worth", re.IGNORECASE)
_MEASURE = r"(?:(?:kilo|centi|milli)?(?:met(?:re|er)|gram|lit(?:re|er))s?|k[mg]|miles?|hours?|minutes?|days?|pages?)"


LINE_RULES = """\
Before you answer, write the calculation that the task needs as lines `name = formula`: first the figures
that it needs, with a name that says what each is of and per what; then one formula a line, up to everything that is
asked. No results, no functions, no units. If there is nothing to calculate, write: none"""
LINE_EXAMPLES = (
    (
        "A mower takes 3 litres of petrol per 1000 square metres, at 1.90 a litre. What does the petrol for 4500"
        " square metres cost, and what is left of 40?",
        "litres_per_1000_m2 = 3\nprice_per_litre = 1.90\narea_m2 = 4500\nbudget = 40\n"
        "litres = area_m2 / 1000 * litres_per_1000_m2\npetrol_cost = litres * price_per_litre\n"
        "left = budget - petrol_cost",
    ),
    (
        "Read hire.txt and group.txt. What does each of the group pay for van and boat?"
        "\n\nhire.txt:\n```\nvan 90.00\nboat 30.00\n```\n\ngroup.txt:\n```\nGroup: 3\n```",
        "van = 90.00\nboat = 30.00\npeople = 3\ngroup_pays = van + boat\neach_pays = group_pays / people",
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
)
USE_VALUES = """\
All that the task needs is computed. Answer the task in one to three sentences with these figures, as they
stand, and only with units that the task names for them. Do not calculate anything again."""


def lines_wanted(task: str, read: str, around: str) -> bool:
    """Return whether a task may need a calculation.

    It does with two figures, one of which may be around it: in what was read for it, the request, results of others.
    Number words count too, but "Name two things" has one. Where it asks for a figure, one is enough.
    """
    figures, words = len(_FIGURE.findall(task)), len(_NUMBER_WORD.findall(task))
    is_around = _FIGURE.search(f"{read}\n{around}") is not None
    if figures > 1 or words > 2 or (figures and (words or is_around)):
        return True
    return (figures + words > 0 or is_around) and asks_for_figures(task)


def lines_in(text: str, results: Mapping[str, float], compute: Compute) -> str:
    """Return the lines of a reply that can be computed with earlier results; empty if they only repeat figures.

    A line may have a label of several words, units, and a result that the model adds: that one is not used.
    """
    names = dict(results)
    kept: list[str] = []
    for line in re.split(r"[\n;]", _without_markup(text[:MAX_LINES])):
        for named in _readings(line.partition("#")[0], f"result_{len(kept) + 1}"):
            with suppress(ToolException):
                compute(named, names)
                kept.append(named)
                break
    return "\n".join(kept) if any(map(_is_formula, kept)) else ""


def _without_markup(text: str) -> str:
    for sign, plain in _LATEX.items():
        text = text.replace(sign, plain)
    return _MARKUP.sub(lambda match: match[1] or match[2] or "", text)


def values_of(lines: str, computed: str) -> dict[str, str]:
    """Return the values by name; differences, least and greatest say of what, which a small model mistakes."""
    formulas, values = _sides(lines), _sides(computed)
    if len(formulas) == 1:
        values = dict.fromkeys(formulas, computed)
    return {name: _compared(formulas.get(name, ""), value, values) for name, value in values.items()}


def asked_values(lines: str, computed: str, task: str) -> dict[str, str]:
    """Return by name what the task asks for: results that no formula uses, and those of which it asks how many."""
    how_many = {word.casefold() for words in _HOW_MANY.findall(task) for word in words if word}
    formulas = _sides(lines)
    used = {name for formula in formulas.values() for name in re.findall(r"[^\W\d]\w*", formula)}
    wanted = {
        name
        for name, formula in formulas.items()
        if _is_formula(f"{name} = {formula}")
        and (name not in used or not how_many.isdisjoint(name.casefold().split("_")))
    }
    return {name: value for name, value in values_of(lines, computed).items() if name in wanted}


def _sides(lines: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" = ") for line in lines.splitlines())}


def _compared(formula: str, value: str, values: Mapping[str, str]) -> str:
    """Add to a value what it says of two results that are subtracted, or of which it is the least or greatest."""
    names = re.findall(r"[^\W\d]\w*", formula)
    if not {*names} - {"abs", "min", "max"} <= values.keys():
        return value
    if _DIFFERENCE.fullmatch(formula):
        less, more = sorted(names[-2:], key=lambda name: float(values[name]))
        amount = value.lstrip("-")
        return value if values[less] == values[more] else f"{amount} ({less} is {amount} less than {more})"
    if _EXTREME.fullmatch(formula):
        return f"{value} ({', '.join(name for name in names[1:] if values[name] == value)})"
    return value


def _readings(line: str, unnamed: str) -> Iterator[str]:
    """Yield what a line may mean, as `name = formula`: its label, and each of its sides that is not one."""
    line = re.sub(r"^[ \t\-*`$]+|[ \t*`$]+$", "", line)
    if named := _COLON.match(line):
        line = f"{named[1] or named[2]} = {line[named.end() :]}"
    label, *sides = re.split(r"(?<![=<>!])=(?!=)", line)
    if not sides:
        return
    name = "_".join(re.findall(r"\w+", label))[:MAX_LABEL] if _LABEL.fullmatch(label.strip()) else unnamed
    for side in sides if name != unnamed else [label, *_FORMULA_AT_END.findall(label), *sides]:
        for formula in dict.fromkeys((side.strip(), _WITH_UNIT.sub("", side).strip())):
            if formula and "\n" not in formula and not formula.startswith(('"', "'")):
                yield f"{name} = {formula}"


def _is_formula(line: str) -> bool:
    return _OPERATOR.search(line.partition("=")[2]) is not None


def in_lines(task: str, instructions: str) -> list[BaseMessage]:
    """Return the messages that are asked for lines: first the examples, which a local runtime reads once.

    All are shown for every task: without the last one, a text to be written is calculated too.
    An agent's instructions are for its answer; a small model would follow them here. With figures they are data too.
    """
    examples = [message for asked, reply in LINE_EXAMPLES for message in (HumanMessage(asked), AIMessage(reply))]
    return [*examples, HumanMessage(f"{instructions if figures_in(instructions) else ''}\n\n{task}".strip())]


def plainly(results: Mapping[str, str]) -> str:
    """Return results as lines for people."""
    return "\n".join(f"{name}: {result}" for name, result in results.items()).replace("_", " ")


def with_results(reply: AIMessage, results: Mapping[str, str], own: Sequence[str]) -> AIMessage:
    """Add the results that an answer leaves out; one with figures that are not its own is replaced by them."""
    # A small model likes to begin with the lines it has read.
    text = re.sub(r"^\s*\w+ = [-\d.]+\s*$", "", reply.text, flags=re.MULTILINE).strip() or reply.text
    reply = reply.model_copy(update={"content": _without_wrong_units(text, results)})
    is_distorted = bool(unknown_figures(reply.text, own)) or _contradicts(reply.text, results)
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


def _contradicts(text: str, results: Mapping[str, str]) -> bool:
    """Return whether a text says of the greater of two results that it is less."""
    greater = [_OF_WHAT.sub("", name) for result in results.values() for name in re.findall(r" than (\w+)\)", result)]
    names = "|".join(name.replace("_", "[ _]") for name in greater)
    wrong = rf"\b(?:{names})\s(?:\w+\s)?(?:is|are|costs?)\s(?!not\b)(?:\w+\s)?(?:cheaper|less|lower)\b"
    return bool(names) and re.search(wrong, text, re.IGNORECASE) is not None


def _without_wrong_units(text: str, results: Mapping[str, str]) -> str:
    """Leave out a measure after an amount of money, as in `petrol_cost = 46.8` answered with `46.8 litres`."""
    for name, result in results.items():
        if _MONEY.search(name) and re.fullmatch(r"[\d.]+", result) and not re.search(_MEASURE, name):
            text = re.sub(rf"(?<![\w.,])({re.escape(result)}0?) {_MEASURE}\b(?! *[/*])", r"\1", text)
    return text
