"""The rows by which the gate judges: the new model's scored rows, and the registered model's forecasts for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.evaluation.groups import Slices, bands_of
from almanac.evaluation.paired import Clock, clock_of
from almanac.features.baselines import baseline_names
from almanac.features.split import microseconds
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target

#: Column of the scored rows that holds the registered model's forecast, null where it learned from the row.
REGISTERED = "registered"


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
        registered: the registered model's forecast, NaN where it has none; None where no model is registered.
        entity: code of each row's entity; None for a table of one series or of events.
    """

    clock: Clock
    y: Array
    prediction: Array
    lower: Array
    upper: Array
    bands: Slices
    baselines: Mapping[str, Array]
    registered: Array | None
    entity: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """The model in production.

    Attributes:
        version: its version.
        targets: those of the use case that it has, with the same column, horizon and threshold.
    """

    version: int
    targets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the model as gate.json names it."""
        return {"version": self.version, "targets": list(self.targets)}


@dataclass(frozen=True)
class Evidence:
    """Evidence of the gate besides the metrics.

    Attributes:
        rows: scored rows by target.
        registered: the registered model; None where none is registered yet.
    """

    rows: Mapping[str, JudgedRows] = field(default_factory=dict)
    registered: RegisteredModel | None = None


def read_evidence(usecase: UseCase, predictions: pl.DataFrame, registered: RegisteredModel | None = None) -> Evidence:
    """Return the evidence.

    Args:
        usecase: the use case.
        predictions: predictions.parquet, with the column `REGISTERED` where a model is registered.
        registered: the registered model.
    """
    present = set(predictions["target"].unique())
    targets = [target for target in usecase.targets if target.name in present]
    return Evidence({target.name: _rows(usecase, target, predictions) for target in targets}, registered)


def _rows(usecase: UseCase, target: Target, predictions: pl.DataFrame) -> JudgedRows:
    rows = predictions.filter(pl.col("target") == target.name)
    time = microseconds(rows[usecase.time.column])
    y, prediction, lower, upper, last = (_numbers(rows, name) for name in ("y", "prediction", "lower", "upper", "last"))
    return JudgedRows(
        clock_of(usecase, target, time),
        y,
        prediction,
        lower,
        upper,
        bands_of(usecase, last),
        {name: _numbers(rows, name) for name in baseline_names(usecase, target) if name in rows.columns},
        _numbers(rows, REGISTERED) if REGISTERED in rows.columns else None,
        _entities(usecase, rows),
    )


def _entities(usecase: UseCase, rows: pl.DataFrame) -> npt.NDArray[np.int64] | None:
    if usecase.entity is None or usecase.events is not None or usecase.entity not in rows.columns:
        return None
    return rows[usecase.entity].rank("dense").cast(pl.Int64).to_numpy() - 1


def _numbers(rows: pl.DataFrame, name: str) -> Array:
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
