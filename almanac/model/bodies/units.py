"""Layers of hidden units, `units.npz`, added to trees, `model.bst`, where there are any, and to the linear part.

`units.npz` holds the arrays of each layer as `0.weights`, `0.output` and so on, see `almanac.model.units`; it is read
without pickle. Trees and linear part predict by the compiled kernels, the layers by NumPy, in which a row has the same
bits in a batch and as a single request.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.directory import parse_object
from almanac.model.engine import Engine
from almanac.model.engine.model_text import header
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind, Predictor, RowCall, Rows, row_by_matrix
from almanac.model.units import Units

UNITS, MODEL, OFFSET = "units.npz", "model.bst", "offset.json"
#: Weights whose products take as long as a few hundred trees for one row of a batch.
_WEIGHTS_OF_A_ROW = 25_000


@dataclass(frozen=True)
class UnitsPredictor:
    """Predictions of layers of hidden units, trees and a linear part.

    Attributes:
        layers: the layers, whose scores are added.
        trees: the trees with the linear part, but without link and bounds; None without trees.
        text: the content of `model.bst`.
        offset: linear part, link and bounds.
        names: ordered feature names.
    """

    layers: Sequence[Units]
    trees: Engine | None
    text: bytes
    offset: Offset
    names: Sequence[str]
    kind: str = "units"
    history: int = 0

    @property
    def leaves(self) -> int:
        """Leaves of all trees."""
        return count_leaves(self.text)

    @property
    def row_cost(self) -> int:
        """Rows of trees whose prediction takes about as long as that of one row here."""
        return 1 + sum(layer.weights.size for layer in self.layers) // _WEIGHTS_OF_A_ROW

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,)."""
        X = np.ascontiguousarray(rows.X, dtype=np.float64)
        score = self.offset.add(np.zeros(len(X)), X) if self.trees is None else self.trees.predict(X)
        for layer in self.layers:
            score = score + layer.score(X)
        return self.offset.linked(score)

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the call for one row at a time: the fast one of the trees, and the layers added to it."""
        if self.trees is None:
            return row_by_matrix(self.predict, low, high)
        call = self.trees.row_call(low, high)

        def predict_values() -> float:
            score = np.array([call.predict()])
            for layer in self.layers:
                score = score + layer.score(call.values[None, :])
            return float(self.offset.linked(score)[0])

        return RowCall(call.values, predict_values, call.outside, low, high)

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return the trees' SHAP values plus the layers' Aumann-Shapley values, shape (n, f), and their base."""
        contributions, base = np.zeros(rows.X.shape), 0.0
        if self.trees is not None:
            contributions, base = self.trees.contributions(rows.X)
        for layer in self.layers:
            values, of_mean = layer.explain(rows.X)
            contributions, base = contributions + values, base + of_mean
        return contributions, base

    def to_files(self) -> dict[str, bytes]:
        """Return `units.npz`, `offset.json` and, of trees, `model.bst`."""
        return {**units_files(self.layers, self.offset, self.names), **({MODEL: self.text} if self.text else {})}


def units_files(layers: Sequence[Units], offset: Offset, names: Sequence[str]) -> dict[str, bytes]:
    """Return `units.npz` and `offset.json`, the same bytes for the same layers."""
    arrays = {f"{k}.{name}": array for k, layer in enumerate(layers) for name, array in layer.to_arrays().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return {UNITS: buffer.getvalue(), OFFSET: offset.to_bytes(names)}


def count_leaves(text: bytes) -> int:
    """Return the number of leaves of all trees of a model text."""
    lines = (line for line in text.splitlines() if line.startswith(b"num_leaves="))
    return sum(int(line.partition(b"=")[2]) for line in lines)


def _layers(data: bytes, features: int, place: str) -> list[Units]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{place}: no archive of arrays ({error})") from error
    layers: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        number, _, field = name.partition(".")
        if not number.isdecimal():
            raise ModelError(f"{place}: the array {name} is of no layer; expected names such as 0.weights")
        layers.setdefault(number, {})[field] = array
    if not layers:
        raise ModelError(f"{place}: no layers")
    return [Units.from_arrays(layers[number], features, f"{place}: {number}") for number in sorted(layers, key=int)]


def _read(files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> Predictor:
    document = parse_object(directory / OFFSET, files[OFFSET])
    offset, text = Offset.from_json(document, names), files.get(MODEL, b"")
    trees = None
    if text:
        if header(text, f"{directory / MODEL}").names != list(names):
            raise ModelError(f"{directory / MODEL}: the booster's features differ from those of features.json")
        # Link and bounds come after the layers.
        linear = {**{key: value for key, value in document.items() if key != "clip"}, "link": "identity"}
        trees = Engine.read(text, linear, names, name=f"{directory / MODEL}")
    return UnitsPredictor(_layers(files[UNITS], len(names), f"{directory / UNITS}"), trees, text, offset, list(names))


KIND = BodyKind("units", _read, (UNITS, OFFSET))
