"""Metrics by order, which no sums over rows give: calibration in bins of sorted probabilities, and medians."""

import numpy as np
import polars as pl

from almanac.core.arrays import Array

#: Bins of equal counts in which forecast and outcome are compared.
_BINS = 10


def expected_calibration_error(y: Array, probability: Array) -> float:
    """Return the mean distance of forecast and frequency over ten bins of equal counts (Naeini et al., 2015)."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if part.size]
    return float(sum(abs(probability[part].mean() - y[part].mean()) * part.size for part in parts) / y.size)


def median_absolute_percentage_error(y: Array, prediction: Array) -> float | None:
    """Return the median of the errors as shares of the truth; None without a positive truth."""
    rows = (y > 0) & np.isfinite(prediction)
    return float(np.median(np.abs(prediction[rows] / y[rows] - 1.0))) if rows.any() else None


def median_mase(entity: pl.Series, size: Array, scales: Array) -> float | None:
    """Return the median over the entities of their mean absolute scaled error (Hyndman and Koehler, 2006).

    Args:
        entity: the entity of each row.
        size: absolute error, NaN where there is none, shape (n,).
        scales: unit of the row's entity, the error of its own seasonal baseline before the test span; NaN without.

    Returns:
        The median; None without an entity that has errors and a unit.
    """
    errors = pl.DataFrame({"entity": entity, "error": size / scales})
    # A scale of zero is that of a series that repeats itself exactly.
    means = errors.filter(pl.col("error").is_finite()).group_by("entity").agg(pl.col("error").mean())
    return None if means.is_empty() else float(np.median(means["error"].to_numpy()))
