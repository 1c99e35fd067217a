"""The form of an answer that a request states: JSON, CSV, a table, a list, code; and what it is to do without."""

# ruff: noqa: RUF001 - quotation marks of several languages
import json
import re
from collections.abc import Iterator

from agents.checks.measures import ITEM, TextCheck, written_as, written_without

_QUESTION = re.compile(
    r"\b(?:what|why|how|who|when|where|which|is|are|does|did|can|was|warum|wie|wer|wo|comment|pourquoi|cómo|qué)\b"
    r"[^.!?\n]*\?|(?:^|(?<=[.!?\n]))[^.!?\n]*\b(?:said|says?:|told|wrote|sagt\w*|dit|dijo)[^.!?\n]*[.!?]?",
    re.IGNORECASE,
)
_AS = (
    r"\b(?:as|in|into|to|als|en|return|output|produce|give me|want|format:|(?:reply|answer|respond)(?: only)? with"
    r"|devuelve|renvoie)\s+"
    r"(?:(?:only|just|an?|un|ein|the|\w+ as|valid|single|strict)\s+){0,3}"
)
_MAKE = (
    r"\b(?:as|in|into|use|write|make|create|draw(?: up)?|give me|give|show(?: me)?|with)\s+"
    r"(?:(?:an?|the form of a|markdown|comparison|small|short|simple|step-by-step)\s+){0,4}"
)
_FORM_WORDS = {
    "json": rf"{_AS}json\b(?!\s+(?:file|schema|parser)|[-.]\w)|\bjson(?: only|,? please| format| object)\b",
    "csv": rf"{_AS}csv\b(?! file)",
    "table": rf"{_MAKE}table\b(?! of contents| reserv|[-'])|\b(?:als|in einer) tabelle\b"
    r"|\b(?:sous forme de|dans un) tableau\b|\ben (?:forma de|una) tabla\b",
    "numbered": rf"{_MAKE}numbered\s+(?:list|steps|instructions)\b|\bals nummerierte liste\b"
    r"|\bnumber the (?:steps|items|points)\b",
    "list": rf"{_MAKE}bullet(?:ed)?(?:\s+(?:list|points)|s)\b|\bas a list\b|\bals (?:liste|stichpunkte|aufzählung)\b"
    r"|\bsous forme de liste\b|\ben forma de lista\b",
    "code": rf"{_MAKE}(?:the )?(?:python|javascript|typescript|java|sql|bash|rust|go|ruby|html|css|c\+\+)"
    r"\s+(?:function|program|script|class|query|code|snippet)\b|\bin a code block\b|\bonly the code\b",
    "capitals": r"\bin (?:all )?(?:capital letters|capitals|upper ?case|all caps|großbuchstaben)\b"
    r"|\ben (?:majuscules|mayúsculas)\b",
    "small letters": r"\bin (?:lower ?case|small letters|kleinbuchstaben)\b",
    "yes or no": r"\b(?:answer|reply|respond|say)\b[^.!?\n]{0,15}\byes or no\b"
    r"|\b(?:mit ja oder nein|par oui ou non|con sí o no)\b",
    "number": r"\b(?:just|only|nothing but) (?:with )?the (?:number|figure)\b|\bwith the number only\b"
    r"|\bnur (?:mit der|die) zahl\b",
    "question": r"\b(?:end|close|finish) (?:it )?with a question\b",
}
_WITHOUT_WORDS = {
    "exclamation": r"exclamation (?:marks?|points?)|ausrufezeichen",
    "emoji": r"emojis?|emoticons?|smileys?",
    "list": r"bullet(?: point)?s|bullet points?|lists|stichpunkte|aufzählung(?:en)?",
}
_NO = r"\b(?:no|without(?: using)?(?: any)?|avoid|(?:do not|don['’]t) use(?: any)?|ohne|keine|sans|sin)\s+"
_EMOJI = "[\u2600-\u27bf\U0001f300-\U0001faff]"


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


FORMS: dict[str, TextCheck] = {
    "json": _is_json,
    "csv": _is_csv,
    "table": written_as(r"\|\s*:?-{2,}|<table", "Write it as a Markdown table."),
    "numbered": written_as(r"^[ \t]*(?:1|2)[.)]\s", "Write it as a numbered list, one item a line.", 2),
    "list": written_as(ITEM.pattern, "Write it as a list, one item a line.", 2),
    "code": written_as(
        r"```|\b(?:def|class) \w|\bfunction\b|\bSELECT\b|^\s*(?:import|#!|<\w)|[;{}]$", "Write the code."
    ),
    "capitals": lambda text: None if text == text.upper() else "Write it in capital letters.",
    "small letters": lambda text: None if text == text.lower() else "Write it in small letters.",
    "yes or no": written_as(r"\A\W*(?:yes|no|ja|nein|oui|non|sí|Yes|No|Ja|Nein|Oui|Non|Sí)\b", "Begin with yes or no."),
    "number": lambda text: None if len(text.split()) < 4 else "Answer with the number and nothing else.",
    "question": written_as(r"\?\W*\Z", "End with a question."),
}
WITHOUT: dict[str, TextCheck] = {
    "exclamation": written_without("!", "Write it without exclamation marks."),
    "emoji": written_without(_EMOJI, "Write it without emojis."),
    "list": written_without(ITEM.pattern, "Write it without a list."),
}


def without_questions(request: str) -> str:
    """Return a request without questions, and without what others said."""
    return _QUESTION.sub(" ", request)


def form(request: str) -> Iterator[TextCheck]:
    """Check a form: JSON, CSV, a table, a list, code, capital letters, yes or no; and none of what is not wanted."""
    request = without_questions(request)
    for name, asks in _WITHOUT_WORDS.items():
        if re.search(rf"{_NO}(?:{asks})\b", request, re.IGNORECASE):
            yield WITHOUT[name]
            request = re.sub(rf"{_NO}(?:{asks})\b", " ", request, flags=re.IGNORECASE)
    for name, asks in _FORM_WORDS.items():
        if re.search(asks, request, re.IGNORECASE):
            yield FORMS[name]
