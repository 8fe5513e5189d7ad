"""Grids of open days: the even axis, steps across weekends and holidays, and the calendars that give the days."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from almanac.core.grid import DAY, Grid, day_number, grid_of
from almanac.usecase.calendar_section import OpenCalendar

WEEK = OpenCalendar(weekdays=["mon", "tue", "wed", "thu", "fri"])
EXCHANGE = OpenCalendar(exchange="XNYS")
FRIDAY, SATURDAY, MONDAY = date(2026, 11, 27), date(2026, 11, 28), date(2026, 11, 30)


def micros(*days: date) -> npt.NDArray[np.int64]:
    return np.array([day_number(day) * DAY for day in days], dtype=np.int64)


def dates(times: npt.NDArray[np.int64]) -> list[date]:
    return [date(1970, 1, 1) + timedelta(days=int(time // DAY)) for time in times]


def test_the_step_after_a_friday_is_the_monday() -> None:
    grid = grid_of(DAY, WEEK.days())
    assert dates(grid.later(micros(FRIDAY, MONDAY), DAY)) == [MONDAY, date(2026, 12, 1)]
    assert dates(grid.later(micros(MONDAY, date(2026, 12, 4)), -5 * DAY)) == [date(2026, 11, 23), FRIDAY]
    assert grid.is_open(micros(FRIDAY, SATURDAY, MONDAY)).tolist() == [True, False, True]


def test_a_holiday_is_no_step() -> None:
    grid = grid_of(DAY, EXCHANGE.days())
    # 26 November 2026 is Thanksgiving, 25 December a Friday.
    assert dates(grid.later(micros(date(2026, 11, 25), date(2026, 12, 24)), DAY)) == [FRIDAY, date(2026, 12, 28)]


def test_the_even_axis_has_a_place_for_each_open_day_and_leads_back() -> None:
    grid, days = grid_of(DAY, EXCHANGE.days()), [date(2026, 1, 1) + timedelta(days=k) for k in range(365)]
    times = micros(*days)
    times = times[grid.is_open(times)]
    even = grid.to_even(times)
    assert len(times) == 251
    assert (np.diff(even) == DAY).all()
    assert np.array_equal(grid.from_even(even), times)
    at_noon = times + DAY // 2
    assert np.array_equal(grid.from_even(grid.to_even(at_noon)), at_noon)


def test_a_closed_day_is_on_the_even_axis_where_the_next_open_one_is() -> None:
    grid = grid_of(DAY, WEEK.days())
    assert np.array_equal(grid.to_even(micros(SATURDAY) + DAY // 2), grid.to_even(micros(MONDAY)))


@pytest.mark.parametrize("grid", [Grid(DAY), grid_of(DAY, WEEK.days()), grid_of(DAY, EXCHANGE.days())])
def test_one_time_moves_as_many_do(grid: Grid) -> None:
    times = micros(*(date(2026, 11, 1) + timedelta(days=k) for k in range(80)))
    for span in (-7 * DAY, -DAY, 0, DAY, 3 * DAY, DAY // 4):
        assert [grid.one_later(int(time), span) for time in times] == grid.later(times, span).tolist()
    for time in times[grid.is_open(times)].tolist():
        assert grid.time(grid.number(time)) == time == grid.time(grid.newest(time))
        assert grid.number(time) * DAY == grid.to_even(np.array([time]))[0]


def test_numbers_of_steps_around_a_weekend() -> None:
    grid = grid_of(DAY, WEEK.days())
    friday, saturday, monday = micros(FRIDAY, SATURDAY, MONDAY).tolist()
    assert grid.number(saturday) == grid.number(monday) == grid.number(friday) + 1
    assert grid.newest(saturday) == grid.newest(monday - 1) == grid.newest(friday)


def test_the_longest_time_that_steps_take() -> None:
    assert grid_of(DAY, WEEK.days()).longest(DAY) == 3 * DAY
    assert grid_of(DAY, WEEK.days()).longest(5 * DAY) == 7 * DAY
    # The exchange was closed from 11 to 16 September 2001.
    assert grid_of(DAY, EXCHANGE.days()).longest(DAY) == 7 * DAY


def test_days_may_be_closed_or_open_besides() -> None:
    case = OpenCalendar(country="DE", subdivision="BY", closed=[date(2026, 11, 27)], open=[date(2026, 11, 28)])
    grid = grid_of(DAY, case.days())
    assert (
        grid.is_open(micros(FRIDAY, SATURDAY, date(2026, 11, 1), date(2026, 1, 6))).tolist()
        == [False, True] + [False] * 2
    )


def test_weekdays_of_ones_own_keep_the_holidays() -> None:
    grid = grid_of(DAY, OpenCalendar(country="DE", weekdays=["mon", "tue", "wed", "thu", "fri", "sat"]).days())
    # 26 December 2026 is a Saturday, and a holiday.
    assert grid.is_open(micros(SATURDAY, date(2026, 12, 26), date(2026, 11, 29))).tolist() == [True, False, False]


def test_a_weekend_is_that_of_the_country() -> None:
    grid = grid_of(DAY, OpenCalendar(country="IL").days())
    assert grid.is_open(micros(FRIDAY, SATURDAY, date(2026, 11, 29))).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exchange": "XNYX"}, "the library holidays knows no such calendar"),
        ({"exchange": "XNYS", "country": "US"}, "give either 'country' or 'exchange'"),
        ({"subdivision": "BY"}, "'subdivision' belongs to 'country'"),
        ({"closed": [FRIDAY], "open": [FRIDAY]}, "2026-11-27 is both closed and open"),
        ({"weekdays": []}, "at least 1 item"),
    ],
)
def test_no_calendar(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OpenCalendar.model_validate(fields)
