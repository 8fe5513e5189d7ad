"""Figures of a column of categories: levels never seen, and levels that have changed places."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from operations.agent.evidence.segments import cut, longest_run, usual

#: Shares, and differences of shares, below this are no news.
_LEAST_SHARE, _LEAST_SHIFT = 0.03, 0.1
#: Levels of which pairs are exchanged; more cost too much, and rare ones say little.
_MOST_LEVELS = 12


def category_figures(
    labels: npt.NDArray[np.object_], numbers: Array, days: Array, lengths: Iterable[int]
) -> dict[str, float]:
    """Return the figures of a column by name.

    Args:
        labels: up to the newest row, None where missing (n,).
        numbers: by which a level is recognised under another name: the numeric columns on the scale of
            `numbers.scale_of`, and the phase of the day (n, c).
        days: day of the year of each value (n,).
        lengths: lengths of the newest segment to look at, in values; the shortest is the newest news.
    """
    names, codes = np.unique(np.array([label or "" for label in labels]), return_inverse=True)
    values = np.where(names[codes] == "", np.nan, codes.astype(np.float64))
    shortest, longest = min(lengths), max(lengths)
    before, newest = values[:-shortest], values[-shortest:]
    known = newest[np.isfinite(newest)]
    if not known.size or not np.isfinite(before).any():
        return {}
    # Levels of the newest window are new as long as nothing before it had them.
    seen = values[:-longest][np.isfinite(values[:-longest])]
    figures = {
        "unseen": float((~np.isin(known, seen)).mean() / _LEAST_SHARE),
        "run": longest_run(newest) / max(1, longest_run(before)),
        "missing": float((np.isnan(newest).mean() + _LEAST_SHARE) / (np.isnan(before).mean() + _LEAST_SHARE)),
    }
    return figures | _shares(values, days, longest, len(names)) | _places(values, numbers, days, shortest, len(names))


def _shares(values: Array, days: Array, length: int, levels: int) -> dict[str, float]:
    """Return how far the shares of the levels are from those of the season."""
    segments = cut(values, days, length)
    if segments is None:
        return {}
    counts = np.stack([_counts(part, levels) for part in segments.values])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    newest, like = shares[-1], shares[:-1][segments.earlier]
    if len(like) < 2:
        return {}
    others = (like.sum(axis=0) - like) / (len(like) - 1)
    apart = max(usual(np.abs(like - others).sum(axis=1) / 2), _LEAST_SHIFT)
    return {"shift": float(np.abs(newest - like.mean(axis=0)).sum() / 2) / apart}


def _places(values: Array, numbers: Array, days: Array, length: int, levels: int) -> dict[str, float]:
    """Return how much better the levels fit the other columns once two of them are exchanged, over the usual."""
    segments = cut(values, days, length)
    if segments is None or levels < 2 or not numbers.shape[1]:
        return {}
    scaled = (numbers - np.nanmean(numbers, axis=0)) / np.maximum(np.nanstd(numbers, axis=0), 1e-12)
    rows = len(segments.values) * length
    parts = scaled[len(scaled) - rows :].reshape(len(segments.values), length, -1)
    chosen = [*np.flatnonzero(segments.earlier), len(segments.values) - 1]
    means = np.stack([_means(segments.values[at], parts[at], levels) for at in chosen])
    counts = np.stack([_counts(segments.values[at], levels) for at in chosen])
    if len(chosen) < 3:
        return {}
    gains = [_gain(means[at], counts[at], np.delete(means, [at, len(chosen) - 1], axis=0)) for at in range(len(chosen))]
    return {"recode": gains[-1] / max(1.0, usual(np.array(gains[:-1])))}


def _counts(part: Array, levels: int) -> Array:
    return np.bincount(part[np.isfinite(part)].astype(np.int64), minlength=levels).astype(np.float64)


def _means(part: Array, numbers: Array, levels: int) -> Array:
    """Return the mean of each column at each level, less the segment's own mean (levels, c); NaN without rows."""
    known = np.isfinite(part)
    filled = np.nan_to_num(numbers - np.nanmean(np.where(np.isfinite(numbers), numbers, 0.0), axis=0))
    sums = np.zeros((levels, numbers.shape[1]))
    np.add.at(sums, part[known].astype(np.int64), filled[known])
    counts = _counts(part, levels)[:, None]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _gain(means: Array, counts: Array, others: Array) -> float:
    """Return the distance from the reference over the least distance after an exchange of two levels."""
    present = np.isfinite(others).any(axis=0)
    reference = np.where(present, np.nansum(others, axis=0) / np.maximum(np.isfinite(others).sum(axis=0), 1), np.nan)

    def distance(order: list[int]) -> float:
        apart = np.nan_to_num((means - reference[order]) ** 2).sum(axis=1)
        return float((counts * apart).sum())

    levels = list(range(len(means)))
    exchanged = [
        distance([other if at == one else one if at == other else at for at in levels])
        for one, other in combinations(levels[:_MOST_LEVELS], 2)
    ]
    return distance(levels) / max(min(exchanged), 1e-9)
