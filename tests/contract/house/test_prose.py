"""The prose of docstrings: a summary is a verb and a field noun, read once."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.sources import modules

ROOT = Path(__file__).resolve().parents[3]
#: The first line of a docstring, at the top of a file or of a body; to parse a thousand files takes seconds.
_DOCSTRING = re.compile(r'(?:\A|:[ \t]*(?:#[^\n]*)?\n)(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*r?"""(.*?)(?:"""|\n)')
#: The idiom that readers had to read twice, in a summary.
AVOID = re.compile(r"\b(alone|beside|stands?|tells?|told|gives? out|came of|foretells?)\b", re.IGNORECASE)


@cache
def summaries() -> list[tuple[str, str]]:
    """Return the location and the first line of every docstring outside the tests."""
    return list(_summaries())


def _summaries() -> Iterator[tuple[str, str]]:
    for path in modules("benchmarks"):
        text = path.read_text()
        for found in _DOCSTRING.finditer(text):
            yield f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start(1)) + 1}", found[1].strip()


def test_at_most_one_summary_in_fifty_has_a_free_what() -> None:
    lines = summaries()
    free = [f"{location} {line}" for location, line in lines if re.search(r"\bwhat\b", line, re.IGNORECASE)]
    assert len(lines) > 5000
    assert len(free) * 200 <= len(lines), "\n".join(free)


def test_summaries_avoid_the_idiom() -> None:
    lines = summaries()
    odd = [f"{location} {line}" for location, line in lines if AVOID.search(line)]
    assert len(odd) * 200 <= len(lines), "\n".join(odd)


@pytest.mark.parametrize("line", ["Return what came of it.", "What a reader sees."])
def test_the_rule_finds_a_free_what(line: str) -> None:
    assert re.search(r"\bwhat\b", line, re.IGNORECASE)
