"""Plots of SHAP values."""

from typing import Any

import numpy as np

from almanac.evaluation.importance import Explained
from almanac.evaluation.scored_rows import ScoredRows
from almanac.reports import COLOURS, Times, name_ticks, new_figure, number_ticks, shortened

_SHOWN = 14
#: Points of a dependence; the plot is drawn into the report, whose size grows with each.
_POINTS = 250


def importance(explained: Explained, scored: ScoredRows, unit: str, categories: dict[str, list[str]]) -> Any:
    """Return the mean absolute contribution of the strongest features, and the dependence on six of them."""
    figure, axes = new_figure(
        10.6, 4.2, 2, 4, gridspec_kw={"width_ratios": [1.5, 1, 1, 1], "hspace": 0.42, "wspace": 0.36}
    )
    ranking = explained.ranking()[:_SHOWN]
    bars = _merged(axes)
    bars.barh([name for name, _ in ranking][::-1], [size for _, size in ranking][::-1], 0.7, color=COLOURS["forecast"])
    _shorten(bars, [size for _, size in ranking][::-1])
    number_ticks(bars, 2.2)
    bars.grid(axis="y", visible=False)
    bars.set_title(f"Mean size of the contribution{f', {unit}' if unit else ''}")
    spots = [axes[row, column] for row in (0, 1) for column in (1, 2, 3)]
    for axis, (name, _) in zip(spots, ranking, strict=False):
        _dependence(axis, explained, scored, name)
        number_ticks(axis, 1.2, vertical=True)
        if name in categories:
            name_ticks(axis, categories[name], 1.6)
        else:
            number_ticks(axis, 1.6)
    for axis in spots[len(ranking) :]:
        axis.set_visible(False)
    return figure


def local(explanations: list[dict[str, Any]], unit: str, categories: dict[str, list[str]], times: Times) -> Any:
    """Return the contributions to each instructive row's forecast as bars."""
    figure, axes = new_figure(10.6, 2.7, 1, len(explanations), gridspec_kw={"wspace": 0.95})
    for axis, row in zip(axes[0], explanations, strict=True):
        parts = [(_feature_text(f, categories), f["contribution"]) for f in row["features"]]
        parts.append(("all others", row["others"]))
        # Bars are drawn from below.
        names, sizes = [name for name, _ in parts][::-1], [size for _, size in parts][::-1]
        colours = [COLOURS["warning"] if size > 0 else COLOURS["forecast"] for size in sizes]
        axis.barh(names, sizes, 0.7, color=colours)
        _shorten(axis, sizes)
        number_ticks(axis, 1.8)
        axis.axvline(0, color=COLOURS["truth"], lw=0.7)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", labelsize=7.5)
        lines = [f"{row['why'].capitalize()}, {times.day(row['of']).replace('T', ' ')}"]
        lines += [f"of {row['entity']}"] if "entity" in row else []
        lines.append(f"forecast {row['prediction']:.3g}, truth {row['y']:.3g} {unit}")
        axis.set_title("\n".join(lines), fontsize=8.5)
    return figure


def _dependence(axis: Any, explained: Explained, scored: ScoredRows, name: str) -> None:
    column = explained.names.index(name)
    x, y = scored.X[explained.rows, column][:_POINTS], explained.values[:, column][:_POINTS]
    axis.plot(x, y, ".", ms=2.5, color=COLOURS["forecast"], alpha=0.5)
    axis.axhline(0, color=COLOURS["truth"], lw=0.7)
    axis.set_title(shortened(name), fontsize=8.5)


def _merged(axes: Any) -> Any:
    """Return one axes over both rows of the first column."""
    grid = axes[0, 0].get_gridspec()
    # Removed first, since the merged axes takes its place.
    axes[1, 0].remove()
    axes[0, 0].set_subplotspec(grid[:, 0])
    return axes[0, 0]


def _shorten(axis: Any, sizes: list[float]) -> None:
    """Truncate a bar that dwarfs all others, and label it with its length."""
    order = np.argsort(-np.abs(sizes), kind="stable")
    if len(sizes) < 3 or abs(sizes[order[0]]) < 4 * abs(sizes[order[1]]):
        return
    # Where all others are nothing, as of a model that found nothing to split by, there is no other to compare with.
    if not sizes[order[1]]:
        return
    index, size, reach = int(order[0]), sizes[order[0]], 1.6 * abs(sizes[order[1]])
    low, high = min(0.0, *sizes), max(0.0, *sizes)
    axis.set_xlim(max(low, -reach) * 1.02, min(high, reach) * 1.02)
    inside = -4 if size > 0 else 4
    axis.annotate(
        f"{size:.3g}" + (" →" if size > 0 else " ←"),
        (np.sign(size) * reach, index),
        xytext=(inside, 0),
        textcoords="offset points",
        ha="right" if size > 0 else "left",
        va="center",
        color="white",
        fontsize=7.5,
    )


def _feature_text(feature: dict[str, Any], categories: dict[str, list[str]]) -> str:
    name, value = feature["name"], feature["value"]
    shown = shortened(name)
    if value is None:
        return f"{shown} missing"
    if name in categories:
        return f"{shown} = {categories[name][int(value)]}"
    return f"{shown} = {np.format_float_positional(value, 3, fractional=False, trim='-')}"
