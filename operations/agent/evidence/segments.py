"""A series cut into segments of equal length, of which the newest is compared with earlier ones of its season."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array

_LEVELS = np.linspace(0.05, 0.95, 19)
#: Days of the year on both sides of the newest segment that count as its season.
_SEASON_DAYS = 45
#: Earlier segments of the season that are needed; with fewer, all earlier ones are taken.
_LEAST = 3
#: Share of the segments that a usual value is not exceeded in.
_USUAL = 0.9


@dataclass(frozen=True)
class Segments:
    """Segments of one series, the newest last.

    Attributes:
        values: (s, n), NaN where missing.
        season: whether each earlier segment is of the newest one's season (s - 1,).
    """

    values: Array
    season: npt.NDArray[np.bool_]

    @property
    def earlier(self) -> npt.NDArray[np.bool_]:
        """The earlier segments to compare with: those of the season, or all where they are few."""
        return self.season if self.season.sum() >= _LEAST else np.ones_like(self.season)


def cut(values: Array, days: Array, length: int) -> Segments | None:
    """Return the segments of a series, None where there are too few.

    Args:
        values: of a regular grid, NaN where missing (n,).
        days: day of the year of each value (n,).
        length: values of a segment.
    """
    count = len(values) // length
    if count < _LEAST + 1:
        return None
    parts = values[len(values) - count * length :].reshape(count, length)
    middle = days[len(values) - count * length :].reshape(count, length)[:, length // 2]
    apart = np.abs(middle[:-1] - middle[-1])
    return Segments(parts, np.minimum(apart, 365.25 - apart) <= _SEASON_DAYS)


def quantiles(parts: Array) -> Array:
    """Return the quantiles of each segment (s, 19), NaN where more than half of its values are missing."""
    ordered = np.sort(parts, axis=1)
    counts = np.isfinite(ordered).sum(axis=1)
    at = np.floor(_LEVELS[None, :] * np.maximum(counts - 1, 0)[:, None]).astype(np.int64)
    found = np.take_along_axis(ordered, at, axis=1)
    found[counts * 2 < parts.shape[1]] = np.nan
    return found


def usual(values: Array) -> float:
    """Return the value that nine in ten of the earlier segments stay below; NaN without any."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, _USUAL)) if known.size else float("nan")


def longest_run(values: Array) -> int:
    """Return the length of the longest run of one value; missing values end a run."""
    if not values.size:
        return 0
    same = (values[1:] == values[:-1]) & np.isfinite(values[1:])
    edges = np.flatnonzero(~np.concatenate([[False], same, [False]]))
    return int(np.diff(edges).max()) if len(edges) > 1 else len(values)
