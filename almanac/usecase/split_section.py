"""The split: spans to learn from and to test on, by dates or by their distance from the newest data."""

import calendar
import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from almanac.usecase.types import Date, Duration, Section, to_duration, to_timedelta

_LAST = re.compile(r"last (\d+)(min|h|d|y)")
_DAY = timedelta(days=1)


def _check_last(text: str) -> str:
    match = _LAST.fullmatch(text)
    if match is None or not int(match[1]):
        raise ValueError("write 'last' and a whole number of min, h, d or y, such as last 365d or last 3y")
    return text


def _check_days(text: str) -> str:
    _check_last(text)
    # The dates that a span comes to have no time of the day.
    if not text.endswith("y") and to_timedelta(text.removeprefix("last ")) % _DAY:
        raise ValueError("a test span has whole days, such as last 30d")
    return text


def _check_train(text: str) -> str:
    if text != "expanding":
        try:
            _check_last(text)
        except ValueError as error:
            raise ValueError(f"write expanding for everything before the test span, or {error}") from None
    return text


#: The newest days or years of the data.
LastDays = Annotated[str, AfterValidator(_check_days), Field(examples=["last 30d", "last 1y"])]

#: Everything before the test span, or the part next to it.
Train = Annotated[str, AfterValidator(_check_train), Field(examples=["expanding", "last 10d", "last 3y"])]


class Rolling(Section):
    """A split that moves with the data: its test span ends with the newest complete day."""

    test: LastDays
    """Test span: `last` and a number of days or years, such as last 30d; it ends with the newest complete day."""
    train: Train = "expanding"
    """Training span: `expanding` for everything before the test span, or a sliding window such as last 3y."""


class Split(Section):
    """The held-out test span, and the training span, which ends a gap before it: rolling or by fixed dates."""

    test: LastDays | None = None
    """Rolling test span: `last` and a number of days or years, such as last 365d; it ends with the newest complete
    day."""
    train: Train | None = None
    """Training span of a rolling split: `expanding`, which is the default, or a sliding window such as last 3y."""
    retrain: Rolling | None = None
    """Split of a retraining by schedule, workflow or drift policy; the one above when absent."""
    test_from: Date | None = None
    """Or, for an archive, the first day of the test span."""
    test_to: Date | None = None
    """Day after the last of the test span; the end of the data when absent."""
    train_from: Date | None = None
    """First day of training; the start of the data when absent."""
    train_window: Duration | None = None
    """Or a sliding window that ends at the gap before the test span."""
    gap: Duration | None = None
    """Gap between training and test; at least the longest horizon, which is the default."""

    @model_validator(mode="after")
    def _one_form(self) -> "Split":
        fixed = [name for name in ("test_from", "test_to", "train_from", "train_window") if getattr(self, name)]
        rolling = [name for name in ("test", "train") if getattr(self, name)]
        if fixed and rolling:
            raise ValueError(
                f"{rolling[0]!r} belongs to a rolling split and {fixed[0]!r} to fixed dates; give one form"
            )
        if not self.test and not self.test_from:
            raise ValueError("give 'test', such as last 365d, or for an archive 'test_from', a date")
        return self

    @property
    def rolling(self) -> bool:
        """Whether the spans move with the data."""
        return self.test is not None

    def at(self, newest: datetime, frequency: str, gap: timedelta) -> "Split":
        """Return this split by fixed dates.

        Args:
            newest: newest time of the data, naive UTC.
            frequency: step of the grid.
            gap: gap before the test span.
        """
        if self.test is None:
            return self
        end = end_of_data(newest, frequency)
        start = _back(end, self.test)
        last = start - gap
        # In days even where it was given in years, whose length depends on where they end.
        window = None if self.train in (None, "expanding") else last - _back(last, str(self.train))
        return Split(
            test_from=start.date(),
            test_to=end.date(),
            train_window=None if window is None else to_duration(window),
            gap=self.gap,
        )


def end_of_data(newest: datetime, frequency: str) -> datetime:
    """Return the end of the newest complete day: the last midnight that the data reach."""
    end = newest + to_timedelta(frequency)
    return datetime(end.year, end.month, end.day)


def window_of(text: str) -> timedelta:
    """Return the least length of a sliding window such as 10d, last 10d or last 3y."""
    if text.endswith("y"):
        # Years without a leap day are the shortest.
        return int(text[5:-1]) * 365 * _DAY
    return to_timedelta(text.removeprefix("last "))


def _back(end: datetime, text: str) -> datetime:
    if not text.endswith("y"):
        return end - window_of(text)
    year = end.year - int(text[5:-1])
    # From a 29 February back to a year without one.
    return end.replace(year=year, day=min(end.day, calendar.monthrange(year, end.month)[1]))
