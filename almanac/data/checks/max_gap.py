"""No gap may be longer than allowed."""

from collections.abc import Iterator

from almanac.data.checks import Check, Finding, Stage, Subject, count_of
from almanac.data.checks.gaps import find_gaps, gap_finding
from almanac.usecase.types import to_microseconds


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, longest = subject.usecase, subject.usecase.validation.max_gap
    if longest is None:
        return
    limit = to_microseconds(longest) // to_microseconds(usecase.time.frequency)
    if gaps := [gap for gap in find_gaps(subject.table, usecase) if gap.steps > limit]:
        yield gap_finding("error", "max_gap", f"{count_of(len(gaps), 'gap')} longer than {longest}", gaps)


KIND = Check("max_gap", Stage.GAPS, _find)
