"""Exponential smoothing of each entity's own past, its form and parameters chosen by AutoETS of statsforecast."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from almanac.model.bodies.ets import StateSpacePredictor
from almanac.model.shap_import import without_numba
from almanac.training.past_candidate import PastLearner, PastModel, fit_past, interpolated, require_statsforecast
from almanac.training.problem import Array, TrainingRows

#: Longest season that AutoETS estimates, in steps.
_LONGEST = 24
_SEASONAL = {"N": "none", "A": "additive", "M": "multiplicative"}


class ETS(PastLearner):
    """Exponential smoothing of each entity's own past; AutoETS of statsforecast chooses form and parameters."""

    kind: Literal["ets"]


class _ETS:
    name = "ets"
    declaration = ETS
    cost = 4
    blendable = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the arguments of AutoETS that do not follow from the use case."""
        return {"model": (), "damped": ()}

    def fit(self, declared: ETS, parameters: dict[str, Any], data: TrainingRows, seed: int) -> PastModel:
        """Return the smoothing parameters of every entity, and pooled ones for entities that have too few values."""
        require_statsforecast(declared)
        return fit_past(declared, parameters, data, estimate, StateSpacePredictor, _LONGEST)


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


KIND = _ETS()
