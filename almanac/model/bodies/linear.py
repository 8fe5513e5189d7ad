"""A linear or logistic regression: its only file is `offset.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from almanac.core.arrays import Array
from almanac.model.directory import parse_object
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind, Predictor, RowCall, Rows, row_by_matrix

OFFSET = "offset.json"


@dataclass(frozen=True)
class LinearPredictor:
    """Predictions of a linear part without any other body.

    Attributes:
        offset: intercept, terms, link and bounds.
        names: ordered feature names.
    """

    offset: Offset
    names: Sequence[str]
    kind: str = "linear"
    history: int = 0
    leaves: int = 0

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,)."""
        return self.offset.apply(np.zeros(len(rows.X)), rows.X)

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the call for one row at a time."""
        return row_by_matrix(self.predict, low, high)

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return zeros: all contributions are those of the linear part."""
        return np.zeros(rows.X.shape), 0.0

    def to_files(self) -> dict[str, bytes]:
        """Return `offset.json`."""
        return {OFFSET: self.offset.to_bytes(self.names)}


def _read(files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> Predictor:
    return LinearPredictor(Offset.from_json(parse_object(directory / OFFSET, files[OFFSET]), names), list(names))


KIND = BodyKind("linear", _read, (OFFSET,))
