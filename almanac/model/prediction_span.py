"""The span of prediction times in a batch prediction."""

from datetime import datetime, timedelta

import polars as pl

from almanac.core.errors import TableError
from almanac.core.grid import to_micros, to_moment
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta

_WINDOWS = "windows:"


def prediction_span(usecase: UseCase, times: pl.Series, start: str, stop: str) -> tuple[datetime, datetime]:
    """Return the first prediction time of a span and its end, exclusive, as naive UTC.

    Args:
        usecase: the use case, whose section `drift` has the length of a window.
        times: the table's times.
        start: a time in ISO 8601, `windows:3` for the last three drift windows, or empty for the newest time only.
        stop: a time in ISO 8601, exclusive; empty for the end of the table.

    Raises:
        TableError: a table without rows, a time that cannot be read, or a span without a row.
    """
    newest = times.max()
    if not isinstance(newest, datetime):
        raise TableError(f"the table has no row with a {usecase.time.column}; there is nothing to predict")
    end = _time(stop, "stop") if stop else newest + to_timedelta(usecase.time.frequency)
    first = _first(usecase, start, end)
    if not ((times >= first) & (times < end)).any():
        raise TableError(
            f"no row of the table lies from {first} up to {end}; its newest {usecase.time.column} is {newest}"
        )
    return first, end


def _first(usecase: UseCase, start: str, end: datetime) -> datetime:
    if not start:
        return _newest_before(usecase, end)
    if not start.startswith(_WINDOWS):
        return _time(start, "start")
    count = start.removeprefix(_WINDOWS)
    if not count.isdigit() or int(count) < 1:
        raise TableError(f"start is {start!r}; write windows: and a whole number from 1 on, such as windows:3")
    # The truth of the last horizon is not known yet: as much more is predicted, so that the oldest window is full.
    return end - int(count) * to_timedelta(usecase.drift.window) - usecase.longest_wait


def _newest_before(usecase: UseCase, end: datetime) -> datetime:
    """Return the time of the step before the end of a span."""
    grid = usecase.time.grid
    return to_moment(grid.one_later(to_micros(end), -grid.step))


def _time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise TableError(f"{name} is {text!r}; write a time in ISO 8601, such as 2026-01-31T06:00:00") from None
    # A time without an offset counts as UTC, as do the times of the table.
    return time.replace(tzinfo=None) - (time.utcoffset() or timedelta(0))
