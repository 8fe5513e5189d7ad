"""A proposed use case trains a model without an edit."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from almanac.data.ingest import ingest
from almanac.data.validate import validate
from almanac.evaluation.evaluate import evaluate
from almanac.features.preprocess import preprocess
from almanac.training.train import Inputs, train
from almanac.usecase import load
from almanac.usecase.types import to_timedelta
from orchestration.commands.app import app


def _panel() -> pl.DataFrame:
    """Return 60 days of hours of two zones: a daily wave, a disturbance that fades, and gaps."""
    rows = []
    for zone, level in (("a", 20.0), ("b", 50.0)):
        drift = 0.0
        for hour in range(60 * 24):
            drift = 0.9 * drift + math.sin(hour * hour * 0.7 + level)
            load = level + 8 * math.sin(2 * math.pi * hour / 24) + drift
            time = datetime(2020, 1, 1) + timedelta(hours=hour)
            rows.append((time, zone, None if hour % 97 == 0 else round(load, 3), "wet" if hour % 5 else "dry"))
    return pl.DataFrame(rows, schema=["Time", "Zone", "Load kW", "sky"], orient="row")


def _train(directory: Path, table: pl.DataFrame, *options: str) -> dict[str, Any]:
    """Return the metrics of the only target of the table's proposal."""
    table.write_csv(directory / "table.csv")
    out = directory / "case.yaml"
    done = CliRunner().invoke(app, ["new", str(directory / "table.csv"), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    case = load(out)
    ingest(case, directory, directory / "cache", directory / "table.parquet")
    data, features, spec = (directory / name for name in ("data.parquet", "features.parquet", "features.json"))
    assert validate(case, directory / "table.parquet", data, directory / "validation.html")["passed"]
    preprocess(case, data, features, spec)
    inputs, tuning = Inputs(features, spec, data), directory / "tuning.json"
    train(case, inputs, directory / "model", tuning, progress=lambda done, total, text: None)
    metrics = evaluate(case, features, directory / "model", directory, tuning)
    target: dict[str, Any] = metrics["targets"][case.targets[0].name]
    return target | {"entity": case.entity}


@pytest.mark.parametrize("entity", ["zone", None])
def test_a_small_table_trains_as_proposed(tmp_path: Path, entity: str | None) -> None:
    table = _panel() if entity else _panel().filter(pl.col("Zone") == "a").drop("Zone")
    target = _train(tmp_path, table, "--horizon", "3h")
    assert target["entity"] == entity
    assert target["rmse"] < min(baseline["rmse"] for baseline in target["baselines"].values())
    assert target["coverage"]["overall"] == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize(("count", "step"), [(400, "1h"), (340, "1d"), (400, "5d"), (400, "7d")])
def test_a_short_table_trains_as_proposed(tmp_path: Path, count: int, step: str) -> None:
    start = datetime(2000, 1, 3)
    times = pl.datetime_range(start, start + (count - 1) * to_timedelta(step), step, eager=True)
    values = [math.sin(row * row * 0.7) + row % 7 for row in range(count)]
    assert _train(tmp_path, pl.DataFrame({"when": times, "load": values}))["rmse"] > 0


def test_the_real_series_beats_persistence_as_proposed(beijing: pl.DataFrame, tmp_path: Path) -> None:
    target = _train(tmp_path, beijing, "--target", "pm25", "--horizon", "6h")
    assert target["skill"]["persistence"]["ci"][0] > 0
