"""Rise of the number of gaps: stretches of missing values, counted once each."""

import numpy as np

from almanac.drift.counting.accumulators import GAPS
from almanac.drift.measures._measure import Measure, Pair, rate

#: Added to rates before the logarithm of their ratio is taken.
_OFFSET = 1e-3


def _log_ratio(pair: Pair) -> float | None:
    # Most columns never have a gap, and then the measure would only take its part of the false-alarm chance.
    if not pair.reference[GAPS] and not pair.current[GAPS]:
        return None
    return float(np.log((rate(pair.current, GAPS) + _OFFSET) / (rate(pair.reference, GAPS) + _OFFSET)))


KIND = Measure(
    "gaps",
    "rise of the number of gaps a row, log ratio",
    order=3,
    weight=0.05,
    floor=0.1,
    minimum=0.4,
    numbers=_log_ratio,
    categories=_log_ratio,
    # The requests of a server do not follow each other in time.
    sequential=True,
)
