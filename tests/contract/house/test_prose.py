"""The prose of docstrings: a summary is a verb and a field noun, read once."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.sources import modules

ROOT = Path(__file__).resolve().parents[3]
#: The idiom that readers had to read twice, in a summary.
AVOID = re.compile(r"\b(alone|beside|stands?|tells?|told|gives? out|came of|foretells?)\b", re.IGNORECASE)


@cache
def summaries() -> list[tuple[str, str]]:
    """Return the location and the first line of every docstring outside the tests."""
    return list(_summaries())


def _summaries() -> Iterator[tuple[str, str]]:
    for path in modules("benchmarks"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text.split("\n")[0]


def test_at_most_one_summary_in_fifty_has_a_free_what() -> None:
    lines = summaries()
    free = [f"{location} {line}" for location, line in lines if re.search(r"\bwhat\b", line, re.IGNORECASE)]
    assert len(lines) > 1000
    assert len(free) * 200 <= len(lines), "\n".join(free)


def test_summaries_avoid_the_idiom() -> None:
    lines = summaries()
    odd = [f"{location} {line}" for location, line in lines if AVOID.search(line)]
    assert len(odd) * 200 <= len(lines), "\n".join(odd)


@pytest.mark.parametrize("line", ["Return what came of it.", "What a reader sees."])
def test_the_rule_finds_a_free_what(line: str) -> None:
    assert re.search(r"\bwhat\b", line, re.IGNORECASE)
