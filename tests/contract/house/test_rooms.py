"""The shape of the house: what a component's folder holds, what packages export, and the import rules."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOMS, imports, modules

ROOT = Path(__file__).resolve().parents[3]
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


def _imported() -> dict[str, set[str]]:
    """Return the names that other modules import from each package, submodules left out."""
    imported: dict[str, set[str]] = {".".join(package.relative_to(ROOT).parts): set() for package in PACKAGES}
    for path in modules("benchmarks"):
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for _, node in imports(path):
            if node.module in imported and node.module != own:
                folder = ROOT.joinpath(*node.module.split("."))
                submodules = {entry.stem for entry in folder.iterdir()}
                imported[node.module] |= {alias.name for alias in node.names} - submodules
    return imported


IMPORTED = {package: names for package, names in _imported().items() if names}


@pytest.mark.parametrize("package", sorted(IMPORTED))
def test_a_package_lists_all_that_others_take_from_it(package: str) -> None:
    module = importlib.import_module(package)
    listed = getattr(module, "__all__", None)
    assert listed is not None, f"{package}: __all__ is missing; others import {sorted(IMPORTED[package])}"
    assert IMPORTED[package] <= set(listed)
    assert [name for name in listed if not hasattr(module, name)] == []
    assert len(listed) == len(set(listed))


def test_nothing_private_is_imported_from_another_package() -> None:
    private = []
    for path in modules():
        package = ".".join(path.relative_to(ROOT).parent.parts)
        for line, node in imports(path):
            if node.module and node.module.split(".")[0] in ROOMS:
                names = [alias.name for alias in node.names if alias.name.startswith("_")]
                hidden = any(part.startswith("_") and not part.startswith("__") for part in node.module.split("."))
                if names or (hidden and not node.module.startswith(f"{package}.")):
                    private.append(f"{path.relative_to(ROOT)}:{line} {node.module} {names}")
    assert private == []
