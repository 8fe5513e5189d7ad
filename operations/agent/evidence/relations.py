"""Figures of a numeric column given the others: its level, and its course over the day.

A column is regressed on the season, the hour and all other columns. A sensor that has moved by a few degrees is within
its own range for months, but not within what the others say about it.
"""

import numpy as np

from almanac.core.arrays import Array
from operations.agent.evidence.segments import cut, usual

#: Means of residuals below this, in standard deviations of the column, are no news.
_LEAST_OFFSET = 0.1
_LEAST_COURSE = 0.05
_RIDGE = 1e-3
_HOURS = 24


def relation_figures(
    columns: dict[str, Array], judged: list[str], days: Array, hours: Array, lengths: tuple[int, int]
) -> dict[str, dict[str, float]]:
    """Return for each judged column the distance of its level and of its daily course from those that the others imply.

    Args:
        columns: values on the scale of `numbers.scale_of`, NaN where missing, by name (n,).
        judged: columns to regress; columns that are zero for weeks say something of others, and nothing of themselves.
        days: day of the year (n,).
        hours: hour of the day (n,).
        lengths: lengths of the newest part and of the window, in values; the regression learns what is before both.
    """
    newest, window = min(lengths), max(lengths)
    if len(days) < 4 * window:
        return {}
    known = {name: _scaled(values) for name, values in columns.items()}
    calendar = _calendar(days, hours)
    figures = {}
    for name in judged:
        others = [np.nan_to_num(values) for other, values in known.items() if other != name]
        residuals = _residuals(known[name], np.column_stack([calendar, *others]), len(days) - window)
        if residuals is not None:
            figures[name] = _figures(residuals, days, hours, newest)
    return figures


def _scaled(values: Array) -> Array:
    deviation = float(np.nanstd(values))
    return (values - np.nanmean(values)) / deviation if deviation > 0 else np.zeros_like(values)


def _calendar(days: Array, hours: Array) -> Array:
    turns = [2 * np.pi * k * days / 365.25 for k in (1, 2)] + [2 * np.pi * k * hours / 24 for k in (1, 2)]
    return np.column_stack([np.ones_like(days), *(f(turn) for turn in turns for f in (np.sin, np.cos))])


def _residuals(values: Array, inputs: Array, learned: int) -> Array | None:
    rows = np.flatnonzero(np.isfinite(values[:learned]))
    if len(rows) < 10 * inputs.shape[1]:
        return None
    X, y = inputs[rows], values[rows]
    weights = np.linalg.solve(X.T @ X + _RIDGE * len(rows) * np.eye(X.shape[1]), X.T @ y)
    found: Array = values - inputs @ weights
    return found


def _figures(residuals: Array, days: Array, hours: Array, length: int) -> dict[str, float]:
    segments = cut(residuals, days, length)
    if segments is None:
        return {}
    counts = np.isfinite(segments.values).sum(axis=1)
    whole = counts * 2 >= length
    if not whole[-1]:
        return {}
    means = np.nansum(segments.values, axis=1) / np.maximum(counts, 1)
    like = segments.earlier & whole[:-1]
    middle = float(np.median(means[:-1][like])) if like.any() else 0.0
    offsets = np.abs(means - middle)
    figures = {"offset": float(offsets[-1] / max(usual(offsets[:-1][like]), _LEAST_OFFSET))}
    within = hours[len(hours) - segments.values.size :].reshape(segments.values.shape).astype(np.int64)
    courses = np.array(
        [_course(part - mean, hour) for part, mean, hour in zip(segments.values, means, within, strict=True)]
    )
    if np.isfinite(courses[-1]).all() and np.isfinite(courses[:-1][like]).any():
        usually = np.nanmean(courses[:-1][like], axis=0)
        apart = np.sqrt(np.nanmean((courses - usually) ** 2, axis=1))
        figures["course"] = float(apart[-1] / max(usual(apart[:-1][like]), _LEAST_COURSE))
    return figures


def _course(part: Array, hours: Array) -> Array:
    """Return the mean of each hour of the day (24,), NaN for hours without a value."""
    known = np.isfinite(part)
    counts = np.bincount(hours[known], minlength=_HOURS)
    sums = np.bincount(hours[known], weights=part[known], minlength=_HOURS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
