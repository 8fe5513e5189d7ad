"""Inference of the open days of a table of dates, such as those of business or of an exchange."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from almanac.core.arrays import Integers
from almanac.core.grid import DAY
from almanac.usecase.calendar_section import WEEKDAY_NAMES, WEEKDAYS, OpenCalendar

#: Share of the open days between a series' first and last that must have a row.
_FULL = 0.9
#: An exchange is named where its open days without a row are at most this share of those of plain weekdays.
_BETTER = 0.5
#: Exchanges that are named first where several have the same days.
_FIRST = ("XNYS", "XLON", "XETR", "XPAR", "XJPX", "XHKG")
_EPOCH = date(1970, 1, 1)
#: Chance at which changes that depend on no weekday seem to.
_SIGNIFICANT = 0.01
#: Fewest dates that show which weekdays are open.
_FEWEST = 30


@dataclass(frozen=True)
class CalendarFacts:
    """Facts about the open days of a table.

    Attributes:
        written: The calendar as a use case writes it.
        name: The calendar in words.
        week: Days of a week that are open.
        full: Share of the open days that have a row.
        others: Codes of exchanges that fit as well.
    """

    written: Any
    name: str
    week: int
    full: float
    others: tuple[str, ...] = ()

    @property
    def same_weeks(self) -> bool:
        """Whether the same weekdays are open in every week."""
        return not (isinstance(self.written, dict) and "exchange" in self.written)


def calendar_of(times: pl.Series, entity: pl.Series | None) -> CalendarFacts | None:
    """Return the open days of a table with at most one row a day and series; None where no calendar fits.

    Args:
        times: Times of the rows, in naive UTC.
        entity: Entity of each row, None for a single series.
    """
    if (entity is None and times.is_duplicated().any()) or not (times.dt.truncate("1d") == times).all():
        return None
    series = pl.DataFrame([(times.to_physical() // DAY).alias("day")])
    series = series.with_columns(entity.alias("entity") if entity is not None else pl.lit("").alias("entity"))
    days = series["day"].unique().sort().to_numpy()
    weekdays = sorted({int(day) for day in (days + 3) % 7})
    if len(days) < _FEWEST or len(weekdays) == 7:
        return None
    ends = series.group_by("entity").agg(pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))

    def full(calendar: OpenCalendar) -> float:
        """Return the share of a calendar's open days that have a row, 0 where a row is on a closed one."""
        numbers = calendar.days().numbers
        if not np.isin(days, numbers).all():
            return 0.0
        places = [np.searchsorted(numbers, ends[name].to_numpy()) for name in ("first", "last")]
        return series.height / int((places[1] - places[0] + 1).sum())

    plain = OpenCalendar(weekdays=[WEEKDAY_NAMES[day] for day in weekdays])
    usual = full(plain)
    exchanges = {}
    if weekdays == [0, 1, 2, 3, 4] and usual < 1.0:
        exchanges = {code: full(OpenCalendar(exchange=code)) for code in _fitting(days)}
    best = max(exchanges.values(), default=0.0)
    if best >= _FULL and 1 - best <= _BETTER * (1 - usual):
        first, *others = [code for code, share in exchanges.items() if share == best]
        return CalendarFacts({"exchange": first}, first, 5, best, tuple(others))
    if usual < _FULL:
        return None
    written = WEEKDAYS if weekdays == [0, 1, 2, 3, 4] else {"weekdays": plain.weekdays}
    return CalendarFacts(written, plain.name, len(weekdays), usual)


def weekday_matters(times: pl.Series, values: pl.Series, entity: pl.Series | None) -> bool:
    """Return whether changes from row to row of a series depend on the weekday, by an analysis of variance.

    Args:
        times: Times of the rows, in naive UTC.
        values: A number of each row, null where missing.
        entity: Entity of each row, None for a single series.
    """
    from scipy.stats import f_oneway

    series = pl.repeat("", len(times), eager=True) if entity is None else entity
    rows = pl.DataFrame({"time": times, "value": values.cast(pl.Float64), "entity": series}).drop_nulls().sort("time")
    rows = rows.with_columns(change=pl.col("value").diff().over("entity"), day=pl.col("time").dt.weekday())
    groups = rows.drop_nulls("change").group_by("day").agg("change").filter(pl.col("change").list.len() > 1)
    if groups.height < 2:
        return False
    return bool(f_oneway(*(group.to_numpy() for group in groups["change"])).pvalue < _SIGNIFICANT)


def _order(code: str) -> tuple[int, str]:
    return _FIRST.index(code) if code in _FIRST else len(_FIRST), code


def _fitting(days: Integers) -> list[str]:
    """Return the codes of the exchanges that have a holiday on none of the days, since 1970, that have rows."""
    import holidays

    dates = [_EPOCH + timedelta(days=int(day)) for day in days]
    years = range(dates[0].year, dates[-1].year + 1)
    codes = sorted((code for code in holidays.list_supported_financial() if code.startswith("X")), key=_order)
    known = {code: holidays.financial_holidays(code, years=years) for code in codes}
    return [code for code, closed in known.items() if closed and not any(day in closed for day in dates)]
