"""Checks that no use case can leave out: rows that can judge a model, and a model that says more than a constant.

A forecast of values may not be demonstrably worse than the mean of the test span; the AUC of a probability must be
demonstrably above that of a constant, unless the rows are too few to show the registered model's.
"""

from collections.abc import Iterator

import numpy as np

from almanac.core.arrays import Array
from almanac.evaluation.bootstrap import STANDARD_ERRORS, interval
from almanac.evaluation.gate.check import SOUND, Check
from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.metrics import auc_repeats
from almanac.evaluation.paired import compare
from almanac.evaluation.student import student_quantile

#: Fewer rows than this have no interval that says anything.
_FEWEST_ROWS = 30


def checks(target: str, rows: JudgedRows, classification: bool, rate: float) -> Iterator[Check]:
    """Yield the checks of one target's scored rows.

    Args:
        target: the target's name.
        rows: its scored rows.
        classification: whether it is a probability.
        rate: chance that a model as good as the mean of the test span is refused; for a probability, one as good as the
            registered model.
    """
    yield Check(SOUND, target, "number of scored rows", float(rows.y.size), float(_FEWEST_ROWS), side=1)
    distinct = float(np.unique(rows.y).size)
    yield Check(
        SOUND,
        target,
        f"number of {'classes' if classification else 'distinct values'} in the test span",
        distinct,
        2.0,
        side=1,
    )
    if rows.y.size < _FEWEST_ROWS or distinct < 2:
        return
    yield _tells_apart(target, rows, rate) if classification else _beats_mean(target, rows, rate)


def _tells_apart(target: str, rows: JudgedRows, rate: float) -> Check:
    """Return the check of a probability, whose AUC must be above that of a constant."""
    ours, what = _auc(rows, rows.prediction), "lower end of the AUC"
    # A first version has nothing to be as good as, and must show it.
    evidence = None if rows.registered is None else {"false_refusal_rate": rate}
    vacuous = None
    if ours is None:
        return Check(SOUND, target, what, None, 0.5, side=1, strict=True)
    if ours[0] <= 0.5 < ours[1] and rows.registered is not None and (theirs := _registered_auc(rows)) is not None:
        middle, error = (theirs[0] + theirs[1]) / 2, (theirs[1] - theirs[0]) / STANDARD_ERRORS
        # So far above 0.5 it is shown in all but this share of the cases.
        needed = (STANDARD_ERRORS / 2 + student_quantile(1e9, 1.0 - rate)) * error
        if middle - 0.5 < needed:
            vacuous = (
                f"not shown, but {rows.y.size:,} rows are too few: they would refuse the registered model's, about "
                f"{middle:.3g}, in more than {rate:.2%}"
            )
    return Check(SOUND, target, what, ours[0], 0.5, side=1, strict=True, vacuous=vacuous, evidence=evidence)


def _registered_auc(rows: JudgedRows) -> list[float] | None:
    assert rows.registered is not None
    known = np.isfinite(rows.registered)
    if known.sum() < _FEWEST_ROWS or np.unique(rows.y[known]).size < 2:
        return None
    return _auc(rows, rows.registered)


def _auc(rows: JudgedRows, forecast: Array) -> list[float] | None:
    """Return the interval of the AUC on the rows that have a forecast."""
    known = np.isfinite(forecast)
    y, forecast = rows.y[known], forecast[known]
    return interval(auc_repeats(y, forecast, rows.clock.at(known).draw(y - forecast)))


def _beats_mean(target: str, rows: JudgedRows, rate: float) -> Check:
    """Return the check of a value, whose forecast may not be shown to be worse than the mean of the test span."""
    pair = compare("rmse", rows.clock, rows.y, rows.prediction, np.full_like(rows.y, rows.y.mean()))
    # One less the ratio of the squared errors.
    note = f"R² is {-np.expm1(2 * pair.log_ratio):.3g}; one of 0 is refused in {rate:.2%}"
    return Check(
        SOUND,
        target,
        "lower bound of the error's excess over that of the test span's own mean",
        pair.at_least(rate) if pair.enough else None,
        0.0,
        note=note,
        evidence={"false_refusal_rate": rate},
    )
