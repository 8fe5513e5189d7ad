"""Which of the project's files a component's code depends on."""

import ast
from functools import cache
from pathlib import Path

from almanac.core.files import sha256_bytes, sha256_file

ROOT = Path(__file__).resolve().parents[1]


def code_digest(component: str, root: Path = ROOT) -> str:
    """Return a digest of the code and the locked libraries that a component's result depends on.

    Imports are followed through the project's own modules, so that a change in one component leaves the
    others' cached results valid.
    """
    files = sorted(_reachable(root / "components" / component / "component.py", root))
    locked = sorted((root / "requirements").glob("components.txt"))
    lines = [f"{path.relative_to(root)} {sha256_file(path)}" for path in [*files, *locked]]
    return sha256_bytes("\n".join(lines).encode())


def _reachable(start: Path, root: Path) -> set[Path]:
    seen: set[Path] = set()
    queue = [start]
    while queue:
        path = queue.pop()
        if path not in seen and path.exists():
            seen.add(path)
            queue.extend(_imported_files(path, root))
    return seen


@cache
def _imported_files(path: Path, root: Path) -> tuple[Path, ...]:
    tree = ast.parse(path.read_bytes())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(file for name in sorted(names) for file in _files_of(name, root))


def _files_of(module: str, root: Path) -> list[Path]:
    """Return the files of a module of the project: itself and every package on the way to it."""
    parts = module.split(".")
    places = [root.joinpath(*parts[: length + 1]) for length in range(len(parts))]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return [file for file in files if file.is_file()]
