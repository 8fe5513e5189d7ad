"""The entry of a target in metrics.json: metrics, intervals, skill, coverage, slices, disparities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.evaluation.bankroll import simulate
from almanac.evaluation.bootstrap import CONFIDENCE, Bootstrap, interval
from almanac.evaluation.disparity import FEWEST_ROWS, disparity
from almanac.evaluation.entities import UNSEEN, entity_figures, seen_and_unseen
from almanac.evaluation.groups import UNKNOWN, Slices, band_names
from almanac.evaluation.labels import TRAINING
from almanac.evaluation.metrics import (
    BootstrapSums,
    Metric,
    Terms,
    auc,
    auc_repeats,
    errors_of,
    interval_terms,
    leading_error,
    regression_terms,
    terms_of,
)
from almanac.evaluation.out_of_fold import out_of_fold_skill
from almanac.evaluation.price_signals import followed
from almanac.evaluation.rank_metrics import (
    expected_calibration_error,
    median_absolute_percentage_error,
    median_mase,
)
from almanac.evaluation.scored_rows import ScoredRows
from almanac.features.baselines import best_of
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

#: Name of the bands among the slices.
BAND = "band"

_SLICED_TERMS = ("n", "error", "square", "absolute", "log", "absolute_log", "positive", "covered", "width")
_SLICED_METRICS = ("rmse", "mae", "mae_log", "log_loss", "brier", "bias", "coverage", "width")
_NO_ROWS: dict[str, Any] = {"n": 0, "coverage": None, "width": None, "ci": {"coverage": None}}


def target_metrics(usecase: UseCase, scored: ScoredRows, model: str) -> dict[str, Any]:
    """Return the entry of one target.

    Args:
        usecase: the use case.
        scored: the scored rows.
        model: name of the chosen candidate.
    """
    bootstrap = Bootstrap.draw(
        usecase.time.grid.to_even(scored.time),
        usecase.time.grid.step,
        to_microseconds(usecase.evaluation.block),
        usecase.evaluation.repeats,
        usecase.training.seed,
    )
    groups = {BAND: scored.bands, **scored.groups, **seen_and_unseen(scored)}
    sums = _terms(scored, usecase.training.intervals.level, groups).sums(bootstrap)
    entry = _head(usecase, scored, model) | _with_intervals(sums, scored.metrics)
    if scored.classification:
        entry["auc"] = auc(scored.y, scored.prediction)
        entry["ci"]["auc"] = interval(auc_repeats(scored.y, scored.prediction, bootstrap))
    entry |= _beyond_sums(scored, scored.prediction)
    entry["baselines"], entry["skill"] = _against_baselines(scored, sums)
    for name, forecast in scored.baselines.items():
        entry["baselines"][name] |= _beyond_sums(scored, forecast)
    entry |= _decisions(usecase, scored)
    entry["headline"] = _headline(scored, sums)
    if scored.out_of_fold is not None:
        entry["out_of_fold"] = out_of_fold_skill(scored.target, scored.out_of_fold)
    entry["slices"] = {name: _slices(scored, sums, name, slices) for name, slices in groups.items()}
    if scored.lower is not None:
        entry["coverage"] = _coverage(usecase, entry)
    if (entities := entity_figures(scored)) is not None:
        entry["entities"] = entities
    entry["fewest_rows"], entry["confidence"] = FEWEST_ROWS, CONFIDENCE
    entry["disparity"] = {name: disparity(scored, slices) for name, slices in groups.items()}
    return entry


def _beyond_sums(scored: ScoredRows, forecast: Array) -> dict[str, Any]:
    """Return the metrics of a forecast that are no functions of sums, on the rows where it has a value."""
    rows = np.isfinite(forecast)
    if not rows.any():
        return {}
    if scored.classification:
        return {"ece": expected_calibration_error(scored.y[rows], forecast[rows])}
    found: dict[str, Any] = {}
    if scored.scales is not None:
        entity, size = scored.keys[scored.keys.columns[0]], np.abs(scored.y - forecast)
        # Of a panel, whose entities differ in size: a mean of errors over all rows is that of the largest.
        found |= {
            "smape": float(regression_terms(scored.y[rows], forecast[rows])["symmetric"].mean()),
            "mase_median": median_mase(entity, size, scored.scales),
        }
    if scored.target.scale == "log":
        found |= {"mdape": median_absolute_percentage_error(scored.y[rows], forecast[rows])}
    return found


def _decisions(usecase: UseCase, scored: ScoredRows) -> dict[str, Any]:
    """Return the simulation of the declared stakes, and the outcomes of the declared signals."""
    stakes, rule, found = scored.target.stakes, scored.target.signals, {}
    if stakes is not None:
        prices = {name: (scored.prices[f"{name}_yes"], scored.prices[f"{name}_no"]) for name in stakes.prices}
        found["stakes"] = simulate(stakes, scored.time, scored.y, scored.prediction, prices, usecase.training.seed)
    if rule is not None:
        asked = scored.prices["asked"]
        found["signals"] = followed(rule, asked, scored.prediction, scored.lower, scored.upper, scored.y)
    return found


def _terms(scored: ScoredRows, nominal: float, groups: dict[str, Slices]) -> Terms:
    """Return the terms of all metrics: overall, on the rows of each baseline, and of each slice."""
    ours: dict[str, Array] = terms_of(scored.target)(scored.y, scored.prediction)
    if scored.lower is not None and scored.upper is not None:
        ours |= interval_terms(scored.y, scored.lower, scored.upper, nominal)
    terms = Terms()
    terms.add(ours)
    common = np.all([np.isfinite(forecast) for forecast in scored.baselines.values()], axis=0)
    for name, forecast in scored.baselines.items():
        present = np.isfinite(forecast)
        # Any number will do in rows that do not count, but NaN would spread to every sum.
        theirs = terms_of(scored.target)(scored.y, np.where(present, forecast, 0.0))
        terms.add(theirs, f"baseline/{name}/", present)
        # Errors are compared on the same rows only.
        terms.add(ours, f"beside/{name}/", present)
        terms.add(theirs, f"common/{name}/", common)
    terms.add(ours, "common/model/", common)
    # Each term of each slice is a column of the bootstrap's matrix, so that only those of the sliced metrics are kept.
    sliced = {name: values for name, values in ours.items() if name in _SLICED_TERMS}
    for group, slices in groups.items():
        for value, rows in slices.items():
            terms.add(sliced, f"slice/{group}/{value}/", rows)
    return terms


def _head(usecase: UseCase, scored: ScoredRows, model: str) -> dict[str, Any]:
    target = scored.target
    head: dict[str, Any] = {
        "horizon": target.horizon,
        "task": target.task,
        "column": target.column,
        "unit": usecase.columns[target.column].unit,
        "model": model,
        "n": int(scored.y.size),
    }
    return head if target.above is None else head | {"above": target.above}


def _with_intervals(sums: BootstrapSums, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Return the metrics by name, and their intervals under `ci`."""
    pairs = {name: sums.metric(metric) for name, metric in metrics.items()}
    return {name: value for name, (value, _) in pairs.items()} | {"ci": {name: ci for name, (_, ci) in pairs.items()}}


def _against_baselines(scored: ScoredRows, sums: BootstrapSums) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return each baseline's errors, and the model's skill, both on the rows where the baseline has a forecast."""
    errors = {error: scored.metrics[error] for error in errors_of(scored.target)}
    baselines, skills = {}, {}
    for name in scored.baselines:
        theirs, ours = sums.under(f"baseline/{name}/"), sums.under(f"beside/{name}/")
        baselines[name] = {
            **{error: theirs.metric(metric)[0] for error, metric in errors.items()},
            "n": int(theirs.total["n"]),
            "model": {error: ours.metric(metric)[0] for error, metric in errors.items()},
        }
        pairs = {error: _skill(ours, theirs, metric) for error, metric in errors.items()}
        skills[name] = {error: value for error, (value, _) in pairs.items()} | {
            "ci": next(iter(pairs.values()))[1],
            "cis": {error: ci for error, (_, ci) in pairs.items()},
        }
    return baselines, skills


def _headline(scored: ScoredRows, sums: BootstrapSums) -> dict[str, Any]:
    """Return the skill against the best baseline, on the rows where every baseline has a forecast.

    Against a weaker one the same model would look better, and on other rows each baseline has another error.
    """
    error = leading_error(scored.target)
    metric, ours = scored.metrics[error], sums.under("common/model/")
    theirs = {name: sums.under(f"common/{name}/") for name in scored.baselines}
    found = {name: value for name, part in theirs.items() if (value := part.metric(metric)[0]) is not None}
    head = {"metric": error, "n": int(ours.total["n"]), "model": ours.metric(metric)[0]}
    if not found:
        return {"baseline": None, **head, "error": None, "skill": None, "ci": None}
    best = best_of(found)
    skill, ci = _skill(ours, theirs[best], metric)
    return {"baseline": best, **head, "error": found[best], "skill": skill, "ci": ci}


def _skill(ours: BootstrapSums, theirs: BootstrapSums, metric: Metric) -> tuple[float | None, list[float] | None]:
    """Return the share of the baseline's error that the model saves, and its interval: 1 is perfect, 0 no better."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 1.0 - np.divide(metric(ours.total), metric(theirs.total))
        repeats = 1.0 - np.divide(metric(ours.repeats), metric(theirs.repeats))
    return (float(value), interval(repeats)) if np.isfinite(value) else (None, None)


def _slices(scored: ScoredRows, sums: BootstrapSums, group: str, slices: Slices) -> dict[str, Any]:
    metrics = {name: metric for name, metric in scored.metrics.items() if name in _SLICED_METRICS}
    return {
        value: {"n": int(rows.sum())} | _with_intervals(sums.under(f"slice/{group}/{value}/"), metrics)
        for value, rows in slices.items()
    }


def _coverage(usecase: UseCase, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the interval's metrics; a declared band without rows has none, and one without a last value is unknown."""
    sliced = entry["slices"][BAND]
    unseen = entry["slices"].get(TRAINING, {}).get(UNSEEN)
    bands = {name: sliced.get(name, _NO_ROWS) for name in (*band_names(usecase), UNKNOWN)}
    return {
        "nominal": usecase.training.intervals.level,
        "overall": entry.pop("coverage"),
        "ci": entry["ci"].pop("coverage"),
        "width": entry.pop("width"),
        "width_ci": entry["ci"].pop("width"),
        "bands": {name: band["coverage"] for name, band in bands.items()},
        "band_details": {name: _covered(band) for name, band in bands.items()},
        # Entities that training has not seen have no residual in the calibration.
        **({} if unseen is None else {"unseen": _covered(unseen)}),
    }


def _covered(part: dict[str, Any]) -> dict[str, Any]:
    return {"n": part["n"], "coverage": part["coverage"], "ci": part["ci"]["coverage"], "width": part["width"]}
