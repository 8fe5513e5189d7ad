"""Target columns: the value ahead, and the last one known; neither is ever imputed."""

import polars as pl

from almanac.features.events.batch import last_column, with_histories
from almanac.features.spec import FeatureSpec
from almanac.features.table import check_columns, even_times
from almanac.model.target_history import TargetHistory
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds


def targets(usecase: UseCase, spec: FeatureSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Return `y_<target>`, the value at t plus the horizon, and `last_<target>`, the newest one known at t.

    Both are Float64, NaN where the value is missing, infinite or beyond the entity's rows, and belong to the rows of
    `table`. A classification's y is the value too; its threshold belongs to the target.

    Raises:
        FeatureError: a target's column is missing or is no number.
    """
    check_columns(spec, table, [target.column for target in usecase.targets])
    if spec.events is not None:
        return _outcomes(usecase, spec, table)
    keys = [*([spec.entity] if spec.entity else []), spec.time]
    columns = sorted({target.column for target in usecase.targets})
    values = table.select(*keys[:-1], even_times(table, spec.time, spec.grid), *(_finite(column) for column in columns))
    columns_by_name: dict[str, pl.Series] = {}
    for target in usecase.targets:
        columns_by_name[f"y_{target.name}"] = _at(values, keys, target.column, to_microseconds(target.horizon))
        columns_by_name[f"last_{target.name}"] = _at(values, keys, target.column, -to_microseconds(spec.cutoff))
    return pl.DataFrame(columns_by_name)


def _outcomes(usecase: UseCase, spec: FeatureSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Return each event's own outcome, and the newest one known before it of the same entity."""
    table = with_histories(usecase, table)
    columns: list[pl.Expr] = []
    for target in usecase.targets:
        last, value = pl.col(last_column(target.column)), _finite(target.column).fill_null(float("nan"))
        if target.with_last:
            value = pl.when(last.is_nan()).then(float("nan")).otherwise(value)
        columns += [value.alias(f"y_{target.name}"), last.alias(f"last_{target.name}")]
    return table.select(columns)


def history_of(spec: FeatureSpec, table: pl.DataFrame, column: str) -> TargetHistory:
    """Return the newest known value of a target's column at each row, for models of time series.

    Raises:
        FeatureError: the column is missing or is no number.
    """
    check_columns(spec, table, [column])
    keys = [*([spec.entity] if spec.entity else []), spec.time]
    values = table.select(*keys[:-1], even_times(table, spec.time, spec.grid), _finite(column))
    newest = _at(values, keys, column, -spec.cutoff_steps * spec.step)
    entity = table[spec.entity] if spec.entity else None
    return TargetHistory(values[spec.time].to_numpy(), newest.to_numpy(), spec.step, entity)


def _at(values: pl.DataFrame, keys: list[str], column: str, ahead: int) -> pl.Series:
    """Return a column's value this many µs after each row, found by time, so that a gap in the rows shifts nothing."""
    if ahead == 0:
        return values[column]
    time = keys[-1]
    moments = values.select(*keys[:-1], pl.col(time) + ahead)
    # Polars promises the order of a join's rows only where it is asked for.
    joined = moments.join(values.select(*keys, column), on=keys, how="left", maintain_order="left")
    return joined[column].fill_null(float("nan"))


def _finite(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64)
    # Infinity is no value that a model could learn from, or be judged by.
    return pl.when(value.is_finite()).then(value).otherwise(float("nan")).alias(column)
