"""Predictions from files or a prediction log, joined with the truth that has arrived since."""

import io
import re
from datetime import datetime
from pathlib import Path

import fsspec
import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds

_NEEDED = ("target", "prediction", "lower", "upper", "version")
#: Names that bound the times of a file's lines: until-<wall time>-… of a server, which writes none later, and
#: <first time>-<last time>-v… of a batch, both being the data's.
_UNTIL = re.compile(r"/(?:until-(\d{8}T\d{6})-[^/]*|\d{8}T\d{6}-(\d{8}T\d{6})-v\d+\.parquet)$")


class EmptyLogError(TableError):
    """A log of predictions that holds none yet."""


def read_predictions(usecase: UseCase, path: Path) -> pl.DataFrame:
    """Return the predictions in a file that the component `prediction` wrote.

    Raises:
        TableError: it cannot be read, or a column is missing.
    """
    return _checked(usecase, _parquet(path, str(path)), str(path))


def read_log(usecase: UseCase, log: str, since: datetime | None = None) -> pl.DataFrame:
    """Return the logged predictions of a use case; of several for one time that of the newest version.

    The batch pipeline keeps Parquet files there, and servers files of JSON lines.

    Args:
        usecase: the use case.
        log: the log's directory or URL.
        since: files whose name gives an older time of the data's clock are not read.

    Raises:
        EmptyLogError: there is no log yet, or nothing in it.
        TableError: a file of it cannot be read; it is named.
    """
    address = f"{log.rstrip('/')}/{usecase.name}"
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
        names = sorted([*filesystem.glob(f"{path}/*.parquet"), *filesystem.glob(f"{path}/*.jsonl")])
        # A log of years is long: most of its files are skipped by their name.
        names = [name for name in names if not _older(usecase, name, since)]
        # One call, as fsspec reads a list concurrently where the store allows it.
        files: dict[str, bytes] = filesystem.cat(names) if names else {}
    except Exception as error:  # clients of object stores raise errors of their own
        raise TableError(f"{address}: the log of predictions cannot be read ({error})") from error
    if not files:
        raise EmptyLogError(f"{address}: no logged predictions; run the batch pipeline with this log, or give none")
    frames = {name: _logged(usecase, files[name], name) for name in names}
    parts = [_checked(usecase, frame, name) for name, frame in frames.items() if frame is not None]
    if not parts:
        raise EmptyLogError(f"{address}: no logged predictions yet; its files are empty")
    keys = [*usecase.keys, "target"]
    # A newer version may have predicted a time again; its forecast is the one that counted.
    return pl.concat(parts).sort([*keys, "version"]).unique(keys, keep="last", maintain_order=True)


def _older(usecase: UseCase, name: str, since: datetime | None) -> bool:
    """Return whether the last time that a file's name allows is before `since`."""
    match = _UNTIL.search(name)
    if since is None or match is None:
        return False
    # When a server wrote a line about an archive says nothing of the time that the line is about.
    if match[1] and usecase.archive_as_of is not None:
        return False
    return datetime.strptime(match[1] or match[2], "%Y%m%dT%H%M%S") < since


def with_truth(usecase: UseCase, table: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the predictions with the time that they forecast, the truth, and the last value known when they were made.

    Args:
        usecase: the use case.
        table: validated table with the raw columns.
        predictions: entity, time, target, prediction, lower, upper, version.

    Returns:
        the same with `due`, `y` and `last`, null where unknown; y and last are 0 or 1 for a classification.
    """
    predicted = [target for target in usecase.targets if (predictions["target"] == target.name).any()]
    if not predicted:
        named = ", ".join(target.name for target in usecase.targets)
        raise TableError(f"predictions: none is of a target of {usecase.name}; its targets are {named}")
    return pl.concat([_join_target(usecase, table, predictions, target) for target in predicted])


def _join_target(usecase: UseCase, table: pl.DataFrame, predictions: pl.DataFrame, target: Target) -> pl.DataFrame:
    keys, time = usecase.keys, usecase.time.column
    rows = predictions.filter(pl.col("target") == target.name)
    moments = rows[time].cast(pl.Datetime("us"))
    rows = rows.with_columns(
        due=_later(usecase, moments, to_microseconds(target.horizon)),
        seen=_later(usecase, moments, -to_microseconds(usecase.features.cutoff)),
    )
    # In polars NaN is greater than every number, and would count as above a threshold.
    value = pl.col(target.column).cast(pl.Float64).fill_nan(None)
    if target.above is not None:
        # A null stays null in the comparison: an unknown value belongs to neither class.
        value = (value > target.above).cast(pl.Float64)
    values = table.select(*keys, value.alias("value"))
    for name, moment in (("y", "due"), ("last", "seen")):
        on = [*keys[:-1], moment]
        renamed = values.rename({time: moment, "value": name})
        rows = rows.join(renamed, on=on, how="left", maintain_order="left")
    return rows.drop("seen")


def _later(usecase: UseCase, moments: pl.Series, span: int) -> pl.Series:
    later = usecase.time.grid.later(moments.to_physical().to_numpy(), span)
    return pl.Series(later.astype("datetime64[us]"))


def _logged(usecase: UseCase, data: bytes, shown: str) -> pl.DataFrame | None:
    return _parquet(io.BytesIO(data), shown) if shown.endswith(".parquet") else _json_lines(usecase, data, shown)


def _json_lines(usecase: UseCase, data: bytes, shown: str) -> pl.DataFrame | None:
    """Return the lines of a server's log, None without any; an incomplete last line is left for the next time."""
    if not (whole := data[: data.rfind(b"\n") + 1]):
        return None
    try:
        # All lines decide on the types: the first hundred may have nothing but nulls in a column.
        frame = pl.read_ndjson(whole, infer_schema_length=None)
        if "own_history" in frame.columns:  # what a client asks of a history of its own is no forecast of the service
            frame = frame.filter(~pl.col("own_history").fill_null(False))
            if frame.is_empty():
                return None
        return frame.with_columns(pl.col(usecase.time.column).str.to_datetime(time_unit="us", strict=True))
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{shown}: not lines of predictions ({str(error).splitlines()[0]})") from error


def _parquet(source: Path | io.BytesIO, shown: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(source)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{shown}: not a Parquet table ({str(error).splitlines()[0]})") from error


def _checked(usecase: UseCase, frame: pl.DataFrame, source: str) -> pl.DataFrame:
    needed = [*usecase.keys, *_NEEDED]
    if missing := [name for name in needed if name not in frame.columns]:
        raise TableError(f"{source}: no column {missing[0]!r}; predictions have {', '.join(needed)}")
    time = usecase.time.column
    numbers = (pl.col(name).cast(pl.Float64) for name in ("prediction", "lower", "upper"))
    keys = (pl.col(name) for name in usecase.keys[:-1])
    return frame.select(
        *keys, pl.col(time).cast(pl.Datetime("us")), "target", *numbers, pl.col("version").cast(pl.Int64)
    )
