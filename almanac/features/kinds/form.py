"""Statistics of an entity's last events."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from almanac.core.arrays import Array
from almanac.features.events.kind import Asked, EventDeclaration, EventKind, Events, Past
from almanac.usecase.types import to_microseconds

Statistic = Literal["mean", "median", "std", "min", "max", "sum", "count", "last"]


class Form(EventDeclaration):
    """A statistic of the last events of an entity: `home_runs_for_mean_10`, `park_total_mean_100`."""

    kind: Literal["form"]
    columns: Annotated[list[str], Field(min_length=1)]
    """Outcomes, other numeric columns, or sides."""
    windows: Annotated[list[int | str], Field(min_length=1)]
    """Lengths of the windows: numbers of events, or durations such as 30d before the event."""
    statistics: Annotated[list[Statistic], Field(min_length=1)]
    """Statistics of the values present; std has one delta degree of freedom, count never misses, last is the newest."""
    least: Annotated[int, Field(ge=1)] = 1
    """Fewest values; with fewer a statistic is missing."""
    in_role: bool = False
    """Only the events in which the entity had the same role, such as a team's games at home."""

    @field_validator("windows")
    @classmethod
    def _lengths(cls, windows: list[int | str]) -> list[int | str]:
        for window in windows:
            if isinstance(window, str):
                to_microseconds(window)
            elif window < 1:
                raise ValueError(f"a window of {window} events; expected at least 1")
        return windows

    def asked(self, events: Events) -> Asked:
        """Return the statistics of each column, window by window."""
        self.check_columns(events, self.columns)
        kept = "_in_role" if self.in_role else ""
        names = [
            f"{column}_{statistic}_{window}{kept}"
            for window in self.windows
            for statistic in self.statistics
            for column in self.columns
        ]
        lengths = [window if isinstance(window, int) else (to_microseconds(window),) for window in self.windows]
        columns, statistics = tuple(self.columns), tuple(self.statistics)
        compute = partial(_form, columns, lengths, statistics, self.least, self.in_role)
        return Asked(columns, tuple(names), compute)


def _form(
    columns: Sequence[str],
    windows: Sequence[int | tuple[int]],
    statistics: Sequence[Statistic],
    least: int,
    in_role: bool,
    past: Past,
) -> list[float]:
    past = past.in_role() if in_role else past
    counts = [past.since(window[0]) if isinstance(window, tuple) else window for window in windows]
    values = past.columns(columns, max(counts))
    present = ~np.isnan(values)
    complete = bool(present.all())
    known = values if complete else np.where(present, values, 0.0)
    result: list[float] = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for count in counts:
            window = slice(max(len(values) - count, 0), None)
            rows, there = values[window], present[window]
            number = np.full(len(columns), len(rows)) if complete else there.sum(axis=0)
            enough = complete and len(rows) >= least
            for statistic in statistics:
                numbers = _statistic(statistic, rows, known[window], there, number)
                if statistic != "count" and not enough:
                    numbers = np.where(number < least, np.nan, numbers)
                result += numbers.tolist()
    return result


def _statistic(
    statistic: Statistic, rows: Array, known: Array, present: npt.NDArray[np.bool_], number: npt.NDArray[np.intp]
) -> Array:
    """Return a statistic of each column; any number where there are too few values."""
    if statistic == "count":
        return number.astype(np.float64)
    if not len(rows):
        return np.full(number.shape, np.nan)
    match statistic:
        case "sum":
            return np.asarray(known.sum(axis=0))
        case "mean":
            return np.asarray(known.sum(axis=0) / number)
        case "std":
            deviation = np.where(present, rows - known.sum(axis=0) / number, 0.0)
            # Of a single value the deviation says nothing.
            squares = (deviation * deviation).sum(axis=0)
            return np.asarray(np.sqrt(squares / np.where(number > 1, number - 1.0, np.nan)))
        case "min":
            return np.asarray(np.where(present, rows, np.inf).min(axis=0))
        case "max":
            return np.asarray(np.where(present, rows, -np.inf).max(axis=0))
        case "median":
            return _median(rows, number)
        case "last":
            # The row of the newest value present, of each column.
            newest = len(rows) - 1 - present[::-1].argmax(axis=0)
            return np.asarray(rows[newest, np.arange(rows.shape[1])])
        case _:
            assert_never(statistic)


def _median(rows: Array, number: npt.NDArray[np.intp]) -> Array:
    # Missing values are sorted to the end.
    ordered, column = np.sort(rows, axis=0), np.arange(rows.shape[1])
    upper = np.minimum(number // 2, len(rows) - 1)
    lower = np.maximum((number - 1) // 2, 0)
    return np.asarray((ordered[lower, column] + ordered[upper, column]) / 2.0)


KIND = EventKind(
    Form,
    [
        {
            "kind": "form",
            "of": "team",
            "columns": ["scored", "allowed"],
            "windows": [1, 5, "30d"],
            "statistics": ["mean", "median", "std", "min", "max", "sum", "count", "last"],
            "difference": True,
        },
        {"kind": "form", "of": "team", "columns": ["scored"], "windows": [3], "statistics": ["mean"], "in_role": True},
        {"kind": "form", "of": "park", "columns": ["margin"], "windows": [7], "statistics": ["mean"], "least": 3},
        {"kind": "form", "of": "league", "columns": ["margin"], "windows": ["10d"], "statistics": ["std", "count"]},
    ],
)
