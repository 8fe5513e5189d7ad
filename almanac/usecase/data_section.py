"""Sections on the data: sources, columns, and the rules of validation."""

import codecs
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from almanac.core.kinds import Kinds
from almanac.core.levels import OTHER, is_open
from almanac.usecase.address import UNSTATED
from almanac.usecase.shape_section import Resample, Shape
from almanac.usecase.types import Duration, Length, Name, Section, Sha256, name_of, to_utc, union_of


def _check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    # The name of a folder of the database, such as Europe, raises an IsADirectoryError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is not a time zone; write an IANA name such as UTC or Asia/Shanghai") from None
    return zone


def _check_zone_if_any(zone: str | None) -> str | None:
    return None if zone is None else _check_zone(zone)


def _check_as_of(text: str) -> str:
    if text != "now":
        try:
            to_utc(text)
        except ValueError:
            raise ValueError(f'{text!r} is neither now nor an ISO date such as "2015-01-01"') from None
    return text


def _check_encoding(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
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


def _absent(default: Any) -> Any:
    """Return the annotation of a field that a dump leaves out at its default."""
    return Field(exclude_if=lambda value: value == default)


#: The parts that a time can be written in.
Part = Literal["year", "month", "day", "hour", "minute"]


class TimeFormat(Section):
    """Notation of the time in a source."""

    column: str | None = None
    """The column that holds the time."""
    format: str | None = None
    """Its strftime format, or epoch_s, epoch_ms or epoch_us; ISO 8601 when absent."""
    parts: dict[Part, str] | None = None
    """Or the columns that hold the parts of the time."""
    columns: Annotated[list[str] | None, Field(exclude_if=lambda columns: columns is None)] = None
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
    Format = str
else:
    Format = name_of(FORMATS)


class Pair(Section):
    """Rows of one event, each of another role, brought side by side."""

    by: str
    """Source column that identifies the event."""
    role: str
    """Source column that tells the role of a row."""
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
    compression: Literal["none", "gzip", "bz2", "xz", "zip"] = "none"
    """Compression of the file."""
    member: str | None = None
    """Member of a zip archive; the only one when absent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Delimiter of a CSV file."""
    # What is left out of a dump at its default came later than the digests of use cases without it.
    encoding: Annotated[str, AfterValidator(_check_encoding), _absent("utf-8")] = "utf-8"
    """Encoding of a text file, such as windows-1252."""
    decimal: Annotated[Literal[".", ","], _absent(".")] = "."
    """Decimal mark of numbers in texts."""
    thousands: Annotated[Literal[".", ",", " ", "'"] | None, _absent(None)] = None
    """Mark between the thousands of numbers in texts, which is taken out."""
    skip_rows: Annotated[int, Field(ge=0), _absent(0)] = 0
    """Lines of a text file, or rows of a sheet, above the header."""
    table: Annotated[str | None, _absent(None)] = None
    """Table in the file: sheet of a workbook, object of R data; the only one when absent."""
    from_name: Annotated[str | None, AfterValidator(_check_pattern), _absent(None)] = None
    """Regular expression with named groups, each of which gives a column its value from the file's name; folders
    such as year=2015 give theirs without it."""
    shape: Annotated[list[Shape], _absent([])] = []
    """Steps from the file's table to one with a row for each time, in their order, before anything else is read."""
    resample: Annotated[Resample | None, _absent(None)] = None
    """Gathering of rows to regular steps, after all else is read."""
    null_values: list[str] = []
    """Texts that mean a missing value, besides the empty one."""
    only: Annotated[dict[str, list[str]], Field(exclude_if=lambda only: not only)] = {}
    """Source columns, and the values that a row must have in each of them to be read."""
    combine: Annotated[dict[Name, list[str]], Field(exclude_if=lambda combine: not combine)] = {}
    """New text columns, each of several source columns joined by a space, such as a card and its grade."""
    pair: Annotated[Pair | None, Field(exclude_if=lambda pair: pair is None)] = None
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
    others: Annotated[Literal["error", "drop"], Field(exclude_if=lambda others: others == "error")] = "error"
    """Treatment of any other undeclared column; they are left out where the file has no section `columns`."""

    @model_validator(mode="after")
    def _consistent(self) -> "Read":
        if self.decimal == self.thousands:
            raise ValueError(f"'decimal' and 'thousands' are both {self.decimal!r}")
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
    keys: Annotated[list[Name], Field(exclude_if=lambda keys: not keys)] = []
    """Columns by which rows belong together, such as the key of a game, in place of the entity."""
    until: Annotated[Name | None, Field(exclude_if=lambda until: until is None)] = None
    """With `keys`, a column with a time in seconds since 1970, UTC, after which no row is joined, such as the start of
    a game; the rows' own time when absent."""
    less: Annotated[Duration, Field(exclude_if=lambda less: less == "0h")] = "0h"
    """How long before that time a joined row must have been known."""
    take: Annotated[Literal["newest", "oldest", "only"], Field(exclude_if=lambda take: take == "newest")] = "newest"
    """Which of the rows with equal keys: the newest or the oldest known by then, or the only one, whatever its time."""
    ahead: Annotated[Duration | None, _absent(None)] = None
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
    available_after: Annotated[Duration | None, _absent(None)] = None
    """How long after its time a row of a joined source is known; the length of its steps where it is resampled."""
    join: Join | None = None
    """Join to the first source; absent on the first."""
    below: Annotated[bool, Field(exclude_if=lambda below: not below)] = False
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
    zone: Annotated[str | None, AfterValidator(_check_zone_if_any), _absent(None)] = None
    """IANA zone of the use case: calendar features and groups are of its local time, and sources' times without an
    offset are read in it unless `read.time.zone` says otherwise; UTC when absent. Tables and models keep UTC."""


class Derived(Section):
    """A column computed from others of its row."""

    operation: Literal["sum", "difference", "product", "ratio", "greater", "log", "us_odds"]
    """Operation; greater is 1 or 0; us_odds is the vig-free probability of `left`, by both prices in US odds."""
    left: Name
    """Column."""
    right: Name | float | int | None = None
    """Column or number; absent for a logarithm."""

    @model_validator(mode="after")
    def _operands(self) -> "Derived":
        if (self.operation == "log") != (self.right is None):
            raise ValueError("'right' belongs to every operation but log")
        return self


class Others(Section):
    """A statistic of a column over the other entities at the same time."""

    column: Name
    """Numeric column."""
    statistic: Literal["mean", "sum", "count"] = "mean"
    """Statistic of the values present; count is their number."""


class Column(Section):
    """One column of the joined table."""

    type: Literal["float", "integer", "boolean", "date", "category", "text"]
    """Type of its values; a boolean is 0 or 1, a date the days since 1970-01-01; a text identifies something, such as a
    pitcher whose history counts, and is no feature."""
    description: str = ""
    """Measured quantity; the column's name when absent."""
    unit: str | None = None
    """Unit of its values."""
    min: float | None = None
    """Smallest possible value."""
    max: float | None = None
    """Largest possible value."""
    categories: list[str] | None = None
    """All values of a category; learned from the training span when absent. With (other) as the last one, a value that
    is none of them counts as that; learned levels always end with it."""
    max_levels: Annotated[int | None, Field(ge=1), _absent(None)] = None
    """Of learned levels, only so many of the most frequent ones; the others count as (other)."""
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest share of missing values; more is an error."""
    derived: Annotated[Derived | None, Field(exclude_if=lambda derived: derived is None)] = None
    """Computation from other columns, where no source has it."""
    others: Annotated[Others | None, _absent(None)] = None
    """Or a statistic over the other entities; it is known when their values are, at the row's own time."""

    @property
    def is_open(self) -> bool:
        """Whether it is a category that takes any text, most of which count as the bucket."""
        return self.type == "category" and (self.categories is None or is_open(self.categories))

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if self.max_levels is not None and (self.type != "category" or self.categories is not None):
            raise ValueError("'max_levels' belongs to a category whose levels are learned, without 'categories'")
        if self.categories is not None and OTHER in self.categories[:-1]:
            raise ValueError(f"{OTHER!r} is the bucket of all other levels; write it last in 'categories'")
        if self.type != "category" and self.categories is not None:
            raise ValueError("'categories' belongs to type category only")
        if self.categories is not None and len(set(self.categories)) < len(self.categories):
            raise ValueError("'categories' lists a value twice")
        if self.categories is not None and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' belong to numbers")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Staleness(Section):
    """Limit on the age of the newest row."""

    max_age: Duration
    """Age above which the data are stale."""
    as_of: Annotated[str, AfterValidator(_check_as_of)] = "now"
    """Time of comparison: now, or a date for an archive that no longer grows."""
    severity: Literal["warning", "error"] = "warning"
    """Severity of stale data."""


class CheckBase(Section):
    """The fields of every check that a use case asks for; each module of such a check adds its own."""

    rule: str
    """Name of the check."""
    severity: Literal["warning", "error"] = "warning"
    """Severity of a finding."""


CHECKS: Kinds[Any] = Kinds("check", "almanac.data.checks", "almanac.checks")

if TYPE_CHECKING:
    DeclaredCheck = CheckBase
else:
    DeclaredCheck = union_of(CHECKS, "rule")


class Validation(Section):
    """Rules for the table as a whole."""

    duplicates: Literal["error", "keep_first", "keep_last"] = "error"
    """Treatment of rows with the same entity and time; keeping one is reported as a warning."""
    unsorted: Literal["error", "sort"] = "error"
    """Treatment of rows that are not in order of time."""
    gaps: Literal["error", "warning"] = "warning"
    """Severity of a missing time on the grid."""
    max_gap: Duration | None = None
    """A gap longer than this is an error."""
    out_of_range: Literal["error", "null"] = "error"
    """Treatment of values beyond min and max; setting them missing is reported as a warning."""
    leaks: Annotated[Literal["error", "warning"], Field(exclude_if=lambda leaks: leaks == "error")] = "error"
    """Severity of a column that nearly equals a target's future; a warning where it is known by then."""
    min_rows: Annotated[int, Field(ge=1)] = 1
    """Fewest rows."""
    completeness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest share of the grid's times that each source must have."""
    staleness: Staleness | None = None
    """Limit on the age of the newest row."""
    # Left out of a dump when empty, so that the digests of use cases without such checks stay as they were.
    checks: Annotated[list[DeclaredCheck], Field(exclude_if=lambda checks: not checks)] = []
    """Further checks."""
