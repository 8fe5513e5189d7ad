"""What the prices of a request make of a prediction: side, edge and stake, or a signal."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from almanac.core.errors import ModelError
from almanac.model.model import Model
from almanac.model.prediction import Row

STAKES = {"odds": "us", "fraction": 0.25, "cap": 0.05, "min_edge": 0.02, "exposure": 0.2, "uncertainty": 0.0}
SIGNALS = {"buy_below": 0.8, "sell_above": 1.25, "beyond_interval": False, "fee": 0.1, "price": "last"}


def at_prices(row: Row, prices: dict[str, float], **signature: Any) -> Row:
    return Model.at_prices(cast(Model, SimpleNamespace(name="home_win", signature=signature)), row, prices)


def test_a_probability_gets_side_edge_and_stake() -> None:
    found = at_prices(Row(0.55), {"outcome": 110.0, "opposite": -120.0}, stakes=STAKES)
    # Odds of 2.1: edge 0.155, a quarter of 0.155 / 1.1.
    assert {output.name: (output.column, value) for output, value in found.present()} == {
        "prediction": ("predictions", 0.55),
        "side": ("stakes", "outcome"),
        "edge": ("stakes", pytest.approx(0.155)),
        "stake": ("stakes", pytest.approx(0.155 / 1.1 / 4)),
    }
    none = at_prices(Row(0.5), {"outcome": -110.0, "opposite": -110.0}, stakes=STAKES)
    assert [value for _, value in none.present()][1] == "none"


def test_a_price_gets_a_signal() -> None:
    assert at_prices(Row(10.0, 6.0, 15.0), {"asked": 7.0}, signals=SIGNALS).decision == "BUY"
    assert at_prices(Row(10.0, 6.0, 15.0), {"asked": 13.0}, signals=SIGNALS).decision == "SELL"


def test_prices_that_a_model_does_not_take_are_refused() -> None:
    with pytest.raises(ModelError, match="home_win: the prices lack 'opposite'"):
        at_prices(Row(0.5), {"outcome": 110.0}, stakes=STAKES)
    with pytest.raises(ModelError, match="home_win: has neither stakes nor signals, and takes no prices"):
        at_prices(Row(0.5), {"outcome": 110.0})
