"""The model in production on a span of a table, by the code of `python -m serving batch`."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from almanac.core.errors import DeploymentError, TableError
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.model.bundle import Bundle, load_bundle
from almanac.model.prediction import Output, outputs
from almanac.usecase import UseCase
from governance.registry import Registry, Version, fetch
from serving.batch.span import wanted
from serving.batch.table import predict_file


@dataclass(frozen=True)
class Predicted:
    """What was predicted.

    Attributes:
        table: entity, where there is one, time, target, prediction, lower, upper, signal, version and digest of each
            row; lower, upper and signal are null where the model has none.
        version: the version in the registry.
        digest: sha256 of the manifest of all its targets.
    """

    table: pl.DataFrame
    version: int
    digest: str


def predict(usecase: UseCase, table: Path, registry: str, start: str = "", stop: str = "") -> Predicted:
    """Predict a span of a validated table with the model in production.

    Args:
        usecase: the use case.
        table: the validated table as Parquet; what lies before the span is the features' history.
        registry: address of the model registry.
        start: first prediction time, see `components.prediction.span.wanted`.
        stop: end of the span, exclusive.

    Raises:
        DeploymentError: no version stands in production.
        TableError: the table cannot be read, or has no row in the span.
        AlmanacError: a model that does not verify, or features that the table does not give.
    """
    version, bundle = in_production(usecase, registry)
    frame = _read(usecase, table)
    first, end = wanted(usecase, frame[usecase.time.column], start, stop)
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    parts = []
    for name in bundle.targets:
        features = _features(bundle, name, frame, usecase).filter(
            (pl.col(usecase.time.column) >= first) & (pl.col(usecase.time.column) < end)
        )
        parts.append(_long(_by_the_server(bundle, name, features), keys, name))
    every = pl.concat(parts).with_columns(version=pl.lit(version.number), digest=pl.lit(bundle.digest))
    return Predicted(every, version.number, bundle.digest)


def in_production(usecase: UseCase, registry: str) -> tuple[Version, Bundle]:
    """Return the version in production and its verified model.

    Raises:
        DeploymentError: no version stands there.
        AlmanacError: a model that does not verify.
    """
    known = Registry(registry)
    version = known.current(usecase.name)
    if version is None:
        raise DeploymentError(f"{usecase.name}: no version stands in production in the registry {registry}")
    return version, load_bundle(fetch(known, usecase.name, version), str(version.number))


def _read(usecase: UseCase, table: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(table)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{table}: not a Parquet table ({str(error).splitlines()[0]})") from error
    if usecase.time.column not in frame.columns:
        raise TableError(f"{table}: no time column {usecase.time.column!r}; it has {', '.join(frame.columns)}")
    return frame.with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))


def _features(bundle: Bundle, name: str, frame: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    document = bundle.targets[name].features
    spec = FeatureSpec.model_validate(document["spec"])
    return compute(spec, frame, document["names"])


def _by_the_server(bundle: Bundle, name: str, features: pl.DataFrame) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "features.parquet", Path(folder) / "predictions.parquet"
        features.write_parquet(source, compression="uncompressed")
        predict_file(bundle, source, output, name)
        return pl.read_parquet(output)


def _long(wide: pl.DataFrame, keys: list[str], name: str) -> pl.DataFrame:
    def column(output: Output) -> pl.Expr:
        source = f"{name}_{output.name}"
        values = pl.col(source) if source in wide.columns else pl.lit(None)
        return values.cast(pl.Float64 if output.datatype == "FP64" else pl.String).alias(output.name)

    return wide.select(*keys, pl.lit(name).alias("target"), *map(column, outputs()))
