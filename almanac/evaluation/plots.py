"""The report's plots of forecasts and errors; each takes figures and returns a matplotlib figure."""

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.evaluation.error_analysis import week_of
from almanac.evaluation.scored_rows import Judged
from almanac.reports import COLOURS, new_figure


def overview(targets: dict[str, Any]) -> Any:
    """Return the errors of the model beside the baselines': a line of plots a scale, a group of bars a target."""
    scales: dict[tuple[str, str], list[str]] = {}
    for name, entry in targets.items():
        scales.setdefault((errors_in(entry)[0], _unit_of(entry)), []).append(name)
    spacing = {"wspace": 0.22, "hspace": 0.42}
    figure, axes = new_figure(10.6, 2.7 * len(scales), len(scales), 2, gridspec_kw=spacing)
    for line, ((_, unit), names) in zip(axes, scales.items(), strict=True):
        for axis, metric in zip(line, errors_in(targets[names[0]]), strict=True):
            _bars(axis, {name: targets[name] for name in names}, metric)
            axis.set_title(f"{label(metric)}{unit}: lower is better")
    axes[0, 0].legend(loc="upper left", ncols=3)
    return figure


def _bars(axis: Any, targets: dict[str, Any], metric: str) -> None:
    kinds = [("model", COLOURS["forecast"]), ("persistence", COLOURS["neutral"]), ("seasonal", "#c5cbd3")]
    for index, (kind, colour) in enumerate(kinds):
        values = [_error(entry, kind, metric) for entry in targets.values()]
        spots = np.arange(len(values)) + (index - 1) * 0.27
        axis.bar(spots, values, 0.25, color=colour, label=kind)
        for spot, value in zip(spots, values, strict=True):
            axis.annotate(f"{value:.3g}", (spot, value), ha="center", va="bottom", fontsize=7.5, color="#5a6270")
    horizons = [ahead(entry["horizon"]) for entry in targets.values()]
    axis.set_xticks(range(len(targets)), horizons if len(set(horizons)) == len(horizons) else list(targets))
    axis.set_xlim(-0.6, len(targets) - 0.4)
    axis.grid(axis="x", visible=False)
    axis.set_ylim(top=1.22 * axis.get_ylim()[1])


def weeks(judged: Judged, unit: str) -> Any:
    """Return forecast, interval and truth over three weeks: the highest, an ordinary one, the hardest."""
    chosen, entity = chosen_weeks(judged), _main_entity(judged)
    of = f", {entity}" if entity is not None else ""
    figure, axes = new_figure(10.6, 2.1 * len(chosen), len(chosen), 1, gridspec_kw={"hspace": 0.42})
    for axis, (why, rows) in zip(axes[:, 0], chosen.items(), strict=True):
        time = judged.due[rows].astype("datetime64[s]").astype(object)
        if judged.lower is not None and judged.upper is not None:
            axis.fill_between(time, judged.lower[rows], judged.upper[rows], color=COLOURS["band"], alpha=0.45, lw=0)
        axis.plot(time, judged.prediction[rows], color=COLOURS["forecast"], label="forecast")
        axis.plot(time, judged.y[rows], color=COLOURS["truth"], lw=1.1, label="measured")
        axis.set_title(f"{why}{of}: {time[0]:%-d %B} to {time[-1]:%-d %B %Y}")
        axis.set_ylabel(unit)
        axis.margins(x=0)
        _dates(axis, "DayLocator", "%a %-d")
    axes[0, 0].legend(loc="upper right", ncols=2)
    return figure


def chosen_weeks(judged: Judged) -> dict[str, npt.NDArray[np.intp]]:
    """Return the rows of three telling weeks of the series that has the most rows."""
    series = np.flatnonzero(_main_series(judged))
    place = week_of(judged.time[series])
    found, at = np.unique(place, return_inverse=True)
    n = np.bincount(at)
    error = np.sqrt(np.bincount(at, weights=(judged.prediction - judged.y)[series] ** 2) / n)
    mean = np.bincount(at, weights=judged.y[series]) / n
    full = np.flatnonzero(n >= 0.8 * n.max())
    ordinary = full[np.argsort(error[full], kind="stable")[full.size // 2]]
    picks = {"The highest week": full[np.argmax(mean[full])], "An ordinary week": ordinary}
    picks["The hardest week"] = full[np.argmax(error[full])]
    once = {int(week): why for why, week in reversed(picks.items())}
    return {why: series[place == found[week]] for week, why in reversed(once.items())}


def calibration(entry: dict[str, Any], curve: list[dict[str, Any]]) -> Any:
    """Return coverage by band, width by band, and mean truth against mean forecast."""
    coverage = entry.get("coverage")
    figure, axes = new_figure(10.6, 2.6, 1, 3 if coverage else 1, gridspec_kw={"wspace": 0.28})
    _reliability(axes[0, -1], curve, entry)
    if coverage:
        details = {name: d for name, d in coverage["band_details"].items() if d["coverage"] is not None}
        names = [f"{name}\nn {d['n']:,}" for name, d in details.items()]
        _dots(axes[0, 0], names, [d["coverage"] for d in details.values()], [d["ci"] for d in details.values()])
        axes[0, 0].axhline(coverage["nominal"], color=COLOURS["warning"], lw=1, ls="--")
        axes[0, 0].set_title("Coverage by last known value")
        axes[0, 0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes[0, 1].bar(names, [d["width"] for d in details.values()], 0.6, color=COLOURS["band"])
        axes[0, 1].grid(axis="x", visible=False)
        axes[0, 1].set_title(f"Mean interval width{_unit(entry['unit'])}")
    return figure


def slices(entry: dict[str, Any], band: str) -> Any:
    """Return an error figure by group with its intervals: lines for many values, dots for few."""
    groups = {name: values for name, values in entry["slices"].items() if name != band and len(values) > 1}
    if not groups:
        return None
    metric = errors_in(entry)[1]
    ratios = [min(14.0, max(4.0, sum(len(name) + 2.5 for name in values) / 2.5)) for values in groups.values()]
    figure, axes = new_figure(10.6, 2.5, 1, len(groups), sharey=True, width_ratios=ratios, gridspec_kw={"wspace": 0.08})
    for axis, (group, values) in zip(axes[0], groups.items(), strict=True):
        figures, spans = [v[metric] for v in values.values()], [v["ci"][metric] for v in values.values()]
        if len(values) > 8:
            _ribbon(axis, list(values), figures, spans)
        else:
            _dots(axis, list(values), figures, spans)
        axis.set_title(group.replace("_", " "))
    axes[0, 0].set_ylabel(f"{label(metric)}{_unit_of(entry)}")
    tops = [v["ci"][metric][1] if v["ci"][metric] else v[metric] for values in groups.values() for v in values.values()]
    axes[0, 0].set_ylim(0, 1.06 * max(top for top in tops if top is not None))
    return figure


def residuals(
    judged: Judged,
    by_week: list[dict[str, Any]],
    binned: dict[str, list[dict[str, Any]]],
    unit: str,
    categories: dict[str, list[str]],
) -> Any:
    """Return the residuals over time, and their bias and size against the forecast and features."""
    figure, axes = new_figure(10.6, 4.9, 2, 4, gridspec_kw={"hspace": 0.42, "wspace": 0.3})
    for axis in axes[0, 1:3]:
        axis.remove()
    axes[0, 0].set_subplotspec(axes[0, 0].get_gridspec()[0, :3])
    wide, narrow = axes[0, 0], axes[0, 3]
    time = np.asarray([row["week"] for row in by_week], dtype="datetime64[D]").astype(object)
    low, high, bias = ([row[key] for row in by_week] for key in ("low", "high", "bias"))
    wide.fill_between(time, low, high, color=COLOURS["band"], alpha=0.45, lw=0, label="5% to 95%")
    wide.plot(time, bias, color=COLOURS["forecast"], label="mean")
    wide.axhline(0, color=COLOURS["truth"], lw=0.7)
    wide.set_title(f"Forecast less truth, week by week{_unit(unit)}")
    wide.legend(loc="upper right", ncols=2)
    wide.margins(x=0)
    _dates(wide, "MonthLocator", "%b")
    error = judged.prediction - judged.y
    reach = float(np.quantile(np.abs(error), 0.99)) or 1.0
    narrow.hist(np.clip(error, -reach, reach), bins=41, color=COLOURS["neutral"], histtype="stepfilled")
    narrow.set_title("Distribution")
    narrow.set_yticks([])
    for axis, (name, rows) in zip(axes[1], binned.items(), strict=False):
        at = [row["at"] for row in rows]
        axis.plot(at, [row["mae"] for row in rows], "o-", ms=3, color=COLOURS["neutral"], label="size")
        axis.plot(at, [row["bias"] for row in rows], "o-", ms=3, color=COLOURS["forecast"], label="bias")
        axis.axhline(0, color=COLOURS["truth"], lw=0.7)
        axis.set_title(f"by {name}")
        if name in categories:
            axis.set_xticks(range(len(categories[name])), categories[name])
    axes[1, 0].legend(loc="upper left")
    for axis in axes[1, len(binned) :]:
        axis.set_visible(False)
    return figure


def errors_in(entry: dict[str, Any]) -> tuple[str, str]:
    """Return the two error figures of a target's entry, the leading one first."""
    return ("log_loss", "brier") if entry["task"] == "classification" else ("rmse", "mae")


def ahead(horizon: str) -> str:
    """Return a horizon as people write it: 6 h ahead."""
    return f"{horizon.rstrip('minhd')} {horizon.lstrip('0123456789')} ahead"


def label(metric: str) -> str:
    """Return a figure's name as people write it."""
    names = {"rmse": "RMSE", "mae": "MAE", "log_loss": "Log loss", "brier": "Brier score", "r2": "R²", "smape": "sMAPE"}
    return names.get(metric, {"mase": "MASE", "auc": "AUC"}.get(metric, metric.replace("_", " ").capitalize()))


def _error(entry: dict[str, Any], kind: str, metric: str) -> float:
    value = entry[metric] if kind == "model" else entry["baselines"][kind][metric]
    return float("nan") if value is None else float(value)


def _unit(unit: str | None) -> str:
    return f", {unit}" if unit else ""


def _unit_of(entry: dict[str, Any]) -> str:
    """Return the unit of a target's errors; those of probabilities have none."""
    return "" if entry["task"] == "classification" else _unit(entry["unit"])


def _main_entity(judged: Judged) -> str | None:
    """Return the entity with the most rows, None where there is one series."""
    if judged.keys.width == 1:
        return None
    names, n = np.unique(judged.keys.to_series(0).cast(str).to_numpy(), return_counts=True)
    return str(names[np.argmax(n)])


def _main_series(judged: Judged) -> npt.NDArray[np.bool_]:
    entity = _main_entity(judged)
    if entity is None:
        return np.ones(judged.time.shape, dtype=np.bool_)
    return np.asarray(judged.keys.to_series(0).cast(str).to_numpy() == entity)


def _reliability(axis: Any, curve: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    forecast, truth = [row["forecast"] for row in curve], [row["truth"] for row in curve]
    ends = [min(forecast + truth), max(forecast + truth)]
    axis.plot(ends, ends, color=COLOURS["neutral"], lw=0.8, ls="--")
    axis.plot(forecast, truth, "o-", ms=3.5, color=COLOURS["forecast"])
    axis.set_title("Mean truth by mean forecast" + _unit_of(entry))


def _dots(axis: Any, names: list[str], figures: list[Any], spans: list[Any]) -> None:
    spots = np.arange(len(names))
    for spot, span in zip(spots, spans, strict=True):
        if span is not None:
            axis.plot([spot, spot], span, color=COLOURS["band"], lw=5, solid_capstyle="butt")
    axis.plot(spots, [np.nan if f is None else f for f in figures], "o", ms=5, color=COLOURS["forecast"])
    axis.set_xticks(spots, names)
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.grid(axis="x", visible=False)


def _ribbon(axis: Any, names: list[str], figures: list[Any], spans: list[Any]) -> None:
    spots = np.arange(len(names))
    low, high = (np.asarray([np.nan if s is None else s[end] for s in spans], dtype=np.float64) for end in (0, 1))
    axis.fill_between(spots, low, high, color=COLOURS["band"], alpha=0.45, lw=0)
    axis.plot(spots, [np.nan if f is None else f for f in figures], color=COLOURS["forecast"])
    step = -(-len(names) // 8)
    axis.set_xticks(spots[::step], names[::step])
    axis.margins(x=0.01)


def _dates(axis: Any, locator: str, form: str) -> None:
    dates: Any = import_module("matplotlib.dates")  # untyped
    axis.xaxis.set_major_locator(getattr(dates, locator)())
    axis.xaxis.set_major_formatter(dates.DateFormatter(form))
