"""Texts that libyaml scans, against PyYAML's own scanner."""

from pathlib import Path

import pytest
import yaml

from almanac.core.yaml_text import RepeatedKeyError, parse_yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", sorted((ROOT / "usecases").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_content_is_that_of_pyyaml(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "a:\n\t- b", "- a\nb: c", "a: *b", "\x07"])
def test_an_error_shows_the_place(text: str) -> None:
    with pytest.raises(yaml.YAMLError) as ours:
        parse_yaml(text)
    with pytest.raises(yaml.YAMLError) as theirs:
        yaml.safe_load(text)
    assert str(ours.value) == str(theirs.value)


def test_a_key_given_twice_is_named_with_the_line_of_the_second() -> None:
    with pytest.raises(RepeatedKeyError) as raised:
        parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert str(raised.value).startswith("key 'b' is given twice") and "line 4" in str(raised.value)


def test_a_date_that_does_not_exist_is_an_error_of_yaml() -> None:
    with pytest.raises(yaml.YAMLError, match=r"2026-13-01 is no date: month must be in[^$]*line 2, column 4"):
        parse_yaml("b: 1\na: 2026-13-01")


def test_thousands_of_brackets_are_an_error_and_end_no_process() -> None:
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        parse_yaml("[" * 60_000)
