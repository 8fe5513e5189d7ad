"""The report of a comparison: one HTML page with the histograms of each column and output over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from almanac.drift.comparison import Comparison, FeatureDrift
from almanac.drift.findings import iso_span
from almanac.drift.measures import FIGURES
from almanac.drift.output_report import add_outputs
from almanac.drift.outputs import OutputDrift
from almanac.drift.plots import histograms
from almanac.reports.page import Report

#: Columns that are drawn: those that drifted, then those that came nearest to it.
_PLOTS = 24


def write_html(
    comparison: Comparison,
    path: Path,
    outputs: Mapping[str, OutputDrift | str] | None = None,
    drifted: bool | None = None,
) -> None:
    """Write the report of a comparison to `path`, whole or not at all; see `build`."""
    build(comparison, outputs, drifted).write(path)


def build(
    comparison: Comparison, outputs: Mapping[str, OutputDrift | str] | None = None, drifted: bool | None = None
) -> Report:
    """Return the report of a comparison.

    Args:
        comparison: the columns, compared.
        outputs: by target, the outputs of its model, compared, or why they were not.
        drifted: the decision, where more than the columns decides.
    """
    drifted = comparison.drifted if drifted is None else drifted
    span = " to ".join(iso_span(comparison.span) or ()) or f"{comparison.rows:,} rows"
    report = Report(f"Drift: {'alarm' if drifted else 'quiet'}", f"Window {span}")
    flagged = [feature.name for feature in comparison.features if feature.drifted]
    judged = [found for found in (outputs or {}).values() if not isinstance(found, str)]
    of_outputs = (sum(len(found.drifted) for found in judged), sum(found.judged for found in judged))
    report.figures(
        [
            ("decision", "drifted" if drifted else "quiet"),
            ("columns drifted", f"{len(flagged)} of {len(comparison.features)}"),
            *([("outputs drifted", "{} of {}".format(*of_outputs))] if judged else []),
            ("rows of the window", f"{comparison.rows:,}"),
            ("rows of the reference", f"{comparison.profile.rows:,}"),
            ("false-alarm rate", f"{comparison.profile.false_alarm_rate:.0%}"),
        ]
    )
    report.text(_method(comparison, "columns and outputs" if judged else "columns"), "note")
    _findings(report, comparison)
    ranked = sorted(comparison.features, key=lambda f: (not f.drifted, f.p_value, f.name))
    _columns(report, ranked)
    if outputs:
        add_outputs(report, outputs)
    _histograms(report, comparison, ranked)
    report.text(f"Generated {comparison.generated_at.isoformat(timespec='seconds')}", "note")
    return report


def _method(comparison: Comparison, what: str) -> str:
    season = comparison.profile.calendar.season
    against = "all of the reference" if season == "none" else f"the same {season} of the reference's years"
    return (
        f"Each column is judged by effect sizes against {against}. Thresholds were learnt from the reference alone, "
        f"from how far its own blocks lie from one another; they hold for all {what} together."
    )


def _findings(report: Report, comparison: Comparison) -> None:
    if not comparison.findings:
        return
    report.heading("Findings")
    for finding in comparison.findings:
        where = f"{finding.column}: " if finding.column else ""
        report.text(f"{where}{finding.message}", "bad" if finding.severity == "broken" else "note")


def _columns(report: Report, ranked: Sequence[FeatureDrift]) -> None:
    report.heading("Columns")
    rows = []
    for feature in ranked:
        judged = feature.judgements[feature.cause]
        rows.append(
            (
                feature.name,
                feature.role,
                "drifted" if feature.drifted else "quiet",
                FIGURES[feature.cause].meaning,
                judged.value,
                judged.threshold,
                feature.p_value,
                feature.facts["missing_rate"],
            )
        )
    header = ("column", "role", "decision", "strongest figure", "value", "threshold", "p", "missing")
    report.table(header, rows, digits=4)


def _histograms(report: Report, comparison: Comparison, ranked: Sequence[FeatureDrift]) -> None:
    report.heading("Histograms over time")
    for drift in ranked[:_PLOTS]:
        feature = comparison.profile.features[drift.name]
        caption = (
            f"{drift.name}: share of each bin in the blocks of the reference and, right of the line, of the window"
        )
        report.plot(histograms(feature, [(comparison, drift)]), caption)
    if len(ranked) > _PLOTS:
        report.text(f"{len(ranked) - _PLOTS} quieter columns are not drawn; their figures are in the table.", "note")
