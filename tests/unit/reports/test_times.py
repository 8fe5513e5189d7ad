"""Times of reports: by the calendar, or counted from an origin."""

from datetime import date, datetime, timedelta

import pytest

from almanac.reports import Times, new_figure

ORIGIN = date(1970, 1, 1)


def test_the_sentence_names_the_zone() -> None:
    assert Times().sentence == "Times are in UTC."
    assert "hours and days of the calendar are of Europe/Berlin" in Times("Europe/Berlin").sentence
    assert "have no calendar" in Times(origin=ORIGIN).sentence
    assert "counted in the open days of the calendar XNYS" in Times(calendar="XNYS").sentence


@pytest.mark.parametrize(
    ("moment", "plain", "counted"),
    [
        ("1970-01-21", "1970-01-21", "day 20"),
        (date(1970, 1, 21), "1970-01-21", "day 20"),
        ("1970-01-21T05:30:00", "1970-01-21T05:30:00", "day 20, 05:30"),
    ],
)
def test_a_day_is_a_date_or_counted_from_the_origin(moment: str | date, plain: str, counted: str) -> None:
    assert (Times().day(moment), Times(origin=ORIGIN).day(moment)) == (plain, counted)


def test_a_span_is_in_months_or_counted_from_the_origin() -> None:
    first, last = datetime(1970, 1, 21, 5), datetime(1970, 2, 3)
    assert Times().span(first, last) == "21 January to 3 February 1970"
    assert Times(origin=ORIGIN).span(first, last) == "day 20 to day 33"


@pytest.mark.parametrize(
    ("start", "length", "name", "expected"),
    [
        (datetime(1970, 1, 22), 7, "days since the start", ["21", "22", "23", "24", "25", "26", "27", "28"]),
        (datetime(1970, 1, 1, 5), 28, "days since the start", ["5", "10", "15", "20", "25"]),
        (datetime(1970, 1, 2), 1, "hours since the start", ["24", "30", "36", "42", "48"]),
        (datetime(1970, 1, 1), 900, "days since the start", ["0", "200", "400", "600", "800"]),
    ],
)
def test_ticks_are_counted_from_the_origin(start: datetime, length: int, name: str, expected: list[str]) -> None:
    _, ((axis,),) = new_figure()
    axis.plot([start, start + timedelta(days=length)], [0, 1])
    axis.margins(x=0)
    limits = axis.get_xlim()
    Times(origin=ORIGIN).ticks(axis)
    assert [label.get_text() for label in axis.get_xticklabels()] == expected
    assert (axis.get_xlabel(), axis.get_xlim()) == (name, limits)
    # A label says where its tick is.
    in_days = [float(text) / (24 if name.startswith("hours") else 1) for text in expected]
    assert list(axis.get_xticks()) == pytest.approx(in_days)
