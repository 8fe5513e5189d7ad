"""The report's plots of SHAP values."""

from typing import Any

import numpy as np

from components.common.report import COLOURS, new_figure
from components.evaluation.importance import Explained
from components.evaluation.rows import Judged

_SHOWN = 14
_POINTS = 250


def importance(explained: Explained, judged: Judged, unit: str, categories: dict[str, list[str]]) -> Any:
    """Return the mean absolute contribution of the strongest features, and the dependence on six of them."""
    figure, axes = new_figure(
        10.6, 4.2, 2, 4, gridspec_kw={"width_ratios": [1.5, 1, 1, 1], "hspace": 0.38, "wspace": 0.3}
    )
    ranking = explained.ranking()[:_SHOWN]
    bars = _merged(axes)
    bars.barh([name for name, _ in ranking][::-1], [size for _, size in ranking][::-1], 0.7, color=COLOURS["forecast"])
    bars.grid(axis="y", visible=False)
    bars.set_title(f"Mean size of the contribution{f', {unit}' if unit else ''}")
    spots = [axes[row, column] for row in (0, 1) for column in (1, 2, 3)]
    for axis, (name, _) in zip(spots, ranking, strict=False):
        _dependence(axis, explained, judged, name)
        if name in categories:
            axis.set_xticks(range(len(categories[name])), categories[name])
    for axis in spots[len(ranking) :]:
        axis.set_visible(False)
    return figure


def local(explanations: list[dict[str, Any]], unit: str) -> Any:
    """Return the contributions to each instructive row's forecast as bars."""
    figure, axes = new_figure(10.6, 2.7, 1, len(explanations), gridspec_kw={"wspace": 0.75})
    for axis, row in zip(axes[0], explanations, strict=True):
        parts = [(f"{f['name']} = {_short(f['value'])}", f["contribution"]) for f in row["features"]]
        parts.append(("all others", row["others"]))
        names, sizes = [name for name, _ in parts][::-1], [size for _, size in parts][::-1]
        colours = [COLOURS["warning"] if size > 0 else COLOURS["forecast"] for size in sizes]
        axis.barh(names, sizes, 0.7, color=colours)
        axis.axvline(0, color=COLOURS["truth"], lw=0.7)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", labelsize=7.5)
        forecast = f"forecast {row['prediction']:.3g}, truth {row['y']:.3g} {unit}"
        axis.set_title(f"{row['why'].capitalize()}, {row['of'].replace('T', ' ')}\n{forecast}", fontsize=8.5)
    return figure


def _dependence(axis: Any, explained: Explained, judged: Judged, name: str) -> None:
    place = explained.names.index(name)
    x, y = judged.X[explained.rows, place][:_POINTS], explained.values[:, place][:_POINTS]
    axis.plot(x, y, ".", ms=2.5, color=COLOURS["forecast"], alpha=0.5)
    axis.axhline(0, color=COLOURS["truth"], lw=0.7)
    axis.set_title(name, fontsize=8.5)


def _merged(axes: Any) -> Any:
    """Return one axes over the first column; the upper one is stretched, so that it keeps its look."""
    grid = axes[0, 0].get_gridspec()
    axes[1, 0].remove()
    axes[0, 0].set_subplotspec(grid[:, 0])
    return axes[0, 0]


def _short(value: float | None) -> str:
    return "missing" if value is None else f"{np.format_float_positional(value, 3, fractional=False, trim='-')}"
