"""Inference of a table's format, time, grid and entity, and of the types of its columns.

Only what a table shows without doubt is inferred. A second reading is an error that names the option to decide by. A
table off a regular grid is one of events, or of days to which its rows are gathered.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import polars as pl

from almanac.core.errors import TableError
from almanac.data.infer_days import gathered
from almanac.data.infer_events import EventFacts, event_facts, several_a_day
from almanac.data.infer_read import as_numbers, infer_read, melted
from almanac.data.infer_time import is_time, time_column
from almanac.data.times import parse_time
from almanac.usecase.data_section import FORMATS, Read, TimeFormat

_MAX_LEVELS = 30
#: Share of the steps that must equal the median one.
_REGULAR = 0.99
#: Most times of the grid for each row; beyond, a stray date stretches it.
_STRETCH = 10
#: Fewest days to which rows are gathered.
_FEWEST_DAYS = timedelta(days=60)
_NEXT = "expected a regular grid, events, or rows to gather to days"


class StretchError(TableError):
    """A stray date would stretch the grid."""


@dataclass(frozen=True)
class ColumnFacts:
    """Type of a column, its levels if it is a category, and the share of its values that are missing."""

    type: Literal["float", "integer", "category", "text"]
    missing: float
    levels: list[str] | None = None


@dataclass(frozen=True)
class Inferred:
    """Facts about a table.

    Attributes:
        read: Section `read` of its source, without names to change or to drop.
        times: Times of the rows, in naive UTC.
        entity: Column that identifies the series, None for a single one.
        step: Distance of two rows of a series.
        regular: Share of the steps that have this length.
        columns: Facts about each usable column, in the order of the table.
        left_out: Reason for each column that cannot be used.
        raw: The table as read.
        events: Facts about events, None for a grid.
        gathered: Whether the rows are gathered to days, several of which may be one.
    """

    read: Read
    times: pl.Series
    entity: str | None
    step: timedelta
    regular: float
    columns: dict[str, ColumnFacts]
    left_out: dict[str, str]
    raw: pl.DataFrame
    events: EventFacts | None = None
    gathered: bool = False

    def numbers(self, column: str) -> pl.Series:
        """Return a numeric column's values, null where missing."""
        return as_numbers(self.raw[column], self.read)


def infer(
    path: Path, data: bytes, time: str | None = None, entity: str | None = None, target: str | None = None
) -> Inferred:
    """Return the facts about the table in `data`, which was read from `path`.

    Args:
        path: Path of the table; its suffixes name format and compression.
        data: Bytes of the file.
        time: Time column, inferred when None.
        entity: Entity column, inferred when None.
        target: Column that is forecast, if it is known; where rows are gathered to days it is summed.

    Raises:
        SourceError: the bytes are not compressed as the suffix says.
        TableError: the table cannot be read or has no single reading; the column, row or option is named.
    """
    read, raw = infer_read(path, data)
    textual = FORMATS[read.format].textual
    for option, name in (("--time", time), ("--entity", entity)):
        require_column(raw, option, name)
    time, form = time_column(raw, time, path)
    read = read.model_copy(update={"time": TimeFormat(column=time, format=form)})
    if target is None and entity is None and (wide := melted(raw, time, path)) is not None:
        steps, raw = wide
        read = read.model_copy(update={"shape": steps})
    times = parse_time(raw, read.time, "time", str(path))
    columns, left_out = _columns(raw.drop(time), textual, read)
    found = _shape(raw, times, columns, entity, path)
    for name in found.events.roles.values() if found.events else ():
        # However many levels: its history counts, and not its name.
        columns[name] = ColumnFacts("text", 0.0)
        left_out.pop(name, None)
    for facts in (columns, left_out):
        facts.pop(found.entity or "", None)
    if found.gathered:
        return _gathered(Inferred(read, times, found.entity, found.step, 1.0, columns, left_out, raw), target)
    return Inferred(
        read, times, found.entity, found.step, found.regular, columns, left_out, raw, found.events, found.gathered
    )


def _gathered(facts: Inferred, target: str | None) -> Inferred:
    """Return the facts about the days of a table: its numbers gathered, its texts left out."""
    numbers = {name: its for name, its in facts.columns.items() if its.type in ("float", "integer")}
    texts = dict.fromkeys(facts.columns.keys() - numbers.keys(), "is a text, and rows are gathered to days")
    summed = target or next(iter(numbers), "")
    rows = pl.DataFrame(
        [
            facts.times.alias("time"),
            *([facts.raw[facts.entity].alias("entity")] if facts.entity else []),
            *(facts.numbers(name).alias(name) for name in numbers),
        ]
    )
    days = gathered(rows, facts.entity is not None, summed)
    columns = {name: ColumnFacts("float", days[name].null_count() / days.height) for name in numbers}
    raw = days.rename({"entity": facts.entity}) if facts.entity else days
    left_out = {**facts.left_out, **texts}
    return replace(facts, times=days["time"], columns=columns, left_out=left_out, raw=raw, gathered=True)


@dataclass(frozen=True)
class _Shape:
    entity: str | None
    step: timedelta
    regular: float = 1.0
    events: EventFacts | None = None
    gathered: bool = False


def _shape(
    raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], entity: str | None, path: Path
) -> _Shape:
    """Return entity and step of a grid; of a table that has none, of its events or its days.

    Raises:
        TableError: none of them, with the reason against a grid.
    """
    try:
        return _grid(raw, times, columns, entity, path)
    except StretchError:
        raise
    except TableError as error:
        if (events := event_facts(raw, times, entity)) is not None:
            return _Shape(events[0], events[1].known_after, events=events[1])
        if _is_irregular(times) and any(its.type in ("float", "integer") for its in columns.values()):
            return _Shape(several_a_day(raw, times, entity), timedelta(days=1), gathered=True)
        raise error


def _is_irregular(times: pl.Series) -> bool:
    """Return whether times come at any moment of the day, where a repeated one is no mistake."""
    ordered = times.unique().sort()
    if ordered[-1] - ordered[0] <= _FEWEST_DAYS or bool((ordered.dt.truncate("1h") == ordered).all()):
        return False
    steps = ordered.diff().drop_nulls()
    return int(steps.value_counts()["count"].max()) < steps.len() / 2  # type: ignore[arg-type]


def _grid(
    raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], entity: str | None, path: Path
) -> _Shape:
    rows = pl.DataFrame([times, *([raw[entity].alias("entity")] if entity else [])])
    if rows.is_duplicated().any():
        if entity is not None:
            raise TableError(f"--entity {entity}: {_repeated(rows)}; expected one row for each entity and time")
        entity = _entity(raw, times, columns, path)
    return _Shape(entity, *_steps(times, raw[entity] if entity else None, path))


def require_column(table: pl.DataFrame, option: str, name: str | None) -> None:
    """Refuse an option that names a column which the table lacks."""
    if name is not None and name not in table.columns:
        raise TableError(f"{option} {name}: there is no such column; there is {', '.join(table.columns)}")


def _columns(table: pl.DataFrame, textual: bool, read: Read) -> tuple[dict[str, ColumnFacts], dict[str, str]]:
    """Return the facts about each usable column, and the reason for each other one."""
    columns, left_out = {}, {}
    for column in table:
        facts = _facts(column, textual, read)
        if isinstance(facts, str):
            left_out[column.name] = facts
        else:
            columns[column.name] = facts
    return columns, left_out


def _facts(column: pl.Series, textual: bool, read: Read) -> ColumnFacts | str:
    missing = column.null_count() / column.len()
    if missing == 1.0:
        return "has no value"
    if is_time(column):
        return "holds times"
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return ColumnFacts("integer", missing)
    if column.dtype.is_numeric():
        return ColumnFacts("float", column.cast(pl.Float64).fill_nan(None).null_count() / column.len())
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return f"has the type {column.dtype}"
    texts = column.cast(pl.String)
    # A code such as 007 is no number.
    numbers = as_numbers(texts, read)
    if textual and numbers.null_count() == texts.null_count() and not texts.str.contains(r"^0\d").any():
        whole = texts.drop_nulls().str.contains(r"^\s*[+-]?\d+\s*$").all()
        return ColumnFacts("integer" if whole else "float", missing)
    levels = sorted(texts.drop_nulls().unique())
    if len(levels) > _MAX_LEVELS:
        return f"has {len(levels):,} different texts; a category has at most {_MAX_LEVELS}"
    return ColumnFacts("category", missing, levels)


def _entity(raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], path: Path) -> str:
    """Return the column of fewest values that makes every time unique and has a regular grid for each value."""
    able = [
        column
        for column in raw
        if (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum))
        and not (column.name in columns and columns[column.name].type == "float")
        and not column.null_count()
        and not pl.DataFrame([times, column.alias("entity")]).is_duplicated().any()
    ]
    failures = []
    for column in sorted(able, key=lambda column: column.n_unique()):
        try:
            _steps(times, column, path)
        except TableError as error:
            failures.append(str(error))
        else:
            return column.name
    if failures:
        raise TableError(failures[0])
    rows = _repeated(pl.DataFrame([times]))
    raise TableError(f"{path}: {rows}, and no column distinguishes the rows of one time as an entity; {_NEXT}")


def _repeated(rows: pl.DataFrame) -> str:
    first = int(rows.is_duplicated().arg_max() or 0)
    twin = rows.with_row_index("row").filter(
        pl.all_horizontal(pl.col(n).eq_missing(rows[n][first]) for n in rows.columns)
    )
    numbers = " and ".join(str(row + 1) for row in twin["row"].head(2))
    return f"rows {numbers} share {' and '.join(str(value) for value in rows.row(first)[::-1])}"


def _steps(times: pl.Series, entity: pl.Series | None, path: Path) -> tuple[timedelta, float]:
    """Return the median step between the rows of a series, and the share of the steps that equal it."""
    rows = pl.DataFrame([times.to_physical().alias("time"), *([entity.alias("entity")] if entity is not None else [])])
    rows = rows.with_row_index("row", 1).sort("time", maintain_order=True)
    step = pl.col("time").diff()
    steps = rows.with_columns(step=step.over("entity") if entity is not None else step).drop_nulls("step")
    if steps.is_empty():
        raise TableError(f"{path}: each series has a single row; a forecast needs a history")
    # An element and not the mean of the middle two, which may be no step at all.
    median = int(steps["step"].sort()[steps.height // 2])
    regular = int((steps["step"] == median).sum()) / steps.height
    other = steps.filter(pl.col("step") != median)
    shown = f"{path}: the median step is {timedelta(microseconds=median)}"
    if regular < _REGULAR:
        first = other.row(0, named=True)
        raise TableError(
            f"{shown}, and only {regular:.1%} of the steps are (not row {first['row']}, "
            f"{timedelta(microseconds=first['step'])} after the one before); {_NEXT}: at least {_REGULAR:.0%} must be"
        )
    # The minute is the smallest unit of a duration in a use case.
    if median % 60_000_000:
        raise TableError(f"{shown}; expected whole minutes")
    # The grid is complete: every time between the first and the last becomes a row.
    if int(steps["step"].sum()) // median > _STRETCH * rows.height:
        far = other.sort("step", descending=True).row(0, named=True)
        raise StretchError(
            f"{shown}, and row {far['row']} ({times[far['row'] - 1]}) is {timedelta(microseconds=far['step'])} after "
            "the one before it in time; correct or remove the stray one: the grid "
            f"would have more than {_STRETCH} times for each row"
        )
    return timedelta(microseconds=median), regular
