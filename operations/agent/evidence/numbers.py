"""Figures of a numeric column: the distance of its newest values from the same season before."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from almanac.core.arrays import Array
from operations.agent.evidence.segments import Segments, cut, longest_run, quantiles, usual
from operations.agent.evidence.units import Conversion

#: Distances below this share of the column's spread are no news, however quiet the column was.
_LEAST_SHIFT = 0.05
#: Shares of missing values and relative changes below this are no news.
_LEAST_SHARE = 0.03
#: Values of one level among which a change of unit or level cannot be seen.
_MOST_COMMON = 0.5


@dataclass(frozen=True)
class Distances:
    """Distances of a segment's quantiles from those of earlier segments, over the column's spread.

    Attributes:
        season: to the season's.
        year: to the whole year's.
        usual: of earlier segments of the season from the others, which nine in ten stay below.
        converted: to the season's, after the best conversion.
        conversion: that conversion.
    """

    season: float
    year: float
    usual: float
    converted: float
    conversion: Conversion | None


def number_figures(
    values: Array, days: Array, lengths: Iterable[int], conversions: Iterable[Conversion]
) -> tuple[dict[str, float], str]:
    """Return the figures of a column by name, and the unit that explains its newest values best.

    Args:
        values: up to the newest row, NaN where missing (n,).
        days: day of the year of each value (n,).
        lengths: lengths of the newest segment to look at, in values; the shortest is the newest news.
        conversions: of the column's unit.
    """
    scale = scale_of(values)
    segments = [each for length in sorted(lengths) if (each := cut(values, days, length)) is not None]
    if not segments or scale is None:
        return {}, ""
    figures = _plain(values, segments)
    found = [apart for part in segments if (apart := _distances(part, scale, tuple(conversions))) is not None]
    unit = ""
    if found and not mostly_one(values):
        # A fault that began within the longer segment is mixed there with what was before it.
        best = max(found, key=lambda each: each.season / max(each.converted, each.usual))
        figures["shift"] = max(each.season / each.usual for each in found)
        figures["season"] = max(each.year / max(each.season, each.usual) for each in found)
        figures["unit"] = best.season / max(best.converted, best.usual)
        unit = best.conversion.unit if best.conversion else ""
        figures |= _roughness(segments[0], scale)
    return figures, unit


@dataclass(frozen=True)
class Scale:
    """The scale that distances are measured on: logarithmic for a column without negative values."""

    spread: float
    floor: float | None

    def of(self, values: Array) -> Array:
        """Return values on this scale."""
        return values / self.spread if self.floor is None else np.log(np.maximum(values, 0) + self.floor) / self.spread


def scale_of(values: Array) -> Scale | None:
    """Return the scale of a column, None for one without two different values."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return None
    low, middle = (float(each) for each in np.quantile(known, [0.01, 0.5]))
    floor = 0.05 * middle if low >= 0 and middle > 0 else None
    ends = np.quantile(Scale(1.0, floor).of(known), [0.05, 0.95])
    spread = float(ends[1] - ends[0]) or float(Scale(1.0, floor).of(known).std())
    return Scale(spread, floor) if spread > 0 else None


def mostly_one(values: Array) -> bool:
    """Return whether one value, such as zero, is more than half of a column."""
    known = values[np.isfinite(values)]
    _, counts = np.unique(known, return_counts=True)
    return bool(counts.max() > _MOST_COMMON * known.size)


def _plain(values: Array, segments: list[Segments]) -> dict[str, float]:
    shares = [np.isnan(part.values).mean(axis=1) + _LEAST_SHARE for part in segments]
    longest = segments[-1].values.shape[1]
    before = max(1, longest_run(values[:-longest]))
    return {
        "missing": max(float(share[-1] / share[:-1].max()) for share in shares),
        "run": longest_run(values[-longest:]) / before,
    }


def _distances(segments: Segments, scale: Scale, conversions: tuple[Conversion, ...]) -> Distances | None:
    found = quantiles(segments.values)
    newest, before = found[-1], found[:-1]
    whole = np.isfinite(before[:, 0])
    like = before[segments.earlier & whole]
    if len(like) < 2 or not np.isfinite(newest[0]):
        return None
    like, year = scale.of(like), scale.of(before[whole]).mean(axis=0)
    season = like.mean(axis=0)
    # Each one from the others, as the newest is from all of them.
    others = (like.sum(axis=0) - like) / (len(like) - 1)
    apart = np.abs(like - others).mean(axis=1)

    def distance(values: Array, reference: Array) -> float:
        return float(np.abs(scale.of(values) - reference).mean())

    converted = [(distance((newest - each.offset) / each.factor, season), each) for each in conversions]
    best = min(converted, key=lambda pair: pair[0], default=(float("inf"), None))
    return Distances(
        distance(newest, season), distance(newest, year), max(usual(apart), _LEAST_SHIFT), best[0], best[1]
    )


def _roughness(segments: Segments, scale: Scale) -> dict[str, float]:
    """Return how much rougher, and how much smoother, the newest segment is from value to value than usual."""
    steps = np.abs(np.diff(scale.of(segments.values), axis=1))
    counts = np.isfinite(steps).sum(axis=1)
    sums = np.nansum(steps, axis=1)
    rough = np.where(counts * 2 >= steps.shape[1], sums / np.maximum(counts, 1), np.nan)
    before = rough[:-1][segments.earlier]
    before = before[np.isfinite(before) & (before > 0)]
    if not before.size or not np.isfinite(rough[-1]):
        return {}
    low, high = np.quantile(before, [0.1, 0.9])
    return {"rougher": float(rough[-1] / high), "smoother": float(low / max(rough[-1], 1e-3 * low))}
