"""Samples of a model: the metrics of its test span, the limits of its errors in this season, and its age."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from almanac.core.errors import MetricError
from almanac.core.files import read_json, sha256_file
from almanac.core.grid import OpenDays, grid_of
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds, to_timedelta, to_utc
from monitoring.metrics import (
    DATA_INTERVAL,
    NOMINAL_COVERAGE,
    ROLLING_COVERAGE_LIMIT,
    ROLLING_RMSE_LIMIT,
    ROLLING_ROWS,
    TEST_COVERAGE,
    TEST_MAE,
    TEST_RMSE,
    TRAINED,
    WINDOW_RMSE_LIMIT,
    Metric,
)
from monitoring.operations import limits
from monitoring.operations.push import push
from monitoring.operations.samples import Sample, seconds

#: Limits where out-of-fold predictions are missing or make too few blocks: times the test error, points below nominal.
_FALLBACK_ERROR, _FALLBACK_COVERAGE = 2.0, 0.1
#: Digits of the model's digest that replace a version's number, as in the server, where no registry has given one.
_SHORT_DIGEST = 12


def model_samples(
    directory: Path,
    version: str | None = None,
    trained: str | None = None,
    window: str = "30d",
    at: datetime | None = None,
) -> list[Sample]:
    """Return the samples of a run directory or of a registered version.

    Args:
        directory: with metrics.json, model/ and, of a run, run.json.
        version: version in the registry; where None, the first digits of the model's digest, as the server has it.
        trained: when the version was registered, in ISO 8601; where None, the end of the run in run.json.
        window: length of the monitoring pipeline's windows.
        at: the present of the data's clock, in whose season the limits hold; by default that of the model's archive, or
            the wall clock's where the data go on.

    Raises:
        MetricError: a document that is missing, or without a metric.
    """
    metrics = _document(directory / "metrics.json")
    version = version or sha256_file(directory / "model" / "manifest.json")[:_SHORT_DIGEST]
    use_case = str(metrics["use_case"])
    trained_at = seconds(trained or str(_document(directory / "run.json")["finished_at"]), "wall")
    samples = []
    for model, tested in metrics["targets"].items():
        out_of_fold = limits.read(directory / "model", model)
        present = at or _present(directory / "model" / model / "signature.json")
        values = [*_tested(tested), *_limits(tested, out_of_fold, to_timedelta(window), present)]
        samples += [Sample(m, (use_case, model, version), value) for m, value in [(TRAINED, trained_at), *values]]
        samples.append(Sample(DATA_INTERVAL, (use_case, model), _interval(directory / "model" / model)))
    return samples


def _interval(directory: Path) -> float:
    """Return the longest time between two rows of a model's data in seconds, closed days included."""
    spec = _document(directory / "features.json")["spec"]
    step, days = to_microseconds(spec["frequency"]), spec.get("open_days")
    open_days = None if days is None else OpenDays(tuple(days["weekdays"]), tuple(days["changed"]))
    return grid_of(step, open_days).longest(step) / 1e6


def _tested(tested: dict[str, Any]) -> Iterator[tuple[Metric, float]]:
    """Yield a target's metrics on the test span; a classification has no such error."""
    for metric, key in ((TEST_RMSE, "rmse"), (TEST_MAE, "mae")):
        if tested.get(key) is not None:
            yield metric, float(tested[key])
    if coverage := tested.get("coverage"):
        yield TEST_COVERAGE, float(coverage["overall"])
        yield NOMINAL_COVERAGE, float(coverage["nominal"])


def _limits(
    tested: dict[str, Any], rows: limits.OutOfFold | None, window: timedelta, at: datetime
) -> Iterator[tuple[Metric, float]]:
    """Yield the limits of a target's error and coverage; from its test span where out-of-fold rows are too few."""
    # Feedback is judged over so many rows, the pipeline's window over so many days.
    for metric, length in ((ROLLING_RMSE_LIMIT, ROLLING_ROWS), (WINDOW_RMSE_LIMIT, rows and rows.rows_in(window))):
        limit = limits.error_limit(rows.times, rows.squared, length, at) if rows and length else None
        if limit is None and tested.get("rmse") is not None:
            limit = _FALLBACK_ERROR * float(tested["rmse"])
        if limit is not None:
            yield metric, limit
    if coverage := tested.get("coverage"):
        inside = rows.inside if rows else None
        floor = limits.coverage_limit(rows.times, inside, ROLLING_ROWS, at) if rows and inside is not None else None
        yield ROLLING_COVERAGE_LIMIT, float(coverage["nominal"]) - _FALLBACK_COVERAGE if floor is None else floor


def _present(signature: Path) -> datetime:
    """Return the present of the data's clock that a model was trained for."""
    # Early releases wrote no present, and some of their models no signature.
    as_of = _document(signature).get("as_of") if signature.is_file() else None
    return to_utc(as_of) if as_of else datetime.now(UTC).replace(tzinfo=None)


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = read_json(path)
    except OSError as error:
        raise MetricError(f"{path}: {error.strerror or error}; expected a run directory or a model version") from error
    return document


def push_version(
    use_case: str, version: str | int, registry: str | Path, to: str, window: str = "30d", at: datetime | None = None
) -> int:
    """Push the samples of a registered version and return their number.

    The alerts compare a model's error with its own baseline, and an overdue retraining with this time.

    Args:
        use_case: name of the use case.
        version: stage or number of the version.
        registry: address of the registry.
        to: a directory that an exporter reads, or the URL of a Pushgateway.
        window: length of the monitoring pipeline's windows.
        at: the present of the data's clock, in whose season the limits of the errors hold; see `model_samples`.

    Raises:
        RegistryError: no such version, or a file that does not verify.
        MetricError: a version without metrics, or a gateway that does not take them.
    """
    from governance.registry import Registry, fetch

    models = Registry(registry)
    entry = models.version(use_case, version)
    directory = fetch(models, use_case, entry).parent
    samples = model_samples(directory, str(entry.number), entry.registered_at, window, at)
    push(samples, to, f"{use_case}-model")
    return len(samples)


def try_push_version(usecase: UseCase, version: str | int, registry: str | Path, to: str, at: datetime) -> None:
    """Push the samples of a registered version; print a warning where they are not taken, since all else is done."""
    try:
        push_version(usecase.name, version, registry, to, usecase.drift.window, at)
    except MetricError as error:
        print(f"warning: the metrics of version {version} were not pushed: {error}", flush=True)
