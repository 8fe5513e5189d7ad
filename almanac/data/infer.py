"""Inference of a table's format, time, grid and entity, and of the types of its columns.

Only what a table shows without doubt is inferred. A second reading is an error that names the option to decide by. A
table off a regular grid is one of events, or of days to which its rows are gathered.
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.data.infer_calendar import CalendarFacts, calendar_of
from almanac.data.infer_clock import clock_of
from almanac.data.infer_columns import ColumnFacts, columns_of
from almanac.data.infer_days import gathered
from almanac.data.infer_events import EventFacts, event_facts, several_a_day
from almanac.data.infer_grid import StretchError, entities, grid_of
from almanac.data.infer_numbers import Decimal
from almanac.data.infer_read import as_numbers, infer_read
from almanac.data.infer_series import pair_of
from almanac.data.infer_time import time_column
from almanac.data.infer_wide import melted, periods_melted
from almanac.data.infer_zone import Zone, is_open, repeated, zone_of
from almanac.data.numbers import to_numbers
from almanac.data.read import reshape
from almanac.data.shape import combined
from almanac.data.times import parse_time
from almanac.usecase.data_section import FORMATS, Read, TimeFormat
from almanac.usecase.shape_section import ShapeBase

#: Fewest days to which rows are gathered.
_FEWEST_DAYS = timedelta(days=60)


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
        zone: Zone of the times; None for UTC and where nothing shows one.
        open_zone: Whether the times are of a clock whose zone nothing shows.
        calendar: Days that have steps, None where all have.
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
    zone: Zone | None = None
    open_zone: bool = False
    calendar: CalendarFacts | None = None

    @property
    def week(self) -> int:
        """Days of a week that have steps."""
        return 7 if self.calendar is None else self.calendar.week

    @property
    def spacing(self) -> timedelta:
        """Distance of two rows of a series, closed days shared out among them."""
        return self.step * 7 / self.week

    def numbers(self, column: str) -> pl.Series:
        """Return the values of a column of numbers, or of true and false as 1 and 0; null where missing."""
        if self.columns[column].type == "boolean" and self.raw[column].dtype == pl.String:
            return to_numbers(self.raw[column], "boolean", self.read)[0]
        return as_numbers(self.raw[column], self.read)


def infer(
    path: Path,
    data: bytes,
    time: str | None = None,
    entity: str | None = None,
    target: str | None = None,
    zone: str | None = None,
    read: Read | None = None,
    form: str | None = None,
    decimal: Decimal | None = None,
) -> Inferred:
    """Return the facts about the table in `data`, which was read from `path`.

    Args:
        path: Path of the table; its suffixes name format and compression.
        data: Bytes of the file.
        time: Time column, inferred when None.
        entity: Entity column, inferred when None.
        target: Column that is forecast, if it is known; where rows are gathered to days it is summed.
        zone: Zone of the times, inferred when None.
        read: Section `read` where the place of the bytes decides on it; inferred from the name when None.
        form: Format of the times, inferred when None.
        decimal: Decimal mark of numbers in texts, inferred when None.

    Raises:
        SourceError: the bytes are not compressed as the suffix says.
        TableError: the table cannot be read or has no single reading; the column, row or option is named.
        UseCaseError: there is no such zone.
    """
    read, raw, written = _with_time(*infer_read(path, data, read, decimal), time, form, path)
    require_column(raw, "--entity", entity)
    time = str(read.time.column)
    if target is None and entity is None and (wide := melted(raw, time, path)) is not None:
        steps, raw = wide
        read = read.model_copy(update={"shape": [*read.shape, *steps]})
    columns, left_out = columns_of(raw.drop(time, *written), FORMATS[read.format].textual, read)
    left_out |= dict.fromkeys(written, "is a part of the time")
    times, clock = _times(raw, read, entity, zone, columns, path)
    if entity is None and (pair := pair_of(raw, times, columns)) is not None:
        entity = _free("_".join(pair), raw)
        read = read.model_copy(update={"combine": {entity: pair}})
        raw = combined(raw, read, str(path))
    found = _shape(raw, times, columns, entity, path)
    _set_roles(found, columns, left_out)
    if found.gathered:
        # Days are those of the times as they are written.
        times = parse_time(raw, read.time, "time", str(path))
        return _gathered(Inferred(read, times, found.entity, found.step, 1.0, columns, left_out, raw), target)
    return Inferred(
        read,
        times,
        found.entity,
        found.step,
        found.regular,
        columns,
        left_out,
        raw,
        found.events,
        zone=None if found.calendar is not None else clock,
        open_zone=clock is None and found.calendar is None and is_open(raw[time], times, read.time.format),
        calendar=found.calendar,
    )


def _with_time(
    read: Read, raw: pl.DataFrame, time: str | None, form: str | None, path: Path
) -> tuple[Read, pl.DataFrame, list[str]]:
    """Return the section `read` with its time, the table with that column, and the columns that it was joined from."""
    if (step := periods_melted(raw)) is not None:
        read, raw = _reshaped(read, raw, step, path)
    written: list[str] = []
    if time is None and (clock_step := clock_of(raw)) is not None:
        joining, written = clock_step
        (read, raw), time = _reshaped(read, raw, joining, path), next(iter(joining.columns))
    require_column(raw, "--time", time)
    time, form = time_column(raw, time, form, path)
    return read.model_copy(update={"time": TimeFormat(column=time, format=form)}), raw, written


def _reshaped(read: Read, raw: pl.DataFrame, step: ShapeBase, path: Path) -> tuple[Read, pl.DataFrame]:
    """Return the section `read` and the table after a further step of its shape."""
    return read.model_copy(update={"shape": [*read.shape, step]}), reshape(raw, [step], str(path))


def _set_roles(found: "_Shape", columns: dict[str, ColumnFacts], left_out: dict[str, str]) -> None:
    """Take the entity from the facts about columns, and take the roles of events as texts."""
    for name in found.events.roles.values() if found.events else ():
        # However many levels: its history counts, and not its name.
        columns[name] = ColumnFacts("text", 0.0)
        left_out.pop(name, None)
    for facts in (columns, left_out):
        facts.pop(found.entity or "", None)


def _free(name: str, raw: pl.DataFrame) -> str:
    """Return a name as a use case writes it that no column of a table has."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    plain = plain if plain[:1].isalpha() else f"series_{plain}"
    return plain if plain not in raw.columns else f"{plain}_series"


def _times(
    raw: pl.DataFrame, read: Read, entity: str | None, given: str | None, columns: dict[str, ColumnFacts], path: Path
) -> tuple[pl.Series, Zone | None]:
    """Return the times in naive UTC, and their zone."""
    times = parse_time(raw, read.time, "time", str(path))
    zone = zone_of(raw[str(read.time.column)], times, given)
    if zone is None or not zone.local:
        return times, zone
    if entity is None and times.is_duplicated().any():
        # By the other rows: of an hour that clocks repeat the rows of one entity would look like those of two.
        rows = ~repeated(times, zone)
        try:
            entity = grid_of(raw.filter(rows), times.filter(rows), columns, None, path).entity
        except TableError:
            entity = None
    local = read.time.model_copy(update={"zone": zone.name})
    return parse_time(raw, local, "time", str(path), entity), zone


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
    calendar: CalendarFacts | None = None


def _shape(
    raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], entity: str | None, path: Path
) -> _Shape:
    """Return entity and step of a grid; of a table that has none, of its events or its days.

    Raises:
        TableError: none of them, with the reason against a grid.
    """
    try:
        grid = grid_of(raw, times, columns, entity, path)
    except StretchError:
        raise
    except TableError as error:
        numbers = [name for name, its in columns.items() if its.type in ("float", "integer")]
        if (found := _open_days(raw, times, columns, entity, numbers)) is not None:
            return found
        if (events := event_facts(raw, times, entity, numbers)) is not None:
            return _Shape(events[0], events[1].known_after, events=events[1])
        if _is_irregular(times) and numbers:
            return _Shape(several_a_day(raw.drop(numbers), entity), timedelta(days=1), gathered=True)
        raise error
    return _Shape(grid.entity, grid.step, grid.regular)


def _open_days(
    raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts], entity: str | None, numbers: list[str]
) -> _Shape | None:
    """Return the shape of a table whose rows lie on the open days of a calendar; None for any other."""
    if not numbers:
        return None
    # An empty row for a holiday says that it is one.
    known = raw.select(pl.any_horizontal(pl.col(name).is_not_null() for name in numbers)).to_series()
    able = [entity] if entity is not None else [None, *(column.name for column in entities(raw, times, columns))]
    for name in able:
        series = None if name is None else raw[name].filter(known)
        if (calendar := calendar_of(times.filter(known), series)) is not None:
            return _Shape(name, timedelta(days=1), calendar.full, calendar=calendar)
    return None


def _is_irregular(times: pl.Series) -> bool:
    """Return whether times come at any moment of the day, where a repeated one is no mistake."""
    ordered = times.unique().sort()
    if ordered[-1] - ordered[0] <= _FEWEST_DAYS or bool((ordered.dt.truncate("1h") == ordered).all()):
        return False
    steps = ordered.diff().drop_nulls()
    return int(steps.value_counts()["count"].max()) < steps.len() / 2  # type: ignore[arg-type]


def require_column(table: pl.DataFrame, option: str, name: str | None) -> None:
    """Refuse an option that names a column which the table lacks."""
    if name is not None and name not in table.columns:
        raise TableError(f"{option} {name}: there is no such column; there is {', '.join(table.columns)}")
