"""Rows from the prediction log: how many predictions were logged in each hour of the data's clock."""

import io
from typing import Any

import fsspec
import polars as pl

from almanac.core.errors import HistoryError
from operations.history.sources import Rows
from operations.history.tables import REQUESTS


def request_rows(log: str) -> Rows:
    """Yield the hourly counts of a log of predictions: a directory or URL with a folder for each use case.

    Raises:
        HistoryError: a file of the log cannot be read; it is named.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(log)
        names = sorted([*filesystem.glob(f"{root}/*/*.parquet"), *filesystem.glob(f"{root}/*/*.jsonl")])
    except Exception as error:  # clients of object stores raise errors of their own
        raise HistoryError(f"{log}: the log of predictions cannot be listed ({error})") from error
    counts: dict[tuple[str, str, int, str], int] = {}
    for name in names:
        use_case = name.rsplit("/", 2)[1]
        for target, version, hour, count in _counted(filesystem, name):
            key = (use_case, target, version, hour)
            counts[key] = counts.get(key, 0) + count
    for (use_case, target, version, hour), count in sorted(counts.items()):
        yield (
            REQUESTS,
            {"use_case": use_case, "target": target, "version": version, "hour": hour, "count": count},
        )


def _counted(filesystem: Any, name: str) -> list[tuple[str, int, str, int]]:
    try:
        data = filesystem.cat_file(name)
        if name.endswith(".parquet"):
            frame = pl.read_parquet(io.BytesIO(data))
        else:
            # An incomplete last line is one that a server is writing now.
            whole = data[: data.rfind(b"\n") + 1]
            if not whole:
                return []
            frame = pl.read_ndjson(whole, infer_schema_length=None)
        time = _time_column(frame)
        moment = pl.col(time).str.to_datetime(strict=True) if frame[time].dtype == pl.String else pl.col(time)
        hours = moment.dt.truncate("1h").dt.strftime("%Y-%m-%dT%H:00:00")
        version = pl.col("version").cast(pl.Int64).fill_null(0)
        grouped = frame.group_by("target", version, hours.alias("hour")).len().sort("target", "version", "hour")
        return [(str(row[0]), int(row[1]), str(row[2]), int(row[3])) for row in grouped.iter_rows()]
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise HistoryError(f"{name}: not a log of predictions ({str(error).splitlines()[0]})") from error


def _time_column(frame: pl.DataFrame) -> str:
    """Return the column of the time: the last one before the target, by the order in which the log is written."""
    before = frame.columns[: frame.columns.index("target")]
    if not before:
        raise ValueError("no column before `target`; expected the time")
    return before[-1]
