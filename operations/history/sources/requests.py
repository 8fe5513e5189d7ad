"""Rows from the prediction log: how many predictions were logged in each hour of the data's clock."""

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import fsspec
import polars as pl
from sqlalchemy import Connection, delete, func, insert, select

from almanac.core.errors import HistoryError
from operations.history.sources import Part, Rows
from operations.history.tables import LOGGED, REQUESTS

#: What filesystems call the time of a file, or the digest of its content.
_CHANGED = ("mtime", "LastModified", "updated", "ETag", "etag")


def request_parts(log: str) -> Iterator[Part]:
    """Yield the files of a log of predictions: a directory or URL with a folder for each use case.

    Raises:
        HistoryError: the log cannot be listed; where the rows are read, a file that is not of such a log.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(log)
        files = {
            name: found
            for ending in ("parquet", "jsonl")
            for name, found in filesystem.glob(f"{root}/*/*.{ending}", detail=True).items()
        }
    except Exception as error:  # clients of object stores raise errors of their own
        raise HistoryError(f"{log}: the log of predictions cannot be listed ({error})") from error
    for name, found in sorted(files.items()):
        state = " ".join([str(found["size"]), *(str(found[word]) for word in _CHANGED if word in found)])
        yield Part("predictions", name.removeprefix(f"{root}/"), state, partial(_rows, filesystem, name))


def clear_predictions(connection: Connection, file: str) -> None:
    """Delete the counts of a file."""
    connection.execute(delete(LOGGED).where(LOGGED.c.file == file))


def sum_requests(connection: Connection) -> int:
    """Make the requests by hour from the counts of all files, and return how many rows they are."""
    connection.execute(delete(REQUESTS))
    key = [LOGGED.c[name] for name in ("use_case", "target", "version", "hour")]
    sums = select(*key, func.sum(LOGGED.c.count)).group_by(*key)
    connection.execute(insert(REQUESTS).from_select([*(column.name for column in key), "count"], sums))
    return int(connection.scalar(select(func.count()).select_from(REQUESTS)) or 0)


def _rows(filesystem: Any, name: str) -> Rows:
    use_case, file = name.rsplit("/", 2)[1:]
    for target, version, hour, count in _counted(filesystem, name):
        key = {"use_case": use_case, "target": target, "version": version, "hour": hour}
        yield LOGGED, {"file": f"{use_case}/{file}", **key, "count": count}


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
