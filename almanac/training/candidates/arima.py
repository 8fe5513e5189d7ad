"""Seasonal ARIMA of each entity's own past, its order and coefficients chosen by AutoARIMA of statsforecast."""

import warnings
from typing import Any, Literal

import numpy as np

from almanac.core.arrays import Array
from almanac.model.bodies.arima import ARIMAPredictor
from almanac.model.shap_import import without_numba
from almanac.training.past_candidate import PastCandidate, PastLearner, interpolated


class ARIMA(PastLearner):
    """Seasonal ARIMA of each entity's own past; AutoARIMA of statsforecast chooses order and coefficients."""

    kind: Literal["arima"]


def estimate(values: Array, period: int, history: int, steps: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the order and coefficients that AutoARIMA finds for one entity."""
    # Warning filters belong to the process, as imports do: threads fit one after the other, as Python's lock asks for.
    with without_numba(), warnings.catch_warnings():
        # Optimisers that end early and series that are constant say so; what they find is still judged on the folds.
        warnings.simplefilter("ignore")
        from statsforecast.models import AutoARIMA

        whole = interpolated(values)
        model = AutoARIMA(season_length=period, **parameters).fit(whole).model_
    p, q, seasonal_p, seasonal_q, _, d, seasonal_d = (int(number) for number in model["arma"])
    found = {name: float(value) for name, value in model["coef"].items()}

    def coefficients(name: str, count: int) -> list[float]:
        return [found[f"{name}{k}"] for k in range(1, count + 1)]

    return {
        "ar": coefficients("ar", p),
        "ma": invertible(coefficients("ma", q)),
        "seasonal_ar": coefficients("sar", seasonal_p),
        "seasonal_ma": invertible(coefficients("sma", seasonal_q)),
        "differences": d,
        "seasonal_differences": seasonal_d,
        "mean": found.get("intercept", 0.0),
        "drift": found.get("drift", 0.0),
        "level": float(whole.mean()),
    }


def invertible(coefficients: list[float]) -> list[float]:
    """Return the moving average with the same autocorrelations whose roots lie outside of the unit circle.

    Conditional sums of squares may end at another one, whose errors grow with each step of the past; see Box, Jenkins
    and Reinsel, "Time Series Analysis", section 6.4.
    """
    if not coefficients or not coefficients[-1]:
        return coefficients
    # In powers of B, highest first.
    roots = np.roots([*coefficients[::-1], 1.0])
    if (np.abs(roots) >= 1.0).all():
        return coefficients
    # A root that is mirrored at the circle leaves the autocorrelations as they are.
    outside = np.where(np.abs(roots) < 1.0, 1.0 / np.conj(roots), roots)
    powers = np.real(np.poly(outside))
    return [float(value) for value in (powers / powers[-1])[::-1][1:]]


#: Arguments of AutoARIMA that do not follow from the use case.
_ARGUMENTS = (
    *("d", "D", "max_p", "max_q", "max_P", "max_Q", "max_order", "max_d", "max_D"),
    *("start_p", "start_q", "start_P", "start_Q"),
    *("stationary", "seasonal", "ic", "stepwise", "nmodels", "approximation", "method", "allowdrift", "allowmean"),
)
KIND = PastCandidate(
    "arima",
    ARIMA,
    cost=5,
    arguments=_ARGUMENTS,
    body=ARIMAPredictor,
    estimate=estimate,
    longest=24,  # the coefficients of longer seasons take too long
)
