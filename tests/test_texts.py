"""Texts that others wrote: nothing that cannot be stored, no keys."""

import pytest

from agents.faults import explain
from agents.texts import clean, clean_data, masked


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("fine\tä😀\n", "fine\tä😀\n"),
        ("\x00PNG\x00", "\ufffdPNG\ufffd"),
        ("half \ud83d of a smile", "half \ufffd of a smile"),
        ("\ud83d\ude00 in two pieces", "😀 in two pieces"),
    ],
)
def test_what_cannot_be_stored_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_all_texts_of_data_are_cleaned() -> None:
    data = {"a\x00": ["\x00", {"b": "\ud800"}], "n": 1, "none": None, "yes": True}
    assert clean_data(data) == {"a\ufffd": ["\ufffd", {"b": "\ufffd"}], "n": 1, "none": None, "yes": True}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://api.x.com/v1?key=abcd1234&n=1 failed", "GET https://api.x.com/v1?***&n=1 failed"),
        ("https://user:pa55@host/x", "https://***@host/x"),
        ("https://ghp@github.com/x", "https://***@github.com/x"),
        ("postgresql://u:hunt/er2@h:5432/db is down", "postgresql://***@h:5432/db is down"),
        ("Authorization: Basic dXNl was sent", "*** was sent"),
        ("{'Authorization': 'Basic dXNl'}", "{'***"),
        ("authorization: Bearer abc", "***"),
        ("key AKIAIOSFODNN7EXAMPLE is old", "key *** is old"),
        ("xoxb-123456789012-abcdefghijkl", "***"),
        ("aws_secret_access_key=wJalr/K7MD", "aws_***"),
        ("password: hunter2", "***"),
        ("sk-proj-12_34.56", "***"),
        ("token eyJhbGciOi.J9 expired", "token *** expired"),
        ("https://example.org/a@b, http://localhost:8000/v1 and a@b.org: 5 of 9 tokens; max_tokens=5",) * 2,
        ("KeyError: the key: name is missing",) * 2,
    ],
)
def test_keys_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert explain(RuntimeError(text)) == f"RuntimeError: {shown}"


def test_errors_hold_only_what_can_be_stored() -> None:
    assert explain(RuntimeError("cannot read \x00PNG")) == "RuntimeError: cannot read \ufffdPNG"
