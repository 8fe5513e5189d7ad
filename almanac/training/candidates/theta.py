"""The Theta method on each entity's own past, its form and parameters chosen by AutoTheta of statsforecast."""

import warnings
from typing import Any, Literal

from almanac.core.arrays import Array
from almanac.model.bodies.theta import ThetaPredictor
from almanac.model.shap_import import without_numba
from almanac.training.past_candidate import PastCandidate, PastLearner, interpolated


class ThetaMethod(PastLearner):
    """The Theta method on each entity's own past; AutoTheta of statsforecast chooses form and parameters."""

    kind: Literal["theta"]


def estimate(values: Array, period: int, history: int, steps: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the form and parameters that AutoTheta finds for one entity."""
    # Warning filters belong to the process, as imports do: threads fit one after the other, as Python's lock asks for.
    with without_numba(), warnings.catch_warnings():
        # A constant series divides by zero where it is tested for a season.
        warnings.simplefilter("ignore")
        from statsforecast.models import AutoTheta

        whole = interpolated(values)
        model = AutoTheta(season_length=period, **parameters).fit(whole).model_
    return {
        "alpha": float(model["par"]["alpha"]),
        "theta": float(model["par"]["theta"]),
        "dynamic": str(model["modeltype"]).startswith("D"),
        "seasonal": str(model["decomposition_type"]) if model.get("decompose") else "none",
        "level": float(whole.mean()),
    }


KIND = PastCandidate(
    "theta",
    ThetaMethod,
    cost=3,
    arguments=("model", "decomposition_type"),
    body=ThetaPredictor,
    estimate=estimate,
    longest=366,  # a year of days
)
