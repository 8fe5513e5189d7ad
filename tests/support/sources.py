"""The product's sources: which files there are, and what they import."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("almanac", "governance", "monitoring", "serving", "orchestration", "operations", "components", "pipelines")
_IMPORT = re.compile(r"^[ \t]*(from [\w.]+ import (?:\([^)]*\)|[^\n(]+))", re.MULTILINE)


@cache
def modules(*further: str) -> list[Path]:
    """Return `pipeline.py`, every module of the rooms, and those of further folders."""
    rooms = (*ROOMS, *further)
    return [ROOT / "pipeline.py", *(path for room in rooms for path in sorted((ROOT / room).rglob("*.py")))]


@cache
def imports(path: Path) -> list[tuple[int, ast.ImportFrom]]:
    """Return line and syntax of each `from … import …`; parsed by themselves, as whole files take seconds."""
    return list(_imports(path.read_text(encoding="utf-8")))


def _imports(text: str) -> Iterator[tuple[int, ast.ImportFrom]]:
    for found in _IMPORT.finditer(text):
        (statement,) = ast.parse(found[1]).body
        assert isinstance(statement, ast.ImportFrom)
        yield text.count("\n", 0, found.start(1)) + 1, statement
