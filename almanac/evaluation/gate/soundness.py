"""Checks that no use case can leave out: rows that can judge a model, and a model that says more than a constant.

A forecast of values may not be demonstrably worse than the mean of the test span; the AUC of a probability must be
demonstrably above that of a constant, so that rows too few to show it refuse a good one, too.
"""

from collections.abc import Iterator

import numpy as np

from almanac.evaluation.bootstrap import interval
from almanac.evaluation.gate.check import Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.metrics import auc_repeats
from almanac.evaluation.paired import compare

RULE = "sound"
#: Fewer rows than this have no interval that says anything.
_FEWEST_ROWS = 30


def checks(target: str, rows: JudgedRows, classification: bool, rate: float) -> Iterator[Check]:
    """Yield the checks of one target's scored rows.

    Args:
        target: the target's name.
        rows: its scored rows.
        classification: whether it is a probability.
        rate: chance that a model as good as the mean of the test span is refused; no probability is, which must show
            that it tells the classes apart.
    """
    yield Check(RULE, target, "number of scored rows", float(rows.y.size), float(_FEWEST_ROWS), side=1)
    distinct = float(np.unique(rows.y).size)
    yield Check(
        RULE,
        target,
        f"number of {'classes' if classification else 'distinct values'} in the test span",
        distinct,
        2.0,
        side=1,
    )
    if rows.y.size < _FEWEST_ROWS or distinct < 2:
        return
    if classification:
        ends = interval(auc_repeats(rows.y, rows.prediction, rows.clock.draw(rows.y - rows.prediction)))
        yield Check(RULE, target, "lower end of the AUC", None if ends is None else ends[0], 0.5, side=1, strict=True)
        return
    pair = compare("rmse", rows.clock, rows.y, rows.prediction, np.full_like(rows.y, rows.y.mean()))
    # One less the ratio of the squared errors.
    note = f"R² is {-np.expm1(2 * pair.log_ratio):.3g}; one of 0 is refused in {rate:.2%}"
    yield Check(
        RULE,
        target,
        "lower bound of the error's excess over that of the test span's own mean",
        pair.at_least(rate) if pair.enough else None,
        0.0,
        note=note,
        evidence={"false_refusal_rate": rate},
    )
