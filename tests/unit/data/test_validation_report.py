"""Texts of the validation report."""

import re
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from almanac.data.validate import run_checks
from almanac.data.validation_report import report
from almanac.data.validation_result import to_record
from almanac.reports import render
from tests.support import small

FIRST = datetime(2020, 1, 3)
TIMES = [FIRST + timedelta(hours=hour) for hour in (0, 1, 4, 5)]
TABLE = pl.DataFrame(
    {"timestamp": TIMES, "site": ["Tiantan"] * 4, "load": [1.0, 2.0, 5.0, 6.0], "kind": ["a"] * 4},
    schema_overrides={"timestamp": pl.Datetime("us")},
)


def _told(**time: Any) -> str:
    case = small.usecase(entity="site", time={"column": "timestamp", "frequency": "1h", **time})
    result = run_checks(TABLE, case, None)
    return re.sub(r"(<[^>]+>|\s)+", " ", render(report(result, to_record(result, TABLE, case), case, None)))


def test_a_gap_is_shown_with_its_entity_and_its_times() -> None:
    told = _told()
    assert "Tiantan 2020-01-03 02:00 to 2020-01-03 03:00: 2 " in told
    assert "Tiantan 2020-01-03 02:00 2020-01-03 03:00 2 " in told


def test_its_days_are_counted_where_times_have_no_calendar() -> None:
    told = _told(origin="2020-01-01")
    assert "Tiantan day 2, 02:00 to day 2, 03:00: 2 " in told
    assert "Tiantan day 2, 02:00 day 2, 03:00 2 " in told
    assert "2020-" not in told
