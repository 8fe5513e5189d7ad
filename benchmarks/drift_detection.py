"""Detection rate and false alarms of a drift detector on a real series.

The reference is 2010–2012 and the windows are the months of 2013 and 2014 (of the default use case). In every month and
every sensor one fault at a time is put in; a detection is an alarm for that very sensor. Thresholds come from the
reference alone. Faults are put in twice: as they are, and rounded back to the sensor's resolution, which hides the
trace that arithmetic leaves in the decimals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac import drift
from almanac.data.ingest import ingest
from almanac.drift.counting.accumulators import decimals_of
from almanac.usecase import load

Floats = NDArray[np.float64]
#: What is done to one sensor in one month.
FAULTS: dict[str, Callable[[Floats, float, np.random.Generator], Floats]] = {
    "mean +0.5σ": lambda x, sigma, rng: x + 0.5 * sigma,
    "variance ×1.5": lambda x, sigma, rng: np.nanmean(x) + (x - np.nanmean(x)) * np.sqrt(1.5),
    "10% missing": lambda x, sigma, rng: np.where(rng.random(len(x)) < 0.1, np.nan, x),
    "unit (×1.8 + 32)": lambda x, sigma, rng: x * 1.8 + 32,
    "20% stuck": lambda x, sigma, rng: _stuck(x, rng),
}
_ARITHMETIC = ("mean +0.5σ", "variance ×1.5", "unit (×1.8 + 32)")


def _stuck(x: Floats, rng: np.random.Generator) -> Floats:
    length = len(x) // 5
    start = int(rng.integers(0, len(x) - length))
    value = x[start] if np.isfinite(x[start]) else np.nanmedian(x)
    return np.concatenate((x[:start], np.full(length, value), x[start + length :]))


@dataclass(frozen=True)
class Series:
    """A real series, cut into a reference and the months after it.

    Attributes:
        reference: rows until the end of 2012.
        months: the months after, in order.
        time: time column.
        sensors: columns that are judged.
        decimals: decimals of each sensor.
        sigma: standard deviation of each sensor in the reference.
    """

    reference: pl.DataFrame
    months: list[pl.DataFrame]
    time: str
    sensors: list[str]
    decimals: dict[str, int]
    sigma: dict[str, float]


def load_series(usecase: Path, cache: Path) -> Series:
    """Return the series of a use case; its sensors are the numbers of which no value fills half the rows."""
    case = load(usecase)
    table = cache / "drift-series.parquet"
    ingest(case, usecase.parent, cache, table)
    return cut(pl.read_parquet(table), case.time.column, [n for n, c in case.columns.items() if c.type == "float"])


def cut(frame: pl.DataFrame, time: str, columns: list[str], last_year: int = 2012) -> Series:
    """Return a frame as a reference until the end of `last_year` and the months after it."""
    sensors = [name for name in columns if frame[name].drop_nulls().unique_counts().max() * 2 < frame.height]  # type: ignore[operator]
    frame = frame.select(time, *sensors).sort(time)
    year = pl.col(time).dt.year()
    reference = frame.filter(year <= last_year)
    months = frame.filter(year > last_year).with_columns(pl.col(time).dt.truncate("1mo").alias("_month"))
    later = months.partition_by("_month", maintain_order=True, include_key=False)
    values = {name: reference[name].cast(pl.Float64).to_numpy() for name in sensors}
    return Series(
        reference,
        later,
        time,
        sensors,
        {name: decimals_of(x) if decimals_of(x) is not None else 6 for name, x in values.items()},  # type: ignore[misc]
        {name: float(np.nanstd(x)) for name, x in values.items()},
    )


def faulty(series: Series, month: int, sensor: str, fault: str, rounded: bool) -> pl.DataFrame:
    """Return a month with a fault in one sensor, the same on every call."""
    window = series.months[month]
    # Seeded by the cell, so that every detector sees the same fault.
    seed = [month, series.sensors.index(sensor), list(FAULTS).index(fault)]
    x = window[sensor].cast(pl.Float64).to_numpy().copy()
    changed = FAULTS[fault](x, series.sigma[sensor], np.random.default_rng(seed))
    if rounded:
        changed = np.round(changed, series.decimals[sensor])
    return window.with_columns(pl.Series(sensor, changed).fill_nan(None))


#: Given a window, the sensors for which the alarm is raised.
Detector = Callable[[pl.DataFrame], set[str]]


@dataclass(frozen=True)
class Detection:
    """The result of a detector.

    Attributes:
        false_alarms: share of clean sensor-months with an alarm.
        false_windows: share of clean months with an alarm for any sensor.
        detected: share of faulty sensor-months with an alarm for that sensor, by fault.
        rounded: the same with the values rounded to the sensor's resolution.
    """

    false_alarms: float
    false_windows: float
    detected: dict[str, float]
    rounded: dict[str, float]

    @property
    def average(self) -> float:
        """Mean detection over the faults."""
        return float(np.mean(list(self.detected.values())))

    @property
    def average_rounded(self) -> float:
        """Mean detection over the faults, values rounded."""
        return float(np.mean(list(self.rounded.values())))


def measure(series: Series, detector: Detector) -> Detection:
    """Return the result of a detector on the clean and the faulty months of a series."""
    clean = [detector(window) & set(series.sensors) for window in series.months]
    detected = {fault: _share(series, detector, fault, False) for fault in FAULTS}
    rounded = {f: _share(series, detector, f, True) if f in _ARITHMETIC else detected[f] for f in FAULTS}
    cells = len(series.sensors) * len(series.months)
    return Detection(sum(map(len, clean)) / cells, sum(map(bool, clean)) / len(series.months), detected, rounded)


def _share(series: Series, detector: Detector, fault: str, rounded: bool) -> float:
    hits = [
        sensor in detector(faulty(series, month, sensor, fault, rounded))
        for month in range(len(series.months))
        for sensor in series.sensors
    ]
    return float(np.mean(hits))


def ours(series: Series) -> Detector:
    """Return our detector, with its defaults, on the reference of a series."""
    profile = drift.profile(series.reference, time=series.time)

    def detect(window: pl.DataFrame) -> set[str]:
        return {feature.name for feature in drift.compare(profile, window).features if feature.drifted}

    return detect
