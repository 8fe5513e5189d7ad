"""Longest run of one and the same value: a sensor that is stuck."""

import numpy as np

from almanac.drift.measures._measure import Measure, Pair


def _log_rows(pair: Pair) -> float:
    # The logarithm, because runs of hours and of weeks are both usual, in different columns.
    return float(np.log(max(pair.run, 1)))


KIND = Measure(
    "run",
    "longest constant run, log rows",
    order=2,
    weight=0.03,
    floor=0.15,
    minimum=0.4,
    default=(0.7, 0.5),
    numbers=_log_rows,
    categories=_log_rows,
)
