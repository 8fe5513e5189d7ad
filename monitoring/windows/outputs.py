"""The outputs of a registered model in a window of a table, compared with the reference frozen with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.errors import FeatureError
from almanac.drift.outputs import OutputDrift, OutputReference, Window, compare_outputs, read_outputs
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.split import microseconds
from almanac.features.target import history_of
from almanac.model.directory import REFERENCE
from almanac.model.model import Model, load_model
from almanac.model.predictor import Rows
from almanac.usecase import UseCase


@dataclass(frozen=True)
class Span:
    """A window: its first time, and the time after its last."""

    start: datetime
    stop: datetime

    def holds(self, column: str) -> pl.Expr:
        """Return whether a column of times lies in it."""
        return (pl.col(column) >= self.start) & (pl.col(column) < self.stop)


@dataclass(frozen=True)
class WatchedModel:
    """A model whose outputs are watched.

    Attributes:
        model: the model.
        reference: what was frozen with it.
    """

    model: Model
    reference: OutputReference


def read_watched_models(usecase: UseCase, directory: Path, version: int) -> dict[str, WatchedModel | str]:
    """Return by target the model and its reference, or the reason why its outputs cannot be watched.

    Args:
        usecase: the use case.
        directory: the version's model directory.
        version: its number.

    Raises:
        DriftError: a reference that is damaged.
        ModelError: a model that cannot be read.
    """
    return {target.name: _read_one(directory / target.name, version) for target in usecase.targets}


def _read_one(directory: Path, version: int) -> WatchedModel | str:
    if not (directory / REFERENCE).exists():
        return f"version {version} has no such target"
    reference = read_outputs(directory / REFERENCE)
    if reference is None:
        return f"version {version} froze no reference of its outputs, as it is of an earlier release; train again"
    return WatchedModel(load_model(directory), reference)


def outputs_to_json(outputs: Mapping[str, OutputDrift | str]) -> dict[str, dict[str, Any]]:
    """Return by target the judged outputs as JSON, or the reason why they were not judged."""
    return {
        name: {"judged": False, "why": output} if isinstance(output, str) else {"judged": True, **output.to_json()}
        for name, output in outputs.items()
    }


class Features:
    """The features of a table's spans, each computed once for all models that share a specification."""

    def __init__(self, usecase: UseCase, table: pl.DataFrame) -> None:
        self._usecase, self._table = usecase, table
        # A list that is searched, because specifications are dictionaries, which cannot be keys.
        self._computed: list[tuple[Model, Span, pl.DataFrame]] = []

    def of(self, model: Model, span: Span) -> pl.DataFrame:
        """Return entity, where there is one, time and the model's features of the rows of a span.

        Raises:
            FeatureError: the table lacks a column that they need.
        """
        for other, computed, frame in self._computed:
            if computed == span and other.spec == model.spec and other.names == model.names:
                return frame
        time = self._usecase.time.column
        # The first row of the span needs the history that its lags and windows reach back to.
        rows = self._rows(model, span, int(model.spec["history"]))
        frame = compute(_spec(model), rows, model.names).filter(span.holds(time))
        self._computed.append((model, span, frame))
        return frame

    def predict(self, model: Model, span: Span) -> pl.Series:
        """Return the model's predictions of the rows of a span, in the order of `of`.

        Raises:
            FeatureError: the table lacks a column that the features or the history of the target need.
        """
        X = self.of(model, span).select(model.names).to_numpy()
        past, spec = model.predictor.history, _spec(model)
        rows = Rows(X)
        if past:
            table = self._rows(model, span, past + spec.cutoff_steps)
            positions = np.flatnonzero(table.select(span.holds(self._usecase.time.column)).to_series().to_numpy())
            history = history_of(spec, table, self._usecase.target(model.name).column)
            rows = history.rows(X, positions, past)
        return pl.Series(model.predict(rows).prediction, dtype=pl.Float64)

    def _rows(self, model: Model, span: Span, steps: int) -> pl.DataFrame:
        """Return the table's rows of a span and of the steps before it."""
        grid = self._usecase.time.grid
        before = timedelta(microseconds=grid.longest(grid.step * steps))
        return self._table.filter(Span(span.start - before, span.stop).holds(self._usecase.time.column))


def _spec(model: Model) -> FeatureSpec:
    return FeatureSpec.read(model.spec, f"{model.directory.path}/features.json")


def judge_outputs(
    usecase: UseCase,
    watched: WatchedModel,
    joined: pl.DataFrame,
    features: Features,
    span: Span,
    level: float,
) -> OutputDrift:
    """Compare a model's outputs in a window with their reference.

    Args:
        usecase: the use case.
        watched: model and reference.
        joined: the target's predictions with `due` and `y`, see `monitoring.windows.join.with_truth`.
        features: features of the table.
        span: the window: predictions made in it, and truths that fell due in it.
        level: chance of a false alarm of each signal.
    """
    made = joined.filter(span.holds(usecase.time.column)).select(*usecase.keys, "prediction")
    known = joined.filter(span.holds("due")).select(*usecase.keys, "prediction", target="y")
    explained = _explained(usecase, watched, made, features, span)
    return compare_outputs(watched.reference, Window(made, known, explained), level)


def _explained(
    usecase: UseCase, watched: WatchedModel, made: pl.DataFrame, features: Features, span: Span
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | str:
    """Return times and contributions of some predicted rows, or the reason why there are none."""
    if watched.reference.importances is None:
        return "the model has no explanation by its features"
    keys = made.columns[:-1]
    try:
        frame = features.of(watched.model, span).join(made, on=keys, how="semi", maintain_order="left")
    except FeatureError as error:
        return str(error)
    rows = frame[watched.reference.pick(frame.height)]
    if not rows.height:
        return "no prediction was made in the window"
    values = watched.model.explain(rows.select(watched.model.names).to_numpy())[0]
    return microseconds(rows[usecase.time.column]), values
