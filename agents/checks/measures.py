"""What a text has: counts of its parts, words, facts, a language, a form; and a shorter version of it."""

# ruff: noqa: RUF001 - quotation marks of several languages
import re
from collections.abc import Callable, Sequence

from agents.checks.guardrails import INSTEAD

TextCheck = Callable[[str], str | None]
"""Returns None if a text passes, else what to change."""

MAX_SHORTENED = 10_000
"""Characters of an answer of which a shorter version is proposed."""

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
_TOP_ITEM = re.compile(r"^(?:[-*•–]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
LANGUAGES = {
    "English": ("englisch|anglais|inglés", "the and is are of to with for you your our we it this that"),
    "German": ("deutsch|allemand|alemán", "der die das und ist sind nicht mit für wir sie ein eine zu von den"),
    "French": ("französisch|français|francés", "le la les et est sont nous vous des une pour avec dans pas du sur"),
    "Spanish": ("spanisch|espagnol|español", "el los las y es son para con una por que del está en su"),
    "Italian": ("italienisch|italien|italiano", "il gli e è sono per con una di che della non nel siamo lo"),
    "Dutch": ("niederländisch|néerlandais", "het een en is zijn niet met voor wij van de op dat aan ook"),
}
"""By language: its names in others, and its most frequent words."""


def limit(unit: str, least: int, most: int, request: str, text: str) -> str | None:
    """Check a count of words, sentences, characters, items, lines or paragraphs; 0 for no limit."""
    number = _count(unit, text)
    if most and number > most:
        shorter = without_spare_sentences(text, request, lambda rest: _count(unit, rest) <= most)
        advice = f"{INSTEAD}\n\n{shorter}" if shorter else "Make it shorter."
        return f"It has {number} {unit}, but at most {most} are allowed. {advice}"
    if number < least:
        return f"It has {number} {unit}, but at least {least} are asked for."
    return None


def items(number: int, text: str) -> str | None:
    """Check the number of items where a text is a list."""
    found = len(_TOP_ITEM.findall(text))
    is_list = found > 1 or (found == 1 and _TOP_ITEM.match(text.lstrip()))
    return f"It has {found} items, but {number} are asked for." if is_list and found != number else None


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
        return len(ITEM.findall(text)) or 1
    if unit == "lines":
        return sum(bool(line.strip()) for line in text.splitlines())
    if unit == "paragraphs":
        return sum(bool(part.strip()) for part in re.split(r"\n[ \t]*\n", text))
    return len(_SENTENCE.findall(_NOT_SENTENCES.sub("", text))) or 1


def without(avoided: Sequence[str], text: str) -> str | None:
    """Check that no word of some is used."""
    used = [word for word in avoided if _has_word(text, word)]
    return f"It must not use: {', '.join(used)}. Say it in other words." if used else None


def containing(needed: Sequence[str], complaint: str, text: str) -> str | None:
    """Check that all words or figures are there."""
    missing = [word for word in needed if not _has_word(text, word) and not _in_other_form(text, word)]
    return f"{complaint}: {', '.join(missing)}. Put that in." if missing else None


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE) is not None


def _in_other_form(text: str, figure: str) -> bool:
    """Return whether a figure is there as people write it elsewhere: `5 pm` for 17:00, `24,90`, `1 250`, `1,250.00`."""
    hour, colon, minutes = figure.partition(":")
    if colon and hour.isdigit():
        return (
            re.search(
                rf"\b{int(hour) % 12 or 12}(?::{minutes})? ?[ap]\.?m|\b{hour}[.h ]{minutes}?", text, re.IGNORECASE
            )
            is not None
        )
    digits = re.sub(r"\D", "", figure)
    squeezed = re.sub(r"(?<=\d)[.,' \u00a0\u202f](?=\d)", "", text)
    short = digits[:-2] if re.search(r"[.,]00$", figure) else digits
    return bool(digits) and re.search(rf"(?<!\d)(?:{digits}|{short})(?:00)?(?!\d)", squeezed) is not None


def in_language(wanted: str, text: str) -> str | None:
    """Check that a text is not in another language."""
    found = re.findall(r"[^\W\d_]+", text.casefold())
    frequent = {name: sum(word in common.split() for word in found) for name, (_, common) in LANGUAGES.items()}
    is_other = max(frequent.values()) > 1 + 2 * frequent[wanted]
    return f"Write it in {wanted}." if is_other else None


def written_as(pattern: str, advice: str, least: int = 1) -> TextCheck:
    """Check that a pattern is found in a text so often."""
    return lambda text: None if len(re.findall(pattern, text, re.MULTILINE)) >= least else advice


def written_without(pattern: str, advice: str) -> TextCheck:
    """Check that a pattern is not found in a text."""
    return lambda text: advice if re.search(pattern, text, re.MULTILINE) else None
