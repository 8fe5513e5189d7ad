"""Plots of forecasts and errors."""

from typing import Any

import numpy as np

from almanac.evaluation.error_analysis import by_day
from almanac.evaluation.groups import largest
from almanac.evaluation.labels import ahead, in_unit, label
from almanac.evaluation.metrics import ERRORS
from almanac.evaluation.sampled_weeks import sampled_weeks
from almanac.evaluation.scored_rows import ScoredRows
from almanac.reports import COLOURS, Times, name_ticks, new_figure, share_ticks, shortened

#: Width of a figure in inches.
_WIDTH = 10.6
#: Targets whose two errors fit beside each other.
_BESIDE = 4
#: Bars are cut at so many times the model's error or the best baseline's, beside which they would be too small to see.
_MOST = 4.0
#: Groups that are drawn; of more of them, those with most rows.
_GROUPS = 48
#: Weeks below which days are drawn: two points are no course.
_FEWEST_WEEKS = 8


def overview(targets: dict[str, Any], events: bool = False) -> Any:
    """Return the errors of models and baselines: a row of plots for each scale, a group of bars for each target."""
    scales: dict[tuple[str, str], list[str]] = {}
    for name, entry in targets.items():
        scales.setdefault((entry["task"], in_unit(entry)), []).append(name)
    # Many groups of bars take the whole width, and the second error stands below the first.
    across = 1 if max(map(len, scales.values())) > _BESIDE else 2
    down = len(scales) * (3 - across)
    spacing = {"wspace": 0.22, "hspace": 0.6 if across == 1 else 0.42}
    figure, axes = new_figure(_WIDTH, 2.7 * down, down, across, gridspec_kw=spacing)
    spots = iter(axes.ravel())
    for (task, unit), names in scales.items():
        for metric in ERRORS[task]:
            axis = next(spots)
            _bars(axis, {name: targets[name] for name in names}, metric, events, _WIDTH / across)
            axis.set_title(f"{label(metric)}{unit}: lower is better")
    # Above the plots: with six baselines it would cover the bars.
    axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0.0, 1.14), ncols=7, borderaxespad=0.0)
    return figure


def _bars(axis: Any, targets: dict[str, Any], metric: str, events: bool, inches: float) -> None:
    baselines = dict.fromkeys(name for entry in targets.values() for name in entry["baselines"])
    greys = np.linspace(0.45, 0.85, len(baselines))
    kinds = [("model", COLOURS["forecast"]), *zip(baselines, map(str, greys), strict=True)]
    width = 0.84 / len(kinds)
    # The figures that people compare; those of every baseline are in the table, and would run into each other here.
    least = [
        min((_error(entry, name, metric) for name in entry["baselines"]), default=np.nan) for entry in targets.values()
    ]
    top = _MOST * np.nanmax([*least, *(_error(entry, "model", metric) for entry in targets.values())])
    for index, (kind, colour) in enumerate(kinds):
        values = [_error(entry, kind, metric) for entry in targets.values()]
        spots = np.arange(len(values)) + (index - (len(kinds) - 1) / 2) * width
        axis.bar(spots, np.minimum(values, top), 0.92 * width, color=colour, label=kind.replace("_", " "))
        for spot, value, best in zip(spots, values, least, strict=True):
            if value > top:
                axis.annotate(f"{value:.3g} ↑", (spot, top), ha="center", va="bottom", fontsize=7, color="#5a6270")
            if np.isfinite(value) and (kind == "model" or value == best):
                # Away from each other, since the two bars may be neighbours.
                side, edge = ("right", spot + width / 2) if kind == "model" else ("left", spot - width / 2)
                axis.annotate(f"{value:.3g}", (edge, value), ha=side, va="bottom", fontsize=7, color="#5a6270")
    horizons = [ahead(entry["horizon"], events) for entry in targets.values()]
    name_ticks(axis, horizons if len(set(horizons)) == len(horizons) else list(targets), inches)
    axis.set_xlim(-0.6, len(targets) - 0.4)
    axis.grid(axis="x", visible=False)
    axis.set_ylim(top=1.1 * axis.get_ylim()[1])


def weeks(scored: ScoredRows, unit: str, times: Times) -> Any:
    """Return forecast, interval and truth over the sampled weeks."""
    chosen = sampled_weeks(scored)
    figure, axes = new_figure(_WIDTH, 2.1 * len(chosen), len(chosen), 1, gridspec_kw={"hspace": 0.42})
    for axis, (title, rows) in zip(axes[:, 0], chosen.items(), strict=True):
        time = scored.due[rows].astype("datetime64[s]").astype(object)
        if scored.lower is not None and scored.upper is not None:
            axis.fill_between(time, scored.lower[rows], scored.upper[rows], color=COLOURS["band"], alpha=0.45, lw=0)
        axis.plot(time, scored.prediction[rows], color=COLOURS["forecast"], label="forecast")
        axis.plot(time, scored.y[rows], color=COLOURS["truth"], lw=1.1, label="measured")
        axis.set_title(f"{title}: {times.span(time[0], time[-1])}")
        axis.set_ylabel(unit)
        axis.margins(x=0)
        times.ticks(axis)
    axes[0, 0].legend(loc="upper right", ncols=2)
    return figure


def calibration(entry: dict[str, Any], curve: list[dict[str, Any]]) -> Any:
    """Return coverage by band, width by band, and mean truth against mean forecast."""
    coverage = entry.get("coverage")
    figure, axes = new_figure(_WIDTH, 2.6, 1, 3 if coverage else 1, gridspec_kw={"wspace": 0.28})
    _reliability(axes[0, -1], curve, entry)
    if coverage:
        details = {name: d for name, d in coverage["band_details"].items() if d["coverage"] is not None}
        names, third = [f"{name}\nn {d['n']:,}" for name, d in details.items()], _WIDTH / 3.4
        _dots(axes[0, 0], names, [d["coverage"] for d in details.values()], [d["ci"] for d in details.values()], third)
        axes[0, 0].axhline(coverage["nominal"], color=COLOURS["warning"], lw=1, ls="--")
        axes[0, 0].set_title("Coverage by last known value")
        share_ticks(axes[0, 0])
        axes[0, 1].bar(range(len(names)), [d["width"] for d in details.values()], 0.6, color=COLOURS["band"])
        name_ticks(axes[0, 1], names, third)
        axes[0, 1].grid(axis="x", visible=False)
        axes[0, 1].set_title(f"Mean interval width{in_unit(entry)}")
    return figure


def slices(entry: dict[str, Any], band: str) -> Any:
    """Return an error metric by group with its intervals: lines for many groups, dots for few; None without groups."""
    groups = {
        name: largest(values, _GROUPS) for name, values in entry["slices"].items() if name != band and len(values) > 1
    }
    if not groups:
        return None
    metric = ERRORS[entry["task"]][1]
    ratios = [min(14.0, max(4.0, sum(len(name) + 2.5 for name in values) / 2.5)) for values in groups.values()]
    figure, axes = new_figure(
        _WIDTH, 2.5, 1, len(groups), sharey=True, width_ratios=ratios, gridspec_kw={"wspace": 0.08}
    )
    for axis, ratio, (group, values) in zip(axes[0], ratios, groups.items(), strict=True):
        errors, spans = [v[metric] for v in values.values()], [v["ci"][metric] for v in values.values()]
        inches = 0.9 * _WIDTH * ratio / sum(ratios)
        if len(values) > 8:
            _ribbon(axis, list(values), errors, spans, inches)
        else:
            _dots(axis, list(values), errors, spans, inches)
        every = len(entry["slices"][group])
        axis.set_title(group.replace("_", " ") + (f": the {len(values)} largest of {every:,}" * (every > len(values))))
    axes[0, 0].set_ylabel(f"{label(metric)}{in_unit(entry)}")
    tops = [v["ci"][metric][1] if v["ci"][metric] else v[metric] for values in groups.values() for v in values.values()]
    axes[0, 0].set_ylim(0, 1.06 * max(top for top in tops if top is not None))
    return figure


def residuals(
    scored: ScoredRows,
    by_week: list[dict[str, Any]],
    binned: dict[str, list[dict[str, Any]]],
    unit: str,
    categories: dict[str, list[str]],
    times: Times,
) -> Any:
    """Return the residuals over time, and their bias and size against the forecast and features."""
    figure, axes = new_figure(_WIDTH, 4.9, 2, 4, gridspec_kw={"hspace": 0.42, "wspace": 0.3})
    for axis in axes[0, 1:3]:
        axis.remove()
    axes[0, 0].set_subplotspec(axes[0, 0].get_gridspec()[0, :3])
    wide, narrow = axes[0, 0], axes[0, 3]
    unit_of_time, rows = ("week", by_week) if len(by_week) >= _FEWEST_WEEKS else ("day", by_day(scored))
    time = np.asarray([row[unit_of_time] for row in rows], dtype="datetime64[D]").astype(object)
    low, high, bias = ([row[key] for row in rows] for key in ("low", "high", "bias"))
    wide.fill_between(time, low, high, color=COLOURS["band"], alpha=0.45, lw=0, label="5% to 95%")
    wide.plot(time, bias, color=COLOURS["forecast"], label="mean")
    wide.axhline(0, color=COLOURS["truth"], lw=0.7)
    wide.set_title(f"Forecast less truth, {unit_of_time} by {unit_of_time}{f', {unit}' if unit else ''}")
    wide.legend(loc="upper right", ncols=2)
    wide.margins(x=0)
    times.ticks(wide)
    error = scored.prediction - scored.y
    # Outliers are drawn in the outermost bins, or the rest would be one bar.
    reach = float(np.quantile(np.abs(error), 0.99)) or 1.0
    narrow.hist(np.clip(error, -reach, reach), bins=41, color=COLOURS["neutral"], histtype="stepfilled")
    narrow.set_title("Distribution")
    narrow.set_yticks([])
    for axis, (name, rows) in zip(axes[1], binned.items(), strict=False):
        at = [row["at"] for row in rows]
        axis.plot(at, [row["mae"] for row in rows], "o-", ms=3, color=COLOURS["neutral"], label="size")
        axis.plot(at, [row["bias"] for row in rows], "o-", ms=3, color=COLOURS["forecast"], label="bias")
        axis.axhline(0, color=COLOURS["truth"], lw=0.7)
        axis.set_title(f"by {shortened(name)}")
        if name in categories:
            name_ticks(axis, categories[name], _WIDTH / 5)
    axes[1, 0].legend(loc="upper left")
    for axis in axes[1, len(binned) :]:
        axis.set_visible(False)
    return figure


def _error(entry: dict[str, Any], kind: str, metric: str) -> float:
    value = entry[metric] if kind == "model" else entry["baselines"].get(kind, {}).get(metric)
    return float("nan") if value is None else float(value)


def _reliability(axis: Any, curve: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    forecast, truth = [row["forecast"] for row in curve], [row["truth"] for row in curve]
    ends = [min(forecast + truth), max(forecast + truth)]
    axis.plot(ends, ends, color=COLOURS["neutral"], lw=0.8, ls="--")
    axis.plot(forecast, truth, "o-", ms=3.5, color=COLOURS["forecast"])
    axis.set_title("Mean truth by mean forecast" + in_unit(entry))


def _dots(axis: Any, names: list[str], errors: list[Any], spans: list[Any], inches: float) -> None:
    spots = np.arange(len(names))
    for spot, span in zip(spots, spans, strict=True):
        if span is not None:
            axis.plot([spot, spot], span, color=COLOURS["band"], lw=5, solid_capstyle="butt")
    axis.plot(spots, [np.nan if error is None else error for error in errors], "o", ms=5, color=COLOURS["forecast"])
    name_ticks(axis, names, inches)
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.grid(axis="x", visible=False)


def _ribbon(axis: Any, names: list[str], errors: list[Any], spans: list[Any], inches: float) -> None:
    spots = np.arange(len(names))
    low, high = (np.asarray([np.nan if s is None else s[end] for s in spans], dtype=np.float64) for end in (0, 1))
    axis.fill_between(spots, low, high, color=COLOURS["band"], alpha=0.45, lw=0)
    axis.plot(spots, [np.nan if error is None else error for error in errors], color=COLOURS["forecast"])
    name_ticks(axis, names, inches)
    axis.margins(x=0.01)
