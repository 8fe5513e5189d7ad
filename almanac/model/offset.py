"""The linear part of a model, `offset.json`: prediction = clip(link(body + intercept + Σ coefficient · feature))."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.files import pretty_json


def probability(log_odds: Array) -> Array:
    """Return the probability of log-odds, exact to the last places at both ends and without overflow."""
    # Only exponentials of values up to 0 are taken, and these cannot overflow.
    small = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds >= 0, 1.0, small) / (1.0 + small))


def _none() -> Array:
    return np.zeros(0)


@dataclass(frozen=True)
class Offset:
    """Intercept and terms that are added to a body's raw output, the link, and the bounds of the result.

    Attributes:
        intercept: constant.
        columns: positions of the terms' features, shape (m,).
        coefficients: coefficient of each term, shape (m,).
        fill: value that replaces a missing feature, shape (m,).
        means: reference point of each term's contribution, its mean in the training rows, shape (m,).
        link: identity, logit or log; None for the body's own.
        clip: smallest and largest prediction, infinite where open.
    """

    intercept: float = 0.0
    columns: npt.NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    coefficients: Array = field(default_factory=_none)
    fill: Array = field(default_factory=_none)
    means: Array = field(default_factory=_none)
    link: str | None = None
    clip: tuple[float, float] = (-np.inf, np.inf)

    @property
    def is_zero(self) -> bool:
        """Whether nothing is added; clipping is not an addition."""
        return self.intercept == 0.0 and not self.columns.size

    def add(self, raw: Array, X: Array, rows: npt.NDArray[np.intp] | None = None) -> Array:
        """Return `raw` (n,) with the linear part of the features added, of X (n, f) or of the rows of X at `rows`."""
        result = raw + self.intercept
        # Term by term, and not a matrix product, so that a row's result does not depend on the batch.
        for column, coefficient, fill in zip(self.columns, self.coefficients, self.fill, strict=True):
            values = X[:, column] if rows is None else X[rows, column]
            result += coefficient * np.where(np.isfinite(values), values, fill)
        return result

    def clipped(self, values: Array) -> Array:
        """Return `values` within the bounds."""
        return values if self.clip == (-np.inf, np.inf) else np.clip(values, *self.clip)

    def apply(self, raw: Array, X: Array) -> Array:
        """Return the predictions (n,) from the body's raw output (n,) and the features X (n, f)."""
        return self.linked(self.add(raw, X))

    def linked(self, score: Array) -> Array:
        """Return the predictions (n,) from the scores (n,), the linear part included."""
        if self.link == "logit":
            score = probability(score)
        elif self.link == "log":
            score = np.exp(score)
        return self.clipped(score)

    def explain(self, contributions: Array, X: Array) -> float:
        """Add the terms' contributions to `contributions` (n, f) in place and return their part of the base value.

        The Shapley value of a linear term is coefficient · (value - mean). Without a stored mean the reference point
        is 0: the contribution is the whole term, and the base value gains the intercept only.
        """
        if not self.columns.size:  # the usual model of trees, explained row by row by the server
            return self.intercept
        values = X[:, self.columns]
        terms = self.coefficients * (np.where(np.isfinite(values), values, self.fill) - self.means)
        contributions[:, self.columns] += terms
        return self.intercept + float(self.coefficients @ self.means)

    def scaled(self, weight: float) -> "Offset":
        """Return the linear part times `weight`."""
        return replace(self, intercept=weight * self.intercept, coefficients=weight * self.coefficients)

    def plus(self, other: "Offset") -> "Offset":
        """Return the sum of two linear parts with the same columns and fill values."""
        return replace(
            self, intercept=self.intercept + other.intercept, coefficients=self.coefficients + other.coefficients
        )

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the document `offset.json`, without terms whose coefficient is 0."""
        used = np.flatnonzero(self.coefficients)
        keys = [names[column] for column in self.columns[used]]

        def by_name(values: Array) -> dict[str, float]:
            return dict(zip(keys, values[used].tolist(), strict=True))

        # JSON has no infinity.
        bounds = [bound if np.isfinite(bound) else None for bound in self.clip]
        return {
            "intercept": float(self.intercept),
            "terms": by_name(self.coefficients),
            "fill": by_name(self.fill),
            "means": by_name(self.means),
            **({} if self.link is None else {"link": self.link}),
            **({} if bounds == [None, None] else {"clip": bounds}),
        }

    def to_bytes(self, names: Sequence[str]) -> bytes:
        """Return the bytes of `offset.json`."""
        return pretty_json(self.to_json(names)).encode()

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None, names: Sequence[str]) -> "Offset":
        """Read the document `offset.json` against the ordered feature names; None has no terms.

        Raises:
            ModelError: a term of an unknown feature, or a link or bound of another form.
        """
        document = document or {}
        terms: dict[str, float] = document.get("terms") or {}
        position = {name: column for column, name in enumerate(names)}
        if unknown := sorted(set(terms) - set(position)):
            raise ModelError(
                f"offset.json: the term {unknown[0]!r} is not a feature of the model ({len(names)} features); "
                "see features.json"
            )
        link = document.get("link")
        if link not in (None, "identity", "logit", "log"):
            raise ModelError(f"offset.json: the link {link!r} is not known; expected identity, logit or log")
        fill, means = (document.get(key) or {} for key in ("fill", "means"))
        return cls(
            intercept=float(document.get("intercept", 0.0)),
            columns=np.asarray([position[name] for name in terms], dtype=np.intp),
            coefficients=np.asarray(list(terms.values()), dtype=np.float64),
            fill=np.asarray([fill.get(name, 0.0) for name in terms], dtype=np.float64),
            means=np.asarray([means.get(name, 0.0) for name in terms], dtype=np.float64),
            link=link,
            clip=_bounds(document.get("clip")),
        )


def _bounds(clip: Sequence[float | None] | None) -> tuple[float, float]:
    if clip is None:
        return -np.inf, np.inf
    if len(clip) != 2:
        raise ModelError(f"offset.json: clip is {clip!r}; expected [low, high], null where open")
    low = -np.inf if clip[0] is None else float(clip[0])
    high = np.inf if clip[1] is None else float(clip[1])
    if not low <= high:
        raise ModelError(f"offset.json: clip is {clip!r}; low must not be above high")
    return low, high
