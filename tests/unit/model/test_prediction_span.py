"""Spans of batch predictions on open days."""

from datetime import datetime

import pytest

from almanac.model.prediction_span import prediction_span
from tests.support.open_days import rows, usecase

CASE = usecase(drift={"window": "30d"})


@pytest.mark.parametrize(
    ("start", "stop", "first", "end"),
    [
        # The newest row is of Monday 12 October 2020.
        ("", "", datetime(2020, 10, 12), datetime(2020, 10, 13)),
        # Before a Saturday and before a Monday the newest open day is the Friday.
        ("", "2020-05-16", datetime(2020, 5, 15), datetime(2020, 5, 16)),
        ("", "2020-05-18", datetime(2020, 5, 15), datetime(2020, 5, 18)),
        # The longest horizon, three open days, took eleven days in September 2001.
        ("windows:1", "2020-05-18", datetime(2020, 4, 7), datetime(2020, 5, 18)),
    ],
)
def test_the_newest_step_is_of_an_open_day(start: str, stop: str, first: datetime, end: datetime) -> None:
    assert prediction_span(CASE, rows(CASE)["timestamp"], start, stop) == (first, end)
