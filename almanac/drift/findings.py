"""Findings that are true or false rather than a distance: absent columns, constant values, unknown seasons."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from almanac.drift.counting.accumulators import HEAD, INFINITE, MISSING, OFF, ROWS, Stretch
from almanac.drift.counting.histogram import Floats
from almanac.drift.profiles.one_pass import Counted
from almanac.drift.profiles.reference import Feature, Profile
from almanac.drift.profiles.tables import Source
from almanac.drift.profiles.unwatched import of_type

Severity = Literal["note", "warning", "broken"]


@dataclass(frozen=True)
class Finding:
    """A finding about a window; a `broken` one counts as drift."""

    severity: Severity
    column: str | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {"severity": self.severity, "column": self.column, "message": self.message}


def iso_span(span: tuple[int, int] | None) -> list[str] | None:
    """Return a time span as two ISO times, or None."""
    if span is None:
        return None
    return [str(np.datetime64(moment, "us").astype("datetime64[s]")) for moment in span]


def table_findings(profile: Profile, source: Source, whole: bool) -> list[Finding]:
    """Return the findings about columns that are not compared, and about times that are not of one kind.

    Args:
        profile: the reference.
        source: the window.
        whole: whether the reference was meant to have every column of the window.
    """
    findings = []
    for name, reason in profile.unwatched.items():
        absent = "" if name in source.schema else "; the window does not have it"
        findings.append(Finding("warning", name, f"not compared: in the reference it {reason}{absent}"))
    if whole:
        findings += _strangers(profile, source)
    if profile.time and (profile.zone is None) != (source.zone is None):
        sides = [zone or "without a zone" for zone in (profile.zone, source.zone)]
        message = f"times are {sides[0]} in the reference and {sides[1]} in the window; those without are taken as UTC"
        findings.append(Finding("warning", profile.time, message))
    return findings


def _strangers(profile: Profile, source: Source) -> list[Finding]:
    """Return the findings about columns that only the window has."""
    known = {part for name in profile.features for part in profile.roles.sources(name)}
    known |= {*profile.features, *profile.unwatched, *filter(None, (profile.time, profile.entity))}
    found = []
    for name in (name for name in source.schema if name not in known):
        reason = of_type(source.schema[name])
        message = "not compared: the reference does not have it" + (f", and it {reason}" if reason else "")
        found.append(Finding("warning", name, message))
    return found


def span_findings(profile: Profile, counted: Counted, weights: Floats) -> list[Finding]:
    """Return the findings about the time of a window, given its rows in each season (s,)."""
    findings = []
    if profile.span and counted.span and counted.span[0] <= profile.span[1] and counted.span[1] >= profile.span[0]:
        window, reference = (" to ".join(iso_span(span) or ()) for span in (counted.span, profile.span))
        findings.append(Finding("warning", None, f"the window ({window}) overlaps the reference ({reference})"))
    elif profile.span and counted.span and counted.span[1] < profile.span[0]:
        window, reference = (" to ".join(iso_span(span) or ()) for span in (counted.span, profile.span))
        findings.append(Finding("warning", None, f"the window ({window}) is before the reference ({reference})"))
    first = next(iter(profile.features.values()))
    unknown = weights[first.seasons[:, ROWS] == 0].sum() if len(weights) > 1 else 0
    if unknown:
        message = f"{int(unknown)} of {int(weights.sum())} rows are in seasons that the reference does not have"
        findings.append(Finding("warning", None, message))
    if not any(feature.nulls for feature in profile.features.values()):
        findings.append(Finding("warning", None, "the reference is too short to calibrate on; thresholds are defaults"))
    return findings


def column_findings(feature: Feature, like: Floats, tally: Floats, total: Stretch) -> list[Finding]:
    """Return the findings about a column, given the tallies of its season in the reference and of the window."""
    findings, name = [], feature.name
    rows, was = int(tally[ROWS]), feature.total
    # A column that was empty before cannot break.
    if tally[MISSING] == rows and was[MISSING] < was[ROWS]:
        findings.append(Finding("broken", name, f"all {rows} values are missing"))
    if was[MISSING] == was[ROWS]:
        findings.append(Finding("warning", name, f"all {int(was[ROWS])} values of the reference are missing"))
    if was[INFINITE]:
        message = f"{int(was[INFINITE])} of {int(was[ROWS])} values of the reference are infinite, beyond every range"
        findings.append(Finding("warning", name, message))
    if tally[INFINITE] and not was[INFINITE]:
        findings.append(Finding("broken", name, f"{int(tally[INFINITE])} values are infinite; the reference has none"))
    if feature.layout is not None and total.minimum == total.maximum and np.count_nonzero(like[len(HEAD) :]) > 1:
        findings.append(Finding("warning", name, f"every value is {total.minimum:g}; the reference it is like varies"))
    if feature.layout is None and tally[OFF]:
        unseen = sorted(set(total.labels) - set(feature.labels))
        shown = ", ".join(repr(label) for label in unseen[:5]) + (", …" if len(unseen) > 5 else "")
        findings.append(Finding("warning", name, f"{int(tally[OFF])} values of categories never seen: {shown}"))
    return findings
