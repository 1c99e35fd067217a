"""Checks that a request states itself, in words that leave no doubt: limits, words, a form, facts that must appear.

Each rule reads one kind of statement, in English, German, French or Spanish, and makes checks of it. A statement that
a rule does not read is not checked: that is a reviewer's work.
"""

# ruff: noqa: RUF001 - quotation marks of several languages
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from agents.assignment import Assignment
from agents.checks.figures import MONTHS, NUMBER_WORDS
from agents.checks.forms import form, without_questions
from agents.checks.measures import (
    LANGUAGES,
    TextCheck,
    containing,
    in_language,
    items,
    limit,
    without,
    written_as,
    written_without,
)
from agents.runtime import reads_foreign_text

StatedRule = Callable[[str], Iterator[TextCheck]]
"""Makes checks of a request."""

MAX_REQUEST, MAX_ANSWER = 2_000, 100_000
"""Characters of a request and of an answer that are read."""
_ALL = "Write in German as a numbered list, as JSON, at most 5 words, at most 2 sentences, at most 2 items, no 'x'."

_ONE = ("one", "a single", "single", "ein", "einem", "einen", "einer", "eine", "un", "une", "una")
_NUMBERS = {**NUMBER_WORDS, **dict.fromkeys(_ONE, 1)}
_NUMBER = re.compile(
    rf"\b(?:{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})\b|(?<=\d)[.,](?=\d{{3}}\b)", re.IGNORECASE
)
_N = r"(\d{1,5})"
_MOST = (
    r"(?:at (?:the )?most|(?:not?|\w{2,6}n['’]t|never) (?:\w+ ){0,2}(?:more|longer) than|up to"
    r"|(?:a |en un )?m[aá]xim(?:um|al|o)?\.?(?: of| de)?|(?:fewer|less) than|(?:not|\w{2,6}n['’]t) exceed"
    r"|within|(?:in )?under|below|max\.?|limit(?:ed)?(?: \w+){0,2}(?: to|:)"
    r"|keep (?:\w+ ){1,3}(?:to|under)|höchstens|nicht (?:mehr|länger) als"
    r"|weniger als|unter|bis zu|au (?:plus|maximum)|(?:pas plus|moins) de|no más de|menos de)"
)
_MOST_AFTER = r"(?:or (?:fewer|less)|at (?:the )?most|max(?:imum)?\b|oder weniger|(?:au )?maximum|como máximo|limit)"
_LEAST = r"(?:at least|not? (?:fewer|less) than|a minimum of|(?<!not )(?<!no )more than|mindestens|au moins|al menos)"
_LEAST_AFTER = r"(?:at least|or more|minimum)"
_ABOUT = r"(?:exactly |exactement |exactamente |genau |about |around |roughly |etwa |environ |unos |just |only )?"
_TO = r" ?(?:to|or|and|-|–|bis|oder|und|à|ou|et|a|o|y) ?"
_UNITS = {
    "words": r"words?|wörtern?|worte[n]?|mots?|palabras?",
    "sentences": r"sentences?|sätzen?|satz|phrases?|frases?|oraciones|oración",
    "characters": r"characters?|zeichen|caractères?|caracteres",
    "items": r"(?:bullet )?(?:points?|items?)|bullets|stichpunkten?|puntos",
    "lines": r"lines?|zeilen?|lignes?|líneas?",
    "paragraphs": r"paragraphs?|absätzen?|absatz|paragraphes?|párrafos?",
}
_EXACT = (
    r"(?:in|of|exactly|genau|en|mit|de|to|write|schreibe?|écris|escribe"
    r"|(?:answer|reply|respond|réponds|responde)(?: only)? (?:with|par|con)"
    r"|(?:write|compose) an? (?:poem|text|note|letter|summary|story|haiku) with)"
)
_LISTING = (
    r"(?:list|name|give(?: me)?|suggest|tell me|write|nenne|gib mir|donne(?:-moi)?|cite|dame|enumera|nombra)"
    r"(?: the)?(?: top| main| best)?"
)
_PERSONS = 20
"""A smaller number of characters is that of a story."""
_SLACK = 0.35
"""Share by which a number of words may be missed where it is not a limit."""
_THEN = re.compile(
    r"\b(?:then|afterwards|dann|danach|puis|ensuite|luego|después)\b"
    r"|\b(?:calculate|compute|work out|count|convert|translate|name|list)\b[^.!?\n]*"
    r"\band (?:explain|describe|write|say|tell)\b"
    r"|\b(?:and|und|et|y) (?:an?|the|eine?n?|une?|una?) \w+ (?:of|with|von|mit|de)\b",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b(?:each|every|per|jede[rsnm]?|je|pro|chaque|cada)\b[^.!?\n]{0,40}\Z", re.IGNORECASE)
_OF_EACH = re.compile(r"\W{0,2}(?:for )?(?:each|every|per|je|pro|chacun\w*|cada)\b", re.IGNORECASE)
"""Show that a number is of a part of the answer."""
_MORE = re.compile(
    r"\b(?:and|und|et|y|with) (?:\d|(?:calculate|compute|work out|explain|describe|write|say|tell|add|compare)\b)",
    re.IGNORECASE,
)
"""Shows that an answer has more than one list."""
_IN_ALL = re.compile(r"\b(?:in all|in total|altogether|overall|insgesamt|en tout|au total|en total)\b", re.IGNORECASE)
_SENTENCES_OR_SO = rf"(?:\w+\s)?(?:{'|'.join(names for unit, names in _UNITS.items() if unit != 'items')})\b"
_HAS = r"(?<!\bhas )(?<!\bhave )(?<!\bhad )(?<!\bscored )"
_QUOTED = r"[\"'‘“„«‹] ?([^\"'’‘“”„«»‹›\n]{1,60}?(?:(?<=\w)['’](?=\w)[^\"'’‘“”„«»‹›\n]{1,60}?)?) ?[\"'’”“»›](?!\w)"
_LIST = rf"({_QUOTED}(?:\s*(?:,|;|and|or|nor|und|oder|et|ou|y|o)*\s*{_QUOTED}){{0,20}})"
_WORD_OF = r"(?:words?|terms?|phrases?|letters?|wort|wörter|mots?|palabras?|expressions?|names?)"
_THE = r"(?:(?:the|any of the|of the|all of the|each of the|all|das|die|den|le|les|la|las|el|los)\s+)?"
_WORDS = (
    r"(?:(?:word|wort|mot|palabra) ((?!\w+ly\b)[^\W\d_]{2,30})"
    r"|words:? ([^\W\d_]+(?:(?:,|,? (?:and|or)) [^\W\d_]+){1,9}))(?= ?(?:[.,;:!?)\n]|\Z))"
)
"""Words without quotation marks."""
_AVOID = re.compile(
    r"(?:(?:do not|don['’]t|never|must not|should not|may not|without|avoid(?:ing)?|not to|leave out|leaving out)\s+"
    r"(?:(?:use|using|say(?:ing)?|write|mention(?:ing)?|contain(?:ing)?|include)\s+)?"
    r"|(?:benutzen?|verwenden?)(?: sie)? (?:nicht|kein(?:e[sn]?)?)\s+|vermeiden?\s+|ohne\s+|évite[rz]?\s+"
    r"|n['’](?:utilise|emploie)[zr]? pas\s+|ne pas (?:utiliser|employer)\s+|sans\s+(?:utiliser\s+)?|evit(?:a|ar|e)\s+"
    r"|sin\s+(?:usar\s+)?|no (?:uses|use|utilices)\s+)"
    rf"{_THE}(?:(?:{_WORD_OF}\s*:?\s*)?{_LIST}|{_WORDS})"
    rf"|(?:{_THE}{_WORD_OF}\s+)?{_LIST}\s+(?:(?:is|are) (?:forbidden|not allowed)"
    r"|(?:does|do|must|should|may) not (?:appear|occur|be used))"
    rf"|forbidden {_WORDS}|(?:verwenden?|benutzen?)\s+(?:sie )?{_THE}{_WORD_OF}\s+{_LIST}\s+nicht",
    re.IGNORECASE,
)
_USE = re.compile(
    r"(?<!not )(?<!n['’]t )(?<!never )(?<!no )(?<!pas )\b"
    r"(?:use|include|contain|mention|verwenden?|benutzen?|utilise[zr]?|emploie|usa)\s+"
    rf"{_THE}(?:{_WORD_OF}\s*:?\s*{_LIST}(?! ?nicht)|{_WORDS})"
    rf"|\b(?:to|must|should|that|which) (?:mention|include|contain)s? {_THE}(?:{_WORD_OF} )?{_LIST}"
    rf"|{_LIST} (?:appears|(?:must|should|has to|have to) (?:appear|occur|be used|be included))|\bkey{_WORDS}"
    rf"|\bkeywords(?: to use)?: ([^\W\d_]+(?:, [^\W\d_]+){{0,9}})",
    re.IGNORECASE,
)
_TEXT = r"(?:answer|reply|text|letter|note|story|poem|speech|post|e-?mail|message)"
_WITH = rf"(?: it| (?:the|your|an?) {_TEXT})? with (?:the )?(?:{_WORD_OF} )?{_QUOTED}"
_BEGIN = re.compile(rf"\b(?:begin|start)s?{_WITH}|\bfirst word (?:must be|is) {_QUOTED}", re.IGNORECASE)
_END = re.compile(rf"\b(?:end|close|finish)(?:s|es)?{_WITH}", re.IGNORECASE)
_ABOUT_TEXTS = re.compile(
    rf"(?:^|(?<=[.!?:]\s))(?:is|are|was|does|do|did|can(?! you)|how|why|which|ist|sind|es)\b[^.!?\n]*\?|{_QUOTED}",
    re.IGNORECASE,
)
"""Questions and quotations that speak of limits and state none."""
_WRITE = re.compile(r"\b(?:write|compose|draft|schreib\w*|écri\w*|escrib\w*)\b(?:[^.!?]|[.!?](?!\s|$))*", re.IGNORECASE)
_FACT = re.compile(rf"(?<![\w.,:])\d[\d:.,]*\d(?!\w)|\b\d(?= {MONTHS})")
_NAMED = re.compile(r"\b(?:Mrs?|Ms|Miss|Dr|Prof|Herrn?|Frau|Mme|Sra?)\b\.? ([^\W\d_a-z][^\W\d_]+)")
_LANGUAGE = "|".join(f"{name}|{others}" for name, (others, _) in LANGUAGES.items())
_IN_LANGUAGE = re.compile(
    r"\b(?:write|answer|reply|respond|translate|summari[sz]e|explain|give|draft|put|say|schreib\w*|antwort\w*|übersetz\w*"
    r"|erklär\w*|écri\w*|répond\w*|tradui\w*|expli\w*|escr[ií]b\w*|respond\w*|traduc\w*)\b[^.!?\n]{0,150}?\b"
    rf"(?:(?:in|into|to|ins|al|a)\s+(?:simple |plain )?({_LANGUAGE})e?"
    rf"(?=\s*(?:[.,;:!?)]|$)|\s+(?:and|with|of at|in|about|to|for|on|that)\b)|(?:auf|en)\s+({_LANGUAGE})\b)"
    rf"|(?:^|[.!?]\s)(?:(?:in|use|language:)\s+({_LANGUAGE})(?=\s*(?:[.,;:!]|please|$))"
    rf"|(?:auf|en)\s+({_LANGUAGE})\b)|\bauf ({_LANGUAGE}) (?:antwort|schreib)"
    rf"|\b(?:write|draft|compose) an? ({_LANGUAGE}) (?:poem|letter|text|note|summary|e-?mail|story|message|version)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"(?:\b(?:not|nicht|pas|no)|n['’]t)\s", re.IGNORECASE)


def limits(request: str) -> Iterator[TextCheck]:
    """Check limits of words, sentences, characters, items, lines and paragraphs: `at most 60 words`, `in two lines`."""
    request = _in_digits(_ABOUT_TEXTS.sub(" ", request))
    for unit, names in _UNITS.items():
        words, rest = rf"(?:\w+\s)?(?:{names})\b", request
        if not re.search(words, request, re.IGNORECASE):
            continue
        for pattern, bounds in (
            (rf"\b{_N}{_TO}{_N}[\s-]+{words}", (0, 1)),
            (rf"\b{_HAS}{_MOST}\s+{_N}\s+{words}|\b{_N}\s+{words},?\s+{_MOST_AFTER}", (None, 0)),
            (rf"\b{_HAS}{_LEAST}\s+{_N}\s+{words}|\b{_N}\s+{words},?\s+{_LEAST_AFTER}", (0, None)),
        ):
            for match in re.finditer(pattern, rest, re.IGNORECASE):
                numbers = [int(written) for written in match.groups() if written]
                least, most = (0 if place is None else numbers[place] for place in bounds)
                if not _is_of_part(match):
                    yield partial(limit, unit, least, most, request.replace(match[0], ""))
            rest = re.sub(pattern, " ", rest, flags=re.IGNORECASE)
        exact = rf"\b{_EXACT}\s+{_ABOUT}{_N}\s+{words}|\b(?:an?|ein\w*)\s+{_N}-(?:{names})\b"
        exactly = list(re.finditer(exact, rest, re.IGNORECASE))
        if len(exactly) == 1 and not _is_of_part(exactly[0]):
            yield from _exactly(unit, exactly[0])
    listing = rf"\s*(?:please )?{_LISTING}\s+{_ABOUT}{_N}\s+(?!{_SENTENCES_OR_SO})\w+|.*?\blist of {_N}\s"
    listed = re.match(listing, request, re.IGNORECASE)
    if listed and not _is_of_part(listed) and not _MORE.search(request):
        yield partial(items, int(listed[1] or listed[2]))


def _is_of_part(match: re.Match[str]) -> bool:
    request = match.string
    is_of_each = _EACH.search(request[: match.start()]) or _OF_EACH.match(request, match.end())
    return bool(is_of_each or _THEN.search(request)) and not _IN_ALL.search(request)


def _exactly(unit: str, match: re.Match[str]) -> Iterator[TextCheck]:
    number = int(match[1] or match[2])
    if unit == "items":
        yield partial(items, number)
    elif unit != "characters" or number >= _PERSONS:
        is_exact = unit not in ("words", "characters") or number < 10 or re.search("(?i)exact|genau", match[0])
        slack = 0 if is_exact else int(number * _SLACK)
        yield partial(limit, unit, number - slack, number + slack, "")


def words(request: str) -> Iterator[TextCheck]:
    """Check words to avoid and to use: `do not use the words 'best' and 'perfect'`, `begin with 'Dear'`."""
    request = without_questions(request)
    for match in _AVOID.finditer(request):
        yield partial(without, _listed(match))
    for match in _USE.finditer(request):
        yield partial(containing, _listed(match), "It must use")
    for match in _BEGIN.finditer(request):
        beginning = match[1] or match[2]
        yield written_as(rf"\A\W*{re.escape(beginning)}", f"Begin with {beginning!r}.")
    for match in _END.finditer(request):
        yield written_as(rf"{re.escape(match[1])}\W*\Z", f"End with {match[1]!r}.")
    for match in re.finditer(r"\bwithout (?:using )?the letter ['\"‘“]?(\w)\b", request, re.IGNORECASE):
        yield written_without(rf"(?i){match[1]}", f"Write it without the letter {match[1]!r}.")


def _listed(match: re.Match[str]) -> list[str]:
    quoted = re.findall(_QUOTED, match[0])
    return quoted or re.findall(r"[^\W\d_]+", re.sub(r"\b(?:and|or)\b", "", next(filter(None, match.groups()))))


def language(request: str) -> Iterator[TextCheck]:
    """Check a language, by its most frequent words."""
    named = {
        name.casefold()
        for match in _IN_LANGUAGE.finditer(request)
        # Next to the verb or the language: "do not write in", "not in German".
        if not _NEGATED.search(" ".join([*request[: match.start()].split()[-1:], *match[0].split()[-3:]]))
        for name in match.groups()
        if name
    }
    wanted = [name for name, (others, _) in LANGUAGES.items() if named & {name.casefold(), *others.split("|")}]
    if len(wanted) == 1:
        yield partial(in_language, wanted[0])


def facts(request: str) -> Iterator[TextCheck]:
    """Check the figures and names of a text that is asked for with a limit: its facts, which a short text loses.

    Those before it, and in other sentences of the request, may be for a calculation.
    """
    number = rf"(?:\d[\d.,]*|{'|'.join(_NUMBERS)})"
    limit = rf"\b(?:(?:{_MOST}|{_LEAST}|{number}{_TO})\s*)?{number}[\s-]+(?:\w+\s)?(?:{'|'.join(_UNITS.values())})\b"
    for sentence in _WRITE.findall(request):
        if re.search(limit, sentence, re.IGNORECASE):
            rest = _AVOID.sub(" ", re.sub(limit, " ", sentence, flags=re.IGNORECASE))
            if needed := [*(figure.rstrip(".,:") for figure in _FACT.findall(rest)), *_NAMED.findall(rest)]:
                yield partial(containing, needed, "It leaves out")


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


def _in_digits(request: str) -> str:
    """Return a request with its numbers in digits: `two sentences` as `2 sentences`, `1,000` as `1000`."""
    return _NUMBER.sub(lambda match: str(_NUMBERS.get(match[0].casefold(), "")), request)
