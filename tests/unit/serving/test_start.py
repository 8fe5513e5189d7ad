"""A server starts without the feature engine, which is opened behind its first answers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_parts_of_a_server_import_no_feature_engine() -> None:
    program = "import sys, serving.run, serving.build; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "serving.protocol.step_forecasts" in loaded
    assert not loaded & {"almanac.features", "almanac.usecase", "pydantic", "polars"}
