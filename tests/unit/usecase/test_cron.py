"""Times of cron expressions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from almanac.usecase.cron import next_time, wrong_cron


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 15 * * * *", "2026-11-27T09:14:59", "2026-11-27T09:15:00"),
        ("0 15 * * * *", "2026-11-27T09:15:00", "2026-11-27T10:15:00"),
        ("0 0 3 1 * *", "2026-11-27T09:15:00", "2026-12-01T03:00:00"),
        ("0 0 3 1 * *", "2026-12-31T23:59:59", "2027-01-01T03:00:00"),
        ("0 0 3 ? * MON", "2026-11-27T09:15:00", "2026-11-30T03:00:00"),
        ("0 0 3 * * SUN", "2026-11-27T09:15:00", "2026-11-29T03:00:00"),
        # Either day, where both are named.
        ("0 0 3 1 * MON", "2026-11-27T09:15:00", "2026-11-30T03:00:00"),
        ("0 0 3 1 * MON", "2026-11-30T09:15:00", "2026-12-01T03:00:00"),
        ("0 5/20 8-9 * MAR *", "2026-11-27T09:15:00", "2027-03-01T08:05:00"),
        ("0 0 0 29 FEB *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
        ("*/30 * * * * *", "2026-11-27T09:15:00", "2026-11-27T09:15:30"),
    ],
)
def test_the_next_time(cron: str, after: str, expected: str) -> None:
    assert wrong_cron(cron) == ""
    found = next_time(cron, datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_date_that_never_comes() -> None:
    assert next_time("0 0 0 30 FEB *", datetime(2026, 1, 1, tzinfo=UTC)) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    minute=st.sampled_from(["*", "7", "*/20", "10-12", "3,50"]),
    hour=st.sampled_from(["*", "0", "*/6", "22/1"]),
    day=st.sampled_from(["*", "31", "1,15"]),
    weekday=st.sampled_from(["*", "0", "MON-FRI"]),
    after=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),
)
def test_no_time_lies_between(minute: str, hour: str, day: str, weekday: str, after: datetime) -> None:
    cron, start = f"0 {minute} {hour} {day} * {weekday}", after.replace(tzinfo=UTC)
    found = next_time(cron, start)
    assert found is not None
    assert found > start
    # Its own time comes again from just before it, and none from just after the start to there.
    assert next_time(cron, found - timedelta(microseconds=1)) == found
    middle = start + (found - start) / 2
    assert next_time(cron, middle) == found
