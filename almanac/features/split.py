"""Time-ordered splits: training before test, a gap between them, and expanding folds inside the training span."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from almanac.core.arrays import Integers, Mask
from almanac.core.errors import FeatureError
from almanac.core.grid import Grid, to_moment
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

Times = pl.Series | Integers


@dataclass(frozen=True)
class Span:
    """Prediction times from `start` up to, not including, `stop`, in µs since the epoch; None is open."""

    start: int | None
    stop: int | None

    def rows(self, time: Integers) -> Mask:
        """Return which prediction times lie in the span."""
        result = np.ones(len(time), dtype=bool)
        if self.start is not None:
            result &= time >= self.start
        if self.stop is not None:
            result &= time < self.stop
        return result


def microseconds(times: pl.Series) -> Integers:
    """Return times as µs since the epoch."""
    return times.cast(pl.Datetime("us")).to_physical().to_numpy()


def train_test(usecase: UseCase, times: Times) -> tuple[Span, Span]:
    """Return the training and the test span; training ends a gap of at least the longest horizon before the test.

    Args:
        usecase: the use case.
        times: times of the table, as a time column or in µs since the epoch; a rolling split counts back from the
            newest complete day.
    """
    # A training row whose target lies in the test span would have seen it.
    gap = to_microseconds(usecase.split.gap or usecase.longest_horizon)
    split = usecase.split.at(_newest(times), usecase.time.frequency, timedelta(microseconds=gap))
    # By then a rolling split has dates, and any other has always had them.
    assert split.test_from is not None
    stop = usecase.time.grid.one_later(_midnight(split.test_from), -gap)
    start = None if split.train_from is None else _midnight(split.train_from)
    if split.train_window is not None:
        window = stop - to_microseconds(split.train_window)
        start = window if start is None else max(start, window)
    test = Span(_midnight(split.test_from), None if split.test_to is None else _midnight(split.test_to))
    return Span(start, stop), test


def split_record(usecase: UseCase, times: Times) -> dict[str, str | None]:
    """Return the ends of both spans for a run's records: ISO 8601 in UTC, midnights as dates, None for an open end.

    Returns:
        {"train_from", "train_to", "test_from", "test_to"}; each `to` is exclusive.
    """
    train, test = train_test(usecase, times)
    ends = {"train_from": train.start, "train_to": train.stop, "test_from": test.start, "test_to": test.stop}
    return {name: None if end is None else _iso(end) for name, end in ends.items()}


def folds(span: Span, count: int, length: int, gap: int, grid: Grid) -> list[tuple[Span, Span]]:
    """Return expanding-window folds, oldest first: (learn from, judge by), which end together with the span.

    Args:
        span: the training span.
        count: how many folds.
        length: length of each span to judge by, in µs.
        gap: µs of steps between the two spans of a fold; no less than the target's horizon, so that no target that is
            learned from lies in the span to judge by.
        grid: grid of the times.

    Raises:
        FeatureError: a span without an end.
    """
    if span.stop is None:
        raise FeatureError("folds need a training span with an end")
    starts = [span.stop - (count - index) * length for index in range(count)]
    # Each fold learns from the start of the span on, as the final fit does.
    ends = grid.later(np.array(starts, dtype=np.int64), -gap).tolist()
    return [(Span(span.start, end), Span(start, start + length)) for start, end in zip(starts, ends, strict=True)]


def _midnight(day: date) -> int:
    return int(np.datetime64(day, "us").astype(np.int64))


def _newest(times: Times) -> datetime:
    micros = microseconds(times) if isinstance(times, pl.Series) else times
    # Without a row no span has one either, which the caller reports.
    return to_moment(int(micros.max()) if len(micros) else 0)


def _iso(moment: int) -> str:
    return str(np.datetime64(moment, "us").astype("datetime64[s]")).removesuffix("T00:00:00")
