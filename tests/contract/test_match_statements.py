"""No `match` statement over our own kinds falls through: one that nobody thought of is an error, never a value."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.sources import modules

ROOT = Path(__file__).resolve().parents[2]
#: Most files have no such statement, and parsing them all takes seconds.
_MATCH = re.compile(r"^\s*match .*:(\s*#.*)?$", re.MULTILINE)


def falling_through(source: str) -> list[int]:
    """Return the lines of `match` statements over our own classes or literals that have no arm for all others.

    Over classes that arm is `assert_never` or raises; classes of a library (`ast.Call`) are no closed set.
    """
    return [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Match) and _falls(node)]


def _falls(statement: ast.Match) -> bool:
    patterns = [part for case in statement.cases for part in ast.walk(case.pattern)]
    classes = [part.cls for part in patterns if isinstance(part, ast.MatchClass)]
    if any(isinstance(cls, ast.Attribute) for cls in classes):
        return False
    last = statement.cases[-1]
    whole = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
    ending = ast.unparse(last.body[-1])
    return not whole or (bool(classes) and not ending.startswith(("assert_never(", "raise ")))


def test_every_match_statement_over_our_own_kinds_has_an_arm_for_all_others() -> None:
    texts = {path.relative_to(ROOT): path.read_text() for path in modules()}
    having = {path: text for path, text in texts.items() if _MATCH.search(text)}
    assert len(texts) > 200 and len(having) > 10
    found = {str(path): lines for path, text in having.items() if (lines := falling_through(text))}
    assert not found, f"add `case _: assert_never(...)`: {found}"


@pytest.mark.parametrize(
    ("last", "lines"),
    [
        ("case B(): y()", [1]),
        ("case _ if x: y()", [1]),
        ("case _: y()", [1]),
        ("case _: assert_never(x)", []),
        ("case ast.Call(): y()", []),
    ],
)
def test_the_check_sees_a_statement_without_a_last_arm(last: str, lines: list[int]) -> None:
    assert falling_through(f"match x:\n    case A(): y()\n    {last}\n") == lines


def test_the_check_sees_literals() -> None:
    assert falling_through("match x:\n    case 'a': y()\n    case 'b': y()\n") == [1]
    assert falling_through("match x:\n    case 'a': y()\n    case _: y()\n") == []
