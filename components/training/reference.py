"""The drift reference that is frozen with a model: columns, features, prediction and target of its training span."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from components.training.dataset import Problem
from components.training.fitted import Array
from components.usecase import UseCase
from monitoring import drift

#: Rows of the training span that are put together in memory; a longer one is streamed from files of so many rows.
ROWS = 1 << 18


def reference_profile(
    usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame, problem: Problem, prediction: Array, rows: int = ROWS
) -> dict[str, Any]:
    """Return reference.json of one target's model.

    Args:
        usecase: the use case, whose section `drift` names the columns and the window.
        table: validated table with the raw columns.
        features: feature table, row by row aligned with the problem.
        problem: the target's learning problem.
        prediction: the prediction of each row, shape (n,).
        rows: rows that are in memory at a time.
    """
    parts = _parts(usecase, table, features, problem, prediction, rows)
    if int(problem.train.sum()) <= rows:
        return _profile(usecase, problem, next(parts))
    with TemporaryDirectory() as scratch:
        files = []
        for number, part in enumerate(parts):
            files.append(Path(scratch) / f"{number:06d}.parquet")
            part.write_parquet(files[-1], compression="lz4", statistics=False)
        return _profile(usecase, problem, files)


def _parts(
    usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame, problem: Problem, prediction: Array, rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the training span, so many rows at a time: raw columns, features, prediction and target."""
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    columns = usecase.drift.columns or list(usecase.columns)
    names = [(k, name) for k, name in enumerate(problem.names) if name not in columns]
    values = table.select(pl.col(usecase.time.column).cast(pl.Datetime("us")), pl.exclude(usecase.time.column))
    values = values.select([*keys, *columns])
    span = np.flatnonzero(problem.train)
    for start in range(0, max(len(span), 1), rows):
        here = span[start : start + rows]
        X = problem.X[here]
        frame = features.select(keys)[here].with_columns(
            *(pl.Series(name, X[:, k]).fill_nan(None) for k, name in names),
            pl.Series("prediction", prediction[here]),
            pl.Series(problem.target.name, problem.y[here]).fill_nan(None),
        )
        yield frame.join(values, on=keys, how="left", maintain_order="left")


def _profile(usecase: UseCase, problem: Problem, span: pl.DataFrame | list[Path]) -> dict[str, Any]:
    profile = drift.profile(
        span,
        time=usecase.time.column,
        entity=usecase.entity,
        target=problem.target.name,
        prediction="prediction",
        season=usecase.drift.season,
        window=usecase.drift.window,
        false_alarm_rate=usecase.drift.false_alarm_rate,
    )
    document: dict[str, Any] = profile.to_json()
    return document
