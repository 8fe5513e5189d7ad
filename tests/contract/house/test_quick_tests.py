"""Unit and contract tests run wherever Python and a C compiler are: on three systems in CI, before each commit."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
FILES = [path for layer in ("unit", "contract") for path in sorted((TESTS / layer).rglob("*.py"))]
#: actionlint is a Go program; its test is skipped where it is not installed, in CI too.
PROGRAMS = {"cc", "actionlint"}
#: Support that starts servers, databases or browsers, or needs libraries of the system.
SYSTEM = re.compile(r"from tests\.support\.(live|postgres|pdf) import|from tests\.system")


def test_they_look_for_no_program_but_a_compiler() -> None:
    assert len(FILES) > 100
    wanted = {(path.name, name) for path in FILES for name in re.findall(r'which\("([\w.-]+)"\)', path.read_text())}
    assert {name for _, name in wanted} <= PROGRAMS, wanted


def test_they_use_no_support_of_the_system_tests() -> None:
    assert [str(path.relative_to(TESTS)) for path in FILES if SYSTEM.search(path.read_text())] == []
