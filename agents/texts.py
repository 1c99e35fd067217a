"""Texts that others wrote, made fit to be stored and shown: no characters that cannot be stored, no keys."""

from __future__ import annotations

import re
from typing import Any

LONGEST_ERROR = 300
"""Characters of an exception's or a model's own words that are passed on."""

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


def clean_data(data: Any) -> Any:
    """Clean every text in JSON data, the keys of objects too."""
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, dict):
        return {clean_data(name): clean_data(value) for name, value in data.items()}
    return [clean_data(one) for one in data] if isinstance(data, list) else data


def masked(text: str) -> str:
    """Return the first line, without what looks like a key, in a length for people."""
    line = (clean(text).strip().splitlines() or [""])[0]
    return _SECRETS.sub("***", line)[:LONGEST_ERROR].rstrip(" .")
