"""Sections on the data: sources, columns, and the rules of validation."""

from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from almanac.core.kinds import Kinds
from almanac.usecase.types import Duration, Name, Section, Sha256, name_of, to_microseconds, to_utc, union_of


def _check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    # The name of a folder of the database, such as Europe, raises an IsADirectoryError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is not a time zone; write an IANA name such as UTC or Asia/Shanghai") from None
    return zone


def _check_as_of(text: str) -> str:
    if text != "now":
        try:
            to_utc(text)
        except ValueError:
            raise ValueError(f'{text!r} is neither now nor an ISO date such as "2015-01-01"') from None
    return text


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
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    """IANA zone of times without an offset, which are then turned into UTC; kept as they are written when absent."""

    @model_validator(mode="after")
    def _one_of(self) -> "TimeFormat":
        if (self.column is None) == (self.parts is None):
            raise ValueError("give either 'column' or 'parts'")
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


class Read(Section):
    """Reading of the bytes of a source."""

    format: Format = "csv"
    """Format of the file."""
    compression: Literal["none", "gzip", "xz", "zip"] = "none"
    """Compression of the file."""
    member: str | None = None
    """Member of a zip archive; the only one when absent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Delimiter of a CSV file."""
    null_values: list[str] = []
    """Texts that mean a missing value, besides the empty one."""
    time: TimeFormat
    """Notation of the time."""
    rename: dict[str, str] = {}
    """Source column to the name used here."""
    values: dict[str, dict[str, float]] = {}
    """For a column (by the name used here) the number that each of its texts stands for."""
    drop: list[str] = []
    """Source columns to leave out; any other undeclared column is an error."""

    @model_validator(mode="after")
    def _consistent(self) -> "Read":
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

    tolerance: Duration
    """Largest age of the joined row."""
    by_entity: bool = True
    """Whether to join within the entity, where the use case has one."""


class SourceBase(Section):
    """The fields of every source; each module of `almanac.data.sources` adds those of its kind."""

    type: str
    """Kind of the source."""
    name: Name
    """Name of the source in the lineage."""
    title: str
    """Title for the data card."""
    url: str | None = None
    """Page that describes the data."""
    licence: str
    """Licence of the data."""
    sha256: Sha256 | None = None
    """Digest that the bytes must have."""
    read: Read
    """Reading of its bytes."""
    join: Join | None = None
    """Join to the first source; absent on the first."""


SOURCES: Kinds[Any] = Kinds("source", "almanac.data.sources", "almanac.sources")

if TYPE_CHECKING:
    Source = SourceBase
else:
    Source = union_of(SOURCES, "type")


def _check_positive(duration: str) -> str:
    # Every lag and window is counted in steps of the grid, and none fits into a step of nothing.
    if not to_microseconds(duration):
        raise ValueError(f"{duration!r} has no length; write one such as 1h")
    return duration


class TimeGrid(Section):
    """The time column and its grid."""

    column: Name = "timestamp"
    """Name of the time column."""
    frequency: Annotated[Duration, AfterValidator(_check_positive)]
    """Distance of two rows; of events, which have none, the step in which evaluation and drift count time."""


class Column(Section):
    """One column of the joined table."""

    type: Literal["float", "integer", "category"]
    """Type of its values."""
    description: str
    """Measured quantity."""
    unit: str | None = None
    """Unit of its values."""
    min: float | None = None
    """Smallest possible value."""
    max: float | None = None
    """Largest possible value."""
    categories: list[str] | None = None
    """All values of a category."""
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest share of missing values; more is an error."""

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if (self.type == "category") != (self.categories is not None):
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
    min_rows: Annotated[int, Field(ge=1)] = 1
    """Fewest rows."""
    completeness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest share of the grid's times that each source must have."""
    staleness: Staleness | None = None
    """Limit on the age of the newest row."""
    # Left out of a dump when empty, so that the digests of use cases without such checks stay as they were.
    checks: Annotated[list[DeclaredCheck], Field(exclude_if=lambda checks: not checks)] = []
    """Further checks."""
