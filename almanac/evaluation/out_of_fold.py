"""Skill of a model before its test span, on the rows that no fold of its training had learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.evaluation.metrics import errors_of
from almanac.evaluation.paired import Clock, compare
from almanac.usecase.training_section import Target


@dataclass(frozen=True)
class OutOfFold:
    """The out-of-fold rows of a target.

    Attributes:
        clock: times of the rows.
        y: truth, 0 or 1 for a classification, shape (n,).
        prediction: the chosen model's out-of-fold forecast, shape (n,).
        baselines: forecast of each baseline, NaN if missing.
    """

    clock: Clock
    y: Array
    prediction: Array
    baselines: Mapping[str, Array]


def out_of_fold_skill(target: Target, rows: OutOfFold) -> dict[str, Any]:
    """Return the skill against each baseline, as the gate reads it.

    The baselines that learn have seen these rows, which makes them better and the skill smaller than it is.

    Returns:
        `rows`, and under `skill` for each baseline and error the mean over the periods of the logarithm of the model's
        error over the baseline's, its standard error, and the number of periods.
    """
    found: dict[str, Any] = {}
    for name, forecast in rows.baselines.items():
        both = np.isfinite(forecast) & np.isfinite(rows.y) & np.isfinite(rows.prediction)
        found[name] = {metric: _entry(metric, rows, forecast, both) for metric in errors_of(target) if both.any()}
    return {"rows": int(rows.y.size), "skill": found}


def _entry(metric: str, rows: OutOfFold, forecast: Array, both: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    pair = compare(metric, rows.clock.at(both), rows.y[both], rows.prediction[both], forecast[both])
    if not pair.enough:
        return None
    return {"log_ratio": pair.typical, "standard_error": pair.standard_error, "periods": pair.log_ratios.size}
