"""Exponential smoothing of each entity's own past, its form and parameters chosen by AutoETS of statsforecast."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from almanac.core.errors import TrainingError
from almanac.model.bodies.ets import Smoothing, StateSpacePredictor
from almanac.model.offset import Offset
from almanac.model.shap_import import without_numba
from almanac.training.fitted_model import SavedForm
from almanac.training.problem import BLOCK, Array, Problem, Rows, TrainingRows
from almanac.usecase.training_section import Learner
from almanac.usecase.types import Duration, to_microseconds

#: Longest season that AutoETS estimates, in steps.
_LONGEST = 24
#: Known values of an entity below which it gets the pooled parameters.
_FEWEST = 50
_SEASONAL = {"N": "none", "A": "additive", "M": "multiplicative"}


class ETS(Learner):
    """Exponential smoothing of each entity's own past; AutoETS of statsforecast chooses form and parameters."""

    kind: Literal["ets"]
    season: Duration | None = None
    """Length of a season, at most 24 steps; `evaluation.season` when absent."""
    seasons: Annotated[int, Field(ge=2)] = 7
    """Seasons of the past from which each forecast is made."""
    learn_from: Annotated[int, Field(ge=100)] = 2000
    """Newest steps of the training rows on which form and parameters are estimated."""


@dataclass(frozen=True)
class SmoothingModel:
    """Smoothing parameters of each entity.

    Attributes:
        predictor: the predictor, without bounds.
    """

    predictor: StateSpacePredictor

    @property
    def linear(self) -> Offset:
        """The linear part, which is empty."""
        return self.predictor.offset

    def raw(self, problem: Problem, rows: Rows) -> Array:
        """Return the forecast of each row, shape (n,)."""
        result, history = np.empty(len(rows)), problem.history()
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            # Without features, which exponential smoothing does not read.
            windows = history.rows(np.empty((len(block), 0)), block, self.predictor.history)
            result[start : start + BLOCK] = self.predictor.raw(windows)
        return result

    def saved(self, problem: Problem, offset: Offset) -> SavedForm:
        """Return the parameters as JSON."""
        return SavedForm("ets", replace(self.predictor, offset=offset, names=problem.names).to_files())

    def contributions(self, X: Array) -> None:
        """Return None: the forecast is no function of the features."""

    @property
    def leaves(self) -> int:
        """Return 0: there are no trees."""
        return 0


class _ETS:
    name = "ets"
    declaration = ETS
    cost = 4
    blendable = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the arguments of AutoETS that do not follow from the use case."""
        return {"model": (), "damped": ()}

    def fit(self, declared: ETS, parameters: dict[str, Any], data: TrainingRows, seed: int) -> SmoothingModel:
        """Return the smoothing parameters of every entity, and pooled ones for entities that have too few values."""
        problem = data.problem
        if problem.classification:
            raise TrainingError(f"candidate {declared.name}: of kind ets, which forecasts a value and no probability")
        _require_statsforecast(declared.name)
        period = _period(declared, problem)
        history = problem.history()
        # Up to the newest training row's time: later values belong to the gap or the validation span.
        times = (problem.time[data.rows] - history.time.min()) // history.step
        end = int(times.max()) + 1
        series = history.series[:, max(int(times.min()), end - declared.learn_from) : end]
        log = problem.target.scale == "log"
        series = np.log(np.where(series > 0, series, np.nan)) if log else series
        fitted = {
            name: _estimate(values, period, parameters)
            for name, values in zip(history.names, series, strict=True)
            if np.isfinite(values).sum() >= max(_FEWEST, 3 * period)
        }
        if not fitted:
            raise TrainingError(
                f"candidate {declared.name}: no entity has {max(_FEWEST, 3 * period)} known values of "
                f"{problem.target.column} in the newest {declared.learn_from} steps of a training span"
            )
        predictor = StateSpacePredictor(
            history=declared.seasons * period,
            period=period,
            steps=problem.steps_ahead,
            entities=fitted,
            pooled=_pooled(list(fitted.values())),
            offset=Offset(link="log" if log else None),
            names=problem.names,
        )
        return SmoothingModel(predictor)


def _period(declared: ETS, problem: Problem) -> int:
    season, step = declared.season and to_microseconds(declared.season), problem.history().step
    period, rest = divmod(season or problem.season_length, step)
    if rest or not 1 <= period <= _LONGEST:
        raise TrainingError(
            f"candidate {declared.name}: a season of {(season or problem.season_length) / step:g} steps; "
            f"expected a whole number up to {_LONGEST}; set 'season'"
        )
    return int(period)


def _require_statsforecast(name: str) -> None:
    if find_spec("statsforecast") is None:
        raise TrainingError(
            f"candidate {name}: kind ets needs the package statsforecast, which is not installed here; "
            "install it by: pip install 'almanac[statistical]'"
        )


def _estimate(values: Array, period: int, parameters: dict[str, Any]) -> Smoothing:
    """Return the form and parameters that AutoETS finds for one entity."""
    # Imported here, since it takes seconds.
    with without_numba():
        from statsforecast.models import AutoETS

    known = np.flatnonzero(np.isfinite(values))
    # AutoETS takes no missing values; only the parameters are learned from the ones that are interpolated.
    whole = np.interp(np.arange(known[0], known[-1] + 1), known, values[known])
    model = AutoETS(season_length=period, **parameters).fit(whole).model_
    _, trend, seasonal, damped = model["components"]
    alpha, beta, gamma, phi = (float(value) for value in model["par"][:4])
    return Smoothing(
        alpha=alpha,
        beta=0.0 if trend == "N" else beta,
        gamma=0.0 if seasonal == "N" else gamma,
        phi=0.0 if trend == "N" else phi if damped == "D" else 1.0,
        seasonal=_SEASONAL[seasonal],
        level=float(values[known].mean()),
    )


def _pooled(models: list[Smoothing]) -> Smoothing:
    """Return the medians of the parameters of the entities whose season has the most frequent form."""
    seasonal = Counter(model.seasonal for model in models).most_common(1)[0][0]
    alike = [model for model in models if model.seasonal == seasonal]

    def median(name: str) -> float:
        return float(np.median([getattr(model, name) for model in alike]))

    numbers = {name: median(name) for name in ("alpha", "beta", "gamma", "phi", "level")}
    return Smoothing(seasonal=seasonal, **numbers)


KIND = _ETS()
