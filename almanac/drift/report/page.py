"""The page of a comparison: judged columns and outputs, with their histograms over time."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from almanac.core.clocks import wall_time
from almanac.drift.comparison import Comparison, FeatureDrift
from almanac.drift.findings import iso_span
from almanac.drift.measures import MEASURES
from almanac.drift.outputs import OutputDrift
from almanac.drift.report.outputs import finding_block, outputs_section
from almanac.drift.report.plots import histograms
from almanac.reports import Block, Contents, Note, Page, Plot, Section, Table, Tiles, Times

#: Columns that are drawn: those that drifted, then those that came nearest to it.
_PLOTS = 24
_HEADER = ("column", "role", "decision", "strongest measure", "value", "threshold", "p", "missing")


def drift_page(
    comparison: Comparison,
    outputs: Mapping[str, OutputDrift | str] | None = None,
    drifted: bool | None = None,
    times: Times | None = None,
) -> Page:
    """Return the report of a comparison.

    Args:
        comparison: the compared columns.
        outputs: by target, the compared outputs of its model, or the reason why they were not judged.
        drifted: the decision; that of the columns when None.
        times: how the use case's times are written; dates in UTC when None.
    """
    times = times or Times()
    drifted = comparison.drifted if drifted is None else drifted
    span = " to ".join(map(times.day, iso_span(comparison.span) or ())) or f"{comparison.rows:,} rows"
    blocks = _blocks(comparison, outputs or {}, drifted, times)
    return Page(f"Drift: {'alarm' if drifted else 'quiet'}", f"Window {span}. {times.sentence}", blocks)


def _blocks(
    comparison: Comparison, outputs: Mapping[str, OutputDrift | str], drifted: bool, times: Times
) -> Iterator[Block]:
    judged = [output for output in outputs.values() if not isinstance(output, str)]
    yield _tiles(comparison, judged, drifted)
    yield Note(_method(comparison, "columns and outputs" if judged else "columns"))
    yield Contents()
    yield Section("Findings", map(finding_block, comparison.findings))
    ranked = sorted(comparison.features, key=lambda f: (not f.drifted, f.p_value, f.name))
    yield Section("Columns", [Table(_HEADER, list(map(_row, ranked)), digits=4)])
    if outputs:
        yield outputs_section(outputs, times)
    yield Section("Histograms over time", _histograms(comparison, ranked, times))
    yield Note(f"Generated {wall_time(comparison.generated_at)}")


def _tiles(comparison: Comparison, judged: Sequence[OutputDrift], drifted: bool) -> Tiles:
    flagged = sum(feature.drifted for feature in comparison.features)
    outputs = (sum(len(output.drifted) for output in judged), sum(output.judged for output in judged))
    return Tiles(
        [
            ("decision", "drifted" if drifted else "quiet"),
            ("columns drifted", f"{flagged} of {len(comparison.features)}"),
            *([("outputs drifted", "{} of {}".format(*outputs))] if judged else []),
            ("rows of the window", f"{comparison.rows:,}"),
            ("rows of the reference", f"{comparison.profile.rows:,}"),
            ("false-alarm rate", f"{comparison.profile.false_alarm_rate:.0%}"),
        ]
    )


def _method(comparison: Comparison, judged: str) -> str:
    season = comparison.profile.calendar.season
    against = "all of the reference" if season == "none" else f"the same {season} of the reference's years"
    return (
        f"Each column is compared with {against} by effect sizes. The thresholds were learnt from the reference, from "
        f"how far its own blocks lie from one another; they hold for all {judged} together.{_approximation(comparison)}"
    )


def _approximation(comparison: Comparison) -> str:
    bounds = {f.name: f.facts["ks_error_bound"] for f in comparison.features if "ks_error_bound" in f.facts}
    if not bounds:
        return ""
    widest = max(bounds, key=bounds.__getitem__)
    median = float(np.median(list(bounds.values())))
    return (
        " Distributions are counted in frozen cells: an exact Kolmogorov–Smirnov distance can be larger by a cell's "
        f"share, at most {median:.4f} in the median column and {bounds[widest]:.4f} in {widest}."
    )


def _row(feature: FeatureDrift) -> tuple[object, ...]:
    judged = feature.judgements[feature.cause]
    decision, meaning = "drifted" if feature.drifted else "quiet", MEASURES[feature.cause].meaning
    measured = (judged.value, judged.threshold, feature.p_value, feature.facts["missing_rate"])
    return (feature.name, feature.role, decision, meaning, *measured)


def _histograms(comparison: Comparison, ranked: Sequence[FeatureDrift], times: Times) -> Iterator[Block]:
    for drift in ranked[:_PLOTS]:
        caption = (
            f"{drift.name}: share of each bin in the blocks of the reference and, right of the line, of the window"
        )
        yield Plot(histograms(comparison.profile.features[drift.name], [(comparison, drift)], times), caption)
    if len(ranked) > _PLOTS:
        yield Note(f"{len(ranked) - _PLOTS} quieter columns are not drawn; they are in the table.")
