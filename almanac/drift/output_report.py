"""The part of a drift report that shows what the models give out."""

from collections.abc import Mapping, Sequence
from typing import Any

from almanac.drift.measures import FIGURES
from almanac.drift.output_reference import IMPORTANCE, SIGNALS
from almanac.drift.outputs import OutputDrift, score
from almanac.drift.plots import histograms, importances
from almanac.reports.page import Report

_HEADER = ("target", "output", "decision", "strongest figure", "value", "threshold", "p", "over its threshold")


def add_outputs(report: Report, outputs: Mapping[str, OutputDrift | str]) -> None:
    """Add the outputs of each target's model, or why they were not judged."""
    report.heading("Model outputs")
    reasons = {found for found in outputs.values() if isinstance(found, str)}
    if len(reasons) == 1 and all(isinstance(found, str) for found in outputs.values()):
        report.text(f"Not judged: {reasons.pop()}.", "note")
        return
    report.text(
        "The predictions of the registered model, the truth and the residual where they are known, and the ranking of "
        "what the model leans on, against what was frozen with it: out-of-fold predictions of its training span, and "
        "its importances block by block.",
        "note",
    )
    report.table(_HEADER, [row for name, found in outputs.items() for row in rows(name, found)], digits=4)
    for name, found in outputs.items():
        if not isinstance(found, str):
            for finding in found.findings():
                report.text(f"{name}: {finding.message}", "bad" if finding.severity == "broken" else "note")
            add_plots(report, name, [("window", found)])


def rows(name: str, found: OutputDrift | str) -> list[tuple[Any, ...]]:
    """Return the lines of a target in the table: one a signal, or one that says why there are none."""
    if isinstance(found, str):
        return [(name, "all", "not judged", found, *[None] * 4)]
    return [(name, signal, *_judged(found, signal)) for signal in SIGNALS]


def _judged(found: OutputDrift, signal: str) -> tuple[Any, ...]:
    if signal in found.unjudged:
        return "not judged", found.unjudged[signal], *[None] * 4
    if signal == IMPORTANCE:
        assert found.importance is not None
        drift, meaning = found.importance, FIGURES[IMPORTANCE].meaning
        decision = "drifted" if drift.drifted else "quiet"
        return decision, meaning, 1 - drift.ndcg, 1 - drift.least, drift.p_value, score(drift)
    feature = found.feature(signal)
    assert feature is not None
    judged = feature.judgements[feature.cause]
    decision = "drifted" if feature.drifted else "quiet"
    return decision, FIGURES[feature.cause].meaning, judged.value, judged.threshold, feature.p_value, feature.score


def add_plots(report: Report, name: str, windows: Sequence[tuple[str, OutputDrift]]) -> None:
    """Add the plots over time of a target's outputs in one or several windows, oldest first.

    Args:
        report: the report.
        name: the target.
        windows: by name, the outputs in each window, all compared with the same reference.
    """
    for signal in SIGNALS[:-1]:
        compared = [(found.comparisons[signal], found.feature(signal)) for _, found in windows if found.feature(signal)]
        judged = [(comparison, feature) for comparison, feature in compared if feature is not None]
        if judged:
            feature = judged[-1][0].profile.features[signal]
            caption = f"{name}, {signal}: share of each bin in the blocks of the reference and, right of the line, now"
            report.plot(histograms(feature, judged, f"{name}, {signal}"), caption)
    explained = [(label, found) for label, found in windows if found.importance is not None]
    if explained:
        reference = explained[-1][1].attribution
        assert reference is not None
        drifts = [(label, found.importance) for label, found in explained if found.importance is not None]
        caption = (
            f"{name}, importance: share of the leading features in the blocks of the reference, each over its largest, "
            "and right of the line now; the agreement of each block with its season, and the least that is no drift"
        )
        report.plot(importances(reference, drifts, f"{name}, importance"), caption)
