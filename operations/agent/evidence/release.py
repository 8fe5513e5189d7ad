"""Figures of the version in production and of the one before it, on the same rows."""

from typing import Any

import numpy as np
import polars as pl

from almanac.core.errors import AlmanacError
from almanac.model.model import load_model
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from governance.registry import Registry, fetch
from governance.registry.stages import rollback_history
from monitoring.windows.join import with_truth
from monitoring.windows.outputs import Features, Span

#: Rows that two versions are compared on at least.
_LEAST_ROWS = 48
#: Share by which the newer version may be worse before it is news.
_WORSE = 0.08


def release_figures(usecase: UseCase, table: pl.DataFrame, registry: str) -> dict[str, float]:
    """Return how much larger the error of production is than that of the version before, at its worst target.

    Empty without an earlier version, or where one of the two cannot be computed on this table.
    """
    store = Registry(registry)
    current, history = store.current(usecase.name), rollback_history(store.registered(usecase.name))
    if current is None or not history or usecase.time.frequency is None:
        return {}
    time = usecase.time.column
    newest: Any = table[time].max()
    longest = usecase.longest_wait
    stop = newest + to_timedelta(usecase.time.frequency)
    span = Span(stop - longest - to_timedelta(usecase.drift.window), stop - longest)
    ratios = []
    try:
        directories = [
            fetch(store, usecase.name, store.version(usecase.name, str(n))) for n in (current.number, history[-1])
        ]
        features = Features(usecase, table)
        for target in usecase.targets:
            errors = []
            for directory in directories:
                model = load_model(directory / target.name)
                made = (
                    features.of(model, span)
                    .select(*usecase.keys)
                    .with_columns(target=pl.lit(target.name), prediction=features.predict(model, span))
                )
                known = with_truth(usecase, table, made)
                errors.append(known.select(pl.col("prediction") - pl.col("y")).to_series())
            ratios.append(error_ratio(*errors))
    # A version of an earlier release may need what this table does not have.
    except AlmanacError:
        return {}
    finite = [ratio for ratio in ratios if np.isfinite(ratio)]
    return {"release.worse": worse(max(finite))} if finite else {}


def worse(ratio: float) -> float:
    """Return the figure of a ratio of two errors."""
    return max(0.0, ratio - 1) / _WORSE


def error_ratio(ours: pl.Series, theirs: pl.Series) -> float:
    """Return the ratio of two mean absolute errors on the rows that both have; NaN where these are few."""
    one, other = (series.to_numpy().astype(np.float64) for series in (ours, theirs))
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < _LEAST_ROWS:
        return float("nan")
    below = float(np.abs(other[both]).mean())
    return float(np.abs(one[both]).mean()) / below if below > 0 else float("nan")
