"""Signals BUY, SELL and HOLD, and the next price after each."""

from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.model.price_signal import NAMES, signals
from almanac.usecase.stakes_section import Signals


def followed(
    rule: Signals, asked: Array, fair: Array, lower: Array | None, upper: Array | None, y: Array
) -> dict[str, Any]:
    """Return for each signal its share, and the change and return by the next price.

    Returns:
        the rule, and for each signal: `n`, `share`, `median_change` of the next price over the asked one, and
        `median_return` and `gained`, the share above zero, of acting on it: after BUY to buy at the asked price and
        sell at the next one less the fee, after SELL to sell now instead of then, both less the fee.
    """
    known = np.isfinite(asked) & (asked > 0)
    codes = signals(rule.model_dump(), asked, fair, lower, upper)
    table = {}
    for code, name in enumerate(NAMES):
        rows = known & (codes == code)
        change = y[rows] / asked[rows] - 1.0
        # An owner who sells now pays the same fee as one who waits, so that only the change counts.
        result = {"BUY": (1.0 - rule.fee) * (1.0 + change) - 1.0, "SELL": -change / (1.0 + change)}.get(name, change)
        table[name] = {
            "n": int(rows.sum()),
            "share": float(rows.sum() / max(known.sum(), 1)),
            "median_change": float(np.median(change)) if rows.any() else None,
            "median_return": float(np.median(result)) if rows.any() else None,
            "gained": float((result > 0).mean()) if rows.any() else None,
        }
    return {"rule": rule.model_dump(mode="json"), "rows": int(known.sum()), "signals": table}
