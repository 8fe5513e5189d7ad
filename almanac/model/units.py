"""A layer of hidden units on standardised features: radial basis functions, or rectified linear units.

A unit j of the standardised features z has the value

    exp(-γ · |z - c_j|²)         a radial basis function around the centre c_j
    max(0, w_j · z + b_j)        a rectified linear unit

and the layer's score is the sum of the units' values times their output weights. Kernel ridge regression is such a
layer, its centres being landmarks, and so is a perceptron with one hidden layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError

#: Rows at a time: their units' values stay in the processor's cache.
_BLOCK = 1 << 8
_FIELDS = ("fill", "scale", "weights", "output")


@dataclass(frozen=True)
class Units:
    """A layer of u hidden units on f features.

    Attributes:
        fill: replaces a missing feature, and is subtracted from each one, shape (f,).
        scale: divides the difference, shape (f,).
        weights: centres, or weights of the features, of each unit, shape (u, f).
        output: output weight of each unit, shape (u,).
        bias: of rectified linear units, shape (u,); None for radial basis functions.
        gamma: of radial basis functions.
        squash: whether the standardised features are compressed by asinh, which tames heavy tails.
    """

    fill: Array
    scale: Array
    weights: Array
    output: Array
    bias: Array | None = None
    gamma: float = 0.0
    squash: bool = False

    def standardised(self, X: Array) -> Array:
        """Return the standardised features of the rows of X, shape (n, f)."""
        return standardise(X, self.fill, self.scale, self.squash)

    def score(self, X: Array) -> Array:
        """Return the score of each row of X (n, f), shape (n,); a row has the same bits in every batch."""
        result = np.empty(len(X))
        for start in range(0, len(X), _BLOCK):
            Z = self.standardised(X[start : start + _BLOCK])
            # Not a matrix product, which sums in another order for another number of rows.
            inner = np.einsum("rf,uf->ru", Z, self.weights)
            norm = np.einsum("rf,rf->r", Z, Z)
            result[start : start + _BLOCK] = np.einsum("ru,u->r", self._values(inner, norm), self.output)
        return result

    def fast_score(self, X: Array) -> Array:
        """Return the scores by matrix products: faster, and equal to `score` up to rounding."""
        result = np.empty(len(X))
        for start in range(0, len(X), 8 * _BLOCK):
            Z = self.standardised(X[start : start + 8 * _BLOCK])
            result[start : start + len(Z)] = self._values(Z @ self.weights.T, (Z * Z).sum(axis=1)) @ self.output
        return result

    def _values(self, inner: Array, norm: Array) -> Array:
        """Return the units' values (n, u) from the products with the weights (n, u) and the squared lengths (n,)."""
        if self.bias is not None:
            return np.maximum(inner + self.bias, 0.0)
        return np.exp(-self.gamma * np.maximum(norm[:, None] - 2.0 * inner + self._lengths, 0.0))

    @cached_property
    def _lengths(self) -> Array:
        return np.asarray(np.einsum("uf,uf->u", self.weights, self.weights))

    def explain(self, X: Array) -> tuple[Array, float]:
        """Return the contributions of the features to each row's score, shape (n, f), and the score of the mean row.

        They are Aumann-Shapley values along the straight line from the mean of the training rows to the row, in
        standardised features (Sun and Sundararajan, 2011, "Axiomatic attribution for multilinear functions";
        Sundararajan et al., 2017, arXiv:1703.01365). Both kinds of units have them in closed form, hence base and
        contributions add up to the score.
        """
        values = np.empty(X.shape)
        for start in range(0, len(X), _BLOCK):
            Z = self.standardised(X[start : start + _BLOCK])
            values[start : start + len(Z)] = self._linear(Z) if self.bias is not None else self._radial(Z)
        return values, float(self.score(self.fill[None, :])[0])

    def _linear(self, Z: Array) -> Array:
        """Return the contributions through rectified linear units, by the share of the line on which each is active."""
        inner, bias = Z @ self.weights.T, np.broadcast_to(np.asarray(self.bias), (len(Z), len(self.output)))
        crossing = np.clip(np.divide(-bias, inner, out=np.zeros_like(inner), where=inner != 0), 0.0, 1.0)
        rising = np.where(bias >= 0, 1.0, 1.0 - crossing)
        falling = np.where(bias > 0, crossing, 0.0)
        active = np.where(inner > 0, rising, np.where(inner < 0, falling, 0.0))
        return np.asarray(Z * ((active * self.output) @ self.weights))

    def _radial(self, Z: Array) -> Array:
        """Return the contributions through radial basis functions, by the integrals of exp(-(a t² - 2 b t + c))."""
        # Only explanations need it, and a server that gives none starts without.
        from scipy.special import erf

        a = np.maximum(self.gamma * (Z * Z).sum(axis=1), 1e-12)[:, None]
        b, c = self.gamma * (Z @ self.weights.T), self.gamma * self._lengths
        root = np.sqrt(a)
        # By Cauchy-Schwarz b² ≤ a c, so that no exponential overflows.
        whole = np.exp(np.minimum(b * b / a - c, 0.0)) * np.sqrt(np.pi) / (2.0 * root)
        whole *= erf(root - b / root) + erf(b / root)
        ends = np.exp(-c) - np.exp(-np.maximum(a - 2.0 * b + c, 0.0))
        first = b / a * whole + ends / (2.0 * a)
        return np.asarray(
            -2.0 * self.gamma * Z * (Z * (first @ self.output)[:, None] - (whole * self.output) @ self.weights)
        )

    def scaled(self, weight: float) -> "Units":
        """Return the layer times `weight`."""
        return replace(self, output=weight * self.output)

    def to_arrays(self) -> dict[str, Array]:
        """Return the layer as arrays by name."""
        kind = {"gamma": np.array(self.gamma)} if self.bias is None else {"bias": self.bias}
        fields = {name: np.asarray(getattr(self, name)) for name in _FIELDS}
        return {**fields, **kind, "squash": np.array(float(self.squash))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], features: int, place: str) -> Self:
        """Read the arrays of a layer.

        Args:
            arrays: the arrays by name.
            features: number of features.
            place: file and layer, for messages.

        Raises:
            ModelError: an array is missing, of another shape, or not finite; it is named.
        """
        if missing := [name for name in (*_FIELDS, "squash") if name not in arrays]:
            raise ModelError(f"{place}: the array {missing[0]} is missing")
        if ("gamma" in arrays) == ("bias" in arrays):
            raise ModelError(f"{place}: expected either gamma or bias")
        units = len(np.atleast_1d(arrays["output"]))
        shapes = {"fill": (features,), "scale": (features,), "weights": (units, features), "output": (units,)}
        for name, shape in {**shapes, "bias": (units,), "gamma": (), "squash": ()}.items():
            if name in arrays and not _fits(arrays[name], shape):
                raise ModelError(f"{place}.{name}: expected finite numbers of shape {shape}; got {arrays[name].shape}")
        if not (arrays["scale"] > 0).all():
            raise ModelError(f"{place}.scale: expected positive numbers")
        fields = {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in _FIELDS}
        bias = np.asarray(arrays["bias"], dtype=np.float64) if "bias" in arrays else None
        return cls(**fields, bias=bias, gamma=float(arrays.get("gamma", 0.0)), squash=bool(arrays["squash"]))


def _fits(array: Array, shape: tuple[int, ...]) -> bool:
    return array.shape == shape and array.dtype.kind == "f" and bool(np.isfinite(array).all())


def standardise(X: Array, fill: Array, scale: Array, squash: bool) -> Array:
    """Return the rows of X (n, f) less `fill`, by `scale`, compressed where asked; missing values become zero."""
    Z = np.where(np.isfinite(X), X - fill, 0.0) / scale
    return np.arcsinh(Z) if squash else Z
