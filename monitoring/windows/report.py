"""The report of the last windows: the decision, each window, and the metrics over time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from almanac.drift.outputs import SIGNALS
from almanac.drift.report import output_plots
from almanac.reports import (
    COLOURS,
    Block,
    Callout,
    Contents,
    Note,
    Page,
    Plot,
    Section,
    Table,
    Tiles,
    Times,
    new_figure,
)
from almanac.usecase import UseCase
from monitoring.windows.judge import JudgedWindow

_TARGET_HEADER = (
    "window", "rows", "mean absolute error", "estimated", "expected", "over persistence's", "p", "coverage", "p",
)  # fmt: skip
_BAND_HEADER = ("band", "rows", "mean absolute error", "root mean squared error", "bias", "coverage")
_BAND_KEYS = ("rows", "mae", "rmse", "bias", "coverage")


def monitoring_page(
    document: dict[str, Any], joined: pl.DataFrame, usecase: UseCase, windows: Sequence[JudgedWindow]
) -> Page:
    """Return the report.

    Args:
        document: monitoring.json.
        joined: predictions with `due` and `y`.
        usecase: the use case.
        windows: the judged windows, whose outputs are drawn.
    """
    decision = "breached" if document["breached"] else "quiet"
    lead = f"{usecase.title}, version {document['version']} in production"
    times = Times.of(usecase)
    return Page(f"Monitoring: {decision}", lead, _blocks(document, joined, windows, times))


def _blocks(
    document: dict[str, Any], joined: pl.DataFrame, windows: Sequence[JudgedWindow], times: Times
) -> Iterator[Block]:
    yield _tiles(document, times)
    staleness = document["staleness"]
    if staleness["stale"]:
        yield Callout(f"The data are stale: the newest row is {staleness['age_seconds'] / 3600:,.0f} h old.", "bad")
    for note in document["notes"]:
        yield Note(f"The error is not estimated before the truth arrives: {note}.")
    yield Contents()
    yield Section("Windows", [_windows(document, times)])
    for name in document["windows"][-1]["targets"] if document["windows"] else ():
        yield Section(name, _target(name, document["windows"], joined, times))
    yield Section("Drift of the columns", _columns(document, times))
    yield Section("Drift of the model's outputs", _outputs([w for w in windows if w.document["judged"]], times))
    source = f"the {document['predictions']} predictions"
    if document["predictions"] == "batch" and document["log"]:
        source = f"predictions made for it, since the log {document['log']} has none yet"
    present = times.day(document["data_present"]).replace("T", " ")
    yield Note(f"From {source}, as of {present} by the data's clock")


def _tiles(document: dict[str, Any], times: Times) -> Tiles:
    policy, windows = document["policy"], document["windows"]
    return Tiles(
        [
            ("decision", "breached" if document["breached"] else "quiet"),
            ("windows that breach", f"{sum(window['breach'] for window in windows)} of {len(windows)}"),
            ("policy", f"{policy['breaches']} of {policy['of']}, the newest among them"),
            ("action", policy["action"]),
            ("newest observation", times.day(document["staleness"]["newest"]).replace("T", " ")),
        ]
    )


def _windows(document: dict[str, Any], times: Times) -> Table:
    rows = []
    for window in document["windows"]:
        state = "breach" if window["breach"] else ("quiet" if window["judged"] else "too few rows")
        span = " to ".join(times.day(window[end][:10]) for end in ("start", "stop"))
        rows.append((span, window["rows"], state, "; ".join(window["reasons"])))
    return Table(("window", "rows", "state", "reasons"), rows)


def _target(name: str, windows: Sequence[dict[str, Any]], joined: pl.DataFrame, times: Times) -> Iterator[Block]:
    """Yield a target's metrics in each window, by band in the newest one, and its error and coverage by day."""
    yield Table(_TARGET_HEADER, [_target_row(window, window["targets"][name], times) for window in windows], digits=3)
    if bands := windows[-1]["targets"][name].get("bands"):
        yield Note("The newest window by band of the last value; the band unknown has the forecasts made without one.")
        rows = [(band, *(found[key] for key in _BAND_KEYS)) for band, found in bands.items()]
        yield Table(_BAND_HEADER, rows, digits=3)
    daily = _daily(joined.filter(pl.col("target") == name))
    if daily.height < 2:
        return
    figure, axes = new_figure(rows=1, columns=2)
    error, coverage = axes[0]
    days = daily["day"].to_list()
    error.plot(days, daily["mae"].to_list(), color=COLOURS["forecast"], label="realised")
    error.plot(days, daily["persistence"].to_list(), color=COLOURS["neutral"], label="persistence")
    for window in windows:
        if estimated := window["targets"][name]["estimated"]:
            span = [_day(window["start"]), _day(window["stop"])]
            error.plot(span, [estimated["mae"]] * 2, color=COLOURS["warning"], linewidth=1)
    error.set_title("Mean absolute error of each day")
    error.legend()
    coverage.plot(days, daily["coverage"].to_list(), color=COLOURS["forecast"])
    coverage.set_title("Share of each day inside the interval")
    coverage.set_ylim(0, 1.02)
    for axis in (error, coverage):
        for window in windows:
            axis.axvline(_day(window["start"]), color=COLOURS["neutral"], linewidth=0.6)
        times.ticks(axis)
    yield Plot(figure, f"{name}: error and coverage by the day that was forecast; red: estimated before the truth")


def _target_row(window: dict[str, Any], metrics: dict[str, Any], times: Times) -> tuple[Any, ...]:
    estimated = metrics["estimated"] or {}
    low, high = estimated.get("mae_interval", (None, None))
    expected = None if low is None else f"{low:.1f} – {high:.1f}"
    rest = (metrics.get(key) for key in ("relative", "relative_p_value", "coverage", "coverage_p_value"))
    return (times.day(window["start"][:10]), metrics["rows"], metrics.get("mae"), estimated.get("mae"), expected, *rest)


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


def _day(time: str) -> date:
    return datetime.fromisoformat(time).date()


def _columns(document: dict[str, Any], times: Times) -> Iterator[Block]:
    windows = [window for window in document["windows"] if window["drift"] is not None]
    if not windows:
        return
    scores = [{f["name"]: f["score"] for f in window["drift"]["features"]} for window in windows]
    newest = {f["name"]: _decision(f) for f in windows[-1]["drift"]["features"]}
    yield Note("The strongest measure of each column over its calibrated threshold, window by window.")
    yield from _scores("column", newest, scores, windows, times)


def _outputs(judged: Sequence[JudgedWindow], times: Times) -> Iterator[Block]:
    if not judged:
        return
    newest = judged[-1].document["outputs"]
    for name, output in newest.items():
        for part, reason in _unjudged(name, output).items():
            yield Note(f"{part}: not judged in the newest window: {reason}.")
    scores = [_output_scores(window.document["outputs"]) for window in judged]
    if not any(scores):
        return
    yield Note(
        "Truth, prediction, residual and importances of each model, compared with what was frozen with it: each over "
        "its calibrated threshold, window by window."
    )
    decisions = {
        f"{name} {signal}": _decision(output[signal])
        for name, output in newest.items()
        for signal in SIGNALS
        if output["judged"]
    }
    yield from _scores("output", decisions, scores, [window.document for window in judged], times)
    for name in newest:
        yield from output_plots(
            name, [(w.document["start"][:10], w.outputs[name]) for w in judged if name in w.outputs], times
        )


def _unjudged(name: str, output: dict[str, Any]) -> dict[str, str]:
    if not output["judged"]:
        return {name: output["why"]}
    return {f"{name}, {signal}": output[signal]["why"] for signal in SIGNALS if not output[signal]["judged"]}


def _decision(judged: dict[str, Any]) -> str:
    return ("drifted" if judged["drifted"] else "quiet") if judged.get("judged", True) else "not judged"


def _output_scores(outputs: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {
        f"{name} {signal}": output[signal]["score"]
        for name, output in outputs.items()
        for signal in SIGNALS
        if output["judged"] and output[signal]["judged"]
    }


def _scores(
    kind: str,
    decisions: Mapping[str, str],
    scores: Sequence[dict[str, float]],
    windows: Sequence[dict[str, Any]],
    times: Times,
) -> Iterator[Block]:
    """Yield a table and a plot of scores by window; `decisions` are those of the newest window."""
    rows = [
        (name, *(score.get(name) for score in scores), decision)
        for name, decision in decisions.items()
        if any(name in score for score in scores)
    ]
    yield Table((kind, *(times.day(window["start"][:10]) for window in windows), "newest"), rows)
    figure, axes = new_figure(height=2.6)
    stops = [times.day(window["stop"][:10]) for window in windows]
    for name, *values, _ in rows:
        axes[0][0].plot(stops, values, marker="o", markersize=3, label=name)
    axes[0][0].axhline(1.0, color=COLOURS["warning"], linewidth=1)
    axes[0][0].set_title("Drift over its threshold")
    axes[0][0].legend(ncols=3, fontsize=7)
    yield Plot(figure, f"drift of each {kind} over its threshold, by the end of the window")
