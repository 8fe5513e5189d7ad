"""The rows by which the gate judges: the new model's scored rows, and the registered model's forecasts for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.evaluation.groups import Slices, bands_of
from almanac.evaluation.paired import Clock
from almanac.features.baselines import baseline_names
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds

Array = npt.NDArray[np.float64]

#: Columns of a table of the registered model's forecasts, beside the keys.
REGISTERED = ("target", "prediction", "lower", "upper")


@dataclass(frozen=True)
class JudgedRows:
    """The scored rows of one target's new model.

    Attributes:
        clock: times of the rows.
        y: truth, 0 or 1 for a classification, shape (n,).
        prediction: the new model's forecast, shape (n,).
        lower: lower end of its interval, NaN without.
        upper: upper end.
        bands: bands of the last known value.
        baselines: forecasts of the baselines by name, NaN where there is none.
        registered: the registered model's forecast, NaN where it learned from the row; None without such a target.
    """

    clock: Clock
    y: Array
    prediction: Array
    lower: Array
    upper: Array
    bands: Slices
    baselines: Mapping[str, Array]
    registered: Array | None


@dataclass(frozen=True)
class Evidence:
    """What the gate knows beside the metrics.

    Attributes:
        rows: scored rows by target.
        version: version of the registered model; None where no model is registered yet.
    """

    rows: Mapping[str, JudgedRows] = field(default_factory=dict)
    version: int | None = None


def read_evidence(
    usecase: UseCase, predictions: pl.DataFrame, registered: pl.DataFrame | None = None, version: int | None = None
) -> Evidence:
    """Return the evidence.

    Args:
        usecase: the use case.
        predictions: the evaluation's predictions.parquet.
        registered: forecasts of the registered model, see `almanac.evaluation.gate.registered`.
        version: version of the registered model.
    """
    present = set(predictions["target"].unique())
    targets = [target for target in usecase.targets if target.name in present]
    return Evidence({target.name: _rows(usecase, target, predictions, registered) for target in targets}, version)


def _rows(usecase: UseCase, target: Target, predictions: pl.DataFrame, registered: pl.DataFrame | None) -> JudgedRows:
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    rows = predictions.filter(pl.col("target") == target.name)
    other = None
    if registered is not None and (registered["target"] == target.name).any():
        theirs = registered.filter(pl.col("target") == target.name).select(*keys, registered="prediction")
        # In the order of the scored rows, so that every array below is of the same rows.
        other = _numbers(rows.join(theirs, on=keys, how="left", maintain_order="left"), "registered")
    frequency = to_microseconds(usecase.time.frequency)
    lead = -(-(to_microseconds(target.horizon) + to_microseconds(usecase.features.cutoff)) // frequency)
    time = rows[usecase.time.column].cast(pl.Datetime("us")).to_physical().to_numpy()
    y, prediction, lower, upper, last = (_numbers(rows, name) for name in ("y", "prediction", "lower", "upper", "last"))
    return JudgedRows(
        Clock(time, frequency, lead),
        y,
        prediction,
        lower,
        upper,
        bands_of(usecase, last),
        {name: _numbers(rows, name) for name in baseline_names(usecase, target)},
        other,
    )


def _numbers(rows: pl.DataFrame, name: str) -> Array:
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
