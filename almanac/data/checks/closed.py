"""Rows must lie on the open days of the calendar; on others a row without a target's value is no row."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.features.split import microseconds
from almanac.usecase import UseCase


def _on_closed_days(table: pl.DataFrame, usecase: UseCase) -> pl.Series:
    return pl.Series(~usecase.time.grid.is_open(microseconds(table[usecase.time.column])))


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, calendar = subject.usecase, subject.usecase.time.calendar
    if calendar is None:
        return
    closed = _on_closed_days(subject.table, usecase)
    known = pl.any_horizontal(pl.col(target.column).is_not_null() for target in usecase.targets)
    # A table that has no other rows has nothing to go on with.
    off = subject.table.filter(closed & (known | pl.lit(bool(closed.all()))))
    if off.height:
        text = (
            f"on days that the calendar {calendar.name} has closed; list them in time.calendar.open, take another "
            "calendar, or leave the rows out"
        )
        yield subject.finding("error", "closed", usecase.time.column, off, text)


def _without_closed(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    if usecase.time.calendar is None:
        return table
    # Gathered and exported tables often have an empty row for each day that was closed.
    return table.filter(~_on_closed_days(table, usecase))


KIND = Check("closed", Stage.ORDER, _find, _without_closed, stops=True)
