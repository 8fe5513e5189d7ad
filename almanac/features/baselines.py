"""Baseline forecasts that training and evaluation compare models with."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from almanac.core.arrays import Array, Mask
from almanac.features.classes import as_classes
from almanac.features.columns import numbers
from almanac.features.table import even_times
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds

PERSISTENCE = "persistence"
SEASONAL = "seasonal"
#: Mean of the training span, of each entity; for a classification the base rate.
MEAN = "mean"
#: Mean of the training span at the same phase of the season.
CLIMATOLOGY = "climatology"
#: Mean of the values known in the last season.
RECENT = "recent_mean"
#: Persistence with the slope of the training span (Hyndman and Athanasopoulos, 2021, section 5.2).
DRIFT = "drift"


def naive_names(usecase: UseCase, target: Target) -> tuple[str, ...]:
    """Return the names of the baselines that repeat a known value, each forecast once.

    Where the target lies a whole number of seasons ahead, the newest value of its phase is the last known value:
    persistence and the seasonal baseline are one, and it is called persistence.
    """
    if usecase.events is not None:
        # Events have no seasons; a use case may name columns and features that are forecasts themselves.
        return (PERSISTENCE, *target.baselines)
    return (PERSISTENCE,) if _seasons_back(usecase, target) == _ahead(usecase, target) else (PERSISTENCE, SEASONAL)


def baseline_names(usecase: UseCase, target: Target) -> tuple[str, ...]:
    """Return the names of a target's baselines, those that repeat a value first."""
    naive = naive_names(usecase, target)
    if usecase.events is not None:
        return naive if MEAN in naive else (*naive, MEAN)
    drift = () if target.above is not None else (DRIFT,)
    return (*naive, MEAN, CLIMATOLOGY, RECENT, *drift)


def naive_forecasts(usecase: UseCase, table: pl.DataFrame, target: Target) -> dict[str, Array]:
    """Return the forecasts of the baselines that repeat a known value, NaN where there is none, each of shape (n,).

    Args:
        usecase: the use case.
        table: keys, y_<target> and last_<target> of all rows.
        target: what is forecast.

    Raises:
        TableError: a column is missing.
    """
    forecasts = {}
    for name in naive_names(usecase, target):
        if name == PERSISTENCE:
            forecasts[name] = numbers(table, f"last_{target.name}")
        elif name in target.baselines:
            forecasts[name] = numbers(table, declared_column(target, name))
        else:
            forecasts[name] = seasonal_naive(usecase, table, target)
    return forecasts


def declared_column(target: Target, name: str) -> str:
    """Return the column of the feature table that holds a baseline which the use case declares."""
    return f"baseline_{target.name}_{name}"


def price_column(target: Target, name: str) -> str:
    """Return the column of the feature table that holds a price which a target's stakes or signals name."""
    return f"price_{target.name}_{name}"


def baseline_forecasts(usecase: UseCase, table: pl.DataFrame, target: Target, train: Mask) -> dict[str, Array]:
    """Return the forecasts of all of a target's baselines, NaN where there is none, each of shape (n,).

    For a classification the means are of the classes, and so probabilities; the others are values of the column.

    Args:
        usecase: the use case.
        table: keys, y_<target> and last_<target> of all rows, in the order of entity and time.
        target: what is forecast.
        train: rows of the training span, from which alone means and slopes are learned, shape (n,).

    Raises:
        TableError: a column is missing.
    """
    found = naive_forecasts(usecase, table, target)
    learned = (_of_events if usecase.events is not None else _learned)(usecase, table, target, train)
    names = baseline_names(usecase, target)[len(found) :]
    return found | {name: numbers(learned, name) for name in names}


def _truth(table: pl.DataFrame, target: Target) -> Array:
    """Return the truth of each row, 0 or 1 for a classification, NaN where it is unknown."""
    return as_classes(numbers(table, f"y_{target.name}"), target.above)


def _of_events(_: UseCase, table: pl.DataFrame, target: Target, train: Mask) -> pl.DataFrame:
    truth = _truth(table, target)
    known = truth[train & np.isfinite(truth)]
    return pl.DataFrame({MEAN: np.full(truth.shape, known.mean() if known.size else np.nan)})


def _learned(usecase: UseCase, table: pl.DataFrame, target: Target, train: Mask) -> pl.DataFrame:
    season = to_microseconds(usecase.evaluation.season)
    truth, last = _truth(table, target), numbers(table, f"last_{target.name}")
    time = even_times(table, usecase.time.column, usecase.time.grid)
    group = table[usecase.entity] if usecase.entity else pl.repeat("", table.height, eager=True)
    rows = pl.DataFrame(
        {
            "entity": group,
            "time": time.cast(pl.Datetime("us")),
            "phase": (time + to_microseconds(target.horizon)) % season,
            "y": pl.Series(truth).fill_nan(None),
            "last": pl.Series(last).fill_nan(None),
        }
    )
    known = rows.filter(pl.Series(train) & pl.Series(np.isfinite(truth)))
    means = known.group_by("entity").agg(pl.col("y").mean().alias(MEAN))
    phases = known.group_by("entity", "phase").agg(pl.col("y").mean().alias(CLIMATOLOGY))
    moved = rows.filter(pl.Series(train) & pl.col("last").is_not_null()).group_by("entity", maintain_order=True)
    slopes = moved.agg(
        slope=(pl.col("last").last() - pl.col("last").first())
        / (pl.col("time").last() - pl.col("time").first()).dt.total_microseconds()
    )
    joined = (
        rows.join(means, on="entity", how="left", maintain_order="left")
        .join(phases, on=["entity", "phase"], how="left", maintain_order="left")
        .join(slopes, on="entity", how="left", maintain_order="left")
    )
    overall = known["y"].mean()
    recent = pl.col("last").rolling_mean_by("time", f"{season}us", min_samples=1).over("entity").alias(RECENT)
    # An entity or a phase that training never saw has the mean of those that it saw.
    mean = pl.col(MEAN).fill_null(pl.lit(overall, pl.Float64))
    drift = pl.col("last") + pl.col("slope").fill_nan(0.0).fill_null(0.0) * _ahead(usecase, target)
    return joined.select(mean, pl.col(CLIMATOLOGY).fill_null(mean), recent, drift.alias(DRIFT))


def seasonal_naive(usecase: UseCase, table: pl.DataFrame, target: Target) -> Array:
    """Return the seasonal-naive forecast of each row, the newest known value of its phase, NaN if there is none.

    Raises:
        TableError: a column is missing.
    """
    if usecase.events is not None:
        # The newest outcome of the entity, as events have no phase.
        return numbers(table, f"last_{target.name}")
    keys = usecase.keys
    name = f"y_{target.name}"
    numbers(table, name)
    values = table.select(*keys, name).with_columns(even_times(table, usecase.time.column, usecase.time.grid))
    earlier = values.select(*keys[:-1], pl.col(keys[-1]) - _seasons_back(usecase, target))
    return numbers(earlier.join(values, on=keys, how="left", maintain_order="left"), name)


def best_of(errors: Mapping[str, float]) -> str:
    """Return the name of the smallest error; of equal ones the first."""
    return min(errors, key=lambda name: errors[name])


def _ahead(usecase: UseCase, target: Target) -> int:
    return to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)


def _seasons_back(usecase: UseCase, target: Target) -> int:
    season = to_microseconds(usecase.evaluation.season)
    # Whole seasons, as many as it takes for the value to be known at the prediction time.
    return -(-_ahead(usecase, target) // season) * season
