"""The command behind `make deploy`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_applied_without_a_version_in_production(tmp_path: Path) -> None:
    out = tmp_path / "manifest.yaml"
    arguments = ["usecases/air_quality.yaml", str(tmp_path / "registry"), str(out)]
    command = [sys.executable, "-m", "components.deployment", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: air_quality: no version stands in production")
    assert not out.exists()
