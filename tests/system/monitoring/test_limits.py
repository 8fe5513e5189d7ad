"""The limits of the error alerts, chosen before 2014 and replayed over it: quiet in all seasons, loud on a fault."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from monitoring import metrics as m
from monitoring.operations import limits
from monitoring.operations.model_samples import model_samples
from tests.support.production import Production

Floats = npt.NDArray[np.float64]
TARGET = "pm25_6h"


@dataclass(frozen=True)
class Replay:
    """The test year as it would have come in.

    Attributes:
        kept: out-of-fold predictions that lie with the model; all of them before the test year.
        table: predictions of the test year with truth and interval.
        rmse: error on the whole of it, which was the limit's yardstick before.
    """

    kept: limits.OutOfFold
    table: pl.DataFrame
    rmse: float

    def squared(self, factor: float = 1.0) -> Floats:
        error = (self.table["prediction"] - self.table["y"]).to_numpy() * factor
        return np.asarray(error**2, dtype=np.float64)

    def inside(self, factor: float = 1.0) -> Floats:
        y, prediction = self.table["y"].to_numpy(), self.table["prediction"].to_numpy()
        lower, upper = (prediction + (self.table[end].to_numpy() - prediction) * factor for end in ("lower", "upper"))
        return np.asarray((y >= lower) & (y <= upper), dtype=np.float64)

    def over_year(self, rows: int, limit: Callable[[datetime], float | None]) -> Floats:
        """The limit that holds at the end of each window of so many rows; it is pushed once a day."""
        days = self.table["timestamp"].dt.date().to_list()[rows - 1 :]
        known = {day: limit(datetime(day.year, day.month, day.day)) for day in dict.fromkeys(days)}
        return np.array([known[day] for day in days], dtype=np.float64)

    def errors(self, rows: int) -> Floats:
        return self.over_year(rows, lambda at: limits.error_limit(self.kept.times, self.kept.squared, rows, at))


def rolling(values: Floats, rows: int) -> Floats:
    return np.convolve(values, np.full(rows, 1 / rows), mode="valid")


@pytest.fixture(scope="module")
def replay(production: Production) -> Replay:
    base = Path(production.registry).parent
    kept = limits.read(base / "model", TARGET)
    assert kept is not None
    table = pl.read_parquet(base / "predictions.parquet").filter(
        (pl.col("target") == TARGET) & pl.col("y").is_finite() & pl.col("prediction").is_finite()
    )
    assert kept.times[-1] < np.datetime64("2014-01-01") <= table["timestamp"].to_numpy()[0]
    return Replay(
        kept,
        table.sort("timestamp"),
        float(np.sqrt(table.select((pl.col("prediction") - pl.col("y")) ** 2).mean().item())),
    )


def windows(replay: Replay) -> list[int]:
    return [m.ROLLING_ROWS, replay.kept.rows_in(timedelta(days=30))]


def test_the_test_year_keeps_within_the_limits_of_its_seasons(replay: Replay) -> None:
    for rows in windows(replay):
        error = np.sqrt(rolling(replay.squared(), rows))
        limit = replay.errors(rows)
        assert (error > limit).mean() <= limits.RATE
        # Half as much again as the test error, whatever the season, was exceeded with nothing broken.
        assert rows != m.ROLLING_ROWS or (error > 1.5 * replay.rmse).mean() > 4 * limits.RATE


def test_the_test_year_keeps_the_coverage_of_its_seasons(replay: Replay) -> None:
    inside = replay.kept.inside
    assert inside is not None
    rows = m.ROLLING_ROWS
    limit = replay.over_year(rows, lambda at: limits.coverage_limit(replay.kept.times, inside, rows, at))
    assert (rolling(replay.inside(), rows) < limit).mean() <= limits.RATE
    # Intervals of half the width hold too little, in every season.
    assert (rolling(replay.inside(0.5), rows) < limit).mean() > 0.95


def test_an_error_that_is_tripled_is_found_in_every_season(replay: Replay) -> None:
    for rows in windows(replay):
        limit = replay.errors(rows)
        found = [(np.sqrt(rolling(replay.squared(factor), rows)) > limit).mean() for factor in (2.0, 3.0)]
        assert found[0] > 0.3
        assert found[1] > 0.95


def test_a_year_left_out_keeps_near_the_stated_rate(replay: Replay) -> None:
    """How the limits were chosen: each year before the test year judged by the others."""
    kept, rows, beyond = replay.kept, m.ROLLING_ROWS, []
    years = kept.times.astype("datetime64[Y]")
    for year in np.unique(years):
        others, mine = years != year, years == year
        ends = kept.times[mine][rows - 1 :].astype("datetime64[D]")
        known = {
            day: limits.error_limit(kept.times[others], kept.squared[others], rows, datetime.fromisoformat(f"{day}"))
            for day in np.unique(ends)
        }
        limit = np.array([known[day] for day in ends])
        beyond.append(float((np.sqrt(rolling(kept.squared[mine], rows)) > limit).mean()))
    assert np.mean(beyond) < 3 * limits.RATE


def test_what_is_pushed_is_the_limit_of_the_season(production: Production, replay: Replay) -> None:
    base = Path(production.registry).parent
    pushed = {}
    for at in (datetime(2014, 1, 20), datetime(2014, 7, 20)):
        samples = model_samples(base, "1", "2014-01-01T00:00:00Z", "30d", at)
        pushed[at.month] = {sample.metric.name: sample.value for sample in samples}
        rows = windows(replay)
        names = ("almanac_model_rolling_rmse_limit", "almanac_model_window_rmse_limit")
        for name, number in zip(names, rows, strict=True):
            assert pushed[at.month][name] == limits.error_limit(replay.kept.times, replay.kept.squared, number, at)
    assert pushed[1][names[0]] > 1.3 * pushed[7][names[0]]


def test_too_few_blocks_tell_nothing() -> None:
    times = np.datetime64("2014-01-01") + np.arange(100) * np.timedelta64(1, "h")
    squared = np.ones(100)
    assert limits.error_limit(times, squared, 20, datetime(2014, 2, 1)) is None
    assert limits.coverage_limit(times, squared, 20, datetime(2014, 2, 1)) is None
    found = limits.error_limit(times, squared, 10, datetime(2014, 2, 1))
    assert found == pytest.approx(1.0)


def test_a_season_never_seen_is_held_to_the_whole_year() -> None:
    rng = np.random.default_rng(0)
    times = np.datetime64("2014-01-01") + np.arange(24 * 90) * np.timedelta64(1, "h")
    squared = np.exp(rng.normal(0, 0.3, len(times)))
    near = limits.error_limit(times, squared, 100, datetime(2015, 2, 15))
    far = limits.error_limit(times, squared, 100, datetime(2015, 9, 1))
    assert near is not None
    assert far is not None
    assert far == pytest.approx(near, rel=0.2)
