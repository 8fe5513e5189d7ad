"""Metrics that are no functions of sums over rows: the calibration of probabilities, the median error of prices."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

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
