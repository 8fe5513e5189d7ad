"""Signals by a price against the fair price: BUY, HOLD, SELL."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array

#: Signals by their number.
NAMES = ("BUY", "HOLD", "SELL")


def signals(
    rule: Mapping[str, Any], asked: Array, fair: Array, lower: Array | None, upper: Array | None
) -> npt.NDArray[np.int64]:
    """Return the number of each row's signal in `NAMES`; HOLD where a price is missing.

    Args:
        rule: buy_below, sell_above and beyond_interval, see `almanac.usecase.stakes_section.Signals`.
        asked: the prices at which one could act, shape (n,).
        fair: the forecasts, shape (n,).
        lower: lower ends of their intervals; None without.
        upper: upper ends.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = asked / fair
        buy, sell = ratio < rule["buy_below"], ratio > rule["sell_above"]
        if rule["beyond_interval"] and lower is not None and upper is not None:
            buy, sell = buy & (asked < lower), sell & (asked > upper)
    return np.where(buy, 0, np.where(sell, 2, 1))
