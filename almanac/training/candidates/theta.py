"""The Theta method on each entity's own past, its form and parameters chosen by AutoTheta of statsforecast."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from almanac.model.bodies.theta import ThetaPredictor
from almanac.model.shap_import import without_numba
from almanac.training.past_candidate import PastLearner, PastModel, fit_past, interpolated, require_statsforecast
from almanac.training.problem import Array, TrainingRows

#: Longest season in steps: a year of days.
_LONGEST = 366


class ThetaMethod(PastLearner):
    """The Theta method on each entity's own past; AutoTheta of statsforecast chooses form and parameters."""

    kind: Literal["theta"]


class _Theta:
    name = "theta"
    declaration = ThetaMethod
    cost = 3
    blendable = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the arguments of AutoTheta that do not follow from the use case."""
        return {"model": (), "decomposition_type": ()}

    def fit(self, declared: ThetaMethod, parameters: dict[str, Any], data: TrainingRows, seed: int) -> PastModel:
        """Return form and parameters of every entity, and those of a typical one for all others."""
        require_statsforecast(declared)
        return fit_past(declared, parameters, data, estimate, ThetaPredictor, _LONGEST)


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


KIND = _Theta()
