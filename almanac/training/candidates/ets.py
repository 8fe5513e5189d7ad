"""Exponential smoothing of each entity's own past, its form and parameters chosen by AutoETS of statsforecast."""

from typing import Any, Literal

from almanac.core.arrays import Array
from almanac.model.bodies.ets import StateSpacePredictor
from almanac.model.shap_import import without_numba
from almanac.training.past_candidate import PastCandidate, PastLearner, interpolated

_SEASONAL = {"N": "none", "A": "additive", "M": "multiplicative"}


class ETS(PastLearner):
    """Exponential smoothing of each entity's own past; AutoETS of statsforecast chooses form and parameters."""

    kind: Literal["ets"]


def estimate(values: Array, period: int, history: int, steps: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the form and parameters that AutoETS finds for one entity."""
    # Imported here, since it takes seconds.
    with without_numba():
        from statsforecast.models import AutoETS

    # AutoETS takes no missing values; only the parameters are learned from the ones that are interpolated.
    whole = interpolated(values)
    model = AutoETS(season_length=period, **parameters).fit(whole).model_
    _, trend, seasonal, damped = model["components"]
    alpha, beta, gamma, phi = (float(value) for value in model["par"][:4])
    return {
        "alpha": alpha,
        "beta": 0.0 if trend == "N" else beta,
        "gamma": 0.0 if seasonal == "N" else gamma,
        "phi": 0.0 if trend == "N" else phi if damped == "D" else 1.0,
        "seasonal": _SEASONAL[seasonal],
        "level": float(whole.mean()),
    }


KIND = PastCandidate(
    "ets",
    ETS,
    cost=4,
    arguments=("model", "damped"),
    body=StateSpacePredictor,
    estimate=estimate,
    longest=24,  # AutoETS estimates no longer season
)
