"""Parsing of the times of a source."""

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

import polars as pl

from almanac.core.errors import TableError
from almanac.data.dates import ISO, explain
from almanac.data.time_forms import EPOCHS, read_times
from almanac.usecase.data_section import Part, TimeFormat

_TYPE = pl.Datetime("us")
_SHOWN = 5


def parse_time(raw: pl.DataFrame, time: TimeFormat, name: str, location: str, series: str | None = None) -> pl.Series:
    """Return the times of a raw table as Datetime[us] in naive UTC.

    Args:
        raw: Table as read.
        time: How the source writes its time.
        name: Name of the result.
        location: The source, for errors.
        series: Column that tells the series apart, of which a time in an hour that clocks repeat comes up twice.

    Raises:
        TableError: a column is missing, or a time cannot be read; the rows are named.
    """
    columns = columns_of(time)
    if missing := [column for column in columns if column not in raw.columns]:
        raise TableError(
            f"{location}.read.time: column {', '.join(map(repr, missing))} is missing; "
            f"there is {', '.join(raw.columns)}"
        )
    source = raw[time.column] if time.column else _joined(raw, time)
    parsed = _parse(source, "%Y-%m-%d %H:%M" if time.parts else time.format, location)
    parsed = _naive(parsed, time.zone, raw[series] if series in raw.columns else None).cast(_TYPE).alias(name)
    if wrong := int(parsed.null_count()):
        rows = [f"row {i + 1} {source[i]!r}" for i in parsed.is_null().arg_true()[:_SHOWN].to_list()]
        raise TableError(
            f"{location}.read.time: {wrong} value{'s' * (wrong != 1)} no time"
            f"{f' of the form {time.format}' if time.format else ''}: {', '.join(rows)}{', …' * (wrong > len(rows))}"
        )
    return parsed


def ends(times: pl.Series) -> tuple[datetime, datetime]:
    """Return the first and the last of some times."""
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return first, last


def columns_of(time: TimeFormat) -> list[str]:
    """Return the source columns that hold the time."""
    return [time.column] if time.column else time.columns or list((time.parts or {}).values())


def _joined(raw: pl.DataFrame, time: TimeFormat) -> pl.Series:
    """Return the joined parts of the time as texts such as 2010-01-31 05:00, or its columns joined by a space."""
    if time.columns:
        return raw.select(time=pl.concat_str([pl.col(name).cast(pl.String) for name in time.columns], separator=" "))[
            "time"
        ]
    parts: Mapping[Part, str] = time.parts or {}
    numbers = [
        pl.col(parts[part]).cast(pl.String).str.strip_chars().str.zfill(2) if part in parts else pl.lit("00")
        for part in get_args(Part)
    ]
    return raw.select(time=pl.format("{}-{}-{} {}:{}", *numbers))["time"]


def _parse(source: pl.Series, form: str | None, location: str) -> pl.Series:
    if source.dtype in (pl.Datetime, pl.Date):
        return source.cast(_TYPE) if source.dtype == pl.Date else source
    if form in EPOCHS:
        return read_times(source, form)
    # A year, or a day such as 20200131, may be a whole number.
    source = source.cast(pl.String) if source.dtype.is_integer() and form is not None else source
    if source.dtype != pl.String:
        raise TableError(
            f"{location}.read.time: the column has type {source.dtype}; it should hold times or texts, "
            f"or 'format' should be one of {', '.join(EPOCHS)}"
        )
    texts = source.str.strip_chars()
    if form is None and texts.len() and not texts.str.contains(ISO).fill_null(True).all():
        raise TableError(f"{location}.read.time: {explain(texts)}")
    try:
        return read_times(texts, form)
    except pl.exceptions.PolarsError as error:
        first = source.drop_nulls().head(1).to_list()
        if form is None:
            raise TableError(f"{location}.read.time: {first} is no ISO 8601 time; give its 'format'") from None
        raise TableError(f"{location}.read.time: {first} cannot be read by the format {form!r}: {error}") from None


def _naive(times: pl.Series, zone: str | None, series: pl.Series | None) -> pl.Series:
    """Return times in naive UTC; in an hour that clocks repeat the earlier one, then the later one for a second row."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if zone is None:
        return times
    # The hour that a clock skips does not exist, and is reported as no time.
    local = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    again = times.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    if (local != again).any():
        keys = [times.alias("time"), *([] if series is None else [series.alias("series")])]
        before = pl.DataFrame(keys).select(before=pl.int_range(pl.len()).over([one.name for one in keys]))["before"]
        local = pl.select(pl.when(before > 0).then(again).otherwise(local)).to_series()
    return local.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
