"""The report of the monitoring: the decision, the windows, and the figures over time."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from almanac.drift.output_reference import SIGNALS
from almanac.drift.output_report import add_plots
from almanac.reports.page import COLOURS, Report, new_figure
from almanac.usecase import UseCase
from monitoring.windows.judge import Judged


def build(document: dict[str, Any], joined: pl.DataFrame, usecase: UseCase, windows: Sequence[Judged]) -> Report:
    """Return the report.

    Args:
        document: monitoring.json.
        joined: predictions with `due` and `y`.
        usecase: the use case.
        windows: the judged windows, whose outputs are drawn.
    """
    decision = "breached" if document["breached"] else "quiet"
    report = Report(f"Monitoring: {decision}", f"{usecase.title}, version {document['version']} in production")
    policy, staleness = document["policy"], document["staleness"]
    breaching = sum(window["breach"] for window in document["windows"])
    report.figures(
        [
            ("decision", decision),
            ("windows that breach", f"{breaching} of {len(document['windows'])}"),
            ("policy", f"{policy['breaches']} of {policy['of']}, the newest among them"),
            ("action", policy["action"]),
            ("newest observation", staleness["newest"].replace("T", " ")),
        ]
    )
    if staleness["stale"]:
        hours = staleness["age_seconds"] / 3600
        report.text(f"The data are stale: the newest row is {hours:,.0f} h old.", "bad")
    for note in document["notes"]:
        report.text(f"The error is not estimated before the truth arrives: {note}.", "note")
    _windows(report, document)
    for name, target in _targets(document).items():
        _over_time(report, name, target, document, joined)
    _drift(report, document)
    _outputs(report, document, windows)
    source = f"the {document['predictions']} predictions"
    if document["predictions"] == "batch" and document["log"]:
        source = f"predictions made for it, since the log {document['log']} has none yet"
    report.text(f"Generated {document['generated_at']} from {source}", "note")
    return report


def _targets(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    names = document["windows"][-1]["targets"] if document["windows"] else {}
    return {name: [window["targets"][name] for window in document["windows"]] for name in names}


def _windows(report: Report, document: dict[str, Any]) -> None:
    report.heading("Windows")
    rows = []
    for window in document["windows"]:
        state = "breach" if window["breach"] else ("quiet" if window["judged"] else "too few rows")
        rows.append(
            (f"{window['start'][:10]} to {window['stop'][:10]}", window["rows"], state, "; ".join(window["reasons"]))
        )
    report.table(("window", "rows", "state", "reasons"), rows)


def _over_time(
    report: Report, name: str, windows: list[dict[str, Any]], document: dict[str, Any], joined: pl.DataFrame
) -> None:
    report.heading(name)
    header = (
        "window",
        "rows",
        "mean absolute error",
        "estimated",
        "expected",
        "over persistence's",
        "p",
        "coverage",
        "p",
    )
    rows = []
    for window, figures in zip(document["windows"], windows, strict=True):
        estimated = figures["estimated"] or {}
        low, high = estimated.get("mae_interval", (None, None))
        expected = None if low is None else f"{low:.1f} – {high:.1f}"
        keys = ("relative", "relative_p_value", "coverage", "coverage_p_value")
        rest = [figures.get(key) for key in keys]
        rows.append((window["start"][:10], figures["rows"], figures.get("mae"), estimated.get("mae"), expected, *rest))
    report.table(header, rows, digits=3)
    daily = _daily(joined.filter(pl.col("target") == name))
    if daily.height < 2:
        return
    figure, axes = new_figure(rows=1, columns=2)
    error, coverage = axes[0]
    error.plot(daily["day"].to_list(), daily["mae"].to_list(), color=COLOURS["forecast"], label="realised")
    error.plot(daily["day"].to_list(), daily["persistence"].to_list(), color=COLOURS["neutral"], label="persistence")
    for window, figures in zip(document["windows"], windows, strict=True):
        if figures["estimated"]:
            span = [_day(window["start"]), _day(window["stop"])]
            error.plot(span, [figures["estimated"]["mae"]] * 2, color=COLOURS["warning"], linewidth=1)
    error.set_title("Mean absolute error of each day")
    error.legend()
    coverage.plot(daily["day"].to_list(), daily["coverage"].to_list(), color=COLOURS["forecast"])
    coverage.set_title("Share of each day inside the interval")
    coverage.set_ylim(0, 1.02)
    for axis in (error, coverage):
        axis.tick_params(axis="x", rotation=30)
        for window in document["windows"]:
            axis.axvline(_day(window["start"]), color=COLOURS["neutral"], linewidth=0.6)
    report.plot(figure, f"{name}: error and coverage by the day that was forecast; red: estimated before the truth")


def _daily(rows: pl.DataFrame) -> pl.DataFrame:
    known = rows.filter(pl.col("y").is_not_null())
    inside = ((pl.col("y") >= pl.col("lower")) & (pl.col("y") <= pl.col("upper"))).cast(pl.Float64)
    return (
        known.group_by(pl.col("due").dt.date().alias("day"))
        .agg(
            mae=(pl.col("prediction") - pl.col("y")).abs().mean(),
            persistence=(pl.col("last") - pl.col("y")).abs().mean(),
            coverage=inside.mean(),
        )
        .sort("day")
    )


def _day(moment: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(moment).date()


def _drift(report: Report, document: dict[str, Any]) -> None:
    windows = [window for window in document["windows"] if window["drift"] is not None]
    if not windows:
        return
    report.heading("Drift of the columns")
    scores = [{f["name"]: f["score"] for f in window["drift"]["features"]} for window in windows]
    newest = {f["name"]: _decision(f) for f in windows[-1]["drift"]["features"]}
    report.text("The strongest figure of each column over its calibrated threshold, window by window.", "note")
    _scores(report, "column", newest, scores, windows)


def _outputs(report: Report, document: dict[str, Any], windows: Sequence[Judged]) -> None:
    judged = [window for window in windows if window.document["judged"]]
    if not judged:
        return
    report.heading("Drift of the model's outputs")
    newest = judged[-1].document["outputs"]
    for name, found in newest.items():
        for part, why in _unjudged(name, found).items():
            report.text(f"{part}: not judged in the newest window: {why}.", "note")
    scores = [_output_scores(window.document["outputs"]) for window in judged]
    if not any(scores):
        return
    report.text(
        "Truth, prediction, residual and importances of each model against what was frozen with it, over the "
        "calibrated threshold, window by window.",
        "note",
    )
    decisions = {
        f"{name} {signal}": _decision(found[signal])
        for name, found in newest.items()
        for signal in SIGNALS
        if found["judged"]
    }
    _scores(report, "output", decisions, scores, [window.document for window in judged])
    for name in newest:
        add_plots(report, name, [(w.document["start"][:10], w.outputs[name]) for w in judged if name in w.outputs])


def _unjudged(name: str, found: dict[str, Any]) -> dict[str, str]:
    if not found["judged"]:
        return {name: found["why"]}
    return {f"{name}, {signal}": found[signal]["why"] for signal in SIGNALS if not found[signal]["judged"]}


def _decision(found: dict[str, Any]) -> str:
    return ("drifted" if found["drifted"] else "quiet") if found.get("judged", True) else "not judged"


def _output_scores(outputs: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {
        f"{name} {signal}": found[signal]["score"]
        for name, found in outputs.items()
        for signal in SIGNALS
        if found["judged"] and found[signal]["judged"]
    }


def _scores(
    report: Report,
    what: str,
    decisions: dict[str, str],
    scores: Sequence[dict[str, float]],
    windows: Sequence[dict[str, Any]],
) -> None:
    """Add a table and a plot of scores by window; `decisions` says of each what the newest window made of it."""
    header = (what, *(window["start"][:10] for window in windows), "newest")
    rows = [
        (name, *(score.get(name) for score in scores), decision)
        for name, decision in decisions.items()
        if any(name in score for score in scores)
    ]
    report.table(header, rows)
    figure, axes = new_figure(height=2.6)
    for name, *values, _ in rows:
        axes[0][0].plot([window["stop"][:10] for window in windows], values, marker="o", markersize=3, label=name)
    axes[0][0].axhline(1.0, color=COLOURS["warning"], linewidth=1)
    axes[0][0].set_title("Drift over its threshold")
    axes[0][0].legend(ncols=3, fontsize=7)
    report.plot(figure, f"drift of each {what} over its threshold, by the end of the window")
