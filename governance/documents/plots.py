"""The plots of the bundle, drawn from metrics.json and predictions.parquet."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from almanac.reports import COLOURS
from governance.documents.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TIME_COLUMNS = ("Datetime", "Date")


def figures(evidence: Evidence) -> Iterator[tuple["Figure", str]]:
    """Yield each plot with its caption."""
    targets = {name: target for name, target in evidence.targets() if target.get("rmse") is not None}
    if targets:
        yield _errors(targets), "Root mean squared error on the held-out span, with its interval, beside the baselines."
    covered = {name: target for name, target in targets.items() if target.get("coverage")}
    if covered:
        yield _coverage(covered), "Share of the truth inside the prediction interval, by band of the last known value."
    if targets:
        yield _groups(targets), "Root mean squared error of each group over that of all rows, by target."
        yield _over_time(evidence, list(targets)), "Mean absolute error by week of the held-out span."


def _figure(columns: int, height: float = 3.2) -> tuple["Figure", list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(11.0, 3.6 * columns + 0.6), height))
    axes = figure.subplots(1, columns, squeeze=False, gridspec_kw={"wspace": 0.3})[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _errors(targets: dict[str, Any]) -> "Figure":
    figure, axes = _figure(len(targets))
    for axis, (name, target) in zip(axes, targets.items(), strict=True):
        rows = [("model", target["rmse"], COLOURS["forecast"])]
        rows += [(key, value["rmse"], COLOURS["neutral"]) for key, value in target["baselines"].items()]
        labels, values, colours = zip(*rows, strict=True)
        axis.bar(labels, values, color=colours)
        if interval := target["ci"]["rmse"]:
            axis.vlines(0, *interval, color=COLOURS["truth"])
        axis.set_title(name, fontsize=10)
        axis.set_ylabel(f"RMSE ({target['unit']})")
    return figure


def _coverage(targets: dict[str, Any]) -> "Figure":
    figure, axes = _figure(len(targets))
    for axis, (name, target) in zip(axes, targets.items(), strict=True):
        bands = {band: value for band, value in target["coverage"]["bands"].items() if value is not None}
        axis.plot(list(bands), list(bands.values()), "o", color=COLOURS["forecast"])
        axis.axhline(target["coverage"]["nominal"], color=COLOURS["truth"], linewidth=1)
        axis.set_ylim(min(0.7, *bands.values()) if bands else 0.7, 1.0)
        axis.tick_params(axis="x", labelrotation=20)
        axis.set_title(name, fontsize=10)
    axes[0].set_ylabel("covered")
    return figure


def _groups(targets: dict[str, Any]) -> "Figure":
    figure, (axis,) = _figure(1, 4.0)
    figure.set_figwidth(11.0)
    palette = (COLOURS["forecast"], COLOURS["warning"], COLOURS["truth"], COLOURS["neutral"])
    for place, (name, target) in enumerate(targets.items()):
        points = [
            (f"{group}: {value}", part["rmse"] / target["rmse"])
            for group, parts in target["slices"].items()
            for value, part in parts.items()
            if part.get("rmse") is not None
        ]
        if points:
            labels, ratios = zip(*points, strict=True)
            axis.plot(labels, ratios, ".", color=palette[place % len(palette)], label=name)
    axis.axhline(1.0, color=COLOURS["neutral"], linewidth=0.8)
    axis.tick_params(axis="x", labelrotation=90, labelsize=7)
    axis.set_ylabel("RMSE over overall RMSE")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _over_time(evidence: Evidence, names: list[str]) -> "Figure":
    import polars as pl

    table = pl.read_parquet(io.BytesIO(evidence.artifact("predictions.parquet").data))
    time = next(name for name, kind in table.schema.items() if str(kind).startswith(_TIME_COLUMNS))
    error = (pl.col("prediction") - pl.col("y")).abs()
    weekly = (
        table.sort(time)
        .group_by_dynamic(time, every="1w", group_by="target")
        .agg(error.mean().alias("mae"))
        .filter(pl.col("mae").is_finite())
    )
    figure, axes = _figure(len(names))
    for axis, name in zip(axes, names, strict=True):
        part = weekly.filter(pl.col("target") == name)
        axis.plot(part[time].to_numpy(), part["mae"].to_numpy(), color=COLOURS["forecast"], linewidth=1.2)
        axis.set_ylim(0)
        axis.set_title(name, fontsize=10)
        axis.tick_params(axis="x", labelrotation=30, labelsize=7)
    axes[0].set_ylabel("MAE")
    return figure
