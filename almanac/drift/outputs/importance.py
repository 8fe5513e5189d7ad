"""Drift of the importances: whether the ranking of the features is the same as in training.

Rankings are compared by their normalised discounted cumulative gain, as SageMaker Clarify does. Importances are mean
absolute SHAP values. Clarify's limit is 0.9; ours is learnt from the reference's own blocks (`importance_profile`).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ImportanceDrift:
    """The comparison of two rankings of features by importance.

    Attributes:
        ndcg: agreement of the rankings, 0 to 1.
        drifted: whether it is below `least`.
        reference: share of each feature in the sum of importances, in the reference.
        current: the same in the window.
        least: least agreement that is no drift.
        p_value: chance of one at least as low while nothing drifts.
        calibrated: whether `least` comes from the reference's own blocks.
        rows: rows of the window that were explained.
    """

    ndcg: float
    drifted: bool
    reference: dict[str, float]
    current: dict[str, float]
    least: float
    p_value: float
    calibrated: bool
    rows: int

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
