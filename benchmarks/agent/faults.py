"""Faults that are injected into the real series, each with sizes drawn at random.

A fault begins on a random day of the window's second half and lasts to its end. Its sizes are what is plausible for
such a fault. Values are rounded as the sensor rounds them, which was added after first cases of 2012 had been seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

Rng = np.random.Generator
#: Columns that measure something all the time; the others are zero for weeks.
MEASURED = ("pm25", "dewp", "temp", "pres", "iws")
_INPUTS = ("dewp", "temp", "pres", "iws")
_UNITS = {
    "temp": {"°F": (1.8, 32.0), "K": (1.0, 273.15)},
    "dewp": {"°F": (1.8, 32.0), "K": (1.0, 273.15)},
    "pres": {"kPa": (0.1, 0.0), "mmHg": (0.750062, 0.0), "Pa": (100.0, 0.0)},
    "iws": {"km/h": (3.6, 0.0), "mph": (2.236936, 0.0)},
    "pm25": {"mg/m³": (0.001, 0.0)},
}


@dataclass(frozen=True)
class Case:
    """A window of the series, spoiled or clean.

    Attributes:
        table: rows up to the end of the window.
        stop: end of the window, and the present.
        other_season: whether the model's reference knows winter alone, or summer, and the window is of the other.
        bad_release: how the forecasts of the version in production are spoiled, None where they are not.
    """

    table: pl.DataFrame
    stop: datetime
    other_season: bool = False
    bad_release: str | None = None


Fault = Callable[[pl.DataFrame, datetime, datetime, Rng], Case]


def _spoiled(table: pl.DataFrame, column: str, values: np.ndarray, digits: int | None = None) -> pl.DataFrame:
    # Rounded as the source writes its figures: other digits would betray the fault by themselves.
    kept = (2 if column == "iws" else 0) if digits is None else digits
    return table.with_columns(pl.Series(column, np.round(values, kept)).fill_nan(None))


def _values(table: pl.DataFrame, column: str) -> np.ndarray:
    return table[column].fill_null(float("nan")).to_numpy().astype(np.float64)


def _after(table: pl.DataFrame, begin: datetime) -> np.ndarray:
    return (table["timestamp"] >= begin).to_numpy()


def stale(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Deliver nothing for eight to twenty days."""
    days = float(rng.uniform(8, 20))
    return Case(table.filter(pl.col("timestamp") < stop - timedelta(days=days)), stop)


def gaps(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Lose 60 to 95 % of the values of one to three columns, in pieces of a few hours."""
    after, lost = _after(table, begin), float(rng.uniform(0.6, 0.95))
    for column in rng.choice(MEASURED, size=int(rng.integers(1, 4)), replace=False):
        values = _values(table, column)
        pieces = np.repeat(rng.random(len(values) // 4 + 1) < lost, 4)[: len(values)]
        table = _spoiled(table, column, np.where(after & pieces, np.nan, values))
    return Case(table, stop)


def unit(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Deliver one column in another unit."""
    column = str(rng.choice(MEASURED))
    factor, offset = _UNITS[column][str(rng.choice(list(_UNITS[column])))]
    values = _values(table, column)
    return Case(_spoiled(table, column, np.where(_after(table, begin), values * factor + offset, values), 3), stop)


def renamed(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Write a category in another way."""
    old = str(rng.choice(["NW", "SE", "cv"]))
    new = {"NW": "N-W", "SE": "south-east", "cv": "CV"}[old]
    changed = (
        pl.when((pl.col("timestamp") >= begin) & (pl.col("cbwd") == old)).then(pl.lit(new)).otherwise(pl.col("cbwd"))
    )
    return Case(table.with_columns(changed.alias("cbwd")), stop)


def exchanged(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Exchange a frequent category with a rare one, as a new code table does."""
    one, other = (str(name) for name in (rng.choice(["NW", "SE"]), rng.choice(["NE", "cv"])))
    after = pl.col("timestamp") >= begin
    changed = (
        pl.when(after & (pl.col("cbwd") == one)).then(pl.lit(other))
        .when(after & (pl.col("cbwd") == other)).then(pl.lit(one))
        .otherwise(pl.col("cbwd"))
    )  # fmt: skip
    return Case(table.with_columns(changed.alias("cbwd")), stop)


def stuck(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Repeat a sensor's last value."""
    column = str(rng.choice(MEASURED))
    values, after = _values(table, column), _after(table, begin)
    before = values[~after]
    last = before[np.isfinite(before)][-1]
    return Case(_spoiled(table, column, np.where(after, last, values)), stop)


def covariate(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Move an input by 0.8 to 1.6 of its standard deviation within three days, or stretch the wind."""
    column = str(rng.choice(_INPUTS))
    values, after = _values(table, column), _after(table, begin)
    ramp = np.minimum(1.0, np.cumsum(after) / 72)
    size = float(rng.uniform(0.8, 1.6))
    if column == "iws":
        moved = values * (1 + ramp * float(rng.uniform(2.0, 4.0)))
    else:
        moved = values + ramp * size * float(np.nanstd(values)) * float(rng.choice([-1, 1]))
    return Case(_spoiled(table, column, moved), stop)


def pattern(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Give the target a new daily course."""
    values, after = _values(table, "pm25"), _after(table, begin)
    hours = table["timestamp"].dt.hour().to_numpy()
    course = 1 + float(rng.uniform(0.5, 0.9)) * np.sin(2 * np.pi * (hours - float(rng.uniform(0, 24))) / 24)
    return Case(_spoiled(table, "pm25", np.where(after, values * course, values)), stop)


def faster(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Let the target change two to four times as fast as it did, over the same levels."""
    values, after = _values(table, "pm25"), _after(table, begin)
    speed, rows = float(rng.uniform(2, 4)), int(after.sum())
    # The season's course of the year before, played faster, on the level at which the fault begins.
    first = len(values) - rows - 8760
    course = values[(first + np.floor(np.arange(rows) * speed).astype(np.int64)) % len(values)]
    return Case(_spoiled(table, "pm25", np.concatenate([values[: len(values) - rows], course])), stop)


def seasonal(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Change nothing, and compare with a reference of another season."""
    return Case(table, stop, other_season=True)


def bad_release(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Change nothing in the data, and promote a version that is wrong."""
    return Case(table, stop, bad_release=str(rng.choice(["scaled", "shuffled", "late", "few rows"])))


def clean(table: pl.DataFrame, begin: datetime, stop: datetime, rng: Rng) -> Case:
    """Change nothing."""
    return Case(table, stop)


#: Fault -> the cause that is right.
FAULTS: dict[str, tuple[Fault, str]] = {
    "source stale": (stale, "source_stale"),
    "gaps in the source": (gaps, "source_broken"),
    "another unit": (unit, "unit_change"),
    "category renamed": (renamed, "category_change"),
    "categories exchanged": (exchanged, "category_change"),
    "sensor stuck": (stuck, "sensor_stuck"),
    "inputs drift": (covariate, "covariate_drift"),
    "new daily course": (pattern, "concept_drift"),
    "target moves faster": (faster, "concept_drift"),
    "another season": (seasonal, "seasonal"),
    "bad version promoted": (bad_release, "bad_release"),
}


def inject(fault: str, table: pl.DataFrame, stop: datetime, rng: Rng) -> Case:
    """Return a window with a fault, or a clean one for the name `clean`."""
    known = table.filter(pl.col("timestamp") < stop)
    begin = stop - timedelta(days=float(rng.uniform(7, 15)))
    function = clean if fault == "clean" else FAULTS[fault][0]
    return function(known, begin, stop, rng)
