"""Sections on decisions by price: stakes on outcomes, and signals to buy or to sell."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from almanac.usecase.types import Name, Section


class Prices(Section):
    """Columns with the prices of both sides of a probability."""

    outcome: Name
    """Price of the outcome."""
    opposite: Name
    """Price of its opposite."""


class Stakes(Section):
    """Stakes by the criterion of Kelly (1956, doi:10.1002/j.1538-7305.1956.tb03809.x) on a probability, to inform."""

    prices: dict[Name, Prices]
    """Prices by name, such as those an hour before a game and those at its start; a report simulates stakes at each."""
    odds: Literal["us", "decimal", "fractional"] = "us"
    """Notation of the prices: -150 and 130; 1.67 and 2.3; 0.67 and 1.3 to 1."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the full Kelly stake."""
    cap: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Largest stake, as a share of the bankroll."""
    min_edge: Annotated[float, Field(ge=0)] = 0.02
    """Smallest expected gain a unit staked; below it nothing is staked."""
    exposure: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Largest sum of the stakes of a day, as a share of the bankroll; they are all reduced to it."""
    uncertainty: Annotated[float, Field(ge=0)] = 0.0
    """Standard error of a probability; the stake shrinks by the share of the edge that it may be of."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.prices:
            raise ValueError("prices: name at least one pair of columns")
        return self


class Signals(Section):
    """Signals BUY, SELL and HOLD by a price against the fair price, which is the forecast, and its interval."""

    price: Name
    """Column or feature with the price that is asked or bid, such as that of the last sale."""
    buy_below: Annotated[float, Field(gt=0)] = 0.8
    """BUY where the price is below this share of the fair price."""
    sell_above: Annotated[float, Field(gt=0)] = 1.25
    """SELL where it is above this share."""
    beyond_interval: bool = False
    """Whether the price must lie outside of the interval of the fair price as well."""
    fee: Annotated[float, Field(ge=0, lt=1)] = 0.13
    """Share of a sale's price that the seller pays."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.buy_below >= self.sell_above:
            raise ValueError(f"buy_below {self.buy_below} is not below sell_above {self.sell_above}")
        return self
