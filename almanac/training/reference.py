"""The reference that is frozen with a model for drift detection: profiles of its inputs, outputs and errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac import drift
from almanac.core.arrays import Array
from almanac.core.errors import DriftError
from almanac.drift import outputs as drift_outputs
from almanac.drift.error_estimation import LossModel, fit_loss
from almanac.drift.outputs import importance_profile
from almanac.drift.outputs.importance_profile import ImportanceProfile
from almanac.drift.profiles.profiling import LEAST_ROWS
from almanac.drift.profiles.reading import even_rows
from almanac.drift.profiles.seasons import MOST_BLOCKS, calendar_of, parse_duration
from almanac.features.target_encoding import encodings
from almanac.training.fitted_model import FittedModel
from almanac.training.problem import Problem
from almanac.usecase import UseCase

#: Leaves visited to explain the rows of a reference, rows times leaves: about a second on one core.
_LEAVES = 12_000_000
#: Rows of a block that are explained: more rows do not change which features lead.
_MOST_EXPLAINED, _FEWEST_EXPLAINED = 30, 4
#: Rows that the loss model is trained on: more rows do not improve it.
_LOSS_ROWS = 5000
#: Rows of the training span that are profiled in memory; a longer span is streamed from files of so many rows.
ROWS = 1 << 18


@dataclass(frozen=True)
class Frozen:
    """The drift reference of one target's model.

    Attributes:
        reference: reference.json: the profile of the inputs and, as its section `outputs`, that of the predictions.
        loss: model of the loss, which estimates the error before the truth arrives; None with too few rows.
    """

    reference: dict[str, Any]
    loss: LossModel | None


def freeze(
    usecase: UseCase,
    inputs: dict[str, Any],
    problem: Problem,
    fitted: FittedModel,
    rows: npt.NDArray[np.intp],
    unseen: pl.DataFrame,
) -> Frozen:
    """Return the drift reference of one target's model.

    Args:
        usecase: the use case.
        inputs: profile of the inputs, see `input_profile`.
        problem: the target's learning problem.
        fitted: the model, fitted to the whole training span.
        rows: positions of the rows with out-of-fold predictions, shape (n,).
        unseen: these rows: entity, where there is one, time, `y` and `prediction`.
    """
    outputs = _outputs(usecase, problem, fitted, unseen)
    section = {} if outputs is None else {drift_outputs.SECTION: outputs.to_json()}
    residual = (unseen["y"] - unseen["prediction"]).to_numpy()
    return Frozen({**inputs, **section}, _loss(usecase, problem, rows, residual))


def input_profile(
    usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame, problem: Problem, rows: int = ROWS
) -> dict[str, Any]:
    """Return the profile of raw columns and features over the training span, which all targets have in common.

    Args:
        usecase: the use case, whose section `drift` names the columns and the window.
        table: validated table with the raw columns.
        features: feature table, row by row aligned with the problem.
        problem: the learning problem of any target.
        rows: rows that are in memory at a time.
    """
    parts = _parts(usecase, table, features, problem, rows)
    if int(problem.train.sum()) <= rows:
        return _profile(usecase, next(parts))
    with TemporaryDirectory() as scratch:
        files = []
        for number, part in enumerate(parts):
            files.append(Path(scratch) / f"{number:06d}.parquet")
            part.write_parquet(files[-1], compression="lz4", statistics=False)
        return _profile(usecase, files)


def _parts(
    usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame, problem: Problem, rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows that are profiled, so many at a time: keys, raw columns and features."""
    keys = usecase.keys
    columns = usecase.drift.columns or list(usecase.columns)
    # A feature with the name of a raw column is that column, and is profiled once.
    names = [(k, name) for k, name in enumerate(problem.names) if name not in columns]
    values = table.select(pl.col(usecase.time.column).cast(pl.Datetime("us")), pl.exclude(usecase.time.column))
    values = values.select([*keys, *columns])
    span, learned = _profiled(problem), list(encodings(usecase.features.items))
    # At least one part, which may be empty, for the caller that takes the first.
    for start in range(0, max(len(span), 1), rows):
        here = span[start : start + rows]
        X = problem.X[here]
        # What is learned from a target differs in training from what the server computes, and is watched there.
        own = {one.feature: features[one.feature].to_numpy()[here] for one in learned}
        series = (pl.Series(name, own.get(name, X[:, k])).fill_nan(None) for k, name in names)
        frame = features.select(keys)[here].with_columns(*series)
        yield frame.join(values, on=keys, how="left", maintain_order="left")


def _profiled(problem: Problem) -> npt.NDArray[np.intp]:
    """Return the rows of the training span; of a short window older ones too, as many as a profile needs."""
    span = np.flatnonzero(problem.train)
    if not span.size or span.size >= LEAST_ROWS:
        return span
    until = problem.time <= problem.time[span].max()
    newest = np.sort(problem.time[until])[-LEAST_ROWS:]
    return np.flatnonzero(until & (problem.time >= newest[0]))


def _profile(usecase: UseCase, span: pl.DataFrame | list[Path]) -> dict[str, Any]:
    profile = drift.profile(
        span,
        time=usecase.time.column,
        entity=usecase.entity,
        season=usecase.drift.season,
        window=usecase.drift.window,
        false_alarm_rate=usecase.drift.false_alarm_rate,
    )
    document: dict[str, Any] = profile.to_json()
    return document


def _outputs(
    usecase: UseCase, problem: Problem, fitted: FittedModel, unseen: pl.DataFrame
) -> drift_outputs.OutputReference | None:
    if unseen.height < LEAST_ROWS:
        return None
    return drift_outputs.freeze(
        unseen.select(*usecase.keys, "prediction", target="y"),
        time=usecase.time.column,
        entity=usecase.entity,
        season=usecase.drift.season,
        window=usecase.drift.window,
        false_alarm_rate=usecase.drift.false_alarm_rate,
        importances=_importances(usecase, problem, fitted),
    )


def _importances(usecase: UseCase, problem: Problem, fitted: FittedModel) -> ImportanceProfile | None:
    """Return the feature importances in each block of the training span; None for a model that is not explained."""
    known = np.flatnonzero(problem.known)
    times = problem.time[known]
    span = (int(times.min()), int(times.max()))
    calendar = calendar_of(span, usecase.drift.season, parse_duration(usecase.drift.window))
    visited = max(1, fitted.leaves)
    blocks = min(MOST_BLOCKS, np.unique(calendar.blocks(times)).size)
    per_block = int(np.clip(_LEAVES // visited // blocks, _FEWEST_EXPLAINED, _MOST_EXPLAINED))
    rows = known[importance_profile.pick(times, calendar, per_block)]
    values = fitted.contributions(problem.X[rows])
    if values is None:
        return None
    return importance_profile.freeze(problem.time[rows], values, tuple(problem.names), calendar, per_block)


def _loss(usecase: UseCase, problem: Problem, rows: npt.NDArray[np.intp], residual: Array) -> LossModel | None:
    # In order of time, because the loss model is fitted on blocks of neighbouring rows.
    order = np.argsort(problem.time[rows], kind="stable")
    order = order[even_rows(order.size, _LOSS_ROWS)]
    span = int(np.ptp(problem.time[rows])) or 1
    per_window = round(order.size * parse_duration(usecase.drift.window) / span)
    try:
        return fit_loss(problem.X[rows[order]], residual[order], problem.names, block_rows=max(1, per_window))
    # Too few rows or blocks: the model goes without an estimate of its error.
    except DriftError:
        return None
