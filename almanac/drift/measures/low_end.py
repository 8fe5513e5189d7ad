"""Shift of the low end of a number's distribution, where cold snaps and broken sensors show first."""

from almanac.drift.measures._measure import Measure, Pair


def _shift(pair: Pair) -> float | None:
    return pair.shift(0.02)


KIND = Measure("low", "shift of the low end (2%), in spreads", 5, 0.2, 0.03, 0.1, both=True, numbers=_shift)
