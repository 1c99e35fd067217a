"""Texts and data that others wrote, made fit to be stored and shown: storable, without keys, with nothing hidden.

Every function here, and every other that reads foreign text, takes time proportional to the text at most: cut first,
then search. Those marked by `reads_foreign_text` are tried by one test on a megabyte of the worst characters.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

JsonObject = dict[str, Any]
"""An object of JSON data, whose form only its reader knows."""

F = TypeVar("F", bound=Callable[..., object])

MAX_ERROR = 300
"""Characters of an exception's or a model's own words that are passed on."""

MAX_SEARCHED = 2000
"""Characters in which keys and words are searched."""

MAX_LEVELS = 200
"""Levels of nesting in data; MessagePack, in which checkpoints are written, has 254 for the whole record."""

_STORABLE = range(-(2**63), 2**64)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

FOREIGN_TEXT_READERS: dict[str, Callable[[str], object]] = {}
"""Functions that read foreign text by qualified name, each as a function of that text."""


def reads_foreign_text(call: Callable[[Any, str], object] = lambda function, text: function(text)) -> Callable[[F], F]:
    """Register a function that reads what models, providers, pages or files say.

    Args:
        call: Calls the function with a text, if it takes anything else: `lambda read, text: read(AIMessage(text))`.
    """

    def register(function: F) -> F:
        name = f"{function.__module__}.{function.__qualname__}"
        FOREIGN_TEXT_READERS[name] = lambda text: call(function, text)
        return function

    return register


@reads_foreign_text()
def clean(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD: Postgres refuses the one, UTF-8 the other."""
    if not _UNSTORABLE.search(text):
        return text
    # The halves of a character that came in two pieces are one again.
    whole = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _UNSTORABLE.sub("\ufffd", whole)


@reads_foreign_text(lambda read, text: read({text: [text]}))
def clean_data(data: object, *path: str | int) -> Any:
    """Clean every text in JSON data, the keys of objects too.

    Raises:
        ValueError: It holds an integer beyond 64 bits, or is nested too deeply; the message says where.
    """
    if len(path) > MAX_LEVELS:
        raise ValueError(f"more than {MAX_LEVELS} levels of nesting at {_place(path[:3])}")
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, dict):
        return {clean_data(name): clean_data(value, *path, name) for name, value in data.items()}
    if isinstance(data, list):
        return [clean_data(item, *path, number) for number, item in enumerate(data)]
    if isinstance(data, int) and data not in _STORABLE:
        raise ValueError(f"an integer beyond 64 bits at {_place(path)}; give it as a text")
    return data


def words_of(error: BaseException) -> str:
    """Return an exception's own words, nothing if its class fails to say them."""
    try:
        return str(error)
    except Exception:
        return ""


def attribute_of(holder: object, name: str) -> Any:
    """Return an attribute, None also where its class fails to compute it."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _place(path: Sequence[str | int]) -> str:
    return "".join(f"[{key!r}]" for key in path) or "the top"


_HIDDEN = re.compile(  # control, bidi and invisible characters, except tab, line end, emoji selectors
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


@reads_foreign_text()
def visible(text: str) -> str:
    r"""Return a text for terminals, pages and logs, with what they would obey or hide as `\x1b`, `\u202e`.

    Line ends and tabs stay. So do joiners (U+200C, U+200D), which scripts and emoji need.
    """
    text = clean(text).replace("\r\n", "\n")
    for hidden in set(_HIDDEN.findall(text)):
        text = text.replace(hidden, ascii(hidden)[1:-1])
    return text


_SECRETS = re.compile(
    r"""(?ix) (?<=://) [^\s/:@]{0,200} ( : (?!\d{1,5}/) \S{1,200} )? (?=@)  # user and password of an address
    | -----BEGIN\ [A-Z\ ]{0,40}PRIVATE\ KEY .*
    | authorization ["']?\s*[=:]\s*["']? (\w+\s+)? \S+
    | \bbearer \s+ \S+  |  \bbasic \s+ (?-i: (?=\w[a-z+/]*[A-Z\d=]) ) [\w+/=]{8,}
    | (?<=[?&])(key|sig|code)=[^\s&]+  |  (?<=hooks\.slack\.com/services/) \S+  |  \bcookie ["']?: \s* \S.*
    | (api[-_ ]?key(\s(provided|given))?|token|passw(or)?d|passphrase|pwd|signature
      | (secret|(access|account|private)[-_ ]?key|credential)[\w-]{0,64}+)
      (?:\\?["']?\s*[=:]|["'],(?=\sb?["']))\s*b?(\\?"[^"]*"?|\\?'[^']*'?|[^\s;&]+)
    | (\b|_|api) (key|token|secret|auth(orization)?|credential|session([-_]?id)?) s?
      ["')\]]{0,2} [\s:=,]{1,3} ((is|was|provided|given|value) [\s:]{1,2})?
      b?["'`(]? ([\da-f]{8} (-[\da-f]{4}){3} -[\da-f]{12} | (\w{1,12}-)? (?=[a-z]{0,40}\d) [a-z\d]{16,}) ["'`)]?
    | \b(sk|pk|rk|xai|gsk|gh[opsru]|github_pat|glpat|hf|nvapi|npm|pypi|whsec|r8|tvly|pplx|fw|sess|xox[a-z]|xapp
      | shp[a-z]{2}) [-_][\w*.-]{6,}
    | \b(?-i:AIza|eyJ|ya29\.|SG\.|GOCSPX-)[\w.-]+ | \b(?-i:A[KS]IA|AROA|AIDA|SCW)[A-Z\d]{8,}"""
)
_WORDS = re.compile(
    r"\b(?=[a-z\d/+]{0,39}[A-Z])(?=[A-Z\d/+]{0,39}[a-z])[A-Za-z\d/+]{40}(?![\w/+])|\w{24,}(?:\.\w+)*={0,2}"
)
"""Words that only a machine can have written: secret keys of AWS, and long ones with digits (`_unless_random`)."""


@reads_foreign_text()
def masked(text: str) -> str:
    """Return the first line, without what looks like a key, in a length for people."""
    line = clean(text.strip()[:MAX_SEARCHED]).partition("\n")[0]
    shown = _WORDS.sub(_unless_random, _SECRETS.sub("***", line))
    if len(shown) <= MAX_ERROR:
        return shown.rstrip(" .")
    whole_words = re.sub(r"\s\S{0,40}$", "", shown[: MAX_ERROR - 1])
    return f"{whole_words[: MAX_ERROR - 2].rstrip(' .,;:')} …"


def _unless_random(word: re.Match[str]) -> str:
    has_digit = any(letter.isdigit() for letter in word[0])
    is_name = max(map(len, re.split("[_.]", word[0]))) < 16  # words joined by underscores or dots, some with a number
    return "***" if has_digit and not is_name else word[0]
