"""Limits of a model's error and coverage by season, beyond which something is broken.

They are learnt from the model's own out-of-fold predictions: their rows are cut into blocks as long as the window that
is watched, and the error of a window is expected in the range of the blocks of its season.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from almanac.evaluation.student import student_quantile

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]

#: Chance that a window in which nothing is broken lies beyond its limit.
RATE = 0.01
_LEAST_BLOCKS = 6
_YEAR = 365.2425
#: Days after which a block counts less for a season: a month and a half to either side is of it.
_BANDWIDTH = 22.5


@dataclass(frozen=True)
class Season:
    """A metric of blocks by season, and its deviation around the season's mean.

    Attributes:
        days: middle of each block as day of the year.
        values: metric of each block.
        deviation: standard deviation around the season's mean.
        freedom: degrees of freedom of that deviation.
    """

    days: Floats
    values: Floats
    deviation: float
    freedom: float

    def quantile(self, day: float, chance: float) -> float:
        """Return the value that a new block on a day of the year stays below with this chance."""
        weights = _weights(np.array([day]), self.days)
        reach = student_quantile(self.freedom, chance) * self.deviation * float(np.sqrt(1 + (weights**2).sum()))
        return float((weights @ self.values)[0]) + reach


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of a model for rows that it had not seen, in order of time.

    Attributes:
        times: their times (n,).
        squared: squared errors (n,).
        inside: 1 where the interval held the truth, else 0 (n,); None without intervals.
    """

    times: Times
    squared: Floats
    inside: Floats | None

    def rows_in(self, window: timedelta) -> int:
        """Return how many rows a window of that length usually has."""
        span = float((self.times[-1] - self.times[0]) / np.timedelta64(1, "s")) if len(self.times) else 0.0
        return max(1, round(len(self.times) * window.total_seconds() / span)) if span > 0 else 1


def read(model: Path, target: str) -> OutOfFold | None:
    """Return the out-of-fold predictions of a target in a model directory, None where there are none."""
    # Not polars, which the deployment of a version does without.
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = model / "oof.parquet"
    if not path.is_file():
        return None
    table = pq.read_table(path, filters=[("target", "=", target)])
    (time,) = (field.name for field in table.schema if pa.types.is_temporal(field.type))
    times, y, prediction = (table[name].to_numpy() for name in (time, "y", "prediction"))
    known = np.flatnonzero(np.isfinite(y) & np.isfinite(prediction))
    order = known[np.argsort(times[known], kind="stable")]
    times, y, prediction = times[order], y[order], prediction[order]
    inside = None
    # Models of earlier releases lack the ends, and those of probabilities have none.
    if "lower" in table.column_names and table["lower"].null_count < len(table):
        lower, upper = (table[name].to_numpy()[order] for name in ("lower", "upper"))
        inside = ((y >= lower) & (y <= upper)).astype(np.float64)
    return OutOfFold(times, (prediction - y) ** 2, inside)


def error_limit(times: Times, squared: Floats, rows: int, at: datetime) -> float | None:
    """Return the root mean squared error that a window up to `at` exceeds with the chance `RATE`.

    Args:
        times: times of out-of-fold predictions (n,), ascending.
        squared: their squared errors (n,).
        rows: rows of a window.
        at: end of the window.

    Returns:
        None where the rows make too few blocks.
    """
    days, means, length = _blocks(times, squared, rows)
    # The root of a mean square: half the logarithm.
    season = _season(days, 0.5 * np.log(np.maximum(means, 1e-300)))
    return None if season is None else float(np.exp(season.quantile(_day(at, length), 1 - RATE)))


def coverage_limit(times: Times, inside: Floats, rows: int, at: datetime) -> float | None:
    """Return the coverage that a window up to `at` falls below with the chance `RATE`.

    Args:
        times: times of out-of-fold predictions (n,), ascending.
        inside: 1 where the interval held the truth, else 0 (n,).
        rows: rows of a window.
        at: end of the window.

    Returns:
        None where the rows make too few blocks.
    """
    days, shares, length = _blocks(times, inside, rows)
    # The share outside strays further up than down; its square root does so less (Anscombe, 1948).
    season = _season(days, np.sqrt(1 - shares))
    if season is None:
        return None
    outside = max(0.0, season.quantile(_day(at, length), 1 - RATE))
    return max(0.0, 1 - outside**2)


def _blocks(times: Times, values: Floats, rows: int) -> tuple[Floats, Floats, float]:
    """Return day of the year and mean of each block, and the usual length of one in days."""
    count = len(values) // rows
    days = times[: count * rows].astype("datetime64[s]").astype(np.float64).reshape(count, rows) / 86400
    means = values[: count * rows].reshape(count, rows).mean(axis=1)
    length = float(np.median(days[:, -1] - days[:, 0])) if count else 0.0
    return days.mean(axis=1) % _YEAR, means, length


def _season(days: Floats, values: Floats) -> Season | None:
    """Fit a season's mean by a kernel around the year (Nadaraya and Watson, 1964), and the spread around it."""
    if len(values) < _LEAST_BLOCKS:
        return None
    weights = _weights(days, days)
    # The trace of the smoother counts the parameters that the season's mean takes up.
    freedom = max(len(values) - float(np.trace(weights)), 1.0)
    residual = values - weights @ values
    deviation = float(np.sqrt((residual**2).sum() / freedom))
    return Season(days, values, deviation, freedom)


def _weights(at: Floats, days: Floats) -> Floats:
    """Return the weight of each block (n,) for each day (k,), shape (k, n).

    One block's weight is spread over all of them: a season of which there is little is held to the whole year.
    """
    distance = np.abs(at[:, None] - days[None, :])
    distance = np.minimum(distance, _YEAR - distance)
    weights = np.exp(-0.5 * (distance / _BANDWIDTH) ** 2) + 1 / len(days)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _day(at: datetime, length: float) -> float:
    """Return the day of the year of the middle of a window that ends at `at`."""
    return (np.datetime64(at.replace(tzinfo=None), "s").astype(np.float64) / 86400 - length / 2) % _YEAR
