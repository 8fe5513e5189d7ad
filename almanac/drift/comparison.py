"""Comparison of a window with its reference profile."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.clocks import wall_time
from almanac.core.errors import DriftError
from almanac.drift import statistics
from almanac.drift.counting.accumulators import ABOVE, BELOW, HEAD, MISSING, OFF, ROWS, Stretch, set_out
from almanac.drift.counting.histogram import Floats
from almanac.drift.counting.resolution import single_valued
from almanac.drift.findings import Finding, column_findings, iso_span, span_findings, table_findings
from almanac.drift.measures import Pair, measure_categories, measure_numbers
from almanac.drift.profiles.one_pass import Counted, count_table
from almanac.drift.profiles.profiling import history
from almanac.drift.profiles.reference import FORMAT, Feature, Profile
from almanac.drift.profiles.seasons import Calendar, mixture
from almanac.drift.profiles.tables import Source, Table, as_numbers
from almanac.drift.thresholds import Judgement, judge_all, step_up, strength

#: A window of fewer rows cannot be distinguished from chance.
LEAST_ROWS = 30


@dataclass(frozen=True)
class FeatureDrift:
    """The judgement of one column of a window.

    Attributes:
        name: column.
        role: feature, target, prediction or residual.
        kind: number or category.
        drifted: whether it is among the discoveries at the profile's false-alarm rate.
        p_value: least of its measures' p-values, each over the measure's part of the false-alarm chance.
        cause: the measure with the least p-value.
        judgements: the judgement of each measure.
        facts: plain metrics of the window and of the reference it is compared with.
        shares: shares of the bins in the reference, in all of the window, and in each of its blocks, in 255ths
            (2 + b, bins).
    """

    name: str
    role: str
    kind: str
    drifted: bool
    p_value: float
    cause: str
    judgements: dict[str, Judgement]
    facts: dict[str, float]
    shares: NDArray[np.uint8]

    @property
    def score(self) -> float:
        """Its strongest measure over the measure's threshold."""
        return strength(self.judgements)

    def to_json(self) -> dict[str, Any]:
        """Return the column and its verdict as JSON."""
        return {
            "name": self.name,
            "role": self.role,
            "kind": self.kind,
            "drifted": self.drifted,
            "p_value": self.p_value,
            "cause": self.cause,
            "score": self.score,
            "statistics": {
                name: {"value": j.value, "threshold": j.threshold, "p_value": j.p_value, "calibrated": j.calibrated}
                for name, j in self.judgements.items()
            },
            **self.facts,
        }


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a window with a profile.

    Attributes:
        profile: the reference.
        rows: rows of the window.
        span: first and last time of the window in microseconds, None without time.
        blocks: names of the window's blocks.
        features: judged columns.
        findings: facts that are true or false, such as an absent column.
        generated_at: when it was compared, by the wall clock.
    """

    profile: Profile
    rows: int
    span: tuple[int, int] | None
    blocks: tuple[str, ...]
    features: tuple[FeatureDrift, ...]
    findings: tuple[Finding, ...]
    generated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def drifted(self) -> bool:
        """Whether any column has drifted or anything is broken."""
        return any(feature.drifted for feature in self.features) or any(f.severity == "broken" for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        profile = self.profile
        return {
            "format": FORMAT,
            "kind": "drift comparison",
            "generated_at": wall_time(self.generated_at),
            "drifted": self.drifted,
            "drifted_features": [feature.name for feature in self.features if feature.drifted],
            "false_alarm_rate": profile.false_alarm_rate,
            "season": profile.calendar.season,
            "reference": {"rows": profile.rows, "span": iso_span(profile.span)},
            "window": {"rows": self.rows, "span": iso_span(self.span)},
            "features": [feature.to_json() for feature in self.features],
            "findings": [finding.to_json() for finding in self.findings],
        }


def compare(
    profile: Profile,
    table: Table,
    *,
    exact: bool = False,
    now: datetime | None = None,
    rate: float | None = None,
    whole: bool = True,
    name: str = "",
) -> Comparison:
    """Compare a window with a reference profile.

    Args:
        profile: the frozen reference.
        table: the window: polars or pandas frame, a Parquet or CSV file, or several Parquet files, which are streamed.
        exact: add the exact Kolmogorov–Smirnov distance of each number to the whole reference, as `ks_exact`; needs a
            profile that was made with `keep=True`.
        now: time of the comparison by the wall clock; the present when None.
        rate: chance of a false alarm for these columns together, where more than they are judged; the profile's when
            None.
        whole: whether to name the window's columns that the reference does not have.
        name: name of the table in errors; that of its file when empty.

    Raises:
        DriftError: a window without rows or with too few, without the profile's time column, or unreadable.
    """
    source = Source(table, profile.time, profile.entity, name)
    if source.rows < LEAST_ROWS:
        raise DriftError(f"{source.name} has {source.rows} rows; a window needs at least {LEAST_ROWS} to be judged")
    if exact and profile.kept is None:
        raise DriftError("an exact distance needs the reference itself; make the profile with keep=True")
    findings: list[Finding] = table_findings(profile, source, whole)
    present = [name for name in profile.features if _usable(profile, source, name, findings)]
    # Without time there are no seasons, and the window is one block.
    calendar = profile.calendar if profile.time else Calendar("none", max(1, source.rows), rows=True)
    counted = count_table(source, calendar, {n: profile.features[n].layout for n in present}, profile.roles)
    season_rows = _season_rows(counted, calendar, profile)
    findings += span_findings(profile, counted, season_rows)
    rate = profile.false_alarm_rate if rate is None else rate
    # The level sets the reported thresholds only; which columns have drifted is decided by `step_up`.
    drafts = [_judge(profile, name, counted, season_rows, findings, rate / len(present)) for name in present]
    if exact:
        _add_exact(profile, source, drafts)
    flags = step_up([draft.p_value for draft in drafts], rate)
    return Comparison(
        profile=profile,
        rows=counted.rows,
        span=counted.span,
        blocks=tuple(calendar.label(key) for key in sorted(counted.blocks)),
        features=tuple(replace(draft, drifted=flag) for draft, flag in zip(drafts, flags, strict=True)),
        findings=tuple(findings),
        generated_at=now or datetime.now(UTC),
    )


def _usable(profile: Profile, source: Source, name: str, findings: list[Finding]) -> bool:
    """Return whether a watched column can be counted in the window; add to `findings` where it cannot."""
    expected, kinds = profile.features[name].kind, source.kinds()
    for part in profile.roles.sources(name):
        if part not in source.schema:
            findings.append(Finding("broken", name, f"column {part!r} is absent; the reference has it"))
            return False
        # A column without values is missing data, and no change of its type.
        if source.all_missing(part):
            source.retype(part, expected)
        elif kinds.get(part) != expected:
            held = f"{source.schema[part]} where the reference has a {expected}"
            findings.append(Finding("broken", name, f"column {part!r} holds {held}"))
            return False
    return True


def _season_rows(counted: Counted, calendar: Calendar, profile: Profile) -> Floats:
    """Return the rows of the window in each season (s,)."""
    rows = np.zeros(max((len(f.head) for f in profile.features.values()), default=1))
    for key, block in counted.blocks.items():
        rows[calendar.season_of(key)] += next(iter(block.values())).tally[ROWS]
    return rows


def _judge(
    profile: Profile, name: str, counted: Counted, season_rows: Floats, findings: list[Finding], level: float
) -> FeatureDrift:
    feature, total = profile.features[name], counted.totals[name]
    like = mixture(feature.seasons, season_rows)
    tally = total.tally if feature.layout is not None else set_out(total, feature.labels)
    # A column that never changes has runs as long as the window, however long that is.
    run = total.runs.longest / max(1.0, tally[ROWS] / profile.block_rows)
    pair = Pair(like, tally, run, feature.layout, feature.spread)
    values = measure_categories(pair) if feature.layout is None else measure_numbers(pair)
    judged, p_values = judge_all(values, feature.nulls, max(1.0, profile.block_rows / tally[ROWS]), level)
    # The first of equal ones: measures have a fixed order.
    cause = min(p_values, key=p_values.__getitem__)
    findings += column_findings(feature, like, tally, total)
    blocks = [counted.blocks[key][name] for key in sorted(counted.blocks)]
    tallies = [b.tally if feature.layout is not None else set_out(b, feature.labels) for b in blocks]
    return FeatureDrift(
        name=name,
        role=feature.role,
        kind=feature.kind,
        # `compare` decides it, once all columns are judged.
        drifted=False,
        p_value=min(1.0, p_values[cause]),
        cause=cause,
        judgements=judged,
        facts=_facts(feature, like, tally, total),
        shares=history(np.array([like, tally, *tallies]), feature.layout),
    )


def _facts(feature: Feature, like: Floats, tally: Floats, total: Stretch) -> dict[str, float]:
    facts = {
        "missing_rate": float(tally[MISSING] / tally[ROWS]),
        "reference_missing_rate": float(like[MISSING] / like[ROWS]) if like[ROWS] else 0.0,
        "longest_run": float(total.runs.longest),
    }
    if feature.layout is None:
        return facts | {"unseen_rate": float(tally[OFF] / tally[ROWS])}
    facts["out_of_range_rate"] = float((tally[BELOW] + tally[ABOVE]) / tally[ROWS])
    if total.maximum >= total.minimum:
        facts |= {"minimum": total.minimum, "maximum": total.maximum}
    if total.fine.sum() and feature.fine.sum():
        facts["ks_overall"] = statistics.ks(feature.fine, total.fine)
    before, now = like[len(HEAD) :], tally[len(HEAD) :]
    if before.sum() > 0 and now.sum() > 0:
        on = not (feature.total[OFF] or tally[OFF])
        low, high = min(feature.layout.low, total.minimum), max(feature.layout.high, total.maximum)
        facts["ks_error_bound"] = statistics.ks_error_bound(
            before, now, single_valued(feature.layout, low, high) if on else None
        )
    return facts


def _add_exact(profile: Profile, source: Source, drafts: list[FeatureDrift]) -> None:
    assert profile.kept is not None
    whole = profile.kept

    def add(draft: FeatureDrift) -> None:
        parts = profile.roles.sources(draft.name)
        if draft.kind != "number" or len(parts) > 1:
            return
        current = pl.concat([batch.frame.get_column(parts[0]) for batch in source.batches(parts)])
        kept, window = as_numbers(whole.get_column(parts[0])), as_numbers(current)
        if draft.facts["missing_rate"] < 1 and profile.features[draft.name].fine.sum():
            draft.facts["ks_exact"] = statistics.ks_exact(kept, window)

    # NumPy counts and sorts without the interpreter's lock, so that columns share the cores.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # As a list, so that an exception of a thread is raised here.
        list(pool.map(add, drafts))
