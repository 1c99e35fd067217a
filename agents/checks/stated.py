"""Checks that a request states itself, in words that leave no doubt: limits, words, a form, facts that must appear.

Each rule reads one kind of statement, in English, German, French or Spanish, and makes checks of it. A statement that
a rule does not read is not checked: that is a reviewer's work.
"""

# ruff: noqa: RUF001 - quotation marks of several languages
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from agents.assignment import Assignment
from agents.checks.guardrails import INSTEAD
from agents.runtime import reads_foreign_text

TextCheck = Callable[[str], str | None]
"""Returns None if a text passes, else what to change."""
StatedRule = Callable[[str], Iterator[TextCheck]]
"""Makes checks of a request."""

MAX_REQUEST, MAX_ANSWER, MAX_SHORTENED = 2_000, 100_000, 10_000
"""Characters of a request and of an answer that are read, and of one of which a shorter version is proposed."""
_ALL = "Write in German as a numbered list, as JSON, at most 5 words, at most 2 sentences, at most 2 items, no 'x'."

_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "ein": 1, "einem": 1, "einen": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "zehn": 10,
    "un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "una": 1, "dos": 2, "tres": 3, "cinco": 5,
}  # fmt: skip
_N = rf"(\d{{1,4}}|{'|'.join(_NUMBERS)})"
_MOST = (
    r"(?:at (?:the )?most|no(?:t)? more than|a maximum of|max(?:imum|\.)?|up to|no longer than|within|(?:in )?under"
    r"|höchstens|maximal|nicht mehr als|au (?:plus|maximum)|pas plus de|como máximo|no más de|máximo(?: de)?)"
)
_MOST_AFTER = r"(?:or (?:fewer|less)|at (?:the )?most|max(?:imum)?\b|oder weniger|au maximum|como máximo)"
_LEAST = r"(?:at least|no(?:t)? (?:fewer|less) than|a minimum of|mindestens|au moins|al menos)"
_UNITS = {
    "words": r"words?|wörtern?|worte[n]?|mots?|palabras?",
    "sentences": r"sentences?|sätzen?|satz|phrases?|frases?|oraciones|oración",
    "characters": r"characters?|zeichen|caractères?|caracteres",
    "items": r"(?:bullet )?(?:points?|items?)|bullets|stichpunkten?|puntos",
}
_STEM = 5
"""Letters by which a word is the same in its forms."""
_SENTENCE = re.compile(r"[.!?…]+[\"'”’)»]*(?=\s|$)")
_NOT_SENTENCES = re.compile(
    r"\b(?:[A-Za-z]|Mrs?|Ms|Dr|St|Prof|No|Nr|ca|etc|vs|e\.g|i\.e|z\.B|approx|Inc|Ltd)\.(?=\s)|(?<=\d)\.(?=\s?\d)"
    r"|^[ \t]*\d+[.)]|^[ \t]*(?:\S+[ \t]+){0,2}\S+[ \t]*$",
    re.MULTILINE,
)
"""Abbreviations, numbers of lists, and lines of up to three words: a greeting, a heading."""
_WHOLE_SENTENCE = re.compile(
    r"(?:^(?![ \t]*(?:[-*•–]|\d{1,2}[._)])\s)|(?<=[.!?…][ \t]))"
    r"(?:\[[^\[\]\n]{1,40}\]$|[^\s.!?…](?:[^.!?…\n]|[.!?…](?!\s|$))*[.!?…]+[\"'”’)»]*[ \t]*)",
    re.MULTILINE,
)
"""To its end mark, not an item of a list; or a placeholder such as `[Your Name]`."""
_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
_QUOTED = r"[\"'‘“„«‹]([^\"'’‘“”„«»‹›\n]{1,60})[\"'’”“»›]"
_LIST = rf"({_QUOTED}(?:\s*(?:,|;|and|or|nor|und|oder|et|ou|y|o)*\s*{_QUOTED}){{0,20}})"
_AVOID = re.compile(
    r"(?:(?:do not|don['’]t|never|must not|may not|without|avoid(?:ing)?|not to)\s+"
    r"(?:(?:use|using|say(?:ing)?|write|mention(?:ing)?|contain(?:ing)?)\s+)?"
    r"|(?:benutzen?|verwenden?)(?: sie)? (?:nicht|kein(?:e[sn]?)?)\s+|ohne\s+|n['’]utilise[zr]? pas\s+|sans\s+"
    r"|sin\s+(?:usar\s+)?|no (?:uses|use|utilices)\s+)"
    r"(?:(?:the|any of the|of the|das|die|den|le|les|la|las|el)\s+)?"
    rf"(?:(?:words?|terms?|phrases?|wort|wörter|mots?|palabras?|expressions?)\s*:?\s*)?{_LIST}",
    re.IGNORECASE,
)
_USE = re.compile(
    r"(?<!not )(?<!n['’]t )\b(?:use|include|contain|mention)\s+(?:all of |each of )?(?:the\s+)?"
    rf"(?:words?|terms?|phrases?)\s*:?\s*{_LIST}",
    re.IGNORECASE,
)
_FORMS = {
    "json": r"\b(?:as|in|return|output|reply with|answer with|respond with|give me|als)\s+(?:only\s+)?(?:an?\s+)?"
    r"(?:single\s+|valid\s+)*json\b(?!\s+(?:file|schema)|-)",
    "table": r"\b(?:as|in)\s+(?:a|the form of a)\s+(?:markdown\s+)?table\b(?!\s+of)|\bals tabelle\b"
    r"|\bsous forme de tableau\b",
    "numbered": r"\b(?:as|in|write|make|give me)\s+a\s+numbered\s+list\b|\bals nummerierte liste\b",
    "list": r"\b(?:as|in|write|make|give me)\s+(?:a\s+)?bullet(?:ed)?(?:\s+(?:list|points)|s)\b|\bals stichpunkte\b",
}
_WRITE = re.compile(r"\b(?:write|compose|draft|schreib\w*|écri\w*|escrib\w*)\b(?:[^.!?]|[.!?](?!\s|$))*", re.IGNORECASE)
_FACT = re.compile(r"(?<![\w.,:])\d[\d:.,]*\d(?!\w)")
_LANGUAGES = {
    "English": ("englisch|anglais|inglés", "the and is are of to with for you your our we it this that"),
    "German": ("deutsch|allemand|alemán", "der die das und ist sind nicht mit für wir sie ein eine zu von den"),
    "French": ("französisch|français|francés", "le la les et est sont nous vous des une pour avec dans pas du sur"),
    "Spanish": ("spanisch|espagnol|español", "el los las y es son para con una por que del está en su"),
    "Italian": ("italienisch|italien|italiano", "il gli e è sono per con una di che della non nel siamo lo"),
    "Dutch": ("niederländisch|néerlandais", "het een en is zijn niet met voor wij van de op dat aan ook"),
}
"""By language: its names in others, and its most frequent words."""
_IN_LANGUAGE = re.compile(
    r"\b(?:write|answer|reply|respond|translate|summari[sz]e|explain|put|schreib\w*|antworte\w*|übersetz\w*"
    r"|écri\w*|répond\w*|tradui\w*|escrib\w*|respond\w*|traduc\w*)\b[^.!?\n]{0,150}?\b(?:in|into|to|auf|ins|en)\s+"
    rf"({'|'.join(f'{name}|{others}' for name, (others, _) in _LANGUAGES.items())})"
    r"(?=\s*(?:[.,;:!?)]|$)|\s+(?:and|with|of at|in)\b)",
    re.IGNORECASE,
)


def limits(request: str) -> Iterator[TextCheck]:
    """Check limits of words, sentences, characters and items: `at most 60 words`, `in two sentences`."""
    for unit, names in _UNITS.items():
        words = rf"(?:{names})\b"
        most = rf"\b{_MOST}\s+{_N}\s+(?:\w+\s)?{words}|\b{_N}\s+{words}\s+{_MOST_AFTER}"
        for match in re.finditer(most, request, re.IGNORECASE):
            yield partial(_limit, unit, 0, _number(match[1] or match[2]), request.replace(match[0], ""))
        for match in re.finditer(rf"\b{_LEAST}\s+{_N}\s+{words}", request, re.IGNORECASE):
            yield partial(_limit, unit, _number(match[1]), 0, "")
        if unit == "sentences":
            exact = rf"\b(?:in|of|with|exactly|genau|en|mit)\s+(?:exactly |exactement )?{_N}\s+(?:\w+\s)?{words}"
            several = rf"{words}\s+(?:each|per|for)\b|\beach\b|\bper\b|\bthen\b"
            found = list(re.finditer(exact, request, re.IGNORECASE))
            if len(found) == 1 and not re.search(several, request, re.IGNORECASE):
                yield partial(_limit, unit, _number(found[0][1]), _number(found[0][1]), "")


def words(request: str) -> Iterator[TextCheck]:
    """Check words to avoid and to use that are quoted: `do not use the words 'best' and 'perfect'`."""
    for match in _AVOID.finditer(request):
        yield partial(_without, re.findall(_QUOTED, match[1]))
    for match in _USE.finditer(request):
        yield partial(_containing, re.findall(_QUOTED, match[1]), "It must use")


def form(request: str) -> Iterator[TextCheck]:
    """Check a form: JSON, a table, a numbered list, a list."""
    for name, asks in _FORMS.items():
        if re.search(asks, request, re.IGNORECASE):
            yield _HAS_FORM[name]


def language(request: str) -> Iterator[TextCheck]:
    """Check a language, by its most frequent words."""
    named = {match[1].casefold() for match in _IN_LANGUAGE.finditer(request)}
    wanted = [name for name, (others, _) in _LANGUAGES.items() if named & {name.casefold(), *others.split("|")}]
    if len(wanted) == 1:
        yield partial(_in_language, wanted[0])


def facts(request: str) -> Iterator[TextCheck]:
    """Check the figures of a text that is asked for with a limit: they are its facts, which a short text loses.

    Those before it, and in other sentences of the request, may be for a calculation.
    """
    for sentence in _WRITE.findall(request):
        limit = rf"\b(?:{_MOST}|{_LEAST})\s+{_N}\s+\w+|\b{_N}\s+(?:words|sentences)\b"
        if re.search(limit, sentence, re.IGNORECASE):
            rest = _AVOID.sub(" ", re.sub(limit, " ", sentence, flags=re.IGNORECASE))
            if figures := [figure.rstrip(".,:") for figure in _FACT.findall(rest)]:
                yield partial(_containing, figures, "It leaves out")


RULES: Sequence[StatedRule] = (words, form, language, facts, limits)


class AsRequested:
    """A check for any agent or pattern: what the task itself states; `AsRequested([*RULES, mine])` adds a rule."""

    __name__ = "as_requested"

    def __init__(self, rules: Sequence[StatedRule] = RULES) -> None:
        self.rules = tuple(rules)

    @reads_foreign_text(lambda check, text: check(AsRequested(), text, {"task": _ALL}))
    def __call__(self, text: str, assignment: Assignment) -> str | None:
        """Return what to change in an answer, or None."""
        request, text = assignment["task"][:MAX_REQUEST], text[:MAX_ANSWER]
        wrong = [change for rule in self.rules for check in rule(request) if (change := check(text))]
        return " ".join(dict.fromkeys(wrong)) or None


as_requested = AsRequested()
"""Check what the task itself states in words that leave no doubt: limits, words, a form, a language, figures."""


def _number(written: str) -> int:
    return _NUMBERS.get(written.casefold()) or int(written)


def _limit(unit: str, least: int, most: int, request: str, text: str) -> str | None:
    number = _count(unit, text)
    if most and number > most:
        shorter = without_spare_sentences(text, request, lambda rest: _count(unit, rest) <= most)
        advice = f"{INSTEAD}\n\n{shorter}" if shorter else "Make it shorter."
        return f"It has {number} {unit}, but at most {most} are allowed. {advice}"
    if number < least:
        return f"It has {number} {unit}, but at least {least} are asked for."
    return None


def without_spare_sentences(text: str, request: str, fits: Callable[[str], bool]) -> str:
    """Return a text without the sentences that have least of the request, until it fits; empty if it never does.

    A small model cannot count words, and leaves something out only if it reads the shorter text. Sentences with
    figures, and items of lists, stay.
    """
    if len(text) > MAX_SHORTENED:
        return ""
    masked = _NOT_SENTENCES.sub(lambda match: match[0].replace(".", "_"), text)
    asked = _stems(request)
    shared = {sentence: len(_stems(sentence) & asked) for sentence in _WHOLE_SENTENCE.findall(masked)}
    for sentence in sorted(shared, key=shared.__getitem__):
        if shared[sentence] < 2 and not any(map(str.isdigit, sentence)):
            place = masked.index(sentence)
            text, masked = (whole[:place] + whole[place + len(sentence) :] for whole in (text, masked))
            if fits(text):
                return re.sub(r"\s*\n\s*\n\s*", "\n\n", text).strip()
    return ""


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in re.findall(r"[^\W\d_]{4,}", text.casefold())}


def _count(unit: str, text: str) -> int:
    if unit == "words":
        return sum(any(map(str.isalnum, word)) for word in text.split())
    if unit == "characters":
        return len(text.strip())
    if unit == "items":
        return len(_ITEM.findall(text)) or 1
    return len(_SENTENCE.findall(_NOT_SENTENCES.sub("", text))) or 1


def _without(avoided: Sequence[str], text: str) -> str | None:
    used = [word for word in avoided if _has_word(text, word)]
    return f"It must not use: {', '.join(used)}. Say it in other words." if used else None


def _containing(needed: Sequence[str], complaint: str, text: str) -> str | None:
    missing = [word for word in needed if not _has_word(text, word) and not _in_other_form(text, word)]
    return f"{complaint}: {', '.join(missing)}. Put that in." if missing else None


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE) is not None


def _in_other_form(text: str, figure: str) -> bool:
    """Return whether a figure is there as people write it elsewhere: `5 pm` for 17:00, `24,90`, `1 250`, `1,250.00`."""
    hour, colon, minutes = figure.partition(":")
    if colon and hour.isdigit():
        in_words = rf"\b{int(hour) % 12 or 12}(?::{minutes})? ?[ap]\.?m|\b{hour}[.h ]{minutes}?"
        return re.search(in_words, text, re.IGNORECASE) is not None
    digits = re.sub(r"\D", "", figure)
    squeezed = re.sub(r"(?<=\d)[.,' \u00a0\u202f](?=\d)", "", text)
    short = digits[:-2] if re.search(r"[.,]00$", figure) else digits
    return bool(digits) and re.search(rf"(?<!\d)(?:{digits}|{short})(?:00)?(?!\d)", squeezed) is not None


def _in_language(wanted: str, text: str) -> str | None:
    found = re.findall(r"[^\W\d_]+", text.casefold())
    frequent = {name: sum(word in common.split() for word in found) for name, (_, common) in _LANGUAGES.items()}
    is_other = max(frequent.values()) > 1 + 2 * frequent[wanted]
    return f"Write it in {wanted}." if is_other else None


def _is_json(text: str) -> str | None:
    fenced = re.search(r"```(?:json)?(.*?)```", text, re.DOTALL)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return "Answer with one valid JSON value and nothing else."
    return None


def _written_as(pattern: str, words: str, least: int = 1) -> TextCheck:
    return lambda text: None if len(re.findall(pattern, text, re.MULTILINE)) >= least else f"Write it as {words}."


_HAS_FORM: dict[str, TextCheck] = {
    "json": _is_json,
    "table": _written_as(r"\|\s*:?-{2,}|<table", "a Markdown table"),
    "numbered": _written_as(r"^[ \t]*(?:1|2)[.)]\s", "a numbered list, one item a line", 2),
    "list": _written_as(_ITEM.pattern, "a list, one item a line", 2),
}
