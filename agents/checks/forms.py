"""The form of an answer that a request states: JSON, CSV, a table, a list, code; and what it is to do without."""

# ruff: noqa: RUF001 - quotation marks of several languages
import json
import re
from collections.abc import Iterator, Mapping

from agents.checks.measures import ITEM, TextCheck, written_as, written_without

_QUESTION = re.compile(
    r"\b(?:what|why|how|who|when|where|which|is|are|does|did|can(?! you)|was|warum|wie|wer|comment|pourquoi|cómo|qué)\b"
    r"[^.!?\n]*\?|(?:^|(?<=[.!?\n]))[^.!?\n]*\b(?:said|says?:|told|wrote|sagt\w*|dit|dijo)[^.!?\n]*[.!?]?",
    re.IGNORECASE,
)
_AS = (
    r"\b(?:as|in|into|to|als|en|return|output|produce|give me|want|format:|(?:reply|answer|respond)(?: only)? with"
    r"|devuelve|renvoie)\s+"
    r"(?:(?:only|just|an?|un|ein|the|\w+ as|valid|single|strict)\s+){0,3}"
)
_MAKE = (
    r"(?<!how to )\b"
    r"(?:as|in|into|use|write|make|create|draw(?: up)?|(?:give|show)(?: me)?|(?:reply|answer|respond) with)\s+"
    r"(?:(?:an?|the form of a|markdown|comparison|small|short|simple|step-by-step)\s+){0,4}"
)
_NO = r"\b(?:no|without(?: using)?(?: any)?|avoid|(?:do not|don['’]t) use(?: any)?|ohne|keine|sans|sin)\s+"
_YES = r"\A\W*(?:[Yy]es|[Nn]o|[Jj]a|[Nn]ein|[Oo]ui|[Nn]on|[Ss]í)\b"
_CODE = r"```|\b(?:def|class) \w|\bfunction\b|\bSELECT\b|^\s*(?:import|#!|<\w)|[;{}]$"
_EXPLAINS = re.compile(r"\b(?:explain|describe|discuss|compare|erklär\w*|expli\w*)\b", re.IGNORECASE)


def _is_json(text: str) -> str | None:
    fenced = re.search(r"```(?:json)?(.*?)```", text, re.DOTALL)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return "Answer with one valid JSON value and nothing else."
    return None


def _is_csv(text: str) -> str | None:
    lines = [line for line in re.sub(r"```\w*", "", text).splitlines() if line.strip()]
    is_csv = len(lines) > 1 and any(all(separator in line for line in lines) for separator in ",;\t")
    return None if is_csv else "Answer with CSV, one record a line, and nothing else."


_DATA: Mapping[str, TextCheck] = {
    rf"{_AS}json\b(?!\s+(?:file|schema|parser)|[-.]\w)|\bjson(?: only|,? please| format| object)\b": _is_json,
    rf"{_AS}csv\b(?! file)": _is_csv,
}
"""By the words that ask for it; also said of data that a text is about."""
_FORMS: Mapping[str, TextCheck] = {
    rf"{_MAKE}table\b(?! of contents| reserv| saw| tennis| (?:from|out of)|[-'])|\b(?:als|in einer) tabelle\b"
    r"|\b(?:sous forme de|dans un) tableau\b|\ben (?:forma de|una) tabla\b": written_as(
        r"\|\s*:?-{2,}|<table", "Write it as a Markdown table."
    ),
    rf"{_MAKE}numbered\s+(?:list|steps|instructions)\b|\bals nummerierte liste\b"
    r"|\bnumber the (?:steps|items|points)\b": written_as(
        r"^[ \t]*(?:1|2)[.)]\s", "Write it as a numbered list, one item a line.", 2
    ),
    rf"{_MAKE}bullet(?:ed)?(?:\s+(?:list|points)|s)\b|\bas a list\b|\bals (?:liste|stichpunkte|aufzählung)\b"
    r"|\bsous forme de liste\b|\ben forma de lista\b": written_as(
        ITEM.pattern, "Write it as a list, one item a line.", 2
    ),
    rf"{_MAKE}(?:the )?(?:python|javascript|typescript|java|sql|bash|rust|go|ruby|html|css|c\+\+)"
    r"\s+(?:function|program|script|class|query|code|snippet)\b|\bin a code block\b|\bonly the code\b": written_as(
        _CODE, "Write the code."
    ),
    r"\bin (?:all )?(?:capital letters|capitals|upper ?case|all caps|großbuchstaben)\b"
    r"|\ben (?:majuscules|mayúsculas)\b": lambda text: None if text == text.upper() else "Write it in capital letters.",
    r"\bin (?:lower ?case|small letters|kleinbuchstaben)\b": lambda text: (
        None if text == text.lower() else "Write it in small letters."
    ),
    r"\b(?:answer|reply|respond|say)\b[^.!?\n]{0,15}\byes or no\b"
    r"|\b(?:mit ja oder nein|par oui ou non|con sí o no)\b": written_as(_YES, "Begin with yes or no."),
    r"\b(?:just|only|nothing but) (?:with )?the (?:number|figure)\b|\bwith the number only\b"
    r"|\bnur (?:mit der|die) zahl\b": lambda text: (
        None if len(text.split()) < 4 else "Answer with the number and nothing else."
    ),
    r"\b(?:end|close|finish) (?:it )?with a question\b": written_as(r"\?\W*\Z", "End with a question."),
}
_WITHOUT: Mapping[str, TextCheck] = {
    rf"{_NO}(?:exclamation (?:marks?|points?)|ausrufezeichen)\b": written_without(
        "!", "Write it without exclamation marks."
    ),
    rf"{_NO}(?:emojis?|emoticons?|smileys?)\b": written_without(
        "[\u2600-\u27bf\U0001f300-\U0001faff]", "Write it without emojis."
    ),
    rf"{_NO}(?:bullet(?: point)?s|lists|stichpunkte|aufzählung(?:en)?)\b": written_without(
        ITEM.pattern, "Write it without a list."
    ),
}


def without_questions(request: str) -> str:
    """Return a request without questions, and without what others said."""
    return _QUESTION.sub(" ", request)


def form(request: str) -> Iterator[TextCheck]:
    """Check a form: JSON, CSV, a table, a list, code, capital letters, yes or no; and none of what is not wanted."""
    request = without_questions(request)
    for asks, check in _WITHOUT.items():
        request, number = re.subn(asks, " ", request, flags=re.IGNORECASE)
        if number:
            yield check
    for asks, check in (_FORMS if _EXPLAINS.search(request) else {**_DATA, **_FORMS}).items():
        if re.search(asks, request, re.IGNORECASE):
            yield check
