"""Kolmogorov–Smirnov distance of the distributions of a number."""

from almanac.drift import statistics
from almanac.drift.measures._measure import Measure, Pair


def _distance(pair: Pair) -> float | None:
    return statistics.ks(pair.before, pair.now) if pair.has_values else None


KIND = Measure(
    "ks",
    "Kolmogorov–Smirnov distance",
    order=4,
    weight=0.22,
    floor=0.03,
    minimum=0.05,
    # Chance moves the distance of two samples by the root of their rows.
    shrinks=0.5,
    default=(0.2, 0.08),
    numbers=_distance,
)
