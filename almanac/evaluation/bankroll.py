"""Simulation of a bankroll by a model's stakes at the prices of the test span."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.model.stakes import SIDES, StakeRule
from almanac.usecase.stakes_section import Stakes

_DAY = 86_400_000_000
_REPEATS = 2000
_TAIL = 2.5
INFORMATION = "For information only: a simulation of the past, no advice and no offer to bet."


def rule_of(stakes: Stakes) -> StakeRule:
    """Return the rule of a use case's stakes."""
    return StakeRule(stakes.odds, stakes.fraction, stakes.cap, stakes.min_edge, stakes.uncertainty)


def simulate(
    stakes: Stakes,
    time: npt.NDArray[np.int64],
    y: Array,
    probability: Array,
    prices: dict[str, tuple[Array, Array]],
    seed: int,
) -> dict[str, Any]:
    """Return rule, and for each pair of prices the bets and the final bankroll with its interval.

    A bankroll of 1 is staked day by day: stakes are shares of what it is in the morning, reduced together where they
    exceed the day's exposure. The interval is that of 2,000 bootstrap repeats over whole days, whose events share it.

    Args:
        stakes: the use case's section.
        time: time of each event in µs since the epoch, shape (n,).
        y: outcome, 0 or 1, shape (n,).
        probability: the model's, shape (n,).
        prices: for each name the prices of both sides, shape (n,) each, NaN where missing.
        seed: of the bootstrap.
    """
    found = {
        name: _at_prices(stakes, time, y, probability, pair, np.random.default_rng(seed))
        for name, pair in prices.items()
    }
    return {
        "rule": {**asdict(rule_of(stakes)), "exposure": stakes.exposure},
        "prices": found,
        "verdict": _verdict(found),
        "notice": INFORMATION,
    }


def _at_prices(
    stakes: Stakes,
    time: npt.NDArray[np.int64],
    y: Array,
    probability: Array,
    pair: tuple[Array, Array],
    random: np.random.Generator,
) -> dict[str, Any]:
    staked = rule_of(stakes).stakes(probability, *pair)
    won = np.where(staked.side == 1, y, 1.0 - y)
    gain = np.where(staked.side > 0, np.where(won == 1, staked.odds - 1.0, -1.0), 0.0)
    days, place = np.unique(time // _DAY, return_inverse=True)
    exposed = np.bincount(place, staked.stake, days.size)
    stake = staked.stake * np.minimum(1.0, stakes.exposure / np.maximum(exposed, stakes.exposure))[place]
    growth = np.log1p(np.bincount(place, stake * gain, days.size))
    repeats = growth[random.integers(0, days.size, (_REPEATS, days.size))].sum(axis=1)
    bets, path = staked.side > 0, np.exp(np.cumsum(growth))
    priced = np.isfinite(pair[0]) & np.isfinite(pair[1])
    return {
        "events": int(priced.sum()),
        "bets": int(bets.sum()),
        "bets_by_side": {SIDES[side]: int((staked.side == side).sum()) for side in (1, 2)},
        "won": int(won[bets].sum()),
        "mean_edge": float(staked.edge[bets].mean()) if bets.any() else None,
        "mean_return": float(gain[bets].mean()) if bets.any() else None,
        "staked": float(stake.sum()),
        "final_bankroll": float(path[-1]),
        "interval": [float(end) for end in np.exp(np.percentile(repeats, [_TAIL, 100.0 - _TAIL]))],
        "lowest_bankroll": float(path.min()),
        "bankroll": {"day": [_date(day) for day in days], "value": [round(float(value), 6) for value in path]},
    }


def _verdict(found: dict[str, Any]) -> str:
    """Return the verdict of the simulation on an edge over the market."""
    shown = [name for name, entry in found.items() if entry["interval"][0] > 1.0]
    if shown:
        return (
            f"At the prices {', '.join(shown)} the interval of the final bankroll lies above 1; look for a leak first."
        )
    return "No edge over the market was found."


def _date(day: int) -> str:
    return str(np.datetime64(int(day), "D"))
