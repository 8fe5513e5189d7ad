"""Candidates that forecast from each entity's own past: their fields, fit and fitted model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.offset import Offset
from almanac.model.past_predictor import P, PastPredictor
from almanac.training.entity_fits import Estimate
from almanac.training.fitted_model import SavedForm
from almanac.training.problem import BLOCK, Problem, Rows, TrainingRows
from almanac.usecase.training_section import Learner
from almanac.usecase.types import Duration, to_microseconds

#: Known values of an entity below which it gets the pooled parameters.
_FEWEST = 50


class PastLearner(Learner):
    """The fields of a candidate that forecasts from each entity's own past."""

    season: Duration | None = None
    """Length of a season; `evaluation.season` when absent."""
    seasons: Annotated[int, Field(ge=2)] = 7
    """Seasons of the past from which each forecast is made."""
    learn_from: Annotated[int, Field(ge=100)] = 2000
    """Newest steps of the training rows on which form and parameters are estimated."""


@dataclass(frozen=True)
class PastModel:
    """Fitted parameters of each entity.

    Attributes:
        predictor: the predictor, without bounds.
    """

    predictor: PastPredictor[Any]

    @property
    def linear(self) -> Offset:
        """The linear part, which is empty."""
        return self.predictor.offset

    def raw(self, problem: Problem, rows: Rows) -> Array:
        """Return the forecast of each row, shape (n,)."""
        result, history = np.empty(len(rows)), problem.history()
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            # Without features, which the predictor does not read.
            windows = history.rows(np.empty((len(block), 0)), block, self.predictor.history)
            result[start : start + BLOCK] = self.predictor.raw(windows)
        return result

    def saved(self, problem: Problem, offset: Offset) -> SavedForm:
        """Return the parameters as JSON."""
        return SavedForm(self.predictor.kind, replace(self.predictor, offset=offset, names=problem.names).to_files())

    def contributions(self, X: Array) -> None:
        """Return None: the forecast is no function of the features."""

    @property
    def leaves(self) -> int:
        """Return 0: there are no trees."""
        return 0


@dataclass(frozen=True)
class PastCandidate:
    """A kind of candidate that forecasts from each entity's own past, see `Candidate`.

    Attributes:
        name: its name in the field `kind`.
        declaration: its section of the use case file.
        cost: relative duration of a fit.
        arguments: names of its parameters.
        body: the predictor.
        estimate: returns the fields of `body.parameters` for the values of an entity, as
            estimate(values, period=…, history=…, steps=…, parameters=…).
        longest: longest season in steps.
        by_statsforecast: whether it needs the package statsforecast.
    """

    name: str
    declaration: type[PastLearner]
    cost: int
    arguments: tuple[str, ...]
    body: type[PastPredictor[Any]]
    estimate: Estimate
    longest: int
    by_statsforecast: bool = True
    blendable: bool = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the parameters, which have no aliases."""
        return dict.fromkeys(self.arguments, ())

    def fit(self, declared: PastLearner, parameters: dict[str, Any], data: TrainingRows, seed: int) -> PastModel:
        """Return the parameters of every entity, and those of a typical one for entities that have too few values.

        Raises:
            TrainingError: a missing package, a classification, a season that does not fit, or no entity with values
                enough.
        """
        if self.by_statsforecast:
            require_statsforecast(declared)
        problem = data.problem
        if problem.classification:
            raise TrainingError(
                f"candidate {declared.name}: of kind {declared.kind}, which forecasts a value and no probability"
            )
        period = _period(declared, problem, self.longest)
        length = declared.seasons * period
        found = problem.fits.fit(
            self.estimate,
            _past(declared, data, max(_FEWEST, 3 * period)),
            {"period": period, "history": length, "steps": problem.steps_ahead, "parameters": parameters},
            lambda text: problem.report(f"{problem.target.name} {declared.name}: {text}"),
        )
        fitted = {name: self.body.parameters(**one) for name, one in found.items()}
        return PastModel(
            self.body(
                history=length,
                period=period,
                steps=problem.steps_ahead,
                entities=fitted,
                pooled=typical(list(fitted.values())),
                offset=Offset(link="log" if problem.target.scale == "log" else None),
                names=problem.names,
            )
        )


def _past(declared: PastLearner, data: TrainingRows, fewest: int) -> dict[str, Array]:
    """Return the newest values of every entity that has enough of them, on the scale that is forecast.

    Raises:
        TrainingError: no entity has `fewest` known values.
    """
    problem = data.problem
    history = problem.history()
    # Up to the newest training row's time: later values belong to the gap or the validation span.
    times = history.place[data.rows]
    end = int(times.max()) + 1
    series = history.series[:, max(int(times.min()), end - declared.learn_from) : end]
    if problem.target.scale == "log":
        series = np.log(np.where(series > 0, series, np.nan))
    enough = {n: v for n, v in zip(history.names, series, strict=True) if np.isfinite(v).sum() >= fewest}
    if not enough:
        raise TrainingError(
            f"candidate {declared.name}: no entity has {fewest} known values of {problem.target.column} in the newest "
            f"{declared.learn_from} steps of a training span"
        )
    return enough


def typical(models: Sequence[P]) -> P:
    """Return one of the models: of those with the most frequent form, that whose numbers are nearest to the medians.

    Medians themselves need not be a model: those of coefficients may be unstable together.
    """
    forms = [_form(asdict(model)) for model in models]
    frequent = Counter(forms).most_common(1)[0][0]
    alike = [model for model, form in zip(models, forms, strict=True) if form == frequent]
    numbers = np.array([_numbers(asdict(model)) for model in alike])
    distance = np.abs(numbers - np.median(numbers, axis=0))
    # In units of the usual distance, since levels and coefficients differ in size.
    unit = distance.mean(axis=0)
    return alike[int(np.argmin((distance / np.where(unit > 0, unit, 1.0)).sum(axis=1)))]


def _form(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(len(v) if isinstance(v, list) else v for v in fields.values() if not isinstance(v, float))


def _numbers(fields: Mapping[str, Any]) -> list[float]:
    numbers: list[float] = []
    for value in fields.values():
        numbers += value if isinstance(value, list) else [value] if isinstance(value, float) else []
    return numbers


def interpolated(values: Array) -> Array:
    """Return the values from the first known one to the last, those between that are missing interpolated."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(known[0], known[-1] + 1), known, values[known])


def require_statsforecast(declared: PastLearner) -> None:
    """Refuse a candidate whose package is missing.

    Raises:
        TrainingError: how to install it.
    """
    if find_spec("statsforecast") is None:
        raise TrainingError(
            f"candidate {declared.name}: kind {declared.kind} needs the package statsforecast, which is not installed "
            "here; install it by: pip install 'almanac[statistical]'"
        )


def _period(declared: PastLearner, problem: Problem, longest: int) -> int:
    season, step = declared.season and to_microseconds(declared.season), problem.history().step
    period, rest = divmod(season or problem.season_length, step)
    if rest or not 1 <= period <= longest:
        raise TrainingError(
            f"candidate {declared.name}: a season of {(season or problem.season_length) / step:g} steps; "
            f"expected a whole number up to {longest}; set 'season'"
        )
    return int(period)
