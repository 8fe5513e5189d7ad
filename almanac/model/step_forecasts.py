"""Batch forecasts of every step of every entity from one origin."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from almanac.core.errors import TableError
from almanac.core.files import whole_file
from almanac.core.grid import to_micros, to_moment
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.target import history_of
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import outputs
from almanac.model.predictor import Rows
from almanac.model.steps import Step
from almanac.model.target_history import Positions

#: Name of the column that holds the time which is forecast.
DUE = "forecast_time"


def forecast_steps(frame: pl.DataFrame, bundle: Bundle, origin: datetime | None = None) -> pl.DataFrame:
    """Return the forecasts of every step from one origin.

    Args:
        frame: the raw columns with their time, in the order of entity and time; the rows before the origin are the
            features' history.
        bundle: the models.
        origin: time of the newest row that is used; the newest of the table when None.

    Returns:
        Entity, where there is one, time (the origin), `forecast_time`, column, target, prediction, lower, upper and
        signal; a step whose forecast would have been made at a time that an entity has no row of is left out.

    Raises:
        TableError: no rows at the origin, or models without steps.
    """
    steps = bundle.steps
    if not steps:
        raise TableError(f"{bundle.use_case}: events and probabilities are not forecast step by step")
    specs = {
        name: FeatureSpec.read(bundle.targets[name].spec, f"{name}/features.json")
        for name in dict.fromkeys(step.target for planned in steps.values() for step in planned)
    }
    spec = next(iter(specs.values()))
    frame = frame.with_columns(pl.col(spec.time).cast(pl.Datetime("us")))
    newest = frame[spec.time].max()
    origin = origin if origin is not None else newest if isinstance(newest, datetime) else None
    if origin is None or frame.filter(pl.col(spec.time) == origin).is_empty():
        raise TableError(f"no rows of {origin}; expected a time of the table as the origin")
    frame = _recent(frame, list(specs.values()), [bundle.targets[name] for name in specs], steps, origin)
    features: dict[bytes, pl.DataFrame] = {}
    parts = []
    for column, planned in steps.items():
        for name in dict.fromkeys(step.target for step in planned):
            model = bundle.targets[name]
            # Targets of one run share their specification, whose features are computed once.
            key = model.directory.files["features.json"]
            if key not in features:
                features[key] = compute(specs[name], frame, model.names)
            mine = [step for step in planned if step.target == name]
            parts.append(_forecasts(model, specs[name], frame, features[key], column, mine, origin))
    keys = [*([spec.entity] if spec.entity else []), "column", DUE]
    return pl.concat(parts).sort(keys)


def forecast_file(bundle: Bundle, source: Path, output: Path, column: str | None = None) -> int:
    """Forecast every step from the newest time of a Parquet file, and write the forecasts.

    Args:
        bundle: the models.
        source: Parquet file with the raw columns.
        output: Parquet file to write, whole or not at all.
        column: a column, or a target of it; all columns when None.

    Returns:
        The number of forecasts.

    Raises:
        TableError: an unreadable file, no such column, or as `forecast_steps`.
    """
    try:
        frame = pl.read_parquet(source)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{source}: cannot be read as Parquet ({error})") from error
    made = forecast_steps(frame, bundle)
    if column is not None:
        if column in bundle.targets:
            column = str(bundle.targets[column].signature["target"]["column"])
        made = made.filter(pl.col("column") == column)
        if made.is_empty():
            raise TableError(f"there is no target {column}; use one of {', '.join(bundle.targets)}")
    with whole_file(output) as aside:
        made.write_parquet(aside)
    return made.height


def _recent(
    frame: pl.DataFrame,
    specs: Sequence[FeatureSpec],
    models: Sequence[Model],
    steps: dict[str, list[Step]],
    origin: datetime,
) -> pl.DataFrame:
    """Return the rows that the forecasts look back on."""
    back = max(step.back for planned in steps.values() for step in planned)
    look_back = max(
        max(s.history, m.predictor.history + s.cutoff_steps) * s.step for s, m in zip(specs, models, strict=True)
    )
    first = specs[0].grid.one_later(to_micros(origin), -back - look_back)
    return frame.filter((pl.col(specs[0].time) > to_moment(first)) & (pl.col(specs[0].time) <= origin))


def _forecasts(
    model: Model,
    spec: FeatureSpec,
    frame: pl.DataFrame,
    features: pl.DataFrame,
    column: str,
    steps: list[Step],
    origin: datetime,
) -> pl.DataFrame:
    """Return one target's forecasts of its steps."""
    at = to_micros(origin)
    due = {to_moment(step.made(at)): to_moment(step.due(at)) for step in steps}
    within = np.flatnonzero(frame[spec.time].is_in(list(due)).to_numpy())
    keys = [spec.entity] if spec.entity else []
    made = frame[spec.time][within]
    table = frame.select(keys)[within] if keys else pl.DataFrame()
    predicted = model.predict(_rows(model, spec, frame, features, within))
    found = {output.name: values for output, values in predicted.present()}
    empty = {"FP64": pl.Float64, "BYTES": pl.String}
    return table.with_columns(
        pl.Series(spec.time, [origin] * len(within), dtype=pl.Datetime("us")),
        pl.Series(DUE, [due[time] for time in made], dtype=pl.Datetime("us")),
        pl.Series("column", [column] * len(within), dtype=pl.String),
        pl.Series("target", [model.name] * len(within), dtype=pl.String),
        *(
            pl.Series(one.name, found.get(one.name, [None] * len(within)), dtype=empty[one.datatype])
            for one in outputs()
        ),
    )


def _rows(model: Model, spec: FeatureSpec, frame: pl.DataFrame, features: pl.DataFrame, within: Positions) -> Rows:
    X = np.ascontiguousarray(features.select(model.names)[within].to_numpy())
    if model.predictor.history:
        column = str(model.signature["target"]["column"])
        return history_of(spec, frame, column).rows(X, within, model.predictor.history)
    return Rows(X, entity=frame[spec.entity].cast(pl.String)[within].to_list() if spec.entity else None)
