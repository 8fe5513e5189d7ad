"""Plots of the validation report."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from almanac.data.checks.gaps import Gap
from almanac.reports import COLOURS, Times, new_figure
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_WIDTH = 10.6
_SERIES_BINS = 420
_SHARE_BINS = 72
_MOST = 16


def series(grid: pl.DataFrame, usecase: UseCase) -> "Figure | None":
    """Return the means and ranges of the numeric columns over time, targets first; None without such columns."""
    names = numeric_columns(usecase)[:_MOST]
    if not names:
        return None
    figure, axes = _rows(len(names), 0.95)
    binned, time = _binned(grid, usecase, _SERIES_BINS), usecase.time.column
    bins = binned.agg(
        expression
        for name in names
        for expression in (
            pl.col(name).mean().alias(f"{name} mean"),
            pl.col(name).min().alias(f"{name} min"),
            pl.col(name).max().alias(f"{name} max"),
        )
    )
    times = bins[time].to_numpy()
    for axis, name in zip(axes, names, strict=True):
        low, mean, high = (bins[f"{name} {part}"].to_numpy().astype(float) for part in ("min", "mean", "max"))
        axis.fill_between(times, low, high, color=COLOURS["band"], linewidth=0, step="mid")
        axis.plot(times, mean, color=COLOURS["forecast"], linewidth=0.9)
        _label(axis, name, usecase.columns[name].unit)
        axis.margins(x=0.005)
    _times(usecase).ticks(axes[-1])
    return _laid_out(figure)


def missing(grid: pl.DataFrame, usecase: UseCase) -> "Figure":
    """Return the share of missing values of each column over time."""
    from matplotlib.colors import LinearSegmentedColormap

    names, time = list(usecase.columns), usecase.time.column
    bins = _binned(grid, usecase, _SHARE_BINS).agg(pl.col(name).is_null().mean() for name in names)
    figure, (axis,) = _rows(1, 0.55 + 0.2 * len(names))
    colours = LinearSegmentedColormap.from_list("missing", ["#f4f6f8", COLOURS["warning"]])
    starts = bins[time].to_list()
    # A row stands for a whole step, or a last span of one row would have no width.
    end = _microseconds(grid[time].max()) + to_microseconds(usecase.time.frequency)
    edges = np.array([*map(_microseconds, starts), end]).astype("datetime64[us]")
    shares = bins.select(names).to_numpy().T
    mesh = axis.pcolormesh(
        edges, np.arange(len(names) + 1), shares, cmap=colours, vmin=0, vmax=1, edgecolor="white", linewidth=0.4
    )
    axis.set_yticks(np.arange(len(names)) + 0.5, names)
    axis.invert_yaxis()
    axis.tick_params(length=0)
    _times(usecase).ticks(axis)
    bar = figure.colorbar(mesh, ax=axis, pad=0.01, aspect=12, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0%", "50%", "100%"], fontsize=8)
    bar.outline.set_visible(False)
    return _laid_out(figure)


def gaps(gaps: list[Gap], grid: pl.DataFrame, usecase: UseCase) -> "Figure":
    """Return the number of missing times over the span, and the distribution of the gaps' lengths."""
    figure, (left, right) = _grid_of(2, 2, 2.1, widths=[2.2, 1])
    axis, time = usecase.time.grid, grid[usecase.time.column]
    edges = np.linspace(_microseconds(time.min()), _microseconds(time.max()), 73)
    missed = np.zeros(72)
    for gap in gaps:
        first = axis.to_even(np.array([_microseconds(gap.start)]))
        missed += np.histogram(axis.from_even(first + axis.step * np.arange(gap.steps)), edges)[0]
    left.bar(
        edges[:-1].astype("datetime64[us]"),
        missed,
        width=np.timedelta64(int(edges[1] - edges[0]), "us"),
        align="edge",
        color=COLOURS["warning"],
    )
    left.set_title("Missing times", **_TITLE)
    left.margins(x=0.005)
    _times(usecase).ticks(left)
    lengths = np.array([gap.steps for gap in gaps])
    right.hist(lengths, bins=np.geomspace(1, max(lengths.max(), 2) + 1, 24).tolist(), color=COLOURS["neutral"])
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_title(f"Gaps by length (steps of {usecase.time.frequency})", **_TITLE)
    return _laid_out(figure)


def distributions(table: pl.DataFrame, usecase: UseCase) -> list[tuple["Figure", str]]:
    """Return the distributions of the numeric columns and of the categories, each figure with its caption."""
    numeric = numeric_columns(usecase)[:_MOST]
    categories = [name for name, column in usecase.columns.items() if column.type == "category"][:_MOST]
    figures = []
    if numeric:
        figure, axes = _grid_of(len(numeric), 4, 1.7)
        for axis, name in zip(axes, numeric, strict=False):
            _histogram(axis, table[name], name, usecase.columns[name].unit)
        figures.append(
            (_laid_out(figure), "Values present; a value that most rows share is left out, and so are the outermost.")
        )
    if categories:
        figure, axes = _grid_of(len(categories), 3, 2.1)
        for axis, name in zip(axes, categories, strict=False):
            _categories(axis, table[name].drop_nulls(), name)
        figures.append((_laid_out(figure), "Rows of each category."))
    return figures


def numeric_columns(usecase: UseCase) -> list[str]:
    """Return the numeric columns, those of targets first."""
    targets = list(dict.fromkeys(target.column for target in usecase.targets))
    numbers = [name for name, column in usecase.columns.items() if column.type not in ("category", "text")]
    return [*targets, *(name for name in numbers if name not in targets)]


_TITLE: dict[str, Any] = {"fontsize": 8.5, "color": COLOURS["truth"]}


def _histogram(axis: "Axes", column: pl.Series, name: str, unit: str | None) -> None:
    axis.set_title(f"{name} ({unit})" if unit else name, **_TITLE)
    axis.set_yticks([])
    values = column.drop_nulls().filter(column.drop_nulls().is_finite())
    if values.is_empty():
        return
    notes = []
    # A value such as no rain, which most rows share, would flatten all other bars.
    common = values.mode().sort()[0]
    if (share := float((values == common).mean() or 0.0)) > 0.5 and values.n_unique() > 1:
        values = values.filter(values != common)
        notes.append(f"{share:.1%} are {common:g}")
    finite = values.to_numpy()
    # Outliers would stretch the axis; they are counted in the note.
    low, high = np.quantile(finite, [0.002, 0.998], method="nearest")
    inside = finite[(finite >= low) & (finite <= high)]
    if beyond := len(finite) - len(inside):
        notes.append(f"{beyond:,} beyond")
    axis.hist(inside, bins=_edges(inside).tolist(), color=COLOURS["forecast"])
    axis.set_title(", ".join(notes), loc="right", fontsize=7, fontweight="normal", color=COLOURS["neutral"])


def _edges(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return about 36 bins; those of whole numbers have whole widths, so that each covers equally many values."""
    low, high = values.min(), values.max()
    if np.all(values % 1 == 0):
        width = max(1.0, np.ceil((high - low + 1) / 36))
        return np.arange(low - 0.5, high + 0.5 + width, width)
    return np.linspace(low, high, 37)


def _categories(axis: "Axes", values: pl.Series, name: str) -> None:
    counts = values.value_counts(name="count").sort("count", values.name, descending=[True, False]).head(11)
    axis.barh(counts[values.name].to_list(), counts["count"].to_list(), color=COLOURS["forecast"])
    axis.invert_yaxis()
    axis.set_title(name, **_TITLE)
    axis.set_xticks([])
    axis.tick_params(axis="y", length=0, labelsize=7 if counts.height > 6 else 8)


def _binned(grid: pl.DataFrame, usecase: UseCase, most: int) -> Any:
    """Group the rows by at most `most` equal spans of time, of whole steps of the grid."""
    time, step = usecase.time.column, to_microseconds(usecase.time.frequency)
    start = grid[time].min()
    steps = (_microseconds(grid[time].max()) - _microseconds(start)) // step + 1
    width = step * max(1, -(-steps // most))
    bin_start = (pl.col(time) - pl.lit(start)).dt.total_microseconds() // width * width
    binned = grid.with_columns((pl.lit(start) + pl.duration(microseconds=bin_start)).alias(time)).sort(time)
    return binned.group_by(time, maintain_order=True)


def _times(usecase: UseCase) -> Times:
    return Times.of(usecase)


def _microseconds(time: Any) -> int:
    assert isinstance(time, datetime)
    return int(np.datetime64(time, "us").astype(np.int64))


def _label(axis: "Axes", name: str, unit: str | None) -> None:
    axis.set_ylabel(f"{name}\n{unit}" if unit else name, fontsize=8, rotation=0, ha="right", va="center")


def _rows(count: int, height: float) -> tuple["Figure", list["Axes"]]:
    """Return a figure of `count` rows that share the time axis."""
    figure, axes = new_figure(_WIDTH, height * count + 0.3, count, 1, sharex=True)
    figure.set_layout_engine("constrained")
    return figure, _plain(axes)


def _grid_of(
    count: int, across: int, height: float, widths: list[float] | None = None
) -> tuple["Figure", list["Axes"]]:
    """Return a figure of at least `count` axes in rows of `across`."""
    down = -(-count // across)
    figure, axes = new_figure(_WIDTH, height * down, down, across, width_ratios=widths)
    figure.set_layout_engine("constrained")
    for axis in axes.ravel()[count:]:
        axis.set_visible(False)
    return figure, _plain(axes)


def _plain(axes: Any) -> list["Axes"]:
    plain = list(axes.ravel())
    for axis in plain:
        axis.grid(visible=False)
    return plain


def _laid_out(figure: "Figure") -> "Figure":
    """Return the figure with a final layout in which no texts overlap."""
    # Constrained layout is computed once here, and not again at each drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure
