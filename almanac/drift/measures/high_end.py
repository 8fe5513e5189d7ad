"""Shift of the high end of a number's distribution."""

from almanac.drift.measures._measure import Measure, Pair


def _shift(pair: Pair) -> float | None:
    return pair.shift(1 - 0.02)


KIND = Measure("high", "shift of the high end (98%), in spreads", 6, 0.12, 0.03, 0.1, both=True, numbers=_shift)
