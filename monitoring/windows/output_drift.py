"""Output drift of the registered models in the newest window: predictions, joined with the truth where it is known."""

from collections.abc import Mapping

import polars as pl

from almanac.core.errors import FeatureError
from almanac.drift.outputs import OutputDrift
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from monitoring.windows.join import with_truth
from monitoring.windows.outputs import Features, Span, WatchedModel, judge_outputs


def judge_models(
    usecase: UseCase,
    table: pl.DataFrame,
    models: Mapping[str, WatchedModel],
    span: Span,
    level: float,
) -> dict[str, OutputDrift | str]:
    """Compare each model's outputs in a window with their reference, or return the reason why it cannot predict.

    Args:
        usecase: the use case.
        table: validated table, sorted by entity and time.
        models: models by target.
        span: the window.
        level: chance of a false alarm of each signal.
    """
    features = Features(usecase, table)
    return {
        name: _judge(usecase, table, usecase.target(name), watched, features, span, level)
        for name, watched in models.items()
    }


def _judge(
    usecase: UseCase,
    table: pl.DataFrame,
    target: Target,
    watched: WatchedModel,
    features: Features,
    span: Span,
    level: float,
) -> OutputDrift | str:
    if target.column not in table.columns:
        return f"the table has no column {target.column!r}, which is forecast"
    try:
        predictions = _predict(usecase, watched, features, span)
    except FeatureError as error:
        return str(error)
    joined = with_truth(usecase, table, predictions.with_columns(target=pl.lit(target.name)))
    return judge_outputs(usecase, watched, joined, features, span, level)


def _predict(usecase: UseCase, watched: WatchedModel, features: Features, span: Span) -> pl.DataFrame:
    """Return the predictions that are made in a window, or whose truth falls due in it."""
    # A truth that falls due in the window belongs to a prediction of up to one horizon before it.
    span_made = Span(span.start - usecase.longest_wait, span.stop)
    frame = features.of(watched.model, span_made)
    if not frame.height:
        return frame.select(usecase.keys).with_columns(prediction=pl.lit(None, dtype=pl.Float64))
    return frame.select(usecase.keys).with_columns(prediction=features.predict(watched.model, span_made))
