"""Prompts stay close to the words that they must hold."""

import pytest

from benchmarks.prompts import Row, measured

MAX_RATIO = 1.5


@pytest.mark.parametrize("row", measured(), ids=lambda row: row.name)
def test_a_prompt_is_at_most_half_longer_than_its_bare_words(row: Row) -> None:
    assert row.ratio <= MAX_RATIO, row
