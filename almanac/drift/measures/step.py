"""Change of the mean step from row to row: a series that got smoother or rougher with the same distribution."""

import numpy as np

from almanac.drift.counting.accumulators import MOVES, PAIRS, TRAVEL
from almanac.drift.measures._measure import Measure, Pair


def _log_ratio(pair: Pair) -> float | None:
    reference, current = pair.reference, pair.current
    if not reference[MOVES] > 0 or not current[PAIRS] > 0:
        return None
    usual = reference[TRAVEL] / reference[MOVES]
    step = current[TRAVEL] / current[MOVES] if current[MOVES] else 0.0
    # A millionth of the usual step where nothing moves at all, so that the logarithm stays finite.
    return float(np.log(max(step, usual * 1e-6) / usual))


KIND = Measure(
    "step",
    "change of the mean step from row to row, log ratio",
    order=10,
    weight=0.2,
    floor=0.03,
    minimum=0.05,
    both=True,
    numbers=_log_ratio,
    # The requests of a server do not follow each other in time.
    sequential=True,
)
