"""Names of people: what is refused, and which names mean one person."""

import unicodedata
from typing import Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from almanac.core.errors import PersonError
from almanac.core.people import check_person, same_person

NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", " ANN "),
        ("Ann", "Ａｎｎ"),  # full-width letters
        ("straße", "STRASSE"),
        ("José", "Jose\u0301"),
        ("ﬁona", "Fiona"),
        ("ann  lee", "Ann Lee"),
        ("𝐛𝐨𝐛", "bob"),
    ],
)
def test_forms_of_one_name_are_one_person(one: str, other: str) -> None:
    assert same_person(one, other)
    assert same_person(other, one)


@pytest.mark.parametrize(("one", "other"), [("ann", "bob"), ("josé", "jose"), ("ann", "anne"), ("ian", "lan")])
def test_other_names_are_other_people(one: str, other: str) -> None:
    assert not same_person(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "аnn"),  # a Cyrillic a
        ("cop", "сор"),  # Cyrillic throughout
        ("bob", "b0b"),
        ("ian", "ıan"),  # without its dot
        ("paul", "pau1"),
        ("bob", "bo\u200bb"),
        ("bob", "bob\u2060"),
        ("bob", "b\ufe0fob"),
    ],
)
def test_names_that_look_alike_are_refused(one: str, other: str) -> None:
    with pytest.raises(PersonError, match="looks like"):
        same_person(one, other)
    with pytest.raises(PersonError, match="looks like"):
        same_person(f" {other}", one.upper())


@pytest.mark.parametrize(
    "name", ["", "  ", "a" * 201, "bo\u200bb", "bob\u202e", "b\u00a0b", "bob\n eve", "b\u034fob", "\u3164", "bob\ud800"]
)
def test_empty_long_and_invisible_names_are_refused(name: str) -> None:
    with pytest.raises(PersonError, match="who is"):
        check_person(name)


@pytest.mark.parametrize("name", ["аnn", "bοb", "ann.ваn"])  # Cyrillic and Greek letters among Latin ones
def test_a_word_of_two_alphabets_is_refused(name: str) -> None:
    with pytest.raises(PersonError, match=r"mixes .* letters in one word"):
        check_person(name)


@pytest.mark.parametrize(
    "name",
    ["ann", "Åsa Öberg", "O’Neil", "山田 太郎", "かなカナ漢字", "김철수", "Иван", "Jean-Luc", "ann@example.org",
     "github-actions[bot]", "uid 1000", "Ann Иванова"],
)  # fmt: skip
def test_people_and_programs_have_all_sorts_of_names(name: str) -> None:
    assert check_person(f" {name} ") == name


@given(NAMES)
def test_every_name_is_the_same_as_itself_in_other_forms(name: str) -> None:
    assume(name.strip())
    for form in (name.upper(), name.casefold(), f" {name}\t", *(unicodedata.normalize(f, name) for f in FORMS)):
        try:
            assert same_person(name, form) or name.upper() == form
        except PersonError:
            assert name.upper() == form, "only the upper case of a letter may be another letter"


FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


@given(NAMES, NAMES)
def test_the_comparison_is_symmetric(one: str, other: str) -> None:
    def outcome(first: str, second: str) -> bool | str:
        try:
            return same_person(first, second)
        except PersonError:
            return "alike"

    assert outcome(one, other) == outcome(other, one)


@example("¯", "\u200b", 0)  # which is a space and a mark by NFKC
@given(NAMES, st.sampled_from("\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e"), st.integers(0, 12))
def test_a_zero_width_character_never_makes_a_second_person(name: str, hidden: str, at: int) -> None:
    other = name[:at] + hidden + name[at:]
    with pytest.raises(PersonError):
        check_person(f"x{other}x")
    with pytest.raises(PersonError):
        same_person(name, other)
