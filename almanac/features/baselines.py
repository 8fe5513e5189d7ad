"""Baseline forecasts that training and evaluation compare models with."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.errors import FeatureError
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds

Array = npt.NDArray[np.float64]

PERSISTENCE = "persistence"
SEASONAL = "seasonal"


def baseline_names(usecase: UseCase, target: Target) -> tuple[str, ...]:
    """Return the names of a target's baselines, each forecast once.

    Where the target lies a whole number of seasons ahead, the newest value of its phase is the last known value:
    persistence and the seasonal baseline are one, and it is called persistence.
    """
    if usecase.events is not None:
        # Events have no seasons; a use case may name columns and features that are forecasts themselves.
        return (PERSISTENCE, *target.baselines)
    return (PERSISTENCE,) if _seasons_back(usecase, target) == _ahead(usecase, target) else (PERSISTENCE, SEASONAL)


def baseline_forecasts(usecase: UseCase, table: pl.DataFrame, target: Target) -> dict[str, Array]:
    """Return the forecasts of a target's baselines by name, NaN where there is none, each of shape (n,).

    Args:
        usecase: the use case.
        table: keys, y_<target> and last_<target> of all rows.
        target: what is forecast.

    Raises:
        FeatureError: a column is missing.
    """
    forecasts = {}
    for name in baseline_names(usecase, target):
        if name == PERSISTENCE:
            forecasts[name] = _numbers(table, f"last_{target.name}")
        elif name in target.baselines:
            forecasts[name] = _numbers(table, declared_column(target, name))
        else:
            forecasts[name] = seasonal_naive(usecase, table, target)
    return forecasts


def declared_column(target: Target, name: str) -> str:
    """Return the column of the feature table that holds a baseline which the use case declares."""
    return f"baseline_{target.name}_{name}"


def price_column(target: Target, name: str) -> str:
    """Return the column of the feature table that holds a price which a target's stakes or signals name."""
    return f"price_{target.name}_{name}"


def seasonal_naive(usecase: UseCase, table: pl.DataFrame, target: Target) -> Array:
    """Return the seasonal-naive forecast of each row, the newest known value of its phase, NaN if there is none.

    Raises:
        FeatureError: a column is missing.
    """
    if usecase.events is not None:
        # The newest outcome of the entity, as events have no phase.
        return _numbers(table, f"last_{target.name}")
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    name = f"y_{target.name}"
    _numbers(table, name)
    back = pl.duration(microseconds=_seasons_back(usecase, target))
    earlier = table.select(keys).with_columns(pl.col(usecase.time.column) - back)
    return _numbers(earlier.join(table.select([*keys, name]), on=keys, how="left", maintain_order="left"), name)


def best_of(errors: Mapping[str, float]) -> str:
    """Return the name of the smallest error; of equal ones the first."""
    return min(errors, key=lambda name: errors[name])


def _ahead(usecase: UseCase, target: Target) -> int:
    return to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)


def _seasons_back(usecase: UseCase, target: Target) -> int:
    season = to_microseconds(usecase.evaluation.season)
    # Whole seasons, as many as it takes for the value to be known at the prediction time.
    return -(-_ahead(usecase, target) // season) * season


def _numbers(table: pl.DataFrame, name: str) -> Array:
    if name not in table.columns:
        raise FeatureError(f"the feature table has no column {name}; it must have y_ and last_ of each target")
    return table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
