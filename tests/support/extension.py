"""An installed package that extends Almanac by entry points."""

import os
import subprocess
import sys
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
