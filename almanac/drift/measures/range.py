"""Rise of the share of values beyond the smallest and largest of the reference."""

from almanac.drift.counting.accumulators import ABOVE, BELOW
from almanac.drift.measures._measure import Measure, Pair


def _rise(pair: Pair) -> float | None:
    return pair.rise(BELOW, ABOVE) if pair.has_values else None


KIND = Measure("range", "rise of the share of values beyond the usual range", 7, 0.015, 0.01, 0.02, numbers=_rise)
