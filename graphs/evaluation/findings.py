"""Faults of an answer, by the rules of its case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pkgutil import resolve_name

from agents.checks import finding
from agents.errors import ConfigurationError
from agents.runtime import Effects
from graphs.evaluation.cases import Case, figures

_SENTENCE_ENDS = re.compile(r"[.!?]+(?=[\s\"')\]]|$)")


async def wrong_in(effects: Effects, case: Case, answer: str, spent: Mapping[str, float]) -> list[str]:
    """Return what is wrong with an answer, a judge's verdict aside; `spent`: the calls, tokens and seconds."""
    checks = [check if callable(check) else function_of(check) for check in case.check]
    checked = [await finding(effects, check, answer) for check in checks]
    return [*_words(case, answer), *_limits(case, answer, spent), *(wrong for wrong in checked if wrong)]


def function_of(name: str) -> Callable[..., object]:
    """Import `module:function`.

    Raises:
        ConfigurationError: The function does not exist.
    """
    try:
        function = resolve_name(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigurationError(f"The check {name!r} cannot be imported as module:function: {error}") from error
    if not callable(function):
        raise ConfigurationError(f"The check {name!r} is not a function")
    return function  # type: ignore[no-any-return]


def _words(case: Case, answer: str) -> Iterator[str]:
    numbers, lowered = figures(answer), answer.casefold()

    def has(number: float) -> bool:
        return any(abs(number - figure) <= case.tolerance for figure in numbers)

    for value in case.expect:
        if not (value.casefold() in lowered if isinstance(value, str) else has(value)):
            yield f"{value if isinstance(value, str) else f'{value:g}'} is missing"
    for value in case.forbid:
        whole = rf"(?<!\w){re.escape(str(value).casefold())}(?!\w)"
        if re.search(whole, lowered) if isinstance(value, str) else has(value):
            yield f"{value if isinstance(value, str) else f'{value:g}'} is in it"
    for pattern in case.match:
        if not re.search(pattern, answer, re.IGNORECASE | re.DOTALL):
            yield f"/{pattern}/ is not found"


def _limits(case: Case, answer: str, spent: Mapping[str, float]) -> Iterator[str]:
    counts: dict[str, float] = {"words": len(answer.split()), "sentences": len(_SENTENCE_ENDS.findall(answer)), **spent}
    for name, limit in case.limits.items():
        if counts[name] > limit:
            yield f"{counts[name]:.4g} {name}, not {limit:g} at most"
