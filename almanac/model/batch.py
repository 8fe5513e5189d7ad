"""Batch prediction: the rows of a Parquet file, or a span of a validated table."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.core.errors import TableError
from almanac.core.files import whole_file
from almanac.core.levels import OTHER, OpenCodes, some
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.target import history_of
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import outputs
from almanac.model.predictor import Rows
from almanac.model.target_history import TargetHistory
from almanac.usecase import UseCase

#: Rows that are held in memory at a time.
ROWS = 20_000


def predict_file(bundle: Bundle, source: Path, output: Path, target: str | None = None) -> int:
    """Predict every row of a Parquet file, and write its columns followed by the predictions.

    The file holds either the model's features, or the raw columns with their time, from which the features are
    computed. Other columns are copied.

    Args:
        bundle: the model.
        source: Parquet file.
        output: Parquet file to write, whole or not at all.
        target: one target; all of them when None.

    Returns:
        The number of rows.

    Raises:
        TableError: an unreadable file, or a column that is missing or of another type.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    names = [target] if target else list(bundle.targets)
    if unknown := sorted(set(names) - set(bundle.targets)):
        raise TableError(f"there is no target {unknown[0]}; use one of {', '.join(bundle.targets)}")
    try:
        reader = parquet.ParquetFile(source)
    except (OSError, pyarrow.ArrowException) as error:
        raise TableError(f"{source}: cannot be read as Parquet ({error})") from error
    models = [bundle.targets[name] for name in names]
    computable = _computed(models, source, set(reader.schema_arrow.names))
    count, writer = 0, None
    with whole_file(output) as aside:
        try:
            for batch in reader.iter_batches(ROWS):
                table: Any = pl.from_arrow(batch)
                for model in models:
                    rows = _rows(table, model, computable.get(model.name), source, count)
                    table = table.with_columns(_predicted(model, rows, f"{model.name}_"))
                # Written batch by batch, so that a file larger than the memory can be predicted.
                columns = table.to_arrow()
                writer = writer or parquet.ParquetWriter(aside, columns.schema)
                writer.write_table(columns)
                count += table.height
        finally:
            if writer is not None:
                writer.close()
        if not count:
            raise TableError(f"{source}: no rows")
    return count


def predict_span(usecase: UseCase, frame: pl.DataFrame, bundle: Bundle, first: datetime, end: datetime) -> pl.DataFrame:
    """Return the predictions of all targets for the prediction times of a span, one below the other.

    Args:
        usecase: the use case.
        frame: the validated table; the rows before the span are the features' history.
        bundle: the model.
        first: first prediction time.
        end: end of the span, exclusive.

    Returns:
        Entity, where there is one, time, target, prediction, lower, upper and signal; null where the model has none.
    """
    time = usecase.time.column
    # All parts need the same columns to be concatenated, whichever outputs their models have.
    empty = [
        pl.lit(None, pl.Float64 if output.datatype == "FP64" else pl.String).alias(output.name) for output in outputs()
    ]
    parts = []
    for name, model in bundle.targets.items():
        within = np.flatnonzero(frame.select((pl.col(time) >= first) & (pl.col(time) < end)).to_series().to_numpy())
        part = frame.select(usecase.keys)[within].with_columns(pl.lit(name).alias("target"), *empty)
        parts.append(part.with_columns(_predicted(model, _compute(model, frame).take(within))))
    return pl.concat(parts)


@dataclass(frozen=True)
class _Computed:
    """The features of a raw table's rows, shape (n, f), their entities, and the target's history where it is needed."""

    X: Array
    entity: pl.Series | None
    length: int
    history: TargetHistory | None

    def take(self, positions: npt.NDArray[np.intp]) -> Rows:
        X = self.X[positions]
        if self.history is not None:
            return self.history.rows(X, positions, self.length)
        return Rows(X, entity=None if self.entity is None else self.entity[positions].to_list())


def _compute(model: Model, raw: pl.DataFrame) -> _Computed:
    spec, length = FeatureSpec.read(model.spec, f"{model.directory.path}/features.json"), model.predictor.history
    # Polars returns a matrix in column order, and the rows are taken and predicted one after the other.
    X = np.ascontiguousarray(compute(spec, raw, model.names).select(model.names).to_numpy())
    column = str(model.signature["target"]["column"])
    entity = raw[spec.entity].cast(pl.String) if spec.entity and model.by_entity else None
    return _Computed(X, entity, length, history_of(spec, raw, column) if length else None)


def _predicted(model: Model, rows: Rows, prefix: str = "") -> list[pl.Series]:
    return [pl.Series(f"{prefix}{output.name}", value) for output, value in model.predict(rows).present()]


def _computed(models: list[Model], source: Path, present: set[str]) -> dict[str, _Computed]:
    """Return the features and histories that the file lacks, computed from its raw columns, by target."""
    computed = {}
    for model in models:
        if not model.spec or (present.issuperset(model.names) and not model.predictor.history):
            continue
        spec = FeatureSpec.read(model.spec, f"{model.directory.path}/features.json")
        if present.issuperset([spec.time, *spec.columns, *([spec.entity] if spec.entity else [])]):
            # Whole and not batch by batch, since a row's features look back on the rows before it.
            computed[model.name] = _compute(model, pl.read_parquet(source))
    return computed


def _rows(table: pl.DataFrame, model: Model, computed: _Computed | None, source: Path, first: int) -> Rows:
    """Return the rows of a part of a file: of its features, or of those that were computed from its raw columns.

    Args:
        table: the part.
        model: the model.
        computed: the features of the whole file; None where it has them itself.
        source: the file.
        first: number of the part's first row in the file.

    Raises:
        TableError: a feature is missing, or the raw columns that a target's history needs.
    """
    if computed is not None:
        return computed.take(np.arange(first, first + table.height))
    if model.predictor.history:
        raise TableError(f"{source}: the model of {model.name} needs the raw columns with their time")
    return Rows(_matrix(table, model, source, first), entity=_entities(table, model))


def _entities(table: pl.DataFrame, model: Model) -> list[str] | None:
    """Return the entity of each row; None where no interval depends on it, or the file does not name it."""
    name = model.spec.get("entity")
    return table[name].cast(pl.String).to_list() if model.by_entity and name in table.columns else None


def _matrix(table: pl.DataFrame, model: Model, source: Path, first: int) -> Array:
    if missing := [name for name in model.names if name not in table.columns]:
        raise TableError(
            f"{source}: missing column {missing[0]} ({len(missing)} of {len(model.names)} features are missing)"
        )
    X = np.empty((table.height, len(model.names)))
    for position, name in enumerate(model.names):
        X[:, position] = _numbers(table[name], model.columns.codes.get(name), source, first)
    return X


def _numbers(column: pl.Series, codes: dict[str, float] | None, source: Path, first: int) -> Array:
    """Return a column as float64, NaN for null; `first` is its first row's number in the file, for messages."""
    if codes and column.dtype == pl.String:
        bucket = codes[OTHER] if isinstance(codes, OpenCodes) else None
        codes_or_bucket = column.replace_strict(dict(codes), default=bucket, return_dtype=pl.Float64)
        # A missing value stays missing: the bucket is of texts.
        values = pl.select(pl.when(column.is_not_null()).then(codes_or_bucket)).to_series()
        _refuse(column, values.is_null() & column.is_not_null(), source, first, f"is none of {some(codes)}")
    # A column without a single value has the type Null in Polars.
    elif column.dtype.is_numeric() or column.dtype == pl.Null:
        values = column.cast(pl.Float64)
        _refuse(column, values.is_infinite().fill_null(False), source, first, "is not a finite number")
        if column.dtype.is_integer():
            # Beyond 2^53 an integer may have no float64 of its own.
            exact = (values.cast(column.dtype, strict=False) == column).fill_null(False)
            _refuse(column, ~exact & column.is_not_null(), source, first, "cannot be held exactly in float64")
    else:
        raise TableError(f"{source}: column {column.name} is of type {column.dtype}; expected numbers")
    return values.fill_null(np.nan).to_numpy()


def _refuse(column: pl.Series, wrong: pl.Series, source: Path, first: int, reason: str) -> None:
    row = wrong.arg_max() if wrong.any() else None
    if row is not None:
        raise TableError(f"{source}: row {first + row}, {column.name}: {column[row]!r} {reason}")
