"""Disparities: differences between the errors of groups of rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from almanac.evaluation.groups import Slices
from almanac.evaluation.metrics import errors_of, terms_of
from almanac.evaluation.scored_rows import ScoredRows

BIAS = "bias"
#: Smaller groups say little: they are left out of the disparities, and marked where they are shown.
FEWEST_ROWS = 30


def disparity(scored: ScoredRows, slices: Slices) -> dict[str, Any]:
    """Return the disparities between groups of at least `FEWEST_ROWS` rows by fairlearn's MetricFrame.

    Returns:
        For each error metric the worst group's minus (`difference`) and over (`ratio`) the best group's, and the
        names of both; for the bias the largest less the smallest, without a ratio, and the groups with the largest and
        the smallest absolute bias. Empty if fewer than two groups can be compared.
    """
    # Slow to import.
    from fairlearn.metrics import MetricFrame

    sizes = np.bincount(slices.code, minlength=len(slices.names))
    rows = sizes[slices.code] >= FEWEST_ROWS
    if np.unique(slices.code[rows]).size < 2:
        return {}
    names = errors_of(scored.target)
    frame = MetricFrame(
        metrics={name: _error_metric(scored, name) for name in (*names, BIAS)},
        y_true=scored.y[rows],
        y_pred=scored.prediction[rows],
        sensitive_features=slices.labels[rows],
    )
    difference, shares, by_group = frame.difference(), frame.ratio(), frame.by_group
    errors = {
        name: {
            "difference": float(difference[name]),
            # Fairlearn's ratio is that of the best group over the worst.
            "ratio": float(1.0 / shares[name]) if shares[name] > 0 else None,
            "worst": str(by_group[name].idxmax()),
            "best": str(by_group[name].idxmin()),
        }
        for name in names
    }
    # Signed: opposite biases lie apart, although their sizes may be equal.
    size = by_group[BIAS].abs()
    apart = float(by_group[BIAS].max() - by_group[BIAS].min())
    bias = {"difference": apart, "ratio": None, "worst": str(size.idxmax()), "best": str(size.idxmin())}
    return {**errors, BIAS: bias}


def _error_metric(scored: ScoredRows, name: str) -> Callable[[Any, Any], float]:
    metric, terms = scored.metrics[name], terms_of(scored.target)

    def error(y_true: Any, y_pred: Any) -> float:
        columns = terms(np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64))
        # Fairlearn asks for a function of truth and forecast; ours are functions of sums.
        return float(metric({key: values.sum() for key, values in columns.items()}))

    return error
