"""Figures in texts, and those among them that come from nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import permutations

from agents.runtime import reads_foreign_text

MAX_TEXT = 20_000
"""Characters of a text that are searched for figures, from its beginning."""
MOST_COMBINED = 60
"""Figures that are combined with each other; of longer texts only the figures themselves count."""
SMALL_COUNTS = 12
"""Whole numbers up to this are counts, ratings and words as often as figures: they are never noticed."""

_NOT_FIGURES = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[a-zA-Z]{1,20}://\S+"
    r"|\b\d{1,4}([./-])\d{1,2}\1\d{2,4}\b|\b(?:19|20)\d\d\b(?![.,]\d|\s?[%€$£])"
    r"|\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d{1,2}\.\d\d(?= ?(?:[ap]\.?m|h\b|Uhr))"
    r"|\b\d+(?:\.\d+){2,}\b|\b\d+(?:st|nd|rd|th|er|ème)\b|\b\d+[ºª]|^[ \t]*[(\[]?\d+[.):\]](?=\s)|[#§№]\s?\d+",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""Code, addresses, dates, years, times, versions, ordinals, and numbers of lists and names."""
_FIGURE = re.compile(r"(?<![\w.,])\d{1,15}(?:[.,' \u00a0\u202f]\d{3})*(?:[.,]\d{1,15})?(?![\w])%?")
_WORDS = {
    "half": 0.5, "dozen": 12, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "ninety": 90, "hundred": 100, "thousand": 1000, "million": 1_000_000, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "both": 2, "twice": 2,
}  # fmt: skip
_STEM = 4
"""Letters by which a word is the same in singular and plural."""
_WORD = re.compile(
    r"(?<![^\W\d_])(?!(?:all|and|any|are|for|from|has|have|how|its|per|the|who|with|das|der|des|die|ein|für|ist|mit|und|les|pour|sont|une|con|del"
    r"|las|los|para|por|una)(?![^\W\d_]))[^\W\d_]{3,}"
)
"""All but short ones and those that say nothing of a thing."""
_REST = re.compile(
    r"\b(?:but|except|without|others?|rest|every\w*|remain\w*|ohne|außer|ander\w*|übrig\w*|sauf|sans|autres?|salvo|otr[oa]s?)\b",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"[\w./-]*[\w-]\.[a-zA-Z]\w{0,9}\b")
_AND = re.compile(r"\s(?:and|und|et|y)\s")
_UNITS = (2, 7, 12, 24, 52, 60, 365, 1000, 1_000_000)
"""Factors between units."""


@reads_foreign_text()
def figures_in(text: str) -> dict[str, list[float]]:
    """Return the figures of a text as written, each with the values that it may have: `1,250` is 1250 or 1.25."""
    return _figures(_NOT_FIGURES.sub(" ", text[:MAX_TEXT]))


def _figures(text: str) -> dict[str, list[float]]:
    return {match[0].strip(): list(_values(match[0].rstrip("%"))) for match in _FIGURE.finditer(text)}


def _values(written: str) -> Iterator[float]:
    digits = re.sub(r"[' \u00a0\u202f]", "", written)
    if "," in digits and "." in digits:  # the last of both is the point
        point = max(",.", key=digits.rfind)
        yield float(digits.replace("," if point == "." else ".", "").replace(",", "."))
        return
    groups = re.split(r"[.,]", digits)
    if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]):
        yield float("".join(groups))
    if len(groups) == 2:
        yield float(".".join(groups))
    elif len(groups) == 1:
        yield float(digits)


def unknown_figures(text: str, sources: Iterable[str], *, derived: bool = True, counts: bool = False) -> list[str]:
    """Return the figures of a text that its sources do not explain.

    A figure is explained by one of a source, also rounded, as a percentage, or written as a word. With `derived` it may
    also be the sum, difference, product or quotient of two, or the sum of all. Only with `counts` small ones count.
    """
    asked = {written: values for written, values in figures_in(text).items() if counts or not _is_count(values)}
    if not asked:
        return []
    known = {value for source in sources for value in _known(source)}
    known |= set(_derived(known)) if derived else {value * factor for value in known for factor in (100, 0.01)}
    return [written for written, values in asked.items() if not any(_same(written, value, known) for value in values)]


def by_figure(text: str) -> str:
    """Return the parts of a text that have a figure each, the greatest first; empty if there are fewer than two."""
    values = _parts(text)
    return "; ".join(sorted(values, key=values.__getitem__, reverse=True)) if len(values) > 1 else ""


def with_named(text: str, task: str) -> str:
    """Return a text without parts with a figure each that a task does not name, if it names others and not the rest."""
    asked = _words(_FILE_NAME.sub(" ", task))
    parts = {part: words for part in _parts(text) if (words := _words(part))}
    left_out = [part for part, words in parts.items() if asked.isdisjoint(words)]
    if len(left_out) == len(parts) or _REST.search(task):
        return text
    for part in left_out:
        text = text.replace(part, "…")
    return re.sub(r"(?<=\.)\s*…\.?|[,;:]?\s*…", "", re.sub(r"…(?:[,;\n]\s*|\s(?:and|und|et|y)\s)", "", text))


@reads_foreign_text()
def with_count(text: str) -> str:
    """Return `Crew: 3` for `Crew: Jo, Kim and Ravi`, which a small model cannot count; other texts as they are."""
    heading, _, listed = text[:MAX_TEXT].strip().partition(":")
    *first, last = re.split(r"[\n,;]", listed)
    items = [item for part in (*first, *_AND.split(f" {last}")) if (item := part.strip(" \t.-*•"))]
    is_list = len(items) > 1 and "\n" not in heading and all(len(item.split()) < 4 for item in items)
    return f"{heading}: {len(items)}" if is_list and not any(map(str.isdigit, text)) else text


def _words(text: str) -> set[str]:
    return {word.removesuffix("s")[:_STEM] for word in _WORD.findall(text.casefold())}


def _parts(text: str) -> dict[str, float]:
    parts = [part.strip() for part in re.split(r"[,;:\n]|\.(?!\d)|\s(?:and|und|et|y)\s(?=\d)", text[:MAX_TEXT])]
    return {part: max(values[0]) for part in parts if len(values := [*figures_in(part).values()]) == 1 and values[0]}


def _known(source: str) -> Iterator[float]:
    found = [value for values in _figures(source[:MAX_TEXT]).values() for value in values]
    yield from found
    words = set(re.findall(r"[a-z]+", source[:MAX_TEXT].casefold()))
    yield from (value for word, value in _WORDS.items() if word in words)
    if len(found) > 2:
        yield sum(found)


def _derived(known: set[float]) -> Iterator[float]:
    """Yield what follows from one figure by a unit, from two by an operation, and as a percentage."""
    for figure in known:
        yield from (figure * 100, figure / 100)
        yield from (result for unit in _UNITS for result in (figure * unit, figure / unit))
    if len(known) > MOST_COMBINED:
        return
    for first, second in permutations(known, 2):
        share = first * second / 100
        yield from (first + second, first - second, first * second, share, first + share, first - share)
        if second:
            ratio = first / second
            yield from (ratio, 100 * ratio, 100 * (ratio - 1))


def _is_count(values: list[float]) -> bool:
    return all(value == int(value) and value <= SMALL_COUNTS for value in values)


def _same(written: str, value: float, known: Iterable[float]) -> bool:
    last = re.split(r"[.,]", written.rstrip("%"))[-1]
    is_fraction = value != int(value) or (set(last) == {"0"} and len(last) < len("000"))
    places = len(last) if is_fraction and last != written.rstrip("%") else 0
    margin = 0.5000001 * 10.0**-places
    if not places and value >= 1000 and value % 100 == 0:  # "about 12,300"
        margin = 50
    return any(abs(value - abs(explained)) <= margin for explained in known)
