"""The report of a comparison: one HTML page with the histograms of each column over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.common.report import COLOURS, Report
from monitoring.drift.comparison import Comparison, FeatureDrift, iso_span
from monitoring.drift.figures import FIGURES
from monitoring.drift.reference import Feature

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Columns that are drawn: those that drifted, then those that came nearest to it.
_PLOTS = 24
_TICKS = 12


def write_html(comparison: Comparison, path: Path) -> None:
    """Write the report of a comparison to `path`, whole or not at all."""
    build(comparison).write(path)


def build(comparison: Comparison) -> Report:
    """Return the report of a comparison."""
    span = " to ".join(iso_span(comparison.span) or ()) or f"{comparison.rows:,} rows"
    report = Report(f"Drift: {'alarm' if comparison.drifted else 'quiet'}", f"Window {span}")
    flagged = [feature.name for feature in comparison.features if feature.drifted]
    report.figures(
        [
            ("decision", "drifted" if comparison.drifted else "quiet"),
            ("columns drifted", f"{len(flagged)} of {len(comparison.features)}"),
            ("rows of the window", f"{comparison.rows:,}"),
            ("rows of the reference", f"{comparison.profile.rows:,}"),
            ("false-alarm rate", f"{comparison.profile.false_alarm_rate:.0%}"),
        ]
    )
    report.text(_method(comparison), "note")
    _findings(report, comparison)
    ranked = sorted(comparison.features, key=lambda f: (not f.drifted, f.p_value, f.name))
    _columns(report, ranked)
    _histograms(report, comparison, ranked)
    report.text(f"Generated {comparison.generated_at.isoformat(timespec='seconds')}", "note")
    return report


def _method(comparison: Comparison) -> str:
    season = comparison.profile.calendar.season
    against = "all of the reference" if season == "none" else f"the same {season} of the reference's years"
    return (
        f"Each column is judged by effect sizes against {against}. Thresholds were learnt from the reference alone, "
        "from how far its own blocks lie from one another; they hold for all columns together."
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
        report.plot(_figure(comparison, feature, drift), caption)
    if len(ranked) > _PLOTS:
        report.text(f"{len(ranked) - _PLOTS} quieter columns are not drawn; their figures are in the table.", "note")


def _figure(comparison: Comparison, feature: Feature, drift: FeatureDrift) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 2.4), layout="constrained")
    over_time, bars = figure.subplots(1, 2, width_ratios=(3, 1))
    shares = np.concatenate((feature.history, drift.shares[1:])) / 255
    labels = [*comparison.profile.blocks, *comparison.blocks]
    # Colours are for the reference's own range: one full bin in the window must not pale the years before.
    top = float(feature.history.max(initial=1)) / 255
    extent = (0, shares.shape[0], 0, shares.shape[1])
    over_time.imshow(
        shares.T, cmap="GnBu", vmin=0, vmax=top, origin="lower", aspect="auto", interpolation="nearest", extent=extent
    )
    over_time.axvline(len(feature.history), color=COLOURS["warning"], linewidth=1.5)
    every = max(1, -(-len(labels) // _TICKS))
    over_time.set_xticks(np.arange(0, len(labels), every) + 0.5, labels[::every], rotation=40, ha="right", fontsize=7)
    over_time.set_yticks(*_bin_ticks(feature, shares.shape[1]), fontsize=7)
    over_time.set_title(f"{drift.name} — {'drifted' if drift.drifted else 'quiet'}", loc="left", fontsize=9)
    window = drift.shares[1:].mean(axis=0) / 255
    places = np.arange(len(window))
    bars.barh(places + 0.5, drift.shares[0] / 255, height=0.9, color=COLOURS["band"], label="reference")
    bars.plot(window, places + 0.5, "o-", color=COLOURS["warning"], markersize=3, linewidth=1, label="window")
    bars.set_yticks([])
    bars.tick_params(labelsize=7)
    bars.legend(fontsize=7, frameon=False)
    return figure


def _bin_ticks(feature: Feature, bins: int) -> tuple[list[float], list[str]]:
    if feature.layout is None:
        return [i + 0.5 for i in range(bins)], [*feature.labels[: bins - 1], "other"][:bins]
    lower = feature.layout.lower[feature.layout.bins]
    places = list(range(0, bins, max(1, bins // 6)))
    return [float(place) for place in places], [f"{lower[place]:.3g}" for place in places]
