"""Error analysis: errors by day, week, feature and forecast."""

from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.evaluation.scored_rows import ScoredRows

_DAY = 86_400_000_000
_WEEK = 7 * _DAY
# The epoch began on a Thursday; its first Monday was the fifth day.
_MONDAY = 4 * _DAY


def week_of(time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the number of the week, which begins on Monday, of times in µs since the epoch."""
    return np.asarray((time - _MONDAY) // _WEEK)


def worst_days(scored: ScoredRows, count: int = 10) -> list[dict[str, Any]]:
    """Return the days with the largest sums of squared errors, and their shares of the total.

    They are a third of all days at the most: the worst of a week are not all seven.
    """
    days, index = np.unique(scored.due.astype("datetime64[D]"), return_inverse=True)
    error = scored.prediction - scored.y
    n, squares = np.bincount(index), np.bincount(index, weights=error**2)
    sums = {name: np.bincount(index, weights=v) for name, v in (("y", scored.y), ("p", scored.prediction))}
    # A perfect forecast has no error to share.
    total = max(float(squares.sum()), np.finfo(np.float64).tiny)
    return [
        {
            "day": str(days[i]),
            "n": int(n[i]),
            "truth": float(sums["y"][i] / n[i]),
            "forecast": float(sums["p"][i] / n[i]),
            "rmse": float(np.sqrt(squares[i] / n[i])),
            "share": float(squares[i] / total),
        }
        for i in np.argsort(-squares, kind="stable")[: min(count, -(-days.size // 3))]
    ]


def by_week(scored: ScoredRows) -> list[dict[str, Any]]:
    """Return mean, root mean square, 5% and 95% quantile of the residuals of each week."""
    weeks, index = np.unique(week_of(scored.time), return_inverse=True)
    days = (weeks * _WEEK + _MONDAY).astype("datetime64[us]").astype("datetime64[D]")
    return [{"week": str(day), **part} for day, part in zip(days, _residuals(scored, index), strict=True)]


def by_day(scored: ScoredRows) -> list[dict[str, Any]]:
    """Return the same of each day that was forecast."""
    days, index = np.unique(scored.due.astype("datetime64[D]"), return_inverse=True)
    return [{"day": str(day), **part} for day, part in zip(days, _residuals(scored, index), strict=True)]


def _residuals(scored: ScoredRows, index: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
    error = scored.prediction - scored.y
    parts = [error[index == number] for number in range(int(index.max()) + 1)]
    return [
        {
            "n": int(part.size),
            "bias": float(part.mean()),
            "rmse": float(np.sqrt(np.mean(part**2))),
            "low": float(np.quantile(part, 0.05)),
            "high": float(np.quantile(part, 0.95)),
        }
        for part in parts
    ]


def against(values: Array, error: Array, bins: int = 12) -> list[dict[str, Any]]:
    """Return mean and mean size of the residuals in bins of `values` with equal numbers of rows."""
    present = np.isfinite(values)
    # A value that many rows share can be several quantiles at once, and would leave bins empty.
    edges = np.unique(np.quantile(values[present], np.linspace(0, 1, bins + 1)[1:-1])) if present.any() else np.zeros(0)
    index = np.searchsorted(edges, values[present], side="right")
    result = []
    for number in np.unique(index):
        inside = index == number
        part = error[present][inside]
        result.append(
            {
                "at": float(values[present][inside].mean()),
                "n": int(part.size),
                "bias": float(part.mean()),
                "mae": float(np.abs(part).mean()),
            }
        )
    return result


def against_features(scored: ScoredRows, names: list[str], chosen: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the residuals by the values of the chosen features."""
    error = scored.prediction - scored.y
    return {name: against(scored.X[:, names.index(name)], error) for name in chosen}


def calibration(scored: ScoredRows, bins: int = 15) -> list[dict[str, Any]]:
    """Return the reliability curve: mean forecast and mean truth in bins of the forecast with equal numbers of rows."""
    edges = np.unique(np.quantile(scored.prediction, np.linspace(0, 1, bins + 1)[1:-1]))
    index = np.searchsorted(edges, scored.prediction, side="right")
    # Bins may be empty where many forecasts are equal; they are left out below.
    n = np.bincount(index)
    forecast, truth = (np.bincount(index, weights=v) for v in (scored.prediction, scored.y))
    return [
        {"n": int(n[i]), "forecast": float(forecast[i] / n[i]), "truth": float(truth[i] / n[i])}
        for i in np.flatnonzero(n)
    ]
