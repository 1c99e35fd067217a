"""Texts and data that others wrote, made fit to be stored and shown: nothing that cannot be stored, no keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

LONGEST_ERROR = 300
"""Characters of an exception's or a model's own words that are passed on."""

MOST_LEVELS = 200
"""Levels of nesting in data; MessagePack, in which checkpoints are written, has 254 for the whole record."""

_STORABLE = range(-(2**63), 2**64)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_SECRETS = re.compile(
    r"""(?ix) (?<=://) ( [^\s/]+ | [^\s/:@]+:(?!\d+/)\S+ ) (?=@)  # user and password of an address
    | authorization["']?\s*[=:]\s*["']?(\w+\s+)?\S+
    | \bbearer\s+\S+
    | (?<=[?&])(key|sig|code)=[^\s&]+
    | (api[-_ ]?key|token|passw(or)?d|passphrase|pwd|signature|(secret|access[-_ ]?key|credential)[\w-]*)
      ["']?\s*[=:]\s*["']?\S+
    | \b(sk|pk|rk|xai|gsk|gh[opsu]|github_pat|glpat|hf|nvapi|npm|xox[a-z]|xapp)[-_][\w*.-]{6,}
    | \b(?-i:AIza|eyJ)[\w.-]+ | \b(?-i:AKIA|ASIA)[A-Z\d]{8,}
    | (?=[a-z_]*\d)\w{24,}"""
)


def clean(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD: Postgres refuses the one, UTF-8 the other."""
    if not _UNSTORABLE.search(text):
        return text
    # By way of UTF-16, in which the halves of a character that came in two pieces are one again.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", "\ufffd")


def clean_data(data: Any, *path: str | int) -> Any:
    """Clean every text in JSON data, the keys of objects too.

    Raises:
        ValueError: It holds an integer beyond 64 bits, or is nested too deeply; the message says where.
    """
    if len(path) > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} levels of nesting at {_place(path[:3])}")
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, dict):
        return {clean_data(name): clean_data(value, *path, name) for name, value in data.items()}
    if isinstance(data, list):
        return [clean_data(one, *path, number) for number, one in enumerate(data)]
    if isinstance(data, int) and data not in _STORABLE:
        raise ValueError(f"an integer beyond 64 bits at {_place(path)}; give it as a text")
    return data


def _place(path: Sequence[str | int]) -> str:
    return "".join(f"[{one!r}]" for one in path) or "the top"


def masked(text: str) -> str:
    """Return the first line, without what looks like a key, in a length for people."""
    line = (clean(text).strip().splitlines() or [""])[0]
    shown = _SECRETS.sub("***", line)
    if len(shown) <= LONGEST_ERROR:
        return shown.rstrip(" .")
    whole_words = re.sub(r"\s\S{0,40}$", "", shown[: LONGEST_ERROR - 1])
    return f"{whole_words[: LONGEST_ERROR - 2].rstrip(' .,;:')} …"
