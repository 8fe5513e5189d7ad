"""Rise of the share of values off the reference's resolution, such as tenths of a degree: a changed unit or sensor."""

from almanac.drift.counting.accumulators import OFF
from almanac.drift.measures._measure import Measure, Pair


def _rise(pair: Pair) -> float | None:
    # A reference without a resolution has no value off it.
    rounded = pair.layout is not None and pair.layout.decimals is not None
    return pair.rise(OFF) if rounded and pair.has_values else None


KIND = Measure(
    "resolution", "rise of the share of values off the usual resolution", 8, 0.015, 0.01, 0.02, numbers=_rise
)
