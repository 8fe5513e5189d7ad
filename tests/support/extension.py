"""An installed package that extends Almanac by entry points."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def install(directory: Path, package: str, code: str, entry_points: str) -> None:
    """Write a package of one module with its metadata, as pip would leave them in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{package}.py").write_text(code)
    information = directory / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(entry_points)


def run(directory: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that sees the packages in `directory`."""
    paths = os.pathsep.join([str(directory), str(_ROOT)])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def install_project(directory: Path, project: Path) -> Path:
    """Install a project without dependencies: its packages, and the metadata that its pyproject.toml declares."""
    declared = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = declared["project"]["name"], declared["project"]["version"]
    for package in (path for path in project.iterdir() if (path / "__init__.py").is_file()):
        shutil.copytree(package, directory / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    information = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = declared["project"]["entry-points"]
    lines = [
        line for group, kinds in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in kinds.items()))
    ]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return directory


def environment(directory: Path) -> dict[str, str]:
    """Return the environment of a process that sees the packages in `directory`."""
    return {**os.environ, "COLUMNS": "120", "PYTHONPATH": os.pathsep.join([str(directory), str(_ROOT)])}
