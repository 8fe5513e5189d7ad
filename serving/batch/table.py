"""`python -m serving batch IN OUT`: predict a Parquet file by the server's own code."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ServingError
from almanac.core.files import whole_file
from almanac.model.bundle import Bundle
from almanac.model.columns import Columns
from almanac.model.model import Model as Target
from serving.features.values import whole
from serving.prediction.source import Source

Array = npt.NDArray[np.float64]

ROWS = 20_000
"""Rows that are held at a time."""


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        AlmanacError: a file or model that cannot be read, or a column that is missing or of another type.
    """
    given = _parser().parse_args(arguments)
    bundle = Source(given.model).load()
    count = predict_file(bundle, given.input, given.output, given.target)
    print(f"{count} rows predicted by {bundle.use_case} version {bundle.version}")
    return 0


def predict_file(bundle: Bundle, source: Path, output: Path, target: str | None = None) -> int:
    """Predict every row of a Parquet file and write the rows with the predictions beside them.

    The file holds either the model's features, or the raw columns with their time, from which the features are
    computed. Columns that the model does not know are kept.

    Args:
        bundle: the model.
        source: Parquet file.
        output: Parquet file to write, whole or not at all.
        target: one target; all of them when None.

    Returns:
        The number of rows.

    Raises:
        ServingError: an unreadable file, or a column that is missing or of another type.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    names = [target] if target else list(bundle.targets)
    if unknown := sorted(set(names) - set(bundle.targets)):
        raise ServingError(f"--target {unknown[0]}: one of {', '.join(bundle.targets)}")
    try:
        reader = parquet.ParquetFile(source)
    except (OSError, pyarrow.ArrowException) as error:
        raise ServingError(f"{source}: cannot be read as Parquet ({error})") from error
    targets = [bundle.targets[name] for name in names]
    features = _computed(targets, source, set(reader.schema_arrow.names))
    count, writer = 0, None
    with whole_file(output) as aside:
        try:
            for batch in reader.iter_batches(ROWS):
                table = pyarrow.Table.from_batches([batch])
                for model in targets:
                    made = features.get(model.name)
                    rows = slice(count, count + table.num_rows)
                    X = _matrix(table, model.columns, source, count) if made is None else made[rows]
                    table = _beside(table, model, X)
                writer = writer or parquet.ParquetWriter(aside, table.schema)
                writer.write_table(table)
                count += table.num_rows
        finally:
            if writer is not None:
                writer.close()
        if not count:
            raise ServingError(f"{source}: no rows")
    return count


def _computed(targets: list[Target], source: Path, there: set[str]) -> dict[str, Array]:
    """Return the features of the targets that the file does not hold, from its raw columns, by target."""
    from almanac.features.spec import FeatureSpec

    made = {}
    for target in targets:
        if there.issuperset(target.columns.names) or not target.features.get("spec"):
            continue
        spec = FeatureSpec.model_validate(target.features["spec"])
        if there.issuperset([spec.time, *spec.columns, *([spec.entity] if spec.entity else [])]):
            import polars as pl

            from almanac.features.batch import compute

            table = compute(spec, pl.read_parquet(source), target.columns.names)
            made[target.name] = np.ascontiguousarray(table.select(target.columns.names).to_numpy())
    return made


def _beside(table: Any, target: Target, X: Array) -> Any:
    for output, values in target.predict(X).present():
        table = table.append_column(f"{target.name}_{output.name}", [values])
    return table


def _matrix(table: Any, columns: Columns, source: Path, first: int) -> Array:
    missing = [name for name in columns.names if name not in table.column_names]
    if missing:
        raise ServingError(
            f"{source}: missing column {missing[0]} ({len(missing)} of {len(columns.names)} are missing)"
        )
    X = np.empty((table.num_rows, len(columns.names)))
    for at, name in enumerate(columns.names):
        X[:, at] = _values(table.column(name), columns, name, source, first)
    return X


def _values(column: Any, columns: Columns, name: str, source: Path, first: int) -> Array:
    import pyarrow

    kind = column.type
    if name in columns.codes and (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        codes, values = columns.codes[name], column.to_pylist()
        for at, value in enumerate(values):
            if value is not None and value not in codes:
                raise ServingError(f"{source}: row {first + at}, {name}: {value!r} is none of {', '.join(codes)}")
        return np.array([np.nan if value is None else codes[value] for value in values])
    if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_null(kind)):
        raise ServingError(f"{source}: column {name} is of type {kind}; expected numbers")
    values = _floats(column, name, source, first)
    infinite = np.isinf(values)
    if infinite.any():
        raise ServingError(f"{source}: row {first + int(infinite.argmax())}, {name}: not a finite number")
    return values


def _floats(column: Any, name: str, source: Path, first: int) -> Array:
    import pyarrow

    try:
        return np.asarray(column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pyarrow.ArrowInvalid:  # integers beyond 2^53, which may be exact all the same
        values = np.full(len(column), np.nan)
        for at, value in enumerate(column.to_pylist()):
            if value is not None:
                values[at] = whole(value, f"{source}: row {first + at}, {name}")
        return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m serving batch", description="Predict a Parquet file")
    parser.add_argument(
        "input", type=Path, help="Parquet file with the model's features, or with the raw columns and their time"
    )
    parser.add_argument("output", type=Path, help="Parquet file to write")
    default = os.environ.get("ALMANAC_MODEL")
    parser.add_argument("--model", default=default, required=default is None, help="as the server's --model")
    parser.add_argument("--target", help="one target; all of them by default")
    return parser
