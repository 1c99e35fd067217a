"""Arithmetic for agents, by the simpleeval library: no `eval`, bounded in time and size."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Annotated

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException
from pydantic import Field
from simpleeval import FunctionNotDefined, NameNotDefined, SimpleEval  # type: ignore[import-untyped]

from agents.runtime import calculated, reads_foreign_text
from agents.tools.readable_tool import readable_tool

MAX_EXPRESSION = 1000
"""Characters of an expression; a longer one is refused before it is parsed."""
MAX_BITS = 4_000
"""Size of any whole number on the way to a result: about 1,200 digits."""


def _bounded(compute: Callable[..., object]) -> Callable[..., int | float]:
    return lambda *operands: _number(compute(*map(_number, operands)))


def _number(value: object) -> int | float:
    if isinstance(value, complex):
        raise ValueError("the result is not a real number")  # noqa: TRY004 - a value, not a type, to a model
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("only numbers can be computed with")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError
    return value


def _finite(value: object) -> int | float:
    if not math.isfinite(number := _number(value)):
        raise OverflowError
    return number


def _reason(error: Exception, names: Iterable[str]) -> str:
    match error:
        case ZeroDivisionError():
            return "it divides by zero"
        case OverflowError():
            return "the result, or a number on the way to it, is too large"
        case RecursionError():
            return "it is nested too deeply; compute it in parts"
        case SyntaxError():
            return f"{error.msg}; write only numbers, operators and functions, no words and no units"
        case NameNotDefined(name=name) | FunctionNotDefined(func_name=name):
            return f"{name!r} is not known; known are {', '.join(sorted([*_FUNCTIONS, *_NAMES, *names]))}"
    if "Lambda" in str(error):  # simpleeval's word for a call of a number
        return "a number is called like a function; write * between factors"
    return str(error) or type(error).__name__


def _power(base: float, exponent: float) -> object:
    if isinstance(base, int) and isinstance(exponent, int) and (base.bit_length() - 1) * exponent > MAX_BITS:
        raise OverflowError
    return base**exponent


def _factorial(number: float) -> int:
    if number > MAX_BITS // 10:
        raise OverflowError
    return math.factorial(number)  # type: ignore[arg-type]  # a fraction is refused by math itself


def _round(number: float, digits: int = 0) -> float:
    # Python would compute 10 ** -digits first, however large.
    return round(number, max(-MAX_BITS, min(digits, MAX_BITS)))


_OPERATORS: dict[type[ast.AST], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_OF_MATH = "acos asin atan ceil cos degrees exp floor gcd hypot log log10 log2 radians sin sqrt tan"
_FUNCTIONS: dict[str, Callable[..., object]] = {name: getattr(math, name) for name in _OF_MATH.split()}
_FUNCTIONS |= {"abs": abs, "max": max, "min": min, "round": _round, "pow": _power, "ln": math.log}
_FUNCTIONS |= {"factorial": _factorial, "sum": lambda *numbers: sum(numbers)}
_FUNCTIONS["mean"] = lambda first, *others: sum(others, first) / (1 + len(others))
_NAMES = {"pi": math.pi, "e": math.e}
# Attributes and indexing are left out: simpleeval would let `(1).to_bytes(10**9)` through.
_NODES = (ast.Expr, ast.Constant, ast.Name, ast.Call, ast.BinOp, ast.UnaryOp)

_WIDE = {chr(code + 0xFEE0): chr(code) for code in range(ord("!"), ord("~") + 1)}
"""Letters and digits as wide as Chinese characters."""
_SIGNS = str.maketrans(_WIDE | {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "^": "**", "\xa0": " "})  # noqa: RUF001
_SIGNS |= str.maketrans({"²": "**2", "³": "**3"})
_CALL = re.compile(r"[A-Za-z]\w*\s*\(")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%(?=\s*(?:$|[)*/]|of\b))")
_PERCENT_ADDED = re.compile(r"[\w)%]\s*[-+]\s*\d+(?:\.\d+)?\s*%\s*(?:$|\))|\d\s*%\s*[-+]")
_GROUPS = re.compile(r"(?<![\w.,])\d{1,3}(?:[ '’]\d{3})+(?!\d)")  # noqa: RUF001
_MONEY = re.compile(r"[€$£¥]\s?(?=\d)|(?<=\d)\s?[€$£¥]")
_TIMES = re.compile(r"(?<=[\d)])\s*[x×]\s+(?=[\d(])|(?<=[\d)])\s+[x×](?=[\d(])")  # noqa: RUF001


def _as_python(expression: str) -> str:
    """Turn what people and models write into Python, where it can mean only one thing."""
    text = " ".join(expression.translate(_SIGNS).split()).removesuffix("=")
    text = _TIMES.sub("*", _MONEY.sub("", re.sub(r"\bper ?cent\b", "%", text)))
    text = _GROUPS.sub(lambda number: re.sub(r"\D", "", number[0]), text)
    if not _CALL.search(text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    elif ", " in text and re.search(r"\d,\d{3}(?!\d)", text):
        raise ValueError("a comma may part thousands or arguments here; write numbers without separators")
    if _PERCENT_ADDED.search(text):
        raise ValueError("adding a percentage is ambiguous; write 200 * 1.10 or 200 + 0.10")
    return re.sub(r"\bof\b", "*", _PERCENT.sub(r"(\1/100)", text)).strip()


_PARTS = re.compile(r";|\n(?=\s*[^\W\d]\w*\s*=(?!=))")
"""Separator of formulas; a line without `name =` continues the one before."""
_NAMED = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)\s*(.*)", re.DOTALL)
_EXAMPLE = "For example: (1250 - 300) * 0.19, or with names: net = 1250 - 300; tax = net * 0.19"


@reads_foreign_text(lambda compute, text: compute(text, {}))
def compute(expression: str, names: MutableMapping[str, float]) -> str:
    """Compute one formula, or several parted by `;` or lines, which use earlier names and add theirs to `names`."""
    if len(expression) > MAX_EXPRESSION:
        raise ToolException(f"The expression is longer than {MAX_EXPRESSION} characters; compute it in parts.")
    parts = [part for part in _PARTS.split(expression) if part.strip()] or [expression]
    lines = []
    for part in parts:
        named = _NAMED.fullmatch(part)
        name, formula = (named[1], named[2]) if named else ("", part)
        value = _computed(formula, names, shown=part if len(parts) > 1 else expression)
        if name:
            names[name] = value
        lines.append(in_digits(value) if len(parts) == 1 else f"{name or formula.strip()} = {in_digits(value)}")
    return "\n".join(lines)


def _computed(formula: str, names: Mapping[str, float], *, shown: str) -> int | float:
    evaluator = SimpleEval(
        operators={node: _bounded(compute) for node, compute in _OPERATORS.items()},
        functions={name: _bounded(compute) for name, compute in _FUNCTIONS.items()},
        names={**_NAMES, **names},
    )
    evaluator.nodes = {node: visit for node, visit in evaluator.nodes.items() if node in _NODES}
    try:
        return _finite(evaluator.eval(_as_python(formula)))
    except Exception as error:  # a parser, simpleeval and math each raise their own
        raise ToolException(f"Cannot compute {shown.strip()!r}: {_reason(error, names)}.") from error


def in_digits(value: float) -> str:
    """Write a result; 15 digits are what a float holds exactly, so that 0.1 + 0.2 is 0.3."""
    return str(value) if isinstance(value, int) else format(value, ".15g")


def calculate(
    expression: Annotated[str, Field(description=_EXAMPLE, max_length=MAX_EXPRESSION)], config: RunnableConfig
) -> str:
    """Compute a formula, or several named ones that use each other's names; use it for every calculation.

    Knows + - * / // % ** and parentheses, sqrt, abs, round, min, max, sum, mean, floor, ceil, log, ln, log10, exp,
    factorial, gcd, sin, cos, tan, pi, e, and the names of earlier results. No units.
    """
    return compute(expression, calculated(config))


calculator = readable_tool(
    calculate,
    "A floor takes 4 kg of glue per 100 tiles, at 0.60 a kg. What does it cost for 850 tiles?",
    name="calculator",
    example_arguments={"expression": "4 / 100 * 850 * 0.60"},
    in_lines=compute,
)
