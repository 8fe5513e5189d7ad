"""Section on the rules that the table as a whole keeps."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from almanac.core.kinds import Kinds
from almanac.usecase.types import Duration, Section, absent, to_utc, union_of


def _check_as_of(text: str) -> str:
    if text != "now":
        try:
            to_utc(text)
        except ValueError:
            raise ValueError(f'{text!r} is neither now nor an ISO date such as "2015-01-01"') from None
    return text


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
    leaks: Annotated[Literal["error", "warning"], absent("error")] = "error"
    """Severity of a column that nearly equals a target's future; a warning where it is known by then."""
    min_rows: Annotated[int, Field(ge=1)] = 1
    """Fewest rows."""
    completeness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest share of the grid's times that each source must have."""
    staleness: Staleness | None = None
    """Limit on the age of the newest row."""
    # Left out of a dump when empty, so that the digests of use cases without such checks stay as they were.
    checks: Annotated[list[DeclaredCheck], absent([])] = []
    """Further checks."""
