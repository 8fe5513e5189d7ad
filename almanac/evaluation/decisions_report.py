"""The part of a report on decisions by price: stakes with their bankroll, and signals."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from almanac.reports import COLOURS, Block, Callout, Note, Plot, Table, new_figure


def has_decisions(entry: dict[str, Any]) -> bool:
    """Return whether a target's metrics hold stakes or signals."""
    return "stakes" in entry or "signals" in entry


def decisions(entry: dict[str, Any]) -> Iterator[Block]:
    """Yield the blocks on the stakes and the signals of a target."""
    if "stakes" in entry:
        yield from _stakes(entry["stakes"])
    if "signals" in entry:
        yield from _signals(entry["signals"])


def _stakes(stakes: dict[str, Any]) -> Iterator[Block]:
    yield Callout(f"{stakes['verdict']} {stakes['notice']}", "info")
    header = ["Prices", "Events", "Bets", "Won", "Mean edge", "Mean return", "Final bankroll", "95% interval", "Lowest"]
    rows = [
        [
            name,
            found["events"],
            found["bets"],
            found["won"],
            _percent(found["mean_edge"]),
            _percent(found["mean_return"]),
            found["final_bankroll"],
            f"[{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]",
            found["lowest_bankroll"],
        ]
        for name, found in stakes["prices"].items()
    ]
    yield Table(header, rows)
    yield Plot(_bankroll(stakes["prices"]), "A bankroll of 1, staked day by day at the prices of the test span.")
    rule = stakes["rule"]
    yield Note(
        f"{rule['fraction']:.0%} of Kelly's stake, at most {rule['cap']:.0%} of the bankroll an event and "
        f"{rule['exposure']:.0%} a day, where a unit staked is expected to gain {rule['min_edge']:.0%} or more. The "
        "edge is what the model expects, the return what came. The interval is of 2,000 bootstrap repeats over days."
    )


def _bankroll(prices: dict[str, Any]) -> Any:
    figure, axes = new_figure(10.6, 2.4)
    axis, colours = axes[0, 0], [COLOURS["forecast"], COLOURS["neutral"], COLOURS["warning"]]
    for (name, found), colour in zip(prices.items(), colours, strict=False):
        days = [date.fromisoformat(day) for day in found["bankroll"]["day"]]
        axis.plot(days, found["bankroll"]["value"], color=colour, label=name)
    axis.axhline(1.0, color=COLOURS["truth"], lw=0.8, ls="--")
    axis.set_ylim(bottom=0)
    axis.set_ylabel("bankroll")
    axis.legend(loc="upper right")
    return figure


def _signals(signals: dict[str, Any]) -> Iterator[Block]:
    rule = signals["rule"]
    yield Table(
        ["Signal", "Events", "Share", "Median change to the next price", "Median return of acting", "Gained"],
        [
            [
                name,
                found["n"],
                _percent(found["share"]),
                _percent(found["median_change"]),
                _percent(found["median_return"]),
                _percent(found["gained"]),
            ]
            for name, found in signals["signals"].items()
        ],
    )
    yield Note(
        f"BUY where {rule['price']} is below {rule['buy_below']:.0%} of the fair price, SELL where it is above "
        f"{rule['sell_above']:.0%}, HOLD otherwise. Acting on BUY is to buy at that price and to sell at the next one, "
        f"less a fee of {rule['fee']:.0%}; acting on SELL is to sell at that price and not at the next one. Nobody may "
        "be able to buy or to sell at a past price: the table says what followed, and promises nothing."
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
