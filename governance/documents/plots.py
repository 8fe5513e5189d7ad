"""Plots of the index page, drawn from metrics.json and predictions.parquet."""

import io
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from almanac.reports import COLOURS, Times, new_figure
from governance.documents.artifacts import Artifacts
from governance.documents.layout import USECASE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: In inches: a figure that is narrower would be drawn larger, since each fills the page.
_WIDTH = 11.0
_COLUMNS = 3
_MARKERS = ".x+"
_TIME_TYPES = ("Datetime", "Date")
#: The newest plots by the digests of what they are drawn from. Documents are verified in the process that wrote them.
_NEWEST: dict[tuple[str, ...], list[tuple["Figure", str]]] = {}


def plots(artifacts: Artifacts) -> list[tuple["Figure", str]]:
    """Return each plot with its caption."""
    key = tuple(artifacts[name].sha256 for name in ("metrics.json", "predictions.parquet", USECASE))
    if key not in _NEWEST:
        drawn = list(_plots(artifacts))
        _NEWEST.clear()
        _NEWEST[key] = drawn
    return _NEWEST[key]


def _plots(artifacts: Artifacts) -> Iterator[tuple["Figure", str]]:
    targets = {name: target for name, target in artifacts.targets() if target.get(_error_of(target)) is not None}
    if targets:
        yield (
            _errors(targets),
            "Error on the held-out span, with its interval, and of the baselines, each on the rows that it forecasts.",
        )
    covered = {name: target for name, target in targets.items() if target.get("coverage")}
    if covered:
        yield _coverage(covered), "Share of the truth inside the prediction interval, by band of the last known value."
    if targets:
        yield _groups(targets), "Error of each group over that of all rows, by target."
    if measured := {name: target["unit"] for name, target in targets.items() if target.get("rmse") is not None}:
        yield _over_time(artifacts, measured), "Mean absolute error by week of the held-out span."


def plot_data(figure: "Figure") -> list[dict[str, Any]]:
    """Return the content of a figure: title and labels of each of its axes, and the numbers of its bars and lines.

    The page holds it beside the plot. A drawing's bytes change with the plotting library, its data do not.
    """
    axes: list[Any] = figure.axes
    return [
        {
            "title": axis.get_title(loc="left"),
            "x": axis.get_xlabel(),
            "y": axis.get_ylabel(),
            "bars": [[_rounded(bar.get_x()), _rounded(bar.get_height())] for bar in axis.patches],
            "lines": [
                {"label": str(line.get_label()), "x": _texts(line.get_xdata(orig=True)), "y": _texts(line.get_ydata())}
                for line in axis.lines
            ],
            "spans": [
                [[_rounded(value) for value in point] for point in path.vertices]
                for collection in axis.collections
                for path in collection.get_paths()
            ],
        }
        for axis in axes
    ]


def _texts(values: Any) -> list[str]:
    return [str(value) if isinstance(value, str) else _rounded(value) for value in values]


def _rounded(value: Any) -> str:
    # Nine digits: more than anybody sees, fewer than sums in another order change.
    return f"{value:.9g}" if isinstance(value, int | float) else str(value)


def _error_of(target: dict[str, Any]) -> str:
    """Return the error by which a target is shown."""
    return "rmse" if target.get("rmse") is not None else "log_loss"


def _side_by_side(names: list[str]) -> tuple["Figure", list[Any]]:
    """Return a figure and an axis for each name, at most three in a row."""
    columns = min(len(names), _COLUMNS)
    rows = -(-len(names) // columns)
    apart = {"wspace": 0.3, "hspace": 0.8}
    figure, axes = new_figure(_WIDTH, 3.2 * rows, rows, columns, gridspec_kw=apart)
    for spare in axes.flat[len(names) :]:
        spare.remove()
    used = list(axes.flat[: len(names)])
    for axis, name in zip(used, names, strict=True):
        axis.set_title(name)
    return figure, used


def _errors(targets: dict[str, Any]) -> "Figure":
    figure, axes = _side_by_side(list(targets))
    for axis, target in zip(axes, targets.values(), strict=True):
        metric = _error_of(target)
        baselines = {name: baseline[metric] for name, baseline in target["baselines"].items()}
        colours = [COLOURS["forecast"], *[COLOURS["neutral"]] * len(baselines)]
        axis.bar(["model", *baselines], [target[metric], *baselines.values()], color=colours)
        # Too few rows give no interval.
        if interval := target["ci"][metric]:
            axis.vlines(0, *interval, color=COLOURS["truth"])
        axis.set_ylabel(f"RMSE ({target['unit']})" if metric == "rmse" else "log loss")
        axis.tick_params(axis="x", labelrotation=90, labelsize=7)
    return figure


def _coverage(targets: dict[str, Any]) -> "Figure":
    figure, axes = _side_by_side(list(targets))
    for axis, target in zip(axes, targets.values(), strict=True):
        bands = {band: value for band, value in target["coverage"]["bands"].items() if value is not None}
        axis.plot(list(bands), list(bands.values()), "o", color=COLOURS["forecast"])
        axis.axhline(target["coverage"]["nominal"], color=COLOURS["truth"], linewidth=1)
        axis.set_ylim(min(0.7, *bands.values()) if bands else 0.7, 1.0)
        axis.tick_params(axis="x", labelrotation=20)
    for axis in axes[::_COLUMNS]:
        axis.set_ylabel("covered")
    return figure


def _groups(targets: dict[str, Any]) -> "Figure":
    figure, ((axis,),) = new_figure(_WIDTH, 4.0)
    palette = (COLOURS["forecast"], COLOURS["warning"], COLOURS["truth"], COLOURS["neutral"])
    for index, (name, target) in enumerate(targets.items()):
        metric = _error_of(target)
        ratios = {
            f"{group}: {value}": part[metric] / target[metric]
            for group, parts in target["slices"].items()
            for value, part in parts.items()
            if part.get(metric) is not None
        }
        if ratios:
            marker = _MARKERS[index // len(palette) % len(_MARKERS)]
            axis.plot(list(ratios), list(ratios.values()), marker, color=palette[index % len(palette)], label=name)
    axis.axhline(1.0, color=COLOURS["neutral"], linewidth=0.8)
    axis.tick_params(axis="x", labelrotation=90, labelsize=7)
    axis.set_ylabel("error over that of all rows")
    axis.legend()
    return figure


def _over_time(artifacts: Artifacts, units: dict[str, Any]) -> "Figure":
    import polars as pl

    # From the bytes whose sha256 the documents quote, and not from a path that may have changed since.
    table = pl.read_parquet(io.BytesIO(artifacts["predictions.parquet"].data))
    time = next(name for name, kind in table.schema.items() if str(kind).startswith(_TIME_TYPES))
    error = (pl.col("prediction") - pl.col("y")).abs()
    weekly = (
        table.sort(time)
        .group_by_dynamic(time, every="1w", group_by="target")
        .agg(error.mean().alias("mae"))
        .filter(pl.col("mae").is_finite())
    )
    origin = artifacts.document(USECASE)["time"].get("origin")
    times = Times(origin=None if origin is None else date.fromisoformat(origin))
    figure, axes = _side_by_side(list(units))
    for axis, (name, unit) in zip(axes, units.items(), strict=True):
        part = weekly.filter(pl.col("target") == name)
        axis.plot(part[time].to_numpy(), part["mae"].to_numpy(), color=COLOURS["forecast"])
        axis.set_ylim(0)
        axis.tick_params(axis="x", labelsize=7)
        axis.set_ylabel(f"MAE ({unit})")
        times.ticks(axis, 4)
    return figure
