"""The wall's clock and the data's are told apart by how a time is written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from almanac.core.clocks import clock_of, data_time, seconds_of, wall_time

WALL = datetime(2026, 1, 31, 6, tzinfo=UTC)


def test_a_time_is_written_so_that_its_clock_is_known() -> None:
    assert wall_time(WALL) == "2026-01-31T06:00:00+00:00"
    assert wall_time(WALL.astimezone(timezone(timedelta(hours=8)))) == "2026-01-31T06:00:00+00:00"
    assert data_time(datetime(2014, 12, 31, 23)) == "2014-12-31T23:00:00"
    assert clock_of(wall_time()) == "wall"
    assert clock_of("2026-01-31T06:00:00Z") == "wall"
    assert clock_of(data_time(datetime(2014, 12, 31))) == clock_of("2014-12-31") == "data"


def test_a_moment_of_the_other_clock_is_not_written() -> None:
    with pytest.raises(ValueError, match="has no zone; a time of the wall clock has one"):
        wall_time(datetime(2014, 12, 31))
    with pytest.raises(ValueError, match="has a zone; a time of the data's clock has none"):
        data_time(WALL)


def test_seconds_are_those_of_the_clock_asked_for() -> None:
    assert seconds_of("1970-01-02T00:00:00+00:00", "wall") == 86400
    assert seconds_of("1970-01-02T01:00:00+01:00", "wall") == 86400
    assert seconds_of("1970-01-02", "data") == 86400
    with pytest.raises(ValueError, match="'2015-01-01T00:00:00' is not a time of the wall clock"):
        seconds_of("2015-01-01T00:00:00", "wall")
    with pytest.raises(ValueError, match="is not a time of the data clock, which is written without a zone"):
        seconds_of("2015-01-01T00:00:00Z", "data")
