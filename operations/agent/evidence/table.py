"""Figures of a table's columns in its newest window, compared with the same season of the table's own past."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from operations.agent.evidence.categories import category_figures
from operations.agent.evidence.numbers import mostly_one, number_figures, scale_of
from operations.agent.evidence.relations import relation_figures
from operations.agent.evidence.units import conversions

#: The newest part of a window, which a fault that began in it fills.
_NEWEST = "7d"
#: Series of a panel that are looked at; of more, those with the most rows.
_MOST_SERIES = 20

Columns = dict[str, dict[str, float]]


def table_figures(usecase: UseCase, table: pl.DataFrame) -> tuple[Columns, dict[str, str]]:
    """Return the figures of each column, and the unit that explains its newest values best.

    A panel's column has the largest figure of its series. Tables of events have no regular grid and give no figures.

    Args:
        usecase: the use case.
        table: raw or validated, with the declared columns.
    """
    if usecase.time.frequency is None:
        return {}, {}
    step = to_timedelta(usecase.time.frequency)
    lengths = [max(2, int(to_timedelta(length) / step)) for length in (_NEWEST, usecase.drift.window)]
    figures: Columns = {}
    units: dict[str, str] = {}
    for series in _series(usecase, table):
        days = series[usecase.time.column].dt.ordinal_day().to_numpy().astype(np.float64)
        numbers = _numbers(usecase, series)
        for name, values in numbers.items():
            found, unit = number_figures(values, days, lengths, conversions(usecase.columns[name].unit))
            if found.get("unit", 0.0) >= figures.get(name, {}).get("unit", 0.0):
                units[name] = unit
            _join(figures.setdefault(name, {}), found)
        scales = {name: scale for name, values in numbers.items() if (scale := scale_of(values)) is not None}
        judged = [name for name in scales if not mostly_one(numbers[name])]
        hours = series[usecase.time.column].dt.hour().to_numpy().astype(np.float64)
        scaled = {name: scale.of(numbers[name]) for name, scale in scales.items()}
        for name, found in relation_figures(scaled, judged, days, hours, (lengths[0], lengths[1])).items():
            _join(figures[name], found)
        # A level may be known by the hour alone, as a wind that turns with the sun.
        turns = 2 * np.pi * hours / 24
        known = np.column_stack([*scaled.values(), np.sin(turns), np.cos(turns)])
        for name in (each for each in usecase.columns if each in series.columns and each not in numbers):
            labels = np.array(series[name].cast(pl.String).to_list(), dtype=object)
            _join(figures.setdefault(name, {}), category_figures(labels, known, days, lengths))
    return figures, {name: unit for name, unit in units.items() if unit}


def _numbers(usecase: UseCase, series: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    names = [name for name, column in usecase.columns.items() if column.type != "category" and name in series.columns]
    return {
        name: series[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)
        for name in names
    }


def staleness(usecase: UseCase, table: pl.DataFrame, now: datetime) -> float:
    """Return the age of the newest row with a value, over the allowed age, or three steps."""
    time = usecase.time.column
    watched = [name for name in {target.column for target in usecase.targets} if name in table.columns]
    known = table.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in watched)) if watched else table
    if not known.height:
        return float("inf")
    newest = datetime.fromisoformat(str(known[time].max()))
    rule = usecase.validation.staleness
    grid = usecase.time.grid
    three = timedelta(microseconds=grid.longest(3 * grid.step))
    most = to_timedelta(rule.max_age) if rule is not None else three
    return (now - newest) / most


def _series(usecase: UseCase, table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    if usecase.entity is None:
        yield table
        return
    sizes = table.group_by(usecase.entity).len().sort("len", usecase.entity, descending=[True, False])
    for name in sizes[usecase.entity].head(_MOST_SERIES):
        yield table.filter(pl.col(usecase.entity) == name)


def _join(into: dict[str, float], found: dict[str, float]) -> None:
    for name, value in found.items():
        into[name] = max(value, into.get(name, value))
