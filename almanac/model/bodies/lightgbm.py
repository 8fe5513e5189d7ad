"""Gradient-boosted trees in LightGBM's text format, `model.bst`, with the linear part in `offset.json`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.directory import parse_object
from almanac.model.engine import Engine
from almanac.model.engine.model_text import header
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind, Predictor, RowCall, Rows

MODEL, OFFSET = "model.bst", "offset.json"


@dataclass(frozen=True)
class TreesPredictor:
    """Predictions of trees, by the compiled kernels where these equal LightGBM's.

    Attributes:
        engine: the trees with their linear part.
        text: the content of `model.bst`.
    """

    engine: Engine
    text: bytes
    kind: str = "lightgbm"
    history: int = 0

    @property
    def offset(self) -> Offset:
        """Linear part, link and bounds."""
        return self.engine.offset

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,)."""
        return self.engine.predict(rows.X)

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the fast call for one row at a time."""
        return self.engine.row_call(low, high)

    @cached_property
    def leaves(self) -> int:
        """Leaves of all trees."""
        return sum(map(int, re.findall(rb"^num_leaves=(\d+)$", self.text, flags=re.MULTILINE)))

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return exact contributions to the trees' sum, shape (n, f), and their base value."""
        return self.engine.contributions(rows.X)

    def to_files(self) -> dict[str, bytes]:
        """Return `model.bst` and `offset.json`."""
        return {MODEL: self.text, OFFSET: self.offset.to_bytes(self.engine.names)}


def read_trees(files: Mapping[str, bytes], names: Sequence[str], directory: Path, kind: str = "lightgbm") -> Predictor:
    """Return the predictor of `model.bst` and `offset.json`.

    Raises:
        ModelError: files that are damaged, or of other features than `names`.
    """
    place = directory / MODEL
    # LightGBM checks the number of features only; columns in another order would give plausible, wrong predictions.
    if header(files[MODEL], f"{place}").names != list(names):
        raise ModelError(f"{place}: the booster's features differ from those of features.json")
    engine = Engine.read(files[MODEL], parse_object(directory / OFFSET, files[OFFSET]), names, name=f"{place}")
    return TreesPredictor(engine, files[MODEL], kind)


KIND = BodyKind("lightgbm", read_trees, (MODEL, OFFSET))
