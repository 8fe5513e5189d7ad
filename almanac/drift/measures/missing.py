"""Rise of the missing rate."""

from almanac.drift.counting.accumulators import MISSING
from almanac.drift.measures._measure import Measure, Pair


def _rise(pair: Pair) -> float:
    return pair.rise(MISSING)


KIND = Measure("missing", "rise of the missing rate", 1, 0.03, 0.01, 0.01, numbers=_rise, categories=_rise)
