"""Stakes by the Kelly criterion: side, edge and stake of a probability at two prices."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import ModelError

#: Names of the sides by their number: nothing is staked, the outcome, its opposite.
SIDES = ("none", "outcome", "opposite")


@dataclass(frozen=True)
class Staked:
    """Stakes of n events.

    Attributes:
        side: 0 for nothing, 1 for the outcome, 2 for its opposite; shape (n,).
        edge: expected gain a unit staked on the better side, NaN without prices; shape (n,).
        stake: share of the bankroll; shape (n,).
        odds: decimal odds of the better side, NaN without prices; shape (n,).
    """

    side: npt.NDArray[np.int64]
    edge: Array
    stake: Array
    odds: Array


@dataclass(frozen=True)
class StakeRule:
    """A rule of stakes, see `almanac.usecase.stakes_section.Stakes`.

    Attributes:
        odds: notation of prices: us, decimal or fractional.
        fraction: share of the full Kelly stake.
        cap: largest stake, as a share of the bankroll.
        min_edge: smallest edge.
        uncertainty: standard error of the probability.
    """

    odds: str
    fraction: float
    cap: float
    min_edge: float
    uncertainty: float

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return the rule in a model's signature.

        Raises:
            ModelError: a field is missing.
        """
        try:
            names = ("fraction", "cap", "min_edge", "uncertainty")
            return cls(str(document["odds"]), *(float(document[name]) for name in names))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"signature.json: stakes has no field {error}") from error

    def stakes(self, probability: Array, yes: Array, no: Array) -> Staked:
        """Return the stakes at these probabilities and prices, each of shape (n,), NaN where there is no price.

        The full Kelly share is edge / (odds - 1). With a standard error s of the probability the edge has the standard
        error s · odds, and the stake is shrunk by edge² / (edge² + (s · odds)²), as Baker and McHale (2013,
        doi:10.1287/deca.2013.0271) shrink it.
        """
        odds = np.stack([decimal_odds(yes, self.odds), decimal_odds(no, self.odds)])
        chance = np.stack([probability, 1.0 - probability])
        edges = chance * odds - 1.0
        # A side without a price is never the better one.
        better = np.argmax(np.where(np.isfinite(edges), edges, -np.inf), axis=0)
        at = np.arange(probability.size)
        edge, price = edges[better, at], odds[better, at]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.fraction * edge / (price - 1.0)
            if self.uncertainty:
                share *= edge**2 / (edge**2 + (self.uncertainty * price) ** 2)
        taken = np.isfinite(share) & (edge > 0) & (edge >= self.min_edge)
        stake = np.where(taken, np.minimum(share, self.cap), 0.0)
        return Staked(np.where(taken, better + 1, 0), edge, stake, price)


def decimal_odds(price: Array, notation: str) -> Array:
    """Return prices as decimal odds, the return of a unit staked; NaN for a price that is none.

    Raises:
        ModelError: an unknown notation.
    """
    price = np.asarray(price, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if notation == "us":
            # US prices run from 100 upwards and from -100 downwards.
            odds = np.where(price >= 100.0, 1.0 + price / 100.0, np.where(price <= -100.0, 1.0 - 100.0 / price, np.nan))
        elif notation == "decimal":
            odds = np.where(price > 1.0, price, np.nan)
        elif notation == "fractional":
            odds = np.where(price > 0.0, 1.0 + price, np.nan)
        else:
            raise ModelError(f"stakes: the odds {notation!r} are not known; expected us, decimal or fractional")
    return np.asarray(odds)
