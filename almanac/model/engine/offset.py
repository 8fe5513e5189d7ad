"""The linear part of a prediction: what `offset.json` adds to the trees' sum.

prediction = clip(link(sum of trees + intercept + Σ coefficient · feature))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import ModelError


@dataclass(frozen=True)
class Term:
    """One feature of the linear part: coefficient · (value, or `fill` where the value is not finite)."""

    column: int
    coefficient: float
    fill: float
    mean: float


class LinearOffset:
    """Intercept and terms that are added to the trees' sum, the link, and the bounds that clip the result.

    Args:
        document: the content of offset.json: `intercept`, `terms` (feature to coefficient), `fill` (feature to the
            value that stands for a missing one, 0 unless given), optional `means` (feature to its mean in the training
            rows, the reference point of its contribution, 0 unless given), optional `link` ("identity" or "logit", the
            booster's own unless given), optional `clip` ([low, high], null = open). None is the same as no terms.
        names: the model's features in order.

    Raises:
        ModelError: a term names a feature that the model does not have, a bound is not a number, or the link is
            not known.

    Attributes:
        link: the link that the document asks for; None where it leaves that to the booster.
        low, high: bounds of a prediction, infinite where open.
    """

    def __init__(self, document: Mapping[str, Any] | None, names: Sequence[str]) -> None:
        document = document or {}
        self.intercept = float(document.get("intercept", 0.0))
        self.terms = [
            Term(
                column=_column(name, names),
                coefficient=float(coefficient),
                fill=float((document.get("fill") or {}).get(name, 0.0)),
                mean=float((document.get("means") or {}).get(name, 0.0)),
            )
            for name, coefficient in (document.get("terms") or {}).items()
        ]
        self.low, self.high = _bounds(document.get("clip"))
        self.link: str | None = document.get("link")
        if self.link not in (None, "identity", "logit"):
            raise ModelError(f"offset.json: the link {self.link!r} is not known; expected identity or logit")

    @property
    def is_zero(self) -> bool:
        """Whether nothing is added; clipping is not an addition."""
        return self.intercept == 0.0 and not self.terms

    def add(self, raw: NDArray[np.float64], X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `raw` (n,) with the linear part of `X` (n, f) added, term by term."""
        if self.is_zero:
            return raw
        result = raw + self.intercept
        for term in self.terms:
            values = X[:, term.column]
            result += term.coefficient * np.where(np.isfinite(values), values, term.fill)
        return result

    def clip(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `values` within the bounds."""
        return values if self.low == -np.inf and self.high == np.inf else np.clip(values, self.low, self.high)

    def explain(self, contributions: NDArray[np.float64], X: NDArray[np.float64]) -> float:
        """Add each term's contribution to `contributions` (n, f) in place, and return what the base value gains.

        The Shapley value of a linear term is coefficient · (value - mean). Without a stored mean the reference point
        is 0: the contribution is the whole term, and the base value gains the intercept alone.
        """
        if not self.terms:
            return self.intercept
        columns = [term.column for term in self.terms]
        coefficients, fills, means = np.array([(t.coefficient, t.fill, t.mean) for t in self.terms]).T
        values = X[:, columns]
        contributions[:, columns] += coefficients * (np.where(np.isfinite(values), values, fills) - means)
        return self.intercept + float(coefficients @ means)


def _column(name: str, names: Sequence[str]) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise ModelError(
            f"offset.json: the term {name!r} is not a feature of the model ({len(names)} features)"
        ) from None


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
