"""Prediction and explanation of one model, fast and exact.

engine = Engine.load(directory / "model.bst", read_json(directory / "offset.json"))
engine.predict_row(x)              # one row, microseconds
engine.predict(X)                  # many rows
contributions, base = engine.explain(X)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.engine import booster as lightgbm
from almanac.model.engine.compiled import Compiled, compile_model
from almanac.model.engine.model_text import header
from almanac.model.engine.reference import Reference
from almanac.model.offset import Offset
from almanac.model.predictor import RowCall, row_by_matrix
from almanac.native.library import failures as library_failures

__all__ = ["Engine", "library_failures"]


_NOT_COMPILED = Compiled()


class Engine:
    """A LightGBM model with its linear offset; every method may be called from any thread.

    Attributes:
        kind: "compiled" where the compiled kernels predict, "lightgbm" where LightGBM itself does.
        explainer_kind: the same of explanations.
        names: the model's features in order.
        link: link between the score (trees and offset) and the prediction: "identity", "logit" (two classes), "log",
            or "other" for a transformation that only LightGBM applies. Contributions are in the unit of the score,
            which is log-odds for two classes.
        bounds: smallest and largest prediction, infinite where open; a clipped prediction is not the sum of its
            contributions.
    """

    kind: Literal["compiled", "lightgbm"]
    explainer_kind: Literal["compiled", "lightgbm"]

    def __init__(self, names: Sequence[str], reference: Reference, compiled: Compiled = _NOT_COMPILED) -> None:
        self.kind = "compiled" if compiled.trees else "lightgbm"
        self.explainer_kind = "compiled" if compiled.explainer else "lightgbm"
        self.names = list(names)
        self.link = reference.link
        self.bounds = reference.offset.clip
        self._booster = reference.booster
        self.offset = reference.offset
        self._explainer = compiled.explainer
        self._trees = compiled.trees
        predictor = compiled.trees or reference
        self._row, self._rows = predictor.predict_row, predictor.predict

    @classmethod
    def load(
        cls,
        model_bst: Path,
        offset: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
        *,
        compiled: bool = True,
    ) -> "Engine":
        """Return the engine of the model in the file `model_bst`; arguments and errors are those of `read`."""
        return cls.read(model_bst.read_bytes(), offset, names, name=str(model_bst), compiled=compiled)

    @classmethod
    def read(
        cls,
        text: bytes,
        offset: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
        *,
        name: str = "model.bst",
        compiled: bool = True,
    ) -> "Engine":
        """Return the engine of a model in LightGBM's text format, for regression or binary classification.

        Args:
            text: the model.
            offset: the content of offset.json; None adds nothing.
            names: the ordered feature names; those of the model text when None.
            name: file name for messages.
            compiled: False for LightGBM itself, for comparisons.

        Raises:
            ModelError: the model is unreadable, has several classes, or its offset does not fit it.
        """
        booster = lightgbm.Booster(text, name)
        if booster.num_classes != 1:
            raise ModelError(f"{name} has {booster.num_classes} classes; expected a regression or two classes")
        head = header(text)
        features = list(names) if names is not None else head.names
        if len(features) != booster.num_features:
            raise ModelError(f"{name} takes {booster.num_features} features; {len(features)} names were given")
        reference = Reference(booster, head, Offset.from_json(offset, features))
        return cls(features, reference, compile_model(text, head, reference, name) if compiled else _NOT_COMPILED)

    def predict_row(self, x: Array) -> float:
        """Return the prediction for one row `x`, shape (f,).

        Raises:
            ValueError: `x` is not a row of the model's width.
        """
        return self._row(x)

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Return the one-row call for one thread; `low` and `high`, shape (f,), are the ranges of the features."""
        if self._trees is not None:
            return self._trees.row_call(low, high)
        return row_by_matrix(lambda rows: np.array([self._row(rows.X[0])]), low, high)

    def predict(self, X: Array) -> Array:
        """Return the predictions (n,) for the rows of `X`, shape (n, f).

        Raises:
            ValueError: `X` is not a matrix of the model's width.
        """
        return self._rows(self._matrix(X))

    def explain(self, X: Array) -> tuple[Array, float]:
        """Return exact tree SHAP values (path dependent) of the rows of `X`, shape (n, f).

        Returns:
            Contributions (n, f) and the base value. Base plus a row's sum is its prediction before link and clipping.

        Raises:
            ValueError: `X` is not a matrix of the model's width.
        """
        X = self._matrix(X)
        contributions, base = self.contributions(X)
        return contributions, base + self.offset.explain(contributions, X)

    def contributions(self, X: Array) -> tuple[Array, float]:
        """Return the SHAP values of the trees' sum and its base value, before the linear part; see `explain`."""
        X = self._matrix(X)
        if self._explainer:
            return self._explainer.explain(X), self._explainer.base
        # The base value comes with a row's contributions, so without rows one is made up.
        values = self._booster.predict(X if len(X) else np.zeros((1, X.shape[1])), lightgbm.predict_contributions)
        return np.ascontiguousarray(values[: len(X), :-1]), float(values[0, -1])

    def _matrix(self, X: Array) -> Array:
        # The kernels read float64 rows one after the other; most callers have such a matrix already.
        X = np.ascontiguousarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self._booster.num_features:
            raise ValueError(f"rows have shape {X.shape}; the model takes (n, {self._booster.num_features})")
        return X
