"""The protocol of a model's body: it predicts and explains rows, and is read from data files.

A body is one module in `almanac/model/bodies` with a constant `KIND`, or the entry point of another package in the
group `almanac.bodies`. Training writes the files that `Predictor.to_files` returns, and every reader of a model
directory gets its predictor from `BodyKind.from_files`; neither asks for a file by name.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from almanac.core.arrays import Array
from almanac.model.offset import Offset


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to predict.

    Attributes:
        X: features, float64 of shape (n, f), NaN for missing.
        past: values of the target's column up to the prediction time, oldest first and NaN where unknown, shape
            (n, `Predictor.history`); None for a predictor that needs no history.
        entity: the entity of each row; None for a table of one series.
    """

    X: Array
    past: Array | None = None
    entity: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class RowCall:
    """Predicts the row in `values`, one at a time and for one thread.

    Attributes:
        values: the row, shape (f,), to be written before each call.
        predict: returns the prediction of `values`, and sets `outside`.
        outside: number of values beyond `low` and `high`; a missing value is within.
        low: smallest values, shape (f,).
        high: largest values, shape (f,).
    """

    values: Array
    predict: Callable[[], float]
    outside: ctypes.c_int32
    low: Array
    high: Array


class Predictor(Protocol):
    """The body of a model with its linear part, link and bounds; safe to call from any thread."""

    @property
    def kind(self) -> str:
        """Name of the body kind, as the manifest has it."""
        ...

    @property
    def history(self) -> int:
        """Past steps of the target that `Rows.past` must hold; 0 for a body of features only."""
        ...

    @property
    def offset(self) -> Offset:
        """Linear part, link and bounds."""
        ...

    @property
    def leaves(self) -> int:
        """Leaves of all trees, which is the cost of explaining a row; 0 for other bodies."""
        ...

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,)."""
        ...

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the fast call for one row at a time; for predictors without history, see `row_by_matrix`."""
        ...

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return exact contributions to the body's raw output, shape (n, f), and their base; None if there are none.

        The linear part is not among them: `Model.explain` adds it.
        """
        ...

    def to_files(self) -> dict[str, bytes]:
        """Return the files from which `BodyKind.from_files` restores this predictor, by name."""
        ...


@dataclass(frozen=True)
class BodyKind:
    """A kind of model body.

    Attributes:
        name: name in the manifest's field `kind`.
        from_files: restores the predictor from the directory's verified files, the ordered feature names and the
            directory, which is for messages only; raises ModelError where they do not fit.
        files: files that a directory of this kind must list.
    """

    name: str
    from_files: Callable[[Mapping[str, bytes], Sequence[str], Path], Predictor]
    files: tuple[str, ...] = ()


def row_by_matrix(predict: Callable[[Rows], Array], low: Array, high: Array) -> RowCall:
    """Return the one-row call of a predictor that has no faster one than its matrix call."""
    # A C integer as in the compiled call, whose kernel writes it by its address.
    values, outside = np.zeros(low.size), ctypes.c_int32()

    def predict_values() -> float:
        outside.value = int(((values < low) | (values > high)).sum())
        return float(predict(Rows(values[None, :]))[0])

    return RowCall(values, predict_values, outside, low, high)
