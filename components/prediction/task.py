"""The prediction component's task: predict a span, write the file, and keep a copy in the prediction log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from almanac.core.errors import DeploymentError, TableError
from almanac.core.files import sha256_file, whole_file
from almanac.core.image import VERSION
from almanac.core.progress import summary
from almanac.data.validated import read_validated
from almanac.model.batch import predict_span
from almanac.model.bundle import load_bundle
from almanac.model.prediction_span import prediction_span
from almanac.usecase import UseCase, digest, load_text
from governance.registry import Registry, fetch


@dataclass(frozen=True)
class Predicted:
    """Predictions of a span.

    Attributes:
        table: entity, where there is one, time, target, prediction, lower, upper, signal, version and digest of each
            row; lower, upper and signal are null where the model has none.
        version: the version in the registry.
        digest: sha256 of the manifest of all its targets.
    """

    table: pl.DataFrame
    version: int
    digest: str


def run(usecase: str, table: Path, registry: str, span: tuple[str, str], log: str, out: Path) -> dict[str, Any]:
    """Predict, write predictions.parquet, keep a copy in the log, and return the artifact's metadata.

    Args:
        usecase: the use case as JSON.
        table: the validated table.
        registry: address of the model registry.
        span: first prediction time and end, see `almanac.model.prediction_span`.
        log: directory of the log; none when empty.
        out: where to write.
    """
    case = load_text(usecase, "usecase")
    predicted = predict(case, table, registry, *span)
    with whole_file(out) as aside:
        predicted.table.write_parquet(aside, compression="zstd")
    if log:
        keep(case, predicted, out, log)
    summary(f"{len(case.targets)} targets by version {predicted.version}", predicted.table.height)
    return {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "data_digest": sha256_file(table),
        "model_version": predicted.version,
        "model_digest": predicted.digest,
        "rows": predicted.table.height,
        "library_version": VERSION,
    }


def predict(usecase: UseCase, table: Path, registry: str, start: str = "", stop: str = "") -> Predicted:
    """Predict a span of a validated table by the model in production.

    Args:
        usecase: the use case.
        table: the validated table as Parquet; the rows before the span are the features' history.
        registry: address of the model registry.
        start: first prediction time, see `almanac.model.prediction_span`.
        stop: end of the span, exclusive.

    Raises:
        DeploymentError: no version is in production.
        TableError: the table cannot be read, or has no row in the span.
        AlmanacError: a model that does not verify, or features that the table does not give.
    """
    versions = Registry(registry)
    version = versions.current(usecase.name)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version is in production in the registry {registry}")
    bundle = load_bundle(fetch(versions, usecase.name, version), str(version.number))
    frame = read_validated(usecase, table)
    first, end = prediction_span(usecase, frame[usecase.time.column], start, stop)
    predictions = predict_span(usecase, frame, bundle, first, end)
    columns = predictions.with_columns(version=pl.lit(version.number), digest=pl.lit(bundle.digest))
    return Predicted(columns, version.number, bundle.digest)


def keep(usecase: UseCase, predicted: Predicted, source: Path, log: str) -> str:
    """Copy a file of predictions to the log and return its address; the same predictions have the same name.

    Raises:
        TableError: the log cannot be written.
    """
    times = predicted.table[usecase.time.column].sort()
    span = "-".join(moment.strftime("%Y%m%dT%H%M%S") for moment in (times[0], times[-1]))
    address = f"{log.rstrip('/')}/{usecase.name}/{span}-v{predicted.version}.parquet"
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        # No reader of the log sees a part of a file.
        filesystem.put_file(str(source), f"{path}.partial")
        filesystem.mv(f"{path}.partial", path)
    except (OSError, ImportError, ValueError) as error:
        raise TableError(f"{address}: the log of predictions cannot be written ({error})") from error
    return address
