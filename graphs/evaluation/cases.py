"""A case: a request, what a right answer is, and what is wrong with another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, ImportString, ValidationError, field_validator, model_validator

from agents.checks import finding, readings_of
from agents.errors import ConfigurationError, PodiumError
from agents.runtime import Effects

_NAME = re.compile(r"\w[\w\-]{0,59}")
_NUMBER = re.compile(
    "(?<![\\w.,])([-\u2212]?)(\\d{1,3}(?:[ '\u2019\u00a0\u202f]\\d{3})+(?:[.,]\\d+)?(?![\\w'])|\\d+(?:[.,]\\d+)*)"
)
_SENTENCE_ENDS = re.compile(r"[.!?]+(?=[\s\"')\]]|$)")
_KEYS_SHOWN = "id, request, and expect, forbid, match, check, limits or judge"


Limit = Literal["words", "sentences", "calls", "tokens", "seconds"]
"""Limits of an answer, and of the run that gives it."""
Expected = Annotated[float, Field(allow_inf_nan=False, strict=True)] | Annotated[str, Field(pattern=r"\S")]


class Case(BaseModel):
    """A request, and what is right: an answer is if it meets everything that the case states."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    id: str
    """Letters, digits, `_` and `-`; part of the ids of the stored runs."""
    request: str = Field(pattern=r"\S")
    kind: str = ""
    """Cases of a kind are also counted by themselves."""
    files: list[str] = []
    """Files in the folder that the team reads; they must be there."""
    expect: list[Expected] = []
    """Figures that must appear, and texts, in any case of letters."""
    forbid: list[Expected] = []
    """Figures and whole words that must not appear."""
    tolerance: float = Field(0.005, ge=0, allow_inf_nan=False)
    """Largest distance of a figure from the expected one."""
    match: list[Annotated[str, Field(min_length=1)]] = []
    """Regular expressions that must be found, letters in any case, `.` also across lines."""
    check: list[ImportString[Callable[..., object]]] = []
    """Functions as for `Agent(checks=…)`, or `module:function`."""
    limits: dict[Limit, Annotated[float, Field(gt=0)]] = {}
    """Largest numbers that are right."""
    judge: str = Field("", pattern=r"^$|\S")
    """A criterion by which a model judges the answer if nothing else is wrong with it."""

    @field_validator("expect", "forbid", "match", "check", "files", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) else [value]

    @model_validator(mode="after")
    def _is_usable(self) -> Case:
        if not _NAME.fullmatch(self.id):
            raise ValueError(f"id {self.id!r:.80} must be up to 60 letters, digits, '_' and '-'")
        if not (self.expect or self.forbid or self.match or self.check or self.limits or self.judge):
            raise ValueError("nothing says what is right: add expect, forbid, match, check, limits or judge")
        for pattern in self.match:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"match {pattern!r:.80} is not a regular expression: {error}") from error
        return self


def read_cases(cases: Path | str | Iterable[Case | Mapping[str, object]], *, folder: Path | str = "") -> list[Case]:
    """Return cases, from a file with one JSON object a line, or of objects.

    Args:
        cases: The file, or the cases.
        folder: Where the files of the cases must be; empty: they are not looked for.

    Raises:
        ConfigurationError: One of them cannot be used; the message says which, why, and what to do.
    """
    if isinstance(cases, Path | str):
        if Path(cases).exists() and not Path(cases).is_file():  # a device would be read without end
            raise ConfigurationError(f"The cases {cases} cannot be read: it is not a file")
        try:
            lines = Path(cases).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The cases {cases} cannot be read: {error}") from error
        placed = [(f"{cases}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
        read = [_case(line, place, folder) for place, line in placed]
    elif isinstance(cases, Mapping | Case):
        raise ConfigurationError("Cases must be a file or a list")
    else:
        read = [_case(case, f"case {number}", folder) for number, case in enumerate(cases, 1)]
    if not read:
        raise ConfigurationError(f"No cases; each is one line of JSON: {_KEYS_SHOWN}")
    if twice := [name for name, number in Counter(case.id for case in read).items() if number > 1]:
        raise ConfigurationError(f"Ids of cases must be unique; twice: {', '.join(twice)}")
    return read


def _case(value: object, place: str, folder: Path | str) -> Case:
    try:
        case = Case.model_validate_json(value) if isinstance(value, str) else Case.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][:2]))
        message = first["msg"].removeprefix("Value error, ")
        known = f"; known: {', '.join(Case.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ConfigurationError(f"{place}: {where + ': ' if where else ''}{message}{known}") from None
    missing = [name for name in case.files if folder and not (Path(folder) / name).is_file()]
    if missing:
        raise ConfigurationError(f"{place}: {missing[0]} is not in {folder}; put it there, or choose --folder")
    return case


def figures(text: str) -> list[list[float]]:
    """Return the figures in a text, each with the values it may have, the likeliest first: 1,250 is 1250 or 1.25."""
    found = []
    for sign, written in _NUMBER.findall(text):
        parts = re.split(r"[^\d.,]", written)
        values = [*readings_of("".join(parts)), *(value for part in parts[1:] and parts for value in readings_of(part))]
        found.append([-value if sign else value for value in values])
    return found


def case_of_run(run: str, request: str, messages: Sequence[object]) -> dict[str, object]:
    """Return a case that expects of a request what a run answered: its figures; without any, a judge compares."""
    answer = messages[-1].text if messages and isinstance(messages[-1], AIMessage) else ""
    if not answer.strip() or not request:
        raise ConfigurationError(f"The run {run} has no answer that a case could expect")
    asked = [value for values in figures(request) for value in values]
    expected = [
        number
        for number in dict.fromkeys(value for likely in figures(answer) for value in likely[:1])
        if number not in asked
    ]
    right: dict[str, object] = {"expect": expected}
    if not expected:
        right = {"judge": f"It agrees with this answer, whatever its wording: {answer}"}
    return {"id": re.sub(r"[^\w\-]", "_", run)[:60], "request": request, **right}


async def _finding(effects: Effects, check: Callable[..., object], answer: str) -> str | None:
    try:
        return await finding(effects, check, answer)
    except PodiumError as error:
        return str(error)


async def wrong_in(effects: Effects, case: Case, answer: str, spent: Mapping[str, float]) -> list[str]:
    """Return what is wrong with an answer, a judge's verdict aside; `spent`: the calls, tokens and seconds."""
    checked = [await _finding(effects, check, answer) for check in case.check]
    return [*_faults(case, answer, spent), *filter(None, checked)]


def _faults(case: Case, answer: str, spent: Mapping[str, float]) -> Iterator[str]:
    numbers, lowered = figures(answer), answer.casefold()

    def has(number: float) -> bool:
        return any(abs(number - value) <= case.tolerance for values in numbers for value in values)

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
    counts: dict[str, float] = {"words": len(answer.split()), "sentences": len(_SENTENCE_ENDS.findall(answer)), **spent}
    for name, limit in case.limits.items():
        if counts[name] > limit:
            yield f"{counts[name]:.4g} {name}, not {limit:g} at most"
