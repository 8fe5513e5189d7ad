"""Length of the folds: that of the use case, or one that fits the training window."""

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from almanac.usecase.types import to_timedelta

if TYPE_CHECKING:
    from almanac.usecase.model import UseCase

#: Rows of a complete grid that a fold has at least to learn from and to judge by; half of them may be missing.
FEWEST_LEARNED, FEWEST_JUDGED = 24, 12
_LONGEST = timedelta(days=120)
_DAY = timedelta(days=1)


def fold_length(usecase: "UseCase", window: timedelta) -> timedelta:
    """Return the length of each fold's span to judge by.

    Without `training.folds.length` all folds together take half of the training window, and at most 120 days each; they
    take less where the oldest fold would otherwise have too few rows to learn from.

    Args:
        usecase: the use case.
        window: length of the training span.
    """
    folds, step = usecase.training.folds, to_timedelta(usecase.time.frequency)
    if folds.length is not None:
        return to_timedelta(folds.length)
    room = (window - usecase.longest_wait - FEWEST_LEARNED * step) / folds.count
    length = min(_LONGEST, window / (2 * folds.count), max(room, _fewest_judged(usecase) * step))
    unit = _DAY if length >= _DAY and not _DAY % step else step
    return max(length // unit, 1) * unit


def shortest_window(usecase: "UseCase") -> timedelta:
    """Return the shortest training window whose folds have enough rows of one series, if none is missing."""
    folds, step = usecase.training.folds, to_timedelta(usecase.time.frequency)
    length = _fewest_judged(usecase) * step if folds.length is None else to_timedelta(folds.length)
    # With several series a single step may have rows enough; how many is known only from the table.
    learned = FEWEST_LEARNED if usecase.entity is None else 1
    needed = learned * step + usecase.longest_wait + folds.count * length
    # A derived length takes half of the window at most.
    return needed if folds.length is not None else max(needed, 2 * folds.count * length)


def fewest_calibrated(level: float) -> int:
    """Return the fewest residuals for intervals: with n of them the thinnest tail that can be bounded is 1/(n + 1)."""
    # 1 - 0.9 is a little less than 0.1 in binary, and the ceiling of what it gives would be one too many.
    return ceil(round(2 / (1 - level), 6)) - 1


def _fewest_judged(usecase: "UseCase") -> int:
    if usecase.entity is not None:
        return 1
    return max(FEWEST_JUDGED, ceil(fewest_calibrated(usecase.training.intervals.level) / usecase.training.folds.count))
