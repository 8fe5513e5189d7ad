"""The drift reference that is frozen with a model: columns, features, prediction and target of its training span."""

from typing import Any

import numpy as np
import polars as pl

from components.training.dataset import Problem
from components.training.fitted import Array
from components.usecase import UseCase
from monitoring import drift


def reference_profile(
    usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame, problem: Problem, prediction: Array
) -> dict[str, Any]:
    """Return reference.json of one target's model.

    Args:
        usecase: the use case, whose section `drift` names the columns and the window.
        table: validated table with the raw columns.
        features: feature table, row by row aligned with the problem.
        problem: the target's learning problem.
        prediction: the prediction of each row, shape (n,).
    """
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    columns = usecase.drift.columns or list(usecase.columns)
    names = list(enumerate(problem.names))
    frame = features.select(keys).with_columns(
        *(pl.Series(name, problem.X[:, k]).fill_nan(None) for k, name in names if name not in columns),
        pl.Series("prediction", prediction),
        pl.Series(problem.target.name, problem.y).fill_nan(None),
    )
    values = table.select(pl.col(usecase.time.column).cast(pl.Datetime("us")), pl.exclude(usecase.time.column))
    joined = frame.join(values.select([*keys, *columns]), on=keys, how="left", maintain_order="left")
    span = joined.filter(pl.Series(np.asarray(problem.train)))
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
