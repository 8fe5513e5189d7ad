"""The section of a drift report about the outputs of the models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from almanac.drift.findings import Finding
from almanac.drift.measures import MEASURES
from almanac.drift.outputs import IMPORTANCE, SIGNALS, OutputDrift, score
from almanac.drift.report.plots import histograms, importances
from almanac.reports import Block, Callout, Note, Plot, Section, Table, Times

_HEADER = ("target", "output", "decision", "strongest measure", "value", "threshold", "p", "over its threshold")


def outputs_section(outputs: Mapping[str, OutputDrift | str], times: Times) -> Section:
    """Return the outputs of each target's model, or the reason why they were not judged."""
    reasons = {output for output in outputs.values() if isinstance(output, str)}
    if len(reasons) == 1 and all(isinstance(output, str) for output in outputs.values()):
        return Section("Model outputs", [Note(f"Not judged: {reasons.pop()}.")])
    return Section("Model outputs", _blocks(outputs, times))


def _blocks(outputs: Mapping[str, OutputDrift | str], times: Times) -> Iterator[Block]:
    yield Note(
        "Predictions of the registered model, truths and residuals where they are known, and the ranking of its "
        "features by importance, compared with what was frozen with the model: out-of-fold predictions of its training "
        "span, and its importances block by block."
    )
    yield Table(_HEADER, [row for name, output in outputs.items() for row in _rows(name, output)], digits=4)
    for name, output in outputs.items():
        if not isinstance(output, str):
            yield from (finding_block(finding, f"{name}: ") for finding in output.findings())
            yield from output_plots(name, [("window", output)], times)


def finding_block(finding: Finding, prefix: str = "") -> Block:
    """Return a finding as a callout where it is an alarm, else as a note."""
    prefix = prefix or (f"{finding.column}: " if finding.column else "")
    text = f"{prefix}{finding.message}"
    return Callout(text, "bad") if finding.severity == "broken" else Note(text)


def _rows(name: str, output: OutputDrift | str) -> list[tuple[Any, ...]]:
    """Return a target's rows of the table: one a signal, or one with the reason why there are none."""
    if isinstance(output, str):
        return [(name, "all", "not judged", output, *[None] * 4)]
    return [(name, signal, *_cells(output, signal)) for signal in SIGNALS]


def _cells(output: OutputDrift, signal: str) -> tuple[Any, ...]:
    if signal in output.unjudged:
        return "not judged", output.unjudged[signal], *[None] * 4
    if signal == IMPORTANCE:
        assert output.importance is not None
        drift, meaning = output.importance, MEASURES[IMPORTANCE].meaning
        decision = "drifted" if drift.drifted else "quiet"
        return decision, meaning, 1 - drift.ndcg, 1 - drift.least, drift.p_value, score(drift)
    feature = output.feature(signal)
    assert feature is not None
    judged, meaning = feature.judgements[feature.cause], MEASURES[feature.cause].meaning
    decision = "drifted" if feature.drifted else "quiet"
    return decision, meaning, judged.value, judged.threshold, feature.p_value, feature.score


def output_plots(name: str, windows: Sequence[tuple[str, OutputDrift]], times: Times) -> Iterator[Plot]:
    """Yield the plots over time of a target's outputs.

    Args:
        name: the target.
        windows: label and outputs of each window, oldest first, all compared with the same reference.
        times: how the use case's times are written.
    """
    for signal in SIGNALS[:-1]:
        judged = [(w.comparisons[signal], feature) for _, w in windows if (feature := w.feature(signal)) is not None]
        if judged:
            reference = judged[-1][0].profile.features[signal]
            caption = f"{name}, {signal}: share of each bin in the blocks of the reference and, right of the line, now"
            yield Plot(histograms(reference, judged, times, f"{name}, {signal}"), caption)
    drifts = [(label, w.importance) for label, w in windows if w.importance is not None]
    profile = next((w.reference for _, w in reversed(windows) if w.importance is not None), None)
    if drifts and profile is not None:
        caption = (
            f"{name}, importance: share of the leading features in the blocks of the reference, each over its largest, "
            "and right of the line now; the agreement of each block with its season, and the least that is no drift"
        )
        yield Plot(importances(profile, drifts, times, f"{name}, importance"), caption)
