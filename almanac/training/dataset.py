"""Reading the feature table into the learning problem of each target."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.features.baselines import naive_forecasts
from almanac.features.classes import as_classes
from almanac.features.columns import column, numbers
from almanac.features.split import microseconds, train_test
from almanac.features.target_encoding import encodings, level_column, ordered_means
from almanac.model.target_history import TargetHistory
from almanac.training.folds import block_edges
from almanac.training.problem import BLOCK, Problem
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds


def read_features(usecase: UseCase, path: Path, names: list[str] | None = None) -> pl.DataFrame:
    """Return the feature table, its time in µs.

    Args:
        usecase: the use case.
        path: the table.
        names: features to leave on the disk; `mapped` gives them.

    Raises:
        TrainingError: the file cannot be read, or has no rows.
        TableError: it has no time column.
    """
    try:
        table = pl.scan_parquet(path).drop(names or [], strict=False).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TrainingError(f"{path}: not a Parquet table ({error})") from error
    if not table.height:
        raise TrainingError(f"{path}: no rows; a model cannot be trained on nothing")
    column(table, usecase.time.column)
    return table.with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))


def matrix(table: pl.DataFrame, names: list[str]) -> Array:
    """Return features of the table as a matrix, shape (n, f)."""
    return np.column_stack([numbers(table, name) for name in names])


def training_matrix(usecase: UseCase, table: pl.DataFrame, names: list[str]) -> Array:
    """Return the features that training reads as a matrix, shape (n, f).

    They are those of the table, but for features that are learned from a target: the rows of the training span have
    means that have not seen their block.

    Raises:
        TableError: a column is missing.
    """
    X = matrix(table, names)
    learned = list(encodings(usecase.features.items))
    if not learned:
        return X
    time = microseconds(table[usecase.time.column])
    rows = train_test(usecase, time)[0].rows(time)
    # On the even axis, since targets are known so many steps later.
    grid = usecase.time.grid
    even, starts = grid.to_even(time), grid.to_even(np.array(block_edges(usecase, time), dtype=np.int64)).tolist()
    for one in learned:
        target = next(target for target in usecase.targets if target.name == one.target)
        y = as_classes(numbers(table, f"y_{one.target}"), target.above)[rows]
        codes = numbers(table, level_column(one.column))[rows]
        ahead = to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)
        if usecase.events is not None:
            ahead = max(ahead, to_microseconds(usecase.events.known_after))
        X[rows, names.index(one.feature)] = ordered_means(codes, y, even[rows], ahead, starts, one.smoothing)
    return X


def mapped(path: Path, names: list[str], scratch: Path) -> Array:
    """Return features of a table as a matrix, shape (n, f), that lies in the file `scratch` and not in memory."""
    table = pl.scan_parquet(path)
    # Raises for a missing column before the file is made.
    matrix(table.head(0).collect(), names)
    rows = int(table.select(pl.len()).collect().item())
    result = np.memmap(scratch, np.float64, "w+", shape=(rows, len(names)))
    for start in range(0, rows, BLOCK):
        block = table.select(names).slice(start, BLOCK).collect()
        result[start : start + block.height] = matrix(block, names)
    return result


def make_problem(
    usecase: UseCase, table: pl.DataFrame, names: list[str], target: Target, X: Array | None = None
) -> Problem:
    """Return the learning problem of `target` from the feature table and the ordered feature names.

    Args:
        usecase: the use case.
        table: the feature table.
        names: ordered feature names.
        target: what is forecast.
        X: the features, shape (n, f); those of the table when None.

    Raises:
        TableError: a column is missing.
        TrainingError: no row of the training span has a known target.
    """
    y, last = as_classes(numbers(table, f"y_{target.name}"), target.above), numbers(table, f"last_{target.name}")
    time = microseconds(table[usecase.time.column])
    baselines = naive_forecasts(usecase, table, target)
    if target.scale == "log":
        y, baselines = logarithm(y), {name: logarithm(values) for name, values in baselines.items()}
    grid = usecase.time.grid

    # Built only for candidates of time series, since it copies the entities of all rows.

    @cache
    def history() -> TargetHistory:
        return TargetHistory(grid.to_even(time), last, grid.step, table[usecase.entity] if usecase.entity else None)

    age = f"{target.column}_age"
    problem = Problem(
        target=target,
        names=names,
        X=training_matrix(usecase, table, names) if X is None else X,
        y=y,
        last=last,
        last_name=_last_name(target, names),
        age_name=age if age in names else None,
        baselines=baselines,
        time=time,
        train=train_test(usecase, time)[0].rows(time),
        history=history,
        # The newest known value is as old as the cutoff.
        steps_ahead=(to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)) // grid.step,
        season_length=to_microseconds(usecase.evaluation.season),
    )
    if not problem.known.any():
        raise TrainingError(
            f"targets.{target.name}: {target.column} has no value {target.horizon} ahead in the whole training span"
        )
    _check_varies(usecase, target, y, time)
    return problem


def logarithm(values: Array) -> Array:
    """Return the natural logarithm of each value, NaN where it has none."""
    return np.log(values, out=np.full(values.shape, np.nan), where=values > 0)


def _last_name(target: Target, names: list[str]) -> str | None:
    """Return the feature that is the newest known value: of kind `value`, or of events the last outcome of `form`."""
    return next((name for name in (target.column, f"{target.column}_last_1") if name in names), None)


def _check_varies(usecase: UseCase, target: Target, y: Array, time: npt.NDArray[np.int64]) -> None:
    """Refuse a target that has one value in a span: such rows can train or evaluate no model.

    Raises:
        TrainingError: the span and the value.
    """
    for span, where, why in zip(
        train_test(usecase, time),
        ("training", "test"),
        ("nothing can be learned", "no model can be judged"),
        strict=True,
    ):
        values = np.unique(y[span.rows(time) & np.isfinite(y)])
        if values.size == 1:
            kind = "class" if target.above is not None else "value"
            raise TrainingError(
                f"targets.{target.name}: {target.column} has one {kind}, {values[0]:g}, in the whole {where} span, so "
                f"that {why}; choose another split or target"
            )
