"""Forecasts of the registered model for the rows on which a new one was scored."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from almanac.data.validated import read_validated
from almanac.evaluation.gate.evidence import REGISTERED, RegisteredModel
from almanac.model.batch import predict_span
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target


def score_registered(
    usecase: UseCase, table: Path, predictions: pl.DataFrame, bundle: Bundle, learned: Mapping[str, datetime]
) -> pl.DataFrame:
    """Return the scored rows with the registered model's forecast for each that it did not learn from.

    Its own specification computes the features, from the raw columns: what was registered is compared, whatever the
    new model's features are.

    Args:
        usecase: the use case.
        table: the validated table as Parquet.
        predictions: the evaluation's predictions.parquet.
        bundle: the registered model.
        learned: newest prediction time that each target's registered model learned from.

    Returns:
        The predictions with the column `REGISTERED`, null in the rows of a target that the registered model has not.

    Raises:
        TableError: the table cannot be read.
        AlmanacError: features that the table does not give.
    """
    keys = [*usecase.keys, "target"]
    same = {name: bundle.targets[name] for name in same_targets(usecase, bundle)}
    scored = predictions.filter(pl.col("target").is_in(list(same)))
    if not scored.height:
        return predictions.with_columns(pl.lit(None, pl.Float64).alias(REGISTERED))
    first, last = scored[usecase.time.column].min(), scored[usecase.time.column].max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    known = Bundle(bundle.use_case, bundle.version, bundle.digest, same)
    # The end of the span is exclusive.
    made = predict_span(usecase, read_validated(usecase, table), known, first, last + timedelta(microseconds=1))
    unseen = [(pl.col("target") == name) & _after(usecase.time.column, learned.get(name)) for name in same]
    wanted = made.filter(pl.any_horizontal(*unseen) & pl.col("prediction").is_finite())
    forecasts = wanted.select(*keys, pl.col("prediction").alias(REGISTERED))
    return predictions.join(forecasts, on=keys, how="left", maintain_order="left")


def registered_model(usecase: UseCase, bundle: Bundle, version: int) -> RegisteredModel:
    """Return the registered model as the gate names it."""
    return RegisteredModel(version, tuple(same_targets(usecase, bundle)))


def same_targets(usecase: UseCase, bundle: Bundle) -> list[str]:
    """Return the targets that a model forecasts as the use case declares them: column, horizon and threshold."""
    return [target.name for target in usecase.targets if _same(target, bundle)]


def _same(target: Target, bundle: Bundle) -> bool:
    model: Model | None = bundle.targets.get(target.name)
    if model is None:
        return False
    described = model.signature.get("target", {})
    # Models of earlier releases described less of their target.
    named = all(described.get(key) in (None, getattr(target, key)) for key in ("column", "horizon", "task"))
    return named and described.get("above") == target.above


def _after(time: str, moment: datetime | None) -> pl.Expr:
    return pl.lit(True) if moment is None else pl.col(time) > moment
