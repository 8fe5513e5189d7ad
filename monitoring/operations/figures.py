"""Figures of a run or a window as Prometheus samples: what the server cannot know of itself."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.errors import MetricError
from almanac.core.files import read_json, sha256_file
from almanac.usecase.types import to_timedelta
from monitoring import metrics as m
from monitoring.operations import limits

if TYPE_CHECKING:
    import polars as pl

#: Limits where out-of-fold predictions are missing or make too few blocks: times the test error, points below nominal.
_FALLBACK_ERROR, _FALLBACK_COVERAGE = 2.0, 0.1
_SHORT_DIGEST = 12
"""Digits of the model's digest that stand for a version, as the server shows it, where no registry numbers it."""


@dataclass(frozen=True)
class Sample:
    """One value of one metric.

    Attributes:
        metric: its definition.
        labels: values of the metric's labels, in order.
        value: finite.
    """

    metric: m.Metric
    labels: tuple[str, ...]
    value: float

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.metric.labels):
            wanted = ", ".join(self.metric.labels)
            raise MetricError(f"{self.metric.name}: {len(self.labels)} label values; it has the labels {wanted}")
        if not math.isfinite(self.value):
            raise MetricError(f"{self.metric.name}{list(self.labels)} is {self.value}; a figure must be finite")


def of_run(
    directory: Path,
    version: str | None = None,
    trained: str | None = None,
    window: str = "30d",
    at: datetime | None = None,
) -> list[Sample]:
    """Return the figures of a run directory, or of a registered version: what its model promises, and its age.

    With them go the limits that its errors keep in this season, as its out-of-fold predictions tell them.

    Args:
        directory: with metrics.json, model/ and, of a run, run.json.
        version: version in the registry; where None, the first digits of the model's digest, as the server has it.
        trained: when the version was registered, in ISO 8601; where None, the end of the run in run.json.
        window: length of the monitoring pipeline's windows.
        at: the present, whose season limits are of; the clock by default.

    Raises:
        MetricError: a document that is missing, or without a figure.
    """
    figures = _document(directory / "metrics.json")
    version = version or sha256_file(directory / "model" / "manifest.json")[:_SHORT_DIGEST]
    use_case = str(figures["use_case"])
    moment = _seconds(trained or str(_document(directory / "run.json")["finished_at"]))
    samples = []
    for model, found in figures["targets"].items():
        labels = (use_case, model, version)
        samples.append(Sample(m.TRAINED, labels, moment))
        samples += [Sample(metric, labels, value) for metric, value in _promised(found)]
        kept = limits.read(directory / "model", model)
        present = at or datetime.now(UTC).replace(tzinfo=None)
        samples += [
            Sample(metric, labels, value) for metric, value in _limits(found, kept, to_timedelta(window), present)
        ]
        spec = _document(directory / "model" / model / "features.json")["spec"]
        interval = to_timedelta(spec["frequency"]).total_seconds()
        samples.append(Sample(m.DATA_INTERVAL, (use_case, model), interval))
    return samples


def _promised(found: dict[str, Any]) -> Iterator[tuple[m.Metric, float]]:
    """Yield what the evaluation found of one target; a classifier has no such error."""
    for metric, key in ((m.TEST_RMSE, "rmse"), (m.TEST_MAE, "mae")):
        if found.get(key) is not None:
            yield metric, float(found[key])
    coverage = found.get("coverage")
    if coverage:
        yield m.TEST_COVERAGE, float(coverage["overall"])
        yield m.NOMINAL_COVERAGE, float(coverage["nominal"])


def _limits(
    found: dict[str, Any], kept: limits.OutOfFold | None, window: timedelta, at: datetime
) -> Iterator[tuple[m.Metric, float]]:
    """Yield how far a target's figures may stray; by its test span where too little was recorded with the model."""
    for metric, rows in ((m.ROLLING_RMSE_LIMIT, m.ROLLING_ROWS), (m.WINDOW_RMSE_LIMIT, kept and kept.rows_in(window))):
        limit = limits.error_limit(kept.times, kept.squared, rows, at) if kept and rows else None
        if limit is None and found.get("rmse") is not None:
            limit = _FALLBACK_ERROR * float(found["rmse"])
        if limit is not None:
            yield metric, limit
    if coverage := found.get("coverage"):
        inside = kept.inside if kept else None
        floor = limits.coverage_limit(kept.times, inside, m.ROLLING_ROWS, at) if kept and inside is not None else None
        yield m.ROLLING_COVERAGE_LIMIT, float(coverage["nominal"]) - _FALLBACK_COVERAGE if floor is None else floor


def of_drift(document: dict[str, Any]) -> list[Sample]:
    """Return the figures of drift.json, the comparison of the newest window with the model's reference.

    Of the model's outputs there are figures where they were judged.
    """
    use_case = str(document["use_case"])
    samples = [
        Sample(m.MONITORED, (use_case,), _seconds(document["generated_at"])),
        Sample(m.WINDOW_DRIFTED, (use_case,), float(document["drifted"])),
        Sample(m.WINDOW_DRIFTED_FEATURES, (use_case,), float(len(document["drifted_features"]))),
    ]
    span = document["window"]["span"]
    if span:
        samples.append(Sample(m.WINDOW_NEWEST, (use_case,), _seconds(span[1])))
    for feature in document["features"]:
        samples.append(Sample(m.WINDOW_DRIFT_SCORE, (use_case, feature["name"]), _score(feature)))
    return [*samples, *_of_outputs(use_case, document.get("outputs", {}))]


def _score(feature: dict[str, Any]) -> float:
    if "score" in feature:
        return float(feature["score"])
    # A document of an earlier release.
    ratios = (s["value"] / s["threshold"] for s in feature["statistics"].values() if s["threshold"] > 0)
    return max(ratios, default=0.0)


def _of_outputs(use_case: str, outputs: dict[str, dict[str, Any]]) -> Iterator[Sample]:
    for model, found in outputs.items():
        judged = {key: value for key, value in found.items() if isinstance(value, dict) and value["judged"]}
        for output, figure in judged.items():
            labels = (use_case, model, output)
            yield Sample(m.WINDOW_OUTPUT_DRIFT_SCORE, labels, float(figure["score"]))
            yield Sample(m.WINDOW_OUTPUT_DRIFTED, labels, float(figure["drifted"]))
        if "importance" in judged:
            yield Sample(m.WINDOW_IMPORTANCE_AGREEMENT, (use_case, model), float(judged["importance"]["ndcg"]))


def of_predictions(
    use_case: str, table: "pl.DataFrame", window: str = "30d", estimate: Callable[[str], float] | None = None
) -> list[Sample]:
    """Return the realised error of each target in the newest window of predictions whose truth is known.

    Args:
        use_case: its name.
        table: predictions with one column of times, and target, y, prediction, lower and upper; y is null where the
            truth is unknown.
        window: length of the window, up to the newest known truth.
        estimate: returns the mean absolute error that is to be expected of a target, where that is known.

    Raises:
        MetricError: a table without one of these columns.
    """
    import polars as pl

    needed = ("target", "y", "prediction", "lower", "upper")
    if missing := [name for name in needed if name not in table.columns]:
        raise MetricError(f"predictions have no column {missing[0]!r}; expected {', '.join(needed)}")
    times = [name for name, dtype in table.schema.items() if dtype.is_temporal()]
    if len(times) != 1:
        raise MetricError(f"predictions have {len(times)} columns of times; expected one")
    known = table.filter(pl.col("y").is_finite() & pl.col("prediction").is_finite())
    samples: list[Sample] = []
    for (target,), rows in sorted(known.group_by(["target"]), key=lambda group: str(group[0][0])):
        newest = rows.filter(pl.col(times[0]) > pl.col(times[0]).max() - to_timedelta(window))
        labels = (use_case, str(target))
        samples += [Sample(metric, labels, value) for metric, value in _realised(newest)]
        if estimate is not None:
            samples.append(Sample(m.WINDOW_ESTIMATED_MAE, labels, estimate(str(target))))
    return samples


def _realised(rows: "pl.DataFrame") -> Iterator[tuple[m.Metric, float]]:
    error = (rows["prediction"] - rows["y"]).to_numpy()
    yield m.WINDOW_ROWS, float(rows.height)
    yield m.WINDOW_RMSE, float((error**2).mean() ** 0.5)
    yield m.WINDOW_MAE, float(abs(error).mean())
    yield m.WINDOW_BIAS, float(error.mean())
    bounded = rows.drop_nulls(["lower", "upper"])
    if bounded.height:
        inside = (bounded["y"] >= bounded["lower"]) & (bounded["y"] <= bounded["upper"])
        yield m.WINDOW_COVERAGE, float(inside.to_numpy().mean())


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = read_json(path)
    except OSError as error:
        raise MetricError(f"{path}: {error.strerror or error}; expected a run directory or a model version") from error
    return document


def _seconds(moment: str) -> float:
    """Return seconds since the epoch; a time without zone is UTC."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
