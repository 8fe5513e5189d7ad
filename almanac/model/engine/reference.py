"""Prediction by LightGBM itself: the fallback, and the reference for the compiled kernels."""

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.engine import booster as lightgbm
from almanac.model.engine.model_text import Header
from almanac.model.engine.single import SingleRow
from almanac.model.offset import Offset


class Reference:
    """Predictions by LightGBM, with offset, link and bounds; safe to call from any thread.

    Args:
        booster: the model.
        head: its header.
        offset: the linear part, link and bounds.

    Raises:
        ModelError: an offset to a booster with a link that only LightGBM applies.

    Attributes:
        link: "identity", "logit" or "log"; "other" for a transformation that only LightGBM applies.
        plain: whether the prediction is LightGBM's own output, apart from the bounds.
    """

    def __init__(self, booster: lightgbm.Booster, head: Header, offset: Offset) -> None:
        self.booster = booster
        self.offset = offset
        self.link = offset.link or head.link
        self.sigmoid = head.sigmoid if head.link == "logit" else 1.0
        self.plain = offset.is_zero and self.link == head.link
        if self.link == "other" and not self.plain:
            raise ModelError("an offset is given, but the booster's objective has a link of its own; expected none")
        self._kind = lightgbm.predict_normal if self.plain else lightgbm.predict_raw
        self._single = SingleRow(booster, self._kind)

    def predict(self, X: Array) -> Array:
        """Return the predictions (n,) of `X` (n, f), float64 and contiguous."""
        return self._finish(self.booster.predict(X, self._kind), X)

    def predict_row(self, x: Array) -> float:
        """Return the prediction of the row `x` (f,).

        Raises:
            ValueError: `x` has another width than the model.
        """
        return float(self._finish(np.array([self._single(x)]), x[None, :])[0])

    def _finish(self, values: Array, X: Array) -> Array:
        if self.plain:
            return self.offset.clipped(values)
        with np.errstate(all="ignore"):  # an overflow has its right limit: infinity, or a probability of 0
            score = self.offset.add(values, X)
            if self.link == "logit":
                score = 1.0 / (1.0 + np.exp(-self.sigmoid * score))
            elif self.link == "log":
                score = np.exp(score)
        return self.offset.clipped(score)
