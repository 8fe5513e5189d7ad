"""Times of a table: read from text, checked, and brought to UTC without a zone."""

from pathlib import Path

import polars as pl

from almanac.core.errors import DriftError

# Other forms are not guessed: 01/02/2024 is of two months, and a file of short months would not show which.
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
_ZONED = r"(?:Z|[+-]\d{2}:?\d{2})$"
_DATE_LIKE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:\D.*)?$"


def is_iso(column: pl.Series) -> bool:
    """Return whether every text of a column is a time in ISO 8601, and there is one."""
    return _all(column, _ISO)


def is_date_like(column: pl.Series) -> bool:
    """Return whether every text of a column looks like a date of some form, and there is one."""
    return _all(column, _DATE_LIKE)


def _all(column: pl.Series, pattern: str) -> bool:
    # A look at the first text spares most columns the search through the others.
    first = column.drop_nulls().head(1)
    return bool(len(first)) and bool(first.str.contains(pattern)[0]) and bool(column.str.contains(pattern).all())


def parse(column: pl.Series, table: str) -> pl.Series:
    """Return a column of texts as times, with a zone if they have one.

    Raises:
        DriftError: a text that is no time in ISO 8601, or times with a zone beside times without one; the row is named.
    """
    # A null gives null here, and is named by the caller as a row without a time.
    other = (~column.str.contains(_ISO)).arg_true()
    if len(other):
        row = int(other[0])
        raise DriftError(
            f"{table}: column {column.name!r} holds {column[row]!r} in row {row}; write times in ISO 8601, such as "
            "2026-01-31T06:00:00"
        )
    zoned = column.str.contains(_ZONED)
    # A date without a time of the day ends like an offset, -01, but has no four digits of it.
    if zoned.any() and not zoned.all():
        aware, naive = int(zoned.arg_true()[0]), int((~zoned).arg_true()[0])
        raise DriftError(
            f"{table}: column {column.name!r} has a time with a zone in row {aware} ({column[aware]!r}) and one "
            f"without in row {naive} ({column[naive]!r}); write all with a zone, or none"
        )
    try:
        return column.str.to_datetime(time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise DriftError(
            f"{table}: column {column.name!r} does not hold times: {str(error).splitlines()[0]}"
        ) from error


def zone_of(dtype: pl.DataType) -> str | None:
    """Return the zone that the times of a column have, None for times without one."""
    return getattr(dtype, "time_zone", None)


def as_time(column: pl.Series, table: str) -> pl.Series:
    """Return a time column in microseconds, in UTC where it has a zone.

    Raises:
        DriftError: a column of another type, or a row without a time.
    """
    if column.dtype == pl.String:
        column = parse(column, table)
    if not column.dtype.is_temporal() or column.dtype in (pl.Time, pl.Duration):
        raise DriftError(f"{table}: column {column.name!r} is {column.dtype}; the time column must hold dates or times")
    if column.null_count():
        row = int(column.is_null().arg_true()[0])
        raise DriftError(f"{table}: column {column.name!r} has no time in row {row} and {column.null_count() - 1} more")
    column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone_of(column.dtype) else column
    return column.cast(pl.Datetime("us"))


def after(times: pl.Series, latest: object, file: Path) -> object:
    """Return the newest time of a part of a streamed table.

    Raises:
        DriftError: the part is not sorted, or begins before `latest`.
    """
    first = times.min()
    if not times.is_sorted() or (latest is not None and first is not None and first < latest):  # type: ignore[operator]
        raise DriftError(f"{file}: column {times.name!r} runs backwards; streamed files must be sorted by time")
    return times.max()
