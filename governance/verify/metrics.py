"""Recomputation of metrics.json from predictions.parquet, independent of the code that wrote it.

Recomputed are n, RMSE, MAE, R², sMAPE, bias, pinball, coverage and width, overall, by band and by calendar group; the
disparity between groups, the baselines' errors and the skill; for classifications log loss, Brier score, AUC, bias and
base rate. Not recomputed are bootstrap intervals, MASE, which is scaled by the training span, and groups by columns
that predictions.parquet does not have.
"""

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.core.errors import DocumentError
from governance.documents.artifacts import Artifacts
from governance.documents.layout import USECASE

Metrics = dict[str, float]

_URI = "predictions.parquet"
# Independent code may round differently in the last digits.
_TOLERANCE = 1e-9
_SEASONS = ("winter", "spring", "summer", "autumn")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def check_metrics(artifacts: Artifacts) -> int:
    """Recompute every metric that can be, compare it, and return their number.

    Raises:
        DocumentError: the first metric that differs, with its pointer and both values.
    """
    table = pl.read_parquet(io.BytesIO(artifacts[_URI].data))
    usecase, count = artifacts.document(USECASE), 0
    for name, target in artifacts.targets():
        rows = table.filter(pl.col("target") == name)
        for pointer, stated, computed in _compared(usecase, target, rows):
            if not _same(stated, computed):
                location = f"metrics.json#/targets/{name}/{pointer}"
                raise DocumentError(f"{location}: states {stated}, but {_URI} gives {computed}")
            count += 1
    if not count:
        raise DocumentError(f"metrics.json: none of its metrics can be computed from {_URI}")
    return count


def _same(stated: Any, computed: float | None) -> bool:
    if stated is None or computed is None:
        return stated is computed
    # At zero, such as a bias that cancels out, a relative tolerance allows nothing.
    return math.isclose(stated, computed, rel_tol=_TOLERANCE, abs_tol=1e-12)


def _compared(
    usecase: dict[str, Any], target: dict[str, Any], rows: pl.DataFrame
) -> Iterator[tuple[str, Any, float | None]]:
    """Yield (pointer, stated, computed) of every metric of a target that can be recomputed."""
    columns = {name: _numbers(rows, name) for name in ("y", "prediction", "lower", "upper", "last")}
    coverage = target.get("coverage") or {}
    computed = _point(target, columns) | _interval(columns, coverage.get("nominal"))
    yield "n", target["n"], float(rows.height)
    for key, value in computed.items():
        if key in target and key != "coverage":  # an object of several metrics, see below
            yield key, target[key], value
    if "auc" in target:  # null where one class is absent
        yield "auc", target["auc"], _auc(columns["y"], columns["prediction"])
    if coverage:
        yield "coverage/overall", coverage["overall"], computed["coverage"]
        yield "coverage/width", coverage["width"], computed["width"]
    yield from _baselines(target, rows, columns)
    yield from _headline(target, rows, columns)
    for group, parts in target["slices"].items():  # no row is in no group
        yield f"slices/{group}", sum(part["n"] for part in parts.values()), float(rows.height)
    for group, codes in _groups(usecase, target, rows, columns["last"]):
        yield from _sliced(target, columns, group, codes, coverage.get("nominal"))
        yield from _disparity(target, columns, group, codes)


def _point(target: dict[str, Any], columns: dict[str, Array]) -> Metrics:
    y, prediction = columns["y"], columns["prediction"]
    error = prediction - y
    if target.get("task") == "classification":
        # A certain prediction that is wrong would have an infinite loss.
        p = np.clip(prediction, np.finfo(np.float64).eps, 1.0 - np.finfo(np.float64).eps)
        loss = -(y * np.log(p) + (1 - y) * np.log1p(-p))
        values = {"log_loss": loss.mean(), "brier": (error**2).mean(), "bias": error.mean(), "base_rate": y.mean()}
    else:
        size = np.abs(y) + np.abs(prediction)
        symmetric = np.divide(2 * np.abs(error), size, out=np.zeros_like(error), where=size > 0)
        spread = ((y - y.mean()) ** 2).sum()
        values = {
            "rmse": np.sqrt((error**2).mean()),
            "mae": np.abs(error).mean(),
            "r2": 1.0 - (error**2).sum() / spread if spread else math.nan,
            "smape": symmetric.mean(),
            "bias": error.mean(),
        }
        # Stated for a target on the scale of logarithms, over the rows that have one.
        both = (y > 0) & (prediction > 0)
        if both.any():
            values["mae_log"] = np.abs(np.log(prediction[both]) - np.log(y[both])).mean()
    return {key: float(value) for key, value in values.items() if math.isfinite(value)}


def _auc(y: Array, score: Array) -> float | None:
    """Return the share of pairs of a positive and a negative row that the score ranks correctly, ties counting half.

    Mann and Whitney 1947; None if one class is absent.
    """
    positive, negative = np.sort(score[y == 1]), np.sort(score[y == 0])
    if not positive.size or not negative.size:
        return None
    below = np.searchsorted(negative, positive, side="left").sum()
    upto = np.searchsorted(negative, positive, side="right").sum()
    return float(below + upto) / (2 * positive.size * negative.size)


def _interval(columns: dict[str, Array], nominal: float | None) -> Metrics:
    if nominal is None:
        return {}
    y, lower, upper = (columns[name] for name in ("y", "lower", "upper"))
    tail = (1.0 - nominal) / 2
    losses = [np.maximum(q * (y - end), (q - 1) * (y - end)) for q, end in ((tail, lower), (1.0 - tail, upper))]
    return {
        "coverage": float(((y >= lower) & (y <= upper)).mean()),
        "width": float((upper - lower).mean()),
        "pinball": float((losses[0] + losses[1]).mean() / 2),
    }


def _baselines(
    target: dict[str, Any], rows: pl.DataFrame, columns: dict[str, Array]
) -> Iterator[tuple[str, Any, float]]:
    for name in target["baselines"]:
        forecast = _numbers(rows, name)
        available = np.isfinite(forecast)
        stated = target["baselines"][name]
        ours = _point(target, {key: value[available] for key, value in columns.items()})
        theirs = _point(target, {"y": columns["y"][available], "prediction": forecast[available]})
        if "n" in stated:
            yield f"baselines/{name}/n", stated["n"], float(available.sum())
        for key, value in stated.get("model", {}).items():
            yield f"baselines/{name}/model/{key}", value, ours[key]
        for key in ("rmse", "mae", "log_loss", "brier"):
            if stated.get(key) is not None and key in theirs:
                yield f"baselines/{name}/{key}", stated[key], theirs[key]
            if target["skill"].get(name, {}).get(key) is not None and theirs.get(key):
                yield f"skill/{name}/{key}", target["skill"][name][key], 1.0 - ours[key] / theirs[key]


def _headline(
    target: dict[str, Any], rows: pl.DataFrame, columns: dict[str, Array]
) -> Iterator[tuple[str, Any, float | None]]:
    """Yield the figures of the best baseline on the rows where every baseline has a forecast."""
    stated = target["headline"]
    forecasts = {name: _numbers(rows, name) for name in target["baselines"]}
    common = np.all([np.isfinite(forecast) for forecast in forecasts.values()], axis=0)
    y, metric = columns["y"][common], stated["metric"]
    yield "headline/n", stated["n"], float(common.sum())
    if not common.any():
        return
    ours = _point(target, {"y": y, "prediction": columns["prediction"][common]})[metric]
    theirs = {
        name: _point(target, {"y": y, "prediction": forecast[common]})[metric] for name, forecast in forecasts.items()
    }
    best = min(theirs.values())
    yield "headline/model", stated["model"], ours
    yield "headline/error", stated["error"], best
    yield "headline/baseline", theirs.get(stated["baseline"]), best
    yield "headline/skill", stated["skill"], 1.0 - ours / best if best else None


def _sliced(
    target: dict[str, Any], columns: dict[str, Array], group: str, codes: dict[str, Array], nominal: float | None
) -> Iterator[tuple[str, Any, float]]:
    for value, stated in target["slices"].get(group, {}).items():
        if value not in codes:
            raise DocumentError(f"metrics.json: slices/{group}/{value} has no rows in {_URI}")
        where = codes[value].astype(np.bool_)
        part = {key: series[where] for key, series in columns.items()}
        yield f"slices/{group}/{value}/n", stated["n"], float(where.sum())
        for key, computed in (_point(target, part) | _interval(part, nominal)).items():
            if stated.get(key) is not None:
                yield f"slices/{group}/{value}/{key}", stated[key], computed
        covered = (target.get("coverage") or {}).get("bands", {}).get(value)
        if group == "band" and covered is not None:
            yield f"coverage/bands/{value}", covered, _interval(part, nominal)["coverage"]


def _disparity(
    target: dict[str, Any], columns: dict[str, Array], group: str, codes: dict[str, Array]
) -> Iterator[tuple[str, Any, float | None]]:
    """Yield the disparity between the groups that have enough rows, and the errors of the worst and best group."""
    masks = {
        value: where.astype(np.bool_) for value, where in codes.items() if where.sum() >= target.get("fewest_rows", 0)
    }
    metrics = {
        value: _point(target, {key: each[where] for key, each in columns.items()}) for value, where in masks.items()
    }
    for name, stated in target.get("disparity", {}).get(group, {}).items():
        errors, pointer = {value: each[name] for value, each in metrics.items()}, f"disparity/{group}/{name}"
        yield f"{pointer}/difference", stated["difference"], max(errors.values()) - min(errors.values())
        # A bias has a sign: its worst group is the one with the largest size, and it has no ratio.
        errors = {value: abs(each) for value, each in errors.items()}
        worst, best = max(errors.values()), min(errors.values())
        yield f"{pointer}/ratio", stated["ratio"], worst / best if best > 0 and name != "bias" else None
        yield f"{pointer}/worst", errors.get(stated["worst"]), worst
        yield f"{pointer}/best", errors.get(stated["best"]), best


def _groups(
    usecase: dict[str, Any], target: dict[str, Any], rows: pl.DataFrame, last: Array
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield each group that can be derived from the table, with value -> mask of its rows."""
    edges = usecase["evaluation"]["bands"]["edges"]
    # The rows whose last value is unknown come after the bands, as a group of their own.
    codes = np.where(np.isfinite(last), np.searchsorted(edges, last, side="left"), len(edges) + 1)
    names = list(target["slices"].get("band", {}))
    present = [code for code in range(len(edges) + 2) if (codes == code).any()]
    yield "band", {name: codes == code for name, code in zip(names, present, strict=False)}
    time = rows[usecase["time"]["column"]]
    # Groups of the calendar are those of the use case's clocks, while tables keep UTC.
    if zone := usecase["time"].get("zone"):
        time = time.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    for group in usecase["evaluation"]["groups"]:
        if group.get("calendar"):
            yield group["name"], _calendar(time, group["calendar"])


def _calendar(time: pl.Series, part: str) -> dict[str, Array]:
    # Polars counts months from 1, and weekdays from Monday as 1.
    month, weekday = time.dt.month().to_numpy() - 1, time.dt.weekday().to_numpy() - 1
    names, codes = {
        "hour": ([f"{hour:02d}" for hour in range(24)], time.dt.hour().to_numpy()),
        "weekday": (list(_DAYS), weekday),
        "weekend": (["weekday", "weekend"], (weekday >= 5).astype(np.int64)),
        "month": (list(_MONTHS), month),
        "quarter": (["Q1", "Q2", "Q3", "Q4"], month // 3),
        # Winter begins in December, which is 11 here.
        "season": (list(_SEASONS), (month + 1) % 12 // 3),
    }[part]
    return {name: codes == code for code, name in enumerate(names)}


def _numbers(rows: pl.DataFrame, name: str) -> Array:
    if name not in rows.columns:
        raise DocumentError(f"{_URI}: no column {name}; expected y, prediction, lower, upper and last")
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
