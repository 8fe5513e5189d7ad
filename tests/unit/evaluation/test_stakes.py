"""Stakes by the Kelly criterion, their bankroll, signals by price, and the calibration of probabilities."""

import numpy as np
import pytest

from almanac.core.errors import ModelError
from almanac.evaluation.bankroll import simulate
from almanac.evaluation.price_signals import followed
from almanac.evaluation.rank_metrics import expected_calibration_error, median_absolute_percentage_error
from almanac.model.price_signal import NAMES, signals
from almanac.model.stakes import StakeRule, decimal_odds
from almanac.usecase.stakes_section import Signals, Stakes

NAN = float("nan")
DAY = 86_400_000_000


def rule(**fields: float) -> StakeRule:
    plain = {"fraction": 1.0, "cap": 1.0, "min_edge": 0.0, "uncertainty": 0.0, **fields}
    return StakeRule("us", **plain)


def test_prices_in_three_notations_are_the_same_odds() -> None:
    assert decimal_odds(np.array([-150.0, 130.0, 100.0, -100.0, 50.0, NAN]), "us")[:4] == pytest.approx(
        [5 / 3, 2.3, 2, 2]
    )
    assert np.isnan(decimal_odds(np.array([50.0, NAN]), "us")).all()
    assert decimal_odds(np.array([2.3, 1.0]), "decimal")[0] == 2.3
    assert decimal_odds(np.array([1.3, 0.0]), "fractional")[0] == pytest.approx(2.3)
    with pytest.raises(ModelError, match="the odds 'roman' are not known"):
        decimal_odds(np.array([2.0]), "roman")


def test_a_stake_is_kellys_share_of_the_better_side() -> None:
    # Even money at a chance of 0.6: edge 0.2, full Kelly 0.2; the other side has an edge of -0.2.
    staked = rule().stakes(np.array([0.6, 0.4, 0.5, 0.6]), np.array([100.0, 100.0, 100.0, NAN]), np.array([-100.0] * 4))
    assert staked.side.tolist() == [1, 2, 0, 0]
    assert staked.edge[:3] == pytest.approx([0.2, 0.2, 0.0])
    assert staked.stake == pytest.approx([0.2, 0.2, 0.0, 0.0])
    assert rule(fraction=0.25).stakes(*[np.array([v]) for v in (0.6, 100.0, -100.0)]).stake == pytest.approx([0.05])
    assert rule(cap=0.03).stakes(*[np.array([v]) for v in (0.6, 100.0, -100.0)]).stake == pytest.approx([0.03])
    assert rule(min_edge=0.21).stakes(*[np.array([v]) for v in (0.6, 100.0, -100.0)]).side.tolist() == [0]
    # A probability that may be off by 0.1 has an edge that may be off by 0.2: half of the stake is left.
    assert rule(uncertainty=0.1).stakes(*[np.array([v]) for v in (0.6, 100.0, -100.0)]).stake == pytest.approx([0.1])


def test_a_bankroll_is_staked_day_by_day_within_the_exposure() -> None:
    stakes = Stakes.model_validate(
        {
            "prices": {"now": {"outcome": "a", "opposite": "b"}},
            "fraction": 1.0,
            "cap": 0.2,
            "min_edge": 0.0,
            "exposure": 0.3,
        }
    )
    time = np.array([0, 1, 2 * DAY], dtype=np.int64)
    even = np.full(3, 100.0)
    found = simulate(stakes, time, np.array([1.0, 0.0, 1.0]), np.full(3, 0.6), {"now": (even, even)}, 7)["prices"][
        "now"
    ]
    # Two stakes of 0.2 are brought down to 0.15 each: one wins and one loses; then a stake of 0.2 wins.
    assert found["bankroll"] == {"day": ["1970-01-01", "1970-01-03"], "value": [1.0, 1.2]}
    assert (found["bets"], found["won"], found["final_bankroll"]) == (3, 2, pytest.approx(1.2))
    assert found["interval"][0] == pytest.approx(1.0)
    assert found["interval"][1] == pytest.approx(1.44)


def test_stakes_against_a_fair_market_that_knows_more_lose() -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(0.3, 0.7, 4000)
    y = (random.random(4000) < truth).astype(np.float64)
    odds = [0.97 / chance for chance in (truth, 1.0 - truth)]
    stakes = Stakes.model_validate({"prices": {"t60": {"outcome": "a", "opposite": "b"}}, "odds": "decimal"})
    time = np.repeat(np.arange(200), 20) * DAY
    blurred = np.clip(truth + random.normal(0, 0.06, 4000), 0.01, 0.99)
    document = simulate(stakes, time, y, blurred, {"t60": (odds[0], odds[1])}, 1)
    assert document["prices"]["t60"]["final_bankroll"] < 0.5
    assert document["verdict"] == "No edge over the market was found."
    assert document["rule"] == {
        "odds": "decimal",
        "fraction": 0.25,
        "cap": 0.05,
        "min_edge": 0.02,
        "uncertainty": 0.0,
        "exposure": 0.2,
    }


def test_signals_compare_a_price_with_the_fair_one() -> None:
    declared = Signals.model_validate({"price": "last", "buy_below": 0.8, "sell_above": 1.25, "fee": 0.1})
    asked, fair = np.array([7.0, 10.0, 13.0, NAN]), np.full(4, 10.0)
    codes = signals(declared.model_dump(), asked, fair, None, None)
    assert [NAMES[code] for code in codes] == ["BUY", "HOLD", "SELL", "HOLD"]
    beyond = {**declared.model_dump(), "beyond_interval": True}
    codes = signals(beyond, asked, fair, np.full(4, 6.0), np.full(4, 12.0))
    assert [NAMES[code] for code in codes] == ["HOLD", "HOLD", "SELL", "HOLD"]
    table = followed(declared, asked, fair, None, None, np.array([10.0, 11.0, 9.1, 5.0]))["signals"]
    assert (table["BUY"]["n"], table["SELL"]["n"], table["HOLD"]["n"]) == (1, 1, 1)
    # Bought at 7, sold at 10 less a tenth: 9 for 7. Sold at 13 instead of at 9.1.
    assert table["BUY"]["median_return"] == pytest.approx(9 / 7 - 1)
    assert table["SELL"]["median_return"] == pytest.approx(13 / 9.1 - 1)


def test_calibration_error_and_median_error() -> None:
    probability = np.repeat([0.2, 0.8], 50)
    y = np.r_[np.ones(10), np.zeros(40), np.ones(40), np.zeros(10)]
    # Ten bins of ten rows: within each of the two forecasts, bins are all ones or all zeros.
    assert expected_calibration_error(y, probability) == pytest.approx(0.2 * 0.8 + 0.8 * 0.2)
    assert median_absolute_percentage_error(np.array([10.0, 20.0, 0.0]), np.array([11.0, 10.0, 5.0])) == pytest.approx(
        0.3
    )
    assert median_absolute_percentage_error(np.zeros(2), np.ones(2)) is None
