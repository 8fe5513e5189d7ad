"""A scikit-learn estimator as a skops archive, `model.skops`, with the linear part in `offset.json`.

Training writes the same trees in LightGBM's format (`model.bst`) next to the archive. Where they are present they
predict, because they are faster and need neither scikit-learn nor skops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.bodies.lightgbm import MODEL, OFFSET, read_trees
from almanac.model.directory import parse_object
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind, Predictor, RowCall, Rows, row_by_matrix
from almanac.model.skops_io import margin, read_estimator, tree_contributions

ARCHIVE = "model.skops"


@dataclass(frozen=True)
class SklearnPredictor:
    """Predictions of an estimator by scikit-learn itself.

    Attributes:
        estimator: the fitted estimator.
        archive: the content of `model.skops`.
        offset: linear part, link and bounds.
        names: ordered feature names.
    """

    estimator: Any
    archive: bytes
    offset: Offset
    names: Sequence[str]
    kind: str = "sklearn"
    history: int = 0
    leaves: int = 0

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,)."""
        return self.offset.apply(np.asarray(margin(self.estimator)(rows.X), dtype=np.float64), rows.X)

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the call for one row at a time."""
        return row_by_matrix(self.predict, low, high)

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return exact contributions to the estimator's raw output and their base; None if it is no sum of trees."""
        try:
            return tree_contributions(self.estimator, rows.X)
        except (ModelError, ImportError):
            return None

    def to_files(self) -> dict[str, bytes]:
        """Return `model.skops` and `offset.json`."""
        return {ARCHIVE: self.archive, OFFSET: self.offset.to_bytes(self.names)}


def _read(files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> Predictor:
    # Checked for equality with the estimator when they were exported, see `almanac.model.lightgbm_export`.
    if MODEL in files:
        return read_trees(files, names, directory, "sklearn")
    archive = files[ARCHIVE]
    estimator = read_estimator(archive, directory / ARCHIVE)
    offset = Offset.from_json(parse_object(directory / OFFSET, files[OFFSET]), names)
    return SklearnPredictor(estimator, archive, offset, list(names))


KIND = BodyKind("sklearn", _read, (ARCHIVE, OFFSET))
