"""Times of requests on the grid of open days: steps, texts, and a Saturday."""

from datetime import date, timedelta

import pytest

from almanac.core.grid import DAY, Grid, grid_of
from almanac.usecase.calendar_section import OpenCalendar
from serving.features.raw_schema import RawSchema, read_schema
from serving.runtime.errors import HTTPError

INPUTS = [{"name": "day", "type": "timestamp"}, {"name": "close", "type": "float"}]


def schema(**calendar: object) -> RawSchema:
    return read_schema(INPUTS, grid_of(DAY, OpenCalendar.model_validate(calendar).days()))


def test_the_step_after_a_friday_is_the_monday() -> None:
    rows = schema(exchange="XNYS")
    friday, monday = (rows.step_of(text, "time") for text in ("2026-11-27", "2026-11-30T00:00:00"))
    assert monday == friday + 1
    assert rows.time_text(friday + 1) == "2026-11-30T00:00:00"


@pytest.mark.parametrize(
    ("text", "following"), [("2026-11-28", "2026-11-30"), ("2026-12-25", "2026-12-28"), ("2026-11-26", "2026-11-27")]
)
def test_a_closed_day_is_refused_with_the_next_open_one(text: str, following: str) -> None:
    with pytest.raises(HTTPError) as caught:
        schema(exchange="XNYS").step_of(text, "instances[0].time")
    assert caught.value.status == 400
    expected = f"'{text}' is a day that the model's calendar has closed; the next open day is {following}"
    assert expected in str(caught.value)


def test_every_open_day_has_a_step_of_its_own() -> None:
    rows = schema(weekdays=["mon", "tue", "wed", "thu", "fri", "sat"])
    days = [date(2026, 1, 1) + timedelta(days=k) for k in range(400)]
    steps = [rows.step_of(str(day), "time") for day in days if day.weekday() < 6]
    assert steps == list(range(steps[0], steps[0] + len(steps)))


def test_rows_of_another_calendar_have_another_layout() -> None:
    layouts = {schema(exchange="XNYS").digest, schema(exchange="XLON").digest, read_schema(INPUTS, Grid(DAY)).digest}
    assert len(layouts) == 3
