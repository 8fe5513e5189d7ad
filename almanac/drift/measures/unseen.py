"""Rise of the share of categories that the reference does not have."""

from almanac.drift.counting.accumulators import OFF
from almanac.drift.measures._measure import Measure, Pair


def _rise(pair: Pair) -> float:
    return pair.rise(OFF)


KIND = Measure("unseen", "rise of the share of unseen categories", 12, 0.03, 0.005, 0.005, categories=_rise)
