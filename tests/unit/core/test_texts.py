"""Texts from outside without control characters, which terminals obey and databases refuse."""

import pytest

from almanac.core.texts import printable


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x07", "\x7f", "\x9b", "\r", "\u202e", "\u2066", "\udcff"])
def test_a_character_that_does_something_is_marked(character: str) -> None:
    assert printable(f"looked{character}fine") == "looked\N{REPLACEMENT CHARACTER}fine"


@pytest.mark.parametrize("text", ["two\r\nlines\n\tand a tab", "Zoë, 天坛, עברית, 👩\u200d🔬 at 21 °C"])
def test_other_text_is_kept(text: str) -> None:
    assert printable(text) == text
