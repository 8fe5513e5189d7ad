"""Every step ahead: the plan, and the figures of origins that lie a whole horizon apart."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from almanac.core.grid import Grid
from almanac.evaluation import steps_report
from almanac.evaluation.groups import Slices
from almanac.evaluation.scored_rows import ScoredRows
from almanac.evaluation.step_metrics import step_metrics
from almanac.model.steps import Step, horizons_by_column, plan_steps
from almanac.reports import Table
from almanac.usecase.training_section import Target
from tests.support import panel

HOUR = 3_600_000_000
FIRST, HOURS = datetime(2020, 6, 1), 24 * 5
METERS = ("east", "west")


def test_a_step_is_forecast_by_the_nearest_horizon_that_is_not_before_it() -> None:
    steps = plan_steps({"day": 24 * HOUR, "hour": HOUR, "three": 3 * HOUR}, Grid(HOUR))
    assert [step.ahead // HOUR for step in steps] == list(range(1, 25))
    assert steps[:4] == [
        Step(HOUR, "hour", 0, Grid(HOUR)),
        Step(2 * HOUR, "three", HOUR, Grid(HOUR)),
        Step(3 * HOUR, "three", 0, Grid(HOUR)),
        Step(4 * HOUR, "day", 20 * HOUR, Grid(HOUR)),
    ]
    assert all(step.target == "day" for step in steps[3:])
    assert steps[-1].back == 0


def test_each_column_has_its_own_targets() -> None:
    found = horizons_by_column([("a", "load", "24h"), ("b", "load", "1h"), ("c", "heat", "30min")])
    assert found == {"load": {"a": 24 * HOUR, "b": HOUR}, "heat": {"c": HOUR // 2}}


def rows(name: str, horizon: int, error: float) -> ScoredRows:
    """Rows of two meters whose forecasts are all this much too high; the truth is the hour of the forecast time."""
    time = np.tile(int(np.datetime64(FIRST, "us").astype(np.int64)) + HOUR * np.arange(HOURS), len(METERS))
    y = ((time // HOUR + horizon) % 24).astype(np.float64) + 10.0
    size = y.size
    return ScoredRows(
        target=Target(name=name, column="load", horizon=f"{horizon}h"),
        keys=pl.DataFrame({"meter": np.repeat(METERS, HOURS).tolist(), "timestamp": time.astype("datetime64[us]")}),
        time=time,
        grid=Grid(HOUR),
        X=np.zeros((size, 1)),
        y=y,
        prediction=y + error,
        lower=y - 1.0,
        upper=y + 1.0,
        last=y,
        baselines={"persistence": y + 4.0},
        bands=Slices.of(["all"], np.zeros(size, np.int64)),
        groups={},
        scale=1.0,
        scales=np.full(size, 2.0),
        unseen=np.zeros(size, np.bool_),
    )


def test_origins_lie_the_longest_horizon_apart_and_each_step_has_its_own_target() -> None:
    case = panel.usecase()
    found = step_metrics(case, [rows("day", 24, 2.0), rows("three", 3, 1.0)])
    assert list(found) == ["day"]
    figures = found["day"]
    assert figures["count"] == 24
    # Of five days of forecasts those of the first day's origin lie in the second day, and so on.
    assert figures["origins"] == 5
    assert figures["n"] == 5 * 24 * len(METERS)
    assert figures["mae"] == pytest.approx((3 * 1.0 + 21 * 2.0) / 24)
    assert figures["mase_median"] == pytest.approx(figures["mae"] / 2.0)
    assert figures["baselines"]["seasonal"]["mae"] == pytest.approx(4.0)
    assert [figures["by_step"][str(step)]["target"] for step in (1, 3, 4, 24)] == ["three", "three", "day", "day"]
    assert figures["by_step"]["2"]["mae"] == pytest.approx(1.0)
    assert {part["n"] for part in figures["by_step"].values()} == {5 * len(METERS)}
    assert figures["coverage"] == 1.0


def test_a_baseline_is_compared_on_the_rows_where_it_has_a_forecast() -> None:
    day, three = rows("day", 24, 2.0), rows("three", 3, 1.0)
    known = day.baselines["persistence"].copy()
    # The first three steps of one origin, whose errors are 1.
    known[:3] = np.nan
    figures = step_metrics(panel.usecase(), [replace(day, baselines={"persistence": known}), three])["day"]
    seasonal = figures["baselines"]["seasonal"]
    assert seasonal["n"] == seasonal["model"]["n"] == figures["n"] - 3
    assert seasonal["model"]["mae"] == pytest.approx((figures["n"] * figures["mae"] - 3.0) / seasonal["n"])
    _, table, _ = steps_report.steps(figures)
    assert isinstance(table, Table)
    assert [(row[0], row[1]) for row in table.rows] == [
        ("model", figures["n"]), ("model where seasonal has a forecast", seasonal["n"]), ("seasonal", seasonal["n"]),
    ]  # fmt: skip


def test_a_column_with_one_target_has_no_further_steps() -> None:
    assert step_metrics(panel.usecase(), [rows("day", 24, 2.0)]) == {}
