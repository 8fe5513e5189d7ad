"""Error analysis: where, when and with which features the errors go."""

from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.evaluation.scored_rows import Judged

Array = npt.NDArray[np.float64]

_DAY = 86_400_000_000
_WEEK = 7 * _DAY
_MONDAY = 4 * _DAY


def week_of(time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the number of the week, which begins on Monday, of times in µs since the epoch."""
    return np.asarray((time - _MONDAY) // _WEEK)


def worst_days(judged: Judged, count: int = 10) -> list[dict[str, Any]]:
    """Return the days with the largest sum of squared errors, and their share of the whole."""
    days, place = np.unique(judged.due.astype("datetime64[D]"), return_inverse=True)
    error = judged.prediction - judged.y
    n, squares = np.bincount(place), np.bincount(place, weights=error**2)
    sums = {name: np.bincount(place, weights=v) for name, v in (("y", judged.y), ("p", judged.prediction))}
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
        for i in np.argsort(-squares, kind="stable")[:count]
    ]


def by_week(judged: Judged) -> list[dict[str, Any]]:
    """Return the residuals' mean, root mean square and 5% and 95% quantiles week by week."""
    weeks, place = np.unique(week_of(judged.time), return_inverse=True)
    error = judged.prediction - judged.y
    parts = [error[place == index] for index in range(weeks.size)]
    return [
        {
            "week": str((week * _WEEK + _MONDAY).astype("datetime64[us]").astype("datetime64[D]")),
            "n": int(part.size),
            "bias": float(part.mean()),
            "rmse": float(np.sqrt(np.mean(part**2))),
            "low": float(np.quantile(part, 0.05)),
            "high": float(np.quantile(part, 0.95)),
        }
        for week, part in zip(weeks, parts, strict=True)
    ]


def against(values: Array, error: Array, bins: int = 12) -> list[dict[str, Any]]:
    """Return the residuals' mean and spread in bins of equal size of `values`; missing values are left out."""
    known = np.isfinite(values)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1])) if known.any() else np.zeros(0)
    place = np.searchsorted(edges, values[known], side="right")
    result = []
    for index in np.unique(place):
        inside = place == index
        part = error[known][inside]
        result.append(
            {
                "at": float(values[known][inside].mean()),
                "n": int(part.size),
                "bias": float(part.mean()),
                "mae": float(np.abs(part).mean()),
            }
        )
    return result


def against_features(judged: Judged, names: list[str], chosen: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the residuals against the chosen features."""
    error = judged.prediction - judged.y
    return {name: against(judged.X[:, names.index(name)], error) for name in chosen}


def calibration(judged: Judged, bins: int = 15) -> list[dict[str, Any]]:
    """Return mean forecast and mean truth in bins of equal size of the forecast: the reliability curve."""
    edges = np.unique(np.quantile(judged.prediction, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, judged.prediction, side="right")
    n = np.bincount(place)
    forecast, truth = (np.bincount(place, weights=v) for v in (judged.prediction, judged.y))
    return [
        {"n": int(n[i]), "forecast": float(forecast[i] / n[i]), "truth": float(truth[i] / n[i])}
        for i in np.flatnonzero(n)
    ]
