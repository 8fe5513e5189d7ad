"""Time-ordered splits: training before test, a gap between them, and expanding folds inside the training span."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from almanac.core.errors import FeatureError
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Prediction times from `start` up to, not including, `stop`, in µs since the epoch; None is open."""

    start: int | None
    stop: int | None

    def rows(self, time: Integers) -> Flags:
        """Return which prediction times lie in the span."""
        result = np.ones(len(time), dtype=bool)
        if self.start is not None:
            result &= time >= self.start
        if self.stop is not None:
            result &= time < self.stop
        return result


def longest_horizon(usecase: UseCase) -> int:
    """Return the longest horizon of the use case's targets in µs."""
    return max(to_microseconds(target.horizon) for target in usecase.targets)


def train_test(usecase: UseCase) -> tuple[Span, Span]:
    """Return the training and the test span; training ends a gap of at least the longest horizon before the test."""
    split = usecase.split
    # A training row whose target lies in the test span would have seen it.
    gap = longest_horizon(usecase) if split.gap is None else to_microseconds(split.gap)
    stop = _midnight(split.test_from) - gap
    start = None if split.train_from is None else _midnight(split.train_from)
    if split.train_window is not None:
        window = stop - to_microseconds(split.train_window)
        start = window if start is None else max(start, window)
    test = Span(_midnight(split.test_from), None if split.test_to is None else _midnight(split.test_to))
    return Span(start, stop), test


def folds(span: Span, count: int, length: str, gap: int) -> list[tuple[Span, Span]]:
    """Return expanding-window folds, oldest first: (learn from, judge by), which end together with the span.

    Args:
        span: the training span.
        count: how many folds.
        length: length of each span to judge by, as a duration.
        gap: µs between the two spans of a fold; no less than the target's horizon, so that no target that is learned
            from lies in the span to judge by.

    Raises:
        FeatureError: a span without an end.
    """
    if span.stop is None:
        raise FeatureError("folds need a training span with an end")
    size = to_microseconds(length)
    starts = [span.stop - (count - index) * size for index in range(count)]
    return [(Span(span.start, start - gap), Span(start, start + size)) for start in starts]


def _midnight(day: date) -> int:
    return int(np.datetime64(day, "us").astype(np.int64))
