"""Sections on sources: how their bytes are read, shaped and joined, and the grid of times."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from almanac.core.kinds import Kinds
from almanac.usecase.address import UNSTATED
from almanac.usecase.calendar_section import CalendarField
from almanac.usecase.shape_section import Resample, Shape
from almanac.usecase.types import (
    Date,
    Duration,
    Length,
    Name,
    Section,
    Sha256,
    absent,
    name_of,
    to_microseconds,
    union_of,
)


def _check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    # The name of a folder of the database, such as Europe, raises an IsADirectoryError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is not a time zone; write an IANA name such as UTC or Asia/Shanghai") from None
    return zone


def _check_zone_if_any(zone: str | None) -> str | None:
    return None if zone is None else _check_zone(zone)


def _check_encoding(encoding: str) -> str:
    try:
        # Others, such as zip, are known too, and make no text.
        "".encode(encoding)
    except LookupError:
        raise ValueError(f"{encoding!r} is no encoding; write one such as utf-8, windows-1252 or utf-16") from None
    return encoding


def _check_pattern(pattern: str | None) -> str | None:
    try:
        groups = re.compile(pattern or "").groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if pattern is not None and not groups:
        raise ValueError(f"{pattern!r} has no named group, such as (?P<machine>.+)")
    return pattern


#: The parts that a time can be written in.
Part = Literal["year", "month", "day", "hour", "minute"]


class TimeFormat(Section):
    """Notation of the time in a source."""

    column: str | None = None
    """The column that holds the time."""
    format: str | None = None
    """Its strftime format, or epoch_s, epoch_ms or epoch_us; ISO 8601 when absent. A month, a quarter (Q%q), a week
    (%G-W%V) or a year is read as its first day."""
    parts: dict[Part, str] | None = None
    """Or the columns that hold the parts of the time."""
    columns: Annotated[list[str] | None, absent(None)] = None
    """Or several columns, which are joined by a space and read by `format`."""
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    """IANA zone of times without an offset, which are then turned into UTC; the zone of the use case when absent. In an
    hour that clocks repeat, a time is the earlier one, and the later one where it comes up again; one that clocks skip
    is an error."""

    @model_validator(mode="after")
    def _one_of(self) -> "TimeFormat":
        if sum(part is not None for part in (self.column, self.parts, self.columns)) != 1:
            raise ValueError("give either 'column' or 'parts'")
        if self.columns is not None and self.format is None:
            raise ValueError("'columns' needs the 'format' of the columns joined by a space")
        if self.parts is not None and not {"year", "month", "day"} <= self.parts.keys():
            raise ValueError("'parts' needs at least year, month and day")
        if self.parts is not None and self.format is not None:
            raise ValueError("'format' belongs to 'column', not to 'parts'")
        return self


FORMATS: Kinds[Any] = Kinds("format", "almanac.data.formats")

if TYPE_CHECKING:
    from almanac.core.grid import Grid, OpenDays

    Format = str
else:
    Format = name_of(FORMATS)


class Pair(Section):
    """Rows of one event, each of another role, brought side by side."""

    by: str
    """Source column that identifies the event."""
    role: str
    """Source column that holds the role of a row."""
    roles: Annotated[dict[Name, str], Field(min_length=2)]
    """Each role, and the value that its rows have."""
    first: Name
    """The role whose row gives the columns that are not of each role."""
    columns: Annotated[list[str], Field(min_length=1)]
    """Source columns that each role has of its own: `home_runs` from `runs`."""

    @model_validator(mode="after")
    def _known_role(self) -> "Pair":
        if self.first not in self.roles:
            raise ValueError(f"first: no role {self.first}; known: {', '.join(self.roles)}")
        return self


class Read(Section):
    """Reading of the bytes of a source."""

    format: Format = "csv"
    """Format of the file."""
    compression: Literal["none", "gzip", "bz2", "xz", "zip", "zstd"] = "none"
    """Compression of the file."""
    member: str | None = None
    """Member of a zip archive; the only one when absent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Delimiter of a CSV file."""
    # What is left out of a dump at its default came later than the digests of use cases without it.
    encoding: Annotated[str, AfterValidator(_check_encoding), absent("utf-8")] = "utf-8"
    """Encoding of a text file, such as windows-1252."""
    decimal: Annotated[Literal[".", ","], absent(".")] = "."
    """Decimal mark of numbers in texts."""
    thousands: Annotated[Literal[".", ",", " ", "'"] | None, absent(None)] = None
    """Mark between the thousands of numbers in texts, which is taken out."""
    signs: Annotated[list[Annotated[str, Field(min_length=1)]], absent([])] = []
    """Signs before or after numbers in texts, such as $ or %, which are taken out; 5% is 5."""
    skip_rows: Annotated[int, Field(ge=0), absent(0)] = 0
    """Lines of a text file, or rows of a sheet, above the header."""
    header_rows: Annotated[int, Field(ge=1, le=3), absent(1)] = 1
    """Rows of a sheet that its header takes: a name is those of its rows, of which an upper one may cover several."""
    table: Annotated[str | None, absent(None)] = None
    """Table in the file: sheet of a workbook, object of R data; the only one when absent."""
    from_name: Annotated[str | None, AfterValidator(_check_pattern), absent(None)] = None
    """Regular expression with named groups, each of which gives a column its value from the file's name; folders
    such as year=2015 give theirs without it."""
    shape: Annotated[list[Shape], absent([])] = []
    """Steps from the file's table to one with a row for each time, in their order, before anything else is read."""
    resample: Annotated[Resample | None, absent(None)] = None
    """Gathering of rows to regular steps, after all else is read."""
    null_values: list[str] = []
    """Texts that mean a missing value, besides the empty one."""
    only: Annotated[dict[str, list[str]], absent({})] = {}
    """Source columns, and the values that a row must have in each of them to be read."""
    combine: Annotated[dict[Name, list[str]], absent({})] = {}
    """New text columns, each of several source columns joined by a space, such as a card and its grade."""
    pair: Annotated[Pair | None, absent(None)] = None
    """Rows of one event brought side by side."""
    time: TimeFormat
    """Notation of the time."""
    rename: dict[str, str] = {}
    """Source column to the name used here."""
    values: dict[str, dict[str, float]] = {}
    """For a column (by the name used here) the number that each of its texts stands for."""
    drop: list[str] = []
    """Source columns to leave out."""
    # Left out of a dump by default, so that the digests of use cases without it stay as they were.
    others: Annotated[Literal["error", "drop"], absent("error")] = "error"
    """Treatment of any other undeclared column; they are left out where the file has no section `columns`."""

    @model_validator(mode="after")
    def _consistent(self) -> "Read":
        if self.decimal == self.thousands:
            raise ValueError(f"'decimal' and 'thousands' are both {self.decimal!r}")
        if self.header_rows != 1 and self.format != "excel":
            raise ValueError("'header_rows' belongs to format excel")
        if self.member is not None and self.compression != "zip":
            raise ValueError("'member' belongs to compression zip")
        names = list(self.rename.values())
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"'rename' gives two columns the name {', '.join(twice)}")
        if both := sorted(self.rename.keys() & set(self.drop)):
            raise ValueError(f"renamed and dropped: {', '.join(both)}")
        return self


class Join(Section):
    """Join of a further source to the first: its newest row at or before each time, never a later one."""

    tolerance: Duration | None = None
    """Largest age of the joined row; may be absent where `keys` give the rows that belong together."""
    keys: Annotated[list[Name], absent([])] = []
    """Columns by which rows belong together, such as the key of a game, in place of the entity."""
    until: Annotated[Name | None, absent(None)] = None
    """With `keys`, a column with a time in seconds since 1970, UTC, after which no row is joined, such as the start of
    a game; the rows' own time when absent."""
    less: Annotated[Duration, absent("0h")] = "0h"
    """How long before that time a joined row must have been known."""
    take: Annotated[Literal["newest", "oldest", "only"], absent("newest")] = "newest"
    """Which of the rows with equal keys: the newest or the oldest known by then, or the only one, whatever its time."""
    ahead: Annotated[Duration | None, absent(None)] = None
    """How long before its time a row is known, such as a price plan or a weather forecast: each time gets the row that
    is valid so much later, at most up to a target's time."""
    by_entity: bool = True
    """Whether to join within the entity, where the use case has one."""

    @model_validator(mode="after")
    def _consistent(self) -> "Join":
        if not self.keys and self.tolerance is None:
            raise ValueError("give a 'tolerance', the largest age of the joined row, or 'keys'")
        if not self.keys and (self.until is not None or self.take != "newest" or self.less != "0h"):
            raise ValueError("'until', 'less' and 'take' belong to 'keys'")
        if self.keys and self.ahead is not None:
            raise ValueError("'ahead' belongs to a join by time, without 'keys'")
        return self


class SourceBase(Section):
    """The fields of every source; each module of `almanac.data.sources` adds those of its kind."""

    type: str
    """Kind of the source."""
    name: Name
    """Name of the source in the lineage."""
    title: str = ""
    """Title for the data card; the name when absent."""
    url: str | None = None
    """Page that describes the data."""
    licence: str = UNSTATED
    """Licence of the data."""
    sha256: Sha256 | None = None
    """Digest that the bytes must have."""
    read: Read
    """Reading of its bytes."""
    available_after: Annotated[Duration | None, absent(None)] = None
    """How long after its time a row of a joined source is known; the length of its steps where it is resampled."""
    join: Join | None = None
    """Join to the first source; absent on the first."""
    below: Annotated[bool, absent(False)] = False
    """Whether its rows come below those of the source before it, as of one table in several files."""

    @property
    def delay(self) -> str | None:
        """How long after its time a row is known; None where it is known at once."""
        # An aggregate has the time at which its step begins, and is known when the step is over.
        step = self.read.resample.every if self.read.resample is not None else None
        return self.available_after or step

    @property
    def several(self) -> bool:
        """Whether the source's bytes are several files, bundled."""
        return False


SOURCES: Kinds[Any] = Kinds("source", "almanac.data.sources", "almanac.sources")

if TYPE_CHECKING:
    Source = SourceBase
else:
    Source = union_of(SOURCES, "type")


class TimeGrid(Section):
    """The time column and its grid."""

    column: Name = "timestamp"
    """Name of the time column."""
    # Every lag and window is counted in steps of the grid, and none fits into a step of nothing.
    frequency: Length
    """Distance of two rows; of events, which have none, the step in which evaluation and drift count time."""
    zone: Annotated[str | None, AfterValidator(_check_zone_if_any), absent(None)] = None
    """IANA zone of the use case: calendar features and groups are of its local time, and sources' times without an
    offset are read in it unless `read.time.zone` says otherwise; UTC when absent. Tables and models keep UTC."""
    origin: Annotated[Date | None, absent(None)] = None
    """Day that times are counted from where they have no calendar, as in a trace of numbered steps: reports show the
    days since then."""
    calendar: Annotated[CalendarField, absent(None)] = None
    """Days that have steps, of a grid of days: `weekdays`, or those of a country, an exchange or a week. Horizons,
    lags, windows, seasons, the cutoff and blocks are then counted in open days: 5d is a week of five."""

    @property
    def open_days(self) -> "OpenDays | None":
        """The days that have steps; None where all have."""
        return None if self.calendar is None else self.calendar.days()

    @property
    def grid(self) -> "Grid":
        """The grid of the table's times."""
        # The help of a command reads this schema, and waits for no array.
        from almanac.core.grid import grid_of

        return grid_of(to_microseconds(self.frequency), self.open_days)
