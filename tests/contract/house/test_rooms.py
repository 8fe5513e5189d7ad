"""The shape of the house: what a component's folder holds, what packages export, and the import rules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("almanac", "governance", "monitoring", "serving", "orchestration", "components")
PACKAGES = sorted(path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))
COMPONENTS = sorted(path.parent for path in (ROOT / "components").glob("*/__init__.py"))


def test_the_imports_keep_to_the_rules() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_rules_have_no_exceptions() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda folder: folder.name)
def test_a_component_is_a_component_and_a_task(folder: Path) -> None:
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", "component.py", "task.py"}
    assert not [path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_the_components_are_thin() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "components").rglob("*.py"))
    assert lines <= 4_500


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_a_package_lists_all_that_it_exports(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text())
    exported: set[str] = set()
    listed: list[str] | None = None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            # Names of the project are there for others; those of libraries are for the package's own code.
            if node.module and node.module.split(".")[0] in ROOMS:
                exported |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            exported.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "__all__":
                listed = list(ast.literal_eval(node.value))
            else:
                exported.add(node.targets[0].id)
    public = {name for name in exported if not name.startswith("_")}
    if public or listed is not None:
        assert listed is not None, f"{package}: __all__ is missing; it exports {sorted(public)}"
        assert public <= set(listed), f"__all__ lacks {sorted(public - set(listed))}"
        assert len(listed) == len(set(listed))
