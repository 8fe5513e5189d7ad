"""Samples of the newest window: its drift, and the errors of its forecasts, as a whole and by band."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from almanac.core.errors import MetricError
from almanac.usecase.types import to_timedelta
from monitoring import metrics as m
from monitoring.operations.samples import Sample, seconds

if TYPE_CHECKING:
    import polars as pl

_BY_BAND = {
    m.WINDOW_BAND_ROWS: "rows",
    m.WINDOW_BAND_RMSE: "rmse",
    m.WINDOW_BAND_BIAS: "bias",
    m.WINDOW_BAND_COVERAGE: "coverage",
}


def drift_samples(document: dict[str, Any]) -> list[Sample]:
    """Return the samples of drift.json, the comparison of the newest window with the model's reference.

    Raises:
        MetricError: a time of the comparison that is not of the wall clock.
    """
    use_case = str(document["use_case"])
    samples = [
        Sample(m.MONITORED, (use_case,), seconds(document["generated_at"], "wall")),
        Sample(m.WINDOW_DRIFTED, (use_case,), float(document["drifted"])),
        Sample(m.WINDOW_DRIFTED_FEATURES, (use_case,), float(len(document["drifted_features"]))),
    ]
    span = document["window"]["span"]
    if span:
        samples.append(Sample(m.WINDOW_NEWEST, (use_case,), seconds(span[1], "data")))
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
    for model, signals in outputs.items():
        judged = {key: value for key, value in signals.items() if isinstance(value, dict) and value["judged"]}
        for output, judgement in judged.items():
            labels = (use_case, model, output)
            yield Sample(m.WINDOW_OUTPUT_DRIFT_SCORE, labels, float(judgement["score"]))
            yield Sample(m.WINDOW_OUTPUT_DRIFTED, labels, float(judgement["drifted"]))
        if "importance" in judged:
            yield Sample(m.WINDOW_IMPORTANCE_AGREEMENT, (use_case, model), float(judged["importance"]["ndcg"]))


def prediction_samples(
    use_case: str, table: "pl.DataFrame", window: str = "30d", estimate: Callable[[str], float] | None = None
) -> list[Sample]:
    """Return the realised error of each target in the newest window of predictions whose truth is known.

    Args:
        use_case: its name.
        table: predictions with one column of times, and target, y, prediction, lower and upper; y is null where the
            truth is unknown.
        window: length of the window, up to the newest known truth.
        estimate: returns the expected mean absolute error of a target, where that is known.

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


def band_samples(use_case: str, targets: Mapping[str, dict[str, Any]]) -> list[Sample]:
    """Return the realised error of each target by band of the last value, that of the unknown among them.

    Args:
        use_case: its name.
        targets: metrics of each target in the newest window, as monitoring.json holds them; a target of too few rows
            has no bands.
    """
    return [
        Sample(metric, (use_case, target, band), float(found[key]))
        for target, metrics in targets.items()
        for band, found in metrics.get("bands", {}).items()
        for metric, key in _BY_BAND.items()
        if found[key] is not None
    ]


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
