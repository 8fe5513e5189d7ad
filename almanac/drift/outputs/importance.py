"""Drift of the importances: whether the ranking of the features is the same as in training.

Rankings are compared by their normalised discounted cumulative gain, as SageMaker Clarify does. Importances are mean
absolute SHAP values, which LightGBM gives with `predict(X, pred_contrib=True)`. Two rankings by themselves are judged
by Clarify's limit of 0.9; where a reference was frozen with a model, `importance_profile` learns the limit
from the reference's own blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from almanac.core.errors import DriftError
from almanac.drift.counting.histogram import Floats
from almanac.drift.statistics import ndcg

#: Least agreement of the rankings that is no drift.
LEAST_NDCG = 0.9


@dataclass(frozen=True)
class ImportanceDrift:
    """The comparison of two rankings of features by importance.

    Attributes:
        ndcg: agreement of the rankings, 0 to 1.
        drifted: whether it is below `least`.
        reference: share of each feature in the sum of importances, in the reference.
        current: the same in the window.
        least: least agreement that is no drift.
        p_value: chance of one at least as low while nothing drifts; None where it was not calibrated.
        calibrated: whether `least` comes from the reference's own blocks.
        rows: rows of the window that were explained; None where that is not known.
    """

    ndcg: float
    drifted: bool
    reference: dict[str, float]
    current: dict[str, float]
    least: float = LEAST_NDCG
    p_value: float | None = None
    calibrated: bool = False
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON, the features that moved most first."""
        shares = [{"feature": n, "reference": self.reference[n], "current": self.current[n]} for n in self.moved()]
        return {
            "ndcg": self.ndcg,
            "least": self.least,
            "p_value": self.p_value,
            "calibrated": self.calibrated,
            "rows": self.rows,
            "drifted": self.drifted,
            "features": shares,
        }

    def moved(self) -> list[str]:
        """Return the features, those whose share moved most first."""
        return sorted(self.reference, key=lambda name: (-abs(self.current[name] - self.reference[name]), name))


def importances(contributions: Floats, names: Sequence[str]) -> dict[str, float]:
    """Return the mean absolute contribution of each feature.

    Args:
        contributions: SHAP values (n, f), or (n, f + 1) with the expected value last, as LightGBM gives them.
        names: names of the features.

    Raises:
        DriftError: another shape, no rows, or a value that is not finite.
    """
    if contributions.ndim != 2 or contributions.shape[1] not in (len(names), len(names) + 1):
        raise DriftError(f"contributions have shape {contributions.shape}; expected (n, {len(names)})")
    if not len(contributions) or not np.isfinite(contributions).all():
        raise DriftError("contributions need at least one row, and only finite values")
    means = np.abs(contributions[:, : len(names)]).mean(axis=0)
    return dict(zip(names, means.tolist(), strict=True))


def importance_drift(reference: Mapping[str, float], current: Mapping[str, float]) -> ImportanceDrift:
    """Compare the importances of a window with those of the reference.

    Raises:
        DriftError: other features, a negative or missing importance, or none above zero.
    """
    if set(reference) != set(current):
        other = sorted(set(reference) ^ set(current))
        raise DriftError(f"importances are of other features: {', '.join(other)} are on one side only")
    names = list(reference)
    before, now = (np.array([side[name] for name in names], np.float64) for side in (reference, current))
    if not now.sum() > 0:
        raise DriftError("no importance of the window is above zero")
    try:
        agreement = ndcg(before, now)
    except ValueError as error:
        raise DriftError(str(error)) from error
    first, second = (dict(zip(names, (side / side.sum()).tolist(), strict=True)) for side in (before, now))
    return ImportanceDrift(agreement, agreement < LEAST_NDCG, first, second)
