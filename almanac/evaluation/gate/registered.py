"""Forecasts of the registered model for the rows on which a new one was scored."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from almanac.core.errors import TableError
from almanac.evaluation.gate.evidence import REGISTERED
from almanac.model.batch import predict_span
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target


def score_registered(
    usecase: UseCase, table: Path, predictions: pl.DataFrame, bundle: Bundle, learned: Mapping[str, datetime]
) -> pl.DataFrame:
    """Return the registered model's forecasts for the scored rows that it did not learn from.

    Its own specification computes the features, from the raw columns: what was registered is compared, whatever the
    new model's features are.

    Args:
        usecase: the use case.
        table: the validated table as Parquet.
        predictions: the evaluation's predictions.parquet.
        bundle: the registered model.
        learned: newest prediction time that each target's registered model learned from.

    Returns:
        Keys, target, prediction, lower and upper; no row of a target that the registered model has not, or has with
        another column, horizon or threshold.

    Raises:
        TableError: the table cannot be read.
        AlmanacError: features that the table does not give.
    """
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    frame = _read(usecase, table)
    same = {target.name: bundle.targets[target.name] for target in usecase.targets if _same(target, bundle)}
    scored = predictions.filter(pl.col("target").is_in(list(same))).select(*keys, "target")
    if not scored.height:
        return scored.with_columns(*(pl.lit(None, pl.Float64).alias(name) for name in REGISTERED[1:]))
    times = scored[usecase.time.column]
    first, last = times.min(), times.max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    known = Bundle(bundle.use_case, bundle.version, bundle.digest, same)
    # The end of the span is exclusive.
    made = predict_span(usecase, frame, known, first, last + timedelta(microseconds=1))
    unseen = pl.any_horizontal(
        *((pl.col("target") == name) & _after(usecase.time.column, learned.get(name)) for name in same)
    )
    wanted = made.select(*keys, *REGISTERED).filter(unseen & pl.col("prediction").is_finite())
    return scored.join(wanted, on=[*keys, "target"], how="inner", maintain_order="left")


def _same(target: Target, bundle: Bundle) -> bool:
    """Return whether the registered model forecasts what this target is."""
    model: Model | None = bundle.targets.get(target.name)
    if model is None:
        return False
    described = model.signature.get("target", {})
    # Models of earlier releases described less of their target.
    return (
        all(described.get(key) in (None, getattr(target, key)) for key in ("column", "horizon", "task"))
        and described.get("above") == target.above
    )


def _after(time: str, moment: datetime | None) -> pl.Expr:
    return pl.lit(True) if moment is None else pl.col(time) > moment


def _read(usecase: UseCase, table: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(table)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{table}: not a Parquet table ({str(error).splitlines()[0]})") from error
    if usecase.time.column not in frame.columns:
        raise TableError(f"{table}: no time column {usecase.time.column!r}; it has {', '.join(frame.columns)}")
    return frame.with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
