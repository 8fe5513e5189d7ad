"""One target's entry in metrics.json: figures, intervals, skill, coverage, slices, disparities."""

from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.evaluation.bootstrap import Bootstrap, interval
from almanac.evaluation.groups import Slices, band_names
from almanac.evaluation.metrics import (
    Drawn,
    Figure,
    Tally,
    auc,
    auc_from_sums,
    auc_terms,
    classification_terms,
    interval_terms,
    r2,
    ratio,
    regression_terms,
    root,
)
from almanac.evaluation.scored_rows import Judged
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

Array = npt.NDArray[np.float64]

#: The group of bands stands among the slices under this name.
BAND = "band"
#: Rows below which a group says little: it is left out of the disparities, and marked where it is shown.
FEWEST_ROWS = 30

_REGRESSION: dict[str, Figure] = {
    "rmse": root("square"),
    "mae": ratio("absolute"),
    "r2": r2,
    "smape": ratio("symmetric"),
    "bias": ratio("error"),
}
_CLASSIFICATION: dict[str, Figure] = {
    "log_loss": ratio("log"),
    "brier": ratio("square"),
    "bias": ratio("error"),
    "base_rate": ratio("y"),
}
_INTERVAL: dict[str, Figure] = {"coverage": ratio("covered"), "width": ratio("width"), "pinball": ratio("pinball")}
_SLICED_TERMS = ("n", "error", "square", "absolute", "log", "covered", "width")
_NO_ROWS: dict[str, Any] = {"n": 0, "coverage": None, "width": None, "ci": {"coverage": None}}
_SLICED = ("rmse", "mae", "log_loss", "brier", "bias", "coverage", "width")


def errors_of(judged: Judged) -> tuple[str, str]:
    """Return the two figures of a task that measure error, the leading one first."""
    return ("log_loss", "brier") if judged.classification else ("rmse", "mae")


def catalogue(judged: Judged) -> dict[str, Figure]:
    """Return the figures of a target's task that are functions of sums."""
    if judged.classification:
        return _CLASSIFICATION
    figures = dict(_REGRESSION) | {"mase": lambda sums: _REGRESSION["mae"](sums) / judged.scale}
    return figures if judged.lower is None else figures | _INTERVAL


def target_figures(usecase: UseCase, judged: Judged, model: str) -> dict[str, Any]:
    """Return the entry of one target.

    Args:
        usecase: the use case.
        judged: the judged rows.
        model: name of the chosen candidate.
    """
    bootstrap = Bootstrap.draw(
        judged.time,
        to_microseconds(usecase.time.frequency),
        to_microseconds(usecase.evaluation.block),
        usecase.evaluation.repeats,
        usecase.training.seed,
    )
    groups = {BAND: judged.bands, **judged.groups}
    drawn = _tally(judged, usecase.training.intervals.level, groups).draw(bootstrap)
    entry = _head(usecase, judged, model) | _overall(judged, drawn)
    if judged.classification:
        entry |= _auc(judged, bootstrap, entry["ci"])
    entry["baselines"], entry["skill"] = _against_baselines(judged, drawn)
    entry["slices"] = {name: _sliced(judged, drawn, name, slices) for name, slices in groups.items()}
    if judged.lower is not None:
        entry["coverage"] = _coverage(usecase, entry)
    entry["fewest_rows"] = FEWEST_ROWS
    entry["disparity"] = {name: disparity(judged, slices) for name, slices in groups.items()}
    return entry


def disparity(judged: Judged, slices: Slices, fewest: int = FEWEST_ROWS) -> dict[str, Any]:
    """Return how far the groups lie apart, by fairlearn's MetricFrame; groups of fewer rows are left out.

    Returns:
        For each error figure the worst group's figure less (`difference`) and over (`ratio`) the best group's, and
        which these groups are; empty where there are no two groups to compare.
    """
    from fairlearn.metrics import MetricFrame

    sizes = np.bincount(slices.code[slices.code >= 0], minlength=len(slices.names))
    rows = (slices.code >= 0) & (sizes[slices.code] >= fewest)
    if np.unique(slices.code[rows]).size < 2:
        return {}
    names = errors_of(judged)
    frame = MetricFrame(
        metrics={name: _error_metric(judged, name) for name in names},
        y_true=judged.y[rows],
        y_pred=judged.prediction[rows],
        sensitive_features=slices.labels[rows],
    )
    difference, shares, by_group = frame.difference(), frame.ratio(), frame.by_group
    return {
        name: {
            "difference": float(difference[name]),
            "ratio": float(1.0 / shares[name]) if shares[name] > 0 else None,
            "worst": str(by_group[name].idxmax()),
            "best": str(by_group[name].idxmin()),
        }
        for name in names
    }


def _error_metric(judged: Judged, name: str) -> Any:
    figure, terms = catalogue(judged)[name], _point_terms(judged)

    def metric(y_true: Any, y_pred: Any) -> float:
        columns = terms(np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64))
        return float(figure({key: values.sum() for key, values in columns.items()}))

    return metric


def _point_terms(judged: Judged) -> Any:
    return classification_terms if judged.classification else regression_terms


def _tally(judged: Judged, nominal: float, groups: dict[str, Slices]) -> Tally:
    """Return the terms of all figures: overall, beside each baseline, and of each slice."""
    terms: dict[str, Array] = _point_terms(judged)(judged.y, judged.prediction)
    if judged.lower is not None and judged.upper is not None:
        terms |= interval_terms(judged.y, judged.lower, judged.upper, nominal)
    tally = Tally()
    tally.add(terms)
    for name, forecast in judged.baselines.items():
        known = np.isfinite(forecast)
        theirs = _point_terms(judged)(judged.y, np.where(known, forecast, 0.0))
        tally.add(theirs, f"baseline/{name}/", known)
        tally.add(terms, f"beside/{name}/", known)
    sliced = {name: values for name, values in terms.items() if name in _SLICED_TERMS}
    for group, slices in groups.items():
        for value, rows in slices.items():
            tally.add(sliced, f"slice/{group}/{value}/", rows)
    return tally


def _head(usecase: UseCase, judged: Judged, model: str) -> dict[str, Any]:
    target = judged.target
    head: dict[str, Any] = {
        "horizon": target.horizon,
        "task": target.task,
        "column": target.column,
        "unit": usecase.columns[target.column].unit,
        "model": model,
        "n": int(judged.y.size),
    }
    return head if target.above is None else head | {"above": target.above}


def _overall(judged: Judged, drawn: Drawn) -> dict[str, Any]:
    figures = {name: drawn.figure(figure) for name, figure in catalogue(judged).items()}
    return {name: value for name, (value, _) in figures.items()} | {
        "ci": {name: ci for name, (_, ci) in figures.items()}
    }


def _auc(judged: Judged, bootstrap: Bootstrap, intervals: dict[str, Any]) -> dict[str, Any]:
    repeats = auc_from_sums(bootstrap.sums(auc_terms(judged.y, judged.prediction)))
    intervals["auc"] = interval(repeats)
    return {"auc": auc(judged.y, judged.prediction)}


def _against_baselines(judged: Judged, drawn: Drawn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return each baseline's errors, and the model's skill, both on the rows where the baseline has a forecast."""
    figures, baselines, skills = catalogue(judged), {}, {}
    for name in judged.baselines:
        theirs, ours = drawn.below(f"baseline/{name}/"), drawn.below(f"beside/{name}/")
        errors = errors_of(judged)
        baselines[name] = {
            **{error: theirs.figure(figures[error])[0] for error in errors},
            "n": int(theirs.once["n"]),
            "model": {error: ours.figure(figures[error])[0] for error in errors},
        }
        pairs = {error: _skill(ours, theirs, figures[error]) for error in errors}
        skills[name] = {error: value for error, (value, _) in pairs.items()} | {
            "ci": pairs[errors[0]][1],
            "cis": {error: ci for error, (_, ci) in pairs.items()},
        }
    return baselines, skills


def _skill(ours: Drawn, theirs: Drawn, figure: Figure) -> tuple[float | None, list[float] | None]:
    """Return the share of the baseline's error that the model saves, and its interval: 1 is perfect, 0 no better."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 1.0 - np.divide(figure(ours.once), figure(theirs.once))
        repeats = 1.0 - np.divide(figure(ours.often), figure(theirs.often))
    return (float(value), interval(repeats)) if np.isfinite(value) else (None, None)


def _sliced(judged: Judged, drawn: Drawn, group: str, slices: Slices) -> dict[str, Any]:
    figures = {name: figure for name, figure in catalogue(judged).items() if name in _SLICED}
    result = {}
    for value, rows in slices.items():
        part = drawn.below(f"slice/{group}/{value}/")
        pairs = {name: part.figure(figure) for name, figure in figures.items()}
        result[value] = {
            "n": int(rows.sum()),
            **{name: figure for name, (figure, _) in pairs.items()},
            "ci": {name: ci for name, (_, ci) in pairs.items()},
        }
    return result


def _coverage(usecase: UseCase, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the interval's figures; a declared band without rows stands there with nothing."""
    sliced = entry["slices"][BAND]
    bands = {name: sliced.get(name, _NO_ROWS) for name in band_names(usecase)}
    return {
        "nominal": usecase.training.intervals.level,
        "overall": entry.pop("coverage"),
        "ci": entry["ci"].pop("coverage"),
        "width": entry.pop("width"),
        "width_ci": entry["ci"].pop("width"),
        "bands": {name: figures["coverage"] for name, figures in bands.items()},
        "band_details": {
            name: {"n": f["n"], "coverage": f["coverage"], "ci": f["ci"]["coverage"], "width": f["width"]}
            for name, f in bands.items()
        },
    }
