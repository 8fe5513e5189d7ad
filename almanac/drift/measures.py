"""The figures by which a window is told from its reference, and how each is judged."""

from dataclasses import dataclass

import numpy as np

from almanac.drift import statistics
from almanac.drift.accumulators import (
    ABOVE,
    BELOW,
    GAPS,
    HEAD,
    MISSING,
    MOVES,
    OFF,
    PAIRS,
    ROWS,
    TRAVEL,
    NumericLayout,
)
from almanac.drift.histogram import Floats

_TAIL = 0.02
_TENTH = 0.1
#: Widths of the normal distribution between its tenths.
_NORMAL_TENTHS = 2.563


@dataclass(frozen=True)
class Figure:
    """How a figure behaves while nothing drifts, and from where on it matters.

    Attributes:
        meaning: what it is, for people.
        weight: its part of the chance of a false alarm; the parts of a column's figures are made to add up to one.
        floor: least standard deviation, on its scale, that is believed.
        minimum: effects below this never raise an alarm, however rare they are.
        both: whether a fall counts as much as a rise.
        shrinks: for distances, judged on the scale of their root: the power of the number of rows with which chance
            moves them, so that a small window is given room accordingly. None for figures judged as they are.
    """

    meaning: str
    weight: float
    floor: float
    minimum: float
    both: bool = False
    shrinks: float | None = None


FIGURES: dict[str, Figure] = {
    "ks": Figure("Kolmogorov–Smirnov distance", 0.22, 0.03, 0.05, shrinks=0.5),
    "psi": Figure("population stability index", 0.12, 0.03, 0.05, shrinks=1.0),
    "js": Figure("Jensen–Shannon divergence, bits", 0.22, 0.03, 0.01, shrinks=1.0),
    "low": Figure("shift of the low end (2%), in spreads", 0.2, 0.03, 0.1, both=True),
    "high": Figure("shift of the high end (98%), in spreads", 0.12, 0.03, 0.1, both=True),
    "step": Figure("change of the mean step from row to row, log ratio", 0.2, 0.03, 0.05, both=True),
    "missing": Figure("rise of the missing rate", 0.03, 0.01, 0.01),
    "gaps": Figure("rise of the number of gaps a row, log ratio", 0.05, 0.1, 0.4),
    "run": Figure("longest constant run, log rows", 0.03, 0.15, 0.4),
    "unseen": Figure("rise of the share of unseen categories", 0.03, 0.005, 0.005),
    "resolution": Figure("rise of the share of values off the usual resolution", 0.015, 0.01, 0.02),
    "range": Figure("rise of the share of values beyond the known range", 0.015, 0.01, 0.02),
    "importance": Figure("importances, 1 less nDCG", 1.0, 0.01, 0.01, shrinks=1.0),
}
#: Added to rates before the logarithm of their ratio is taken.
_LOG_OFFSET = 1e-3


def numeric(reference: Floats, current: Floats, run: float, layout: NumericLayout, spread: float) -> dict[str, float]:
    """Return the figures of a numeric column.

    Args:
        reference: tally of what the window is like (w,).
        current: tally of the window (w,).
        run: longest constant run of the window, over its length in blocks where it is longer than one.
        layout: how both were counted.
        spread: standard deviation of the whole reference, for where the season alone has none.
    """
    cells, now = reference[len(HEAD) :], current[len(HEAD) :]
    found = _shared(reference, current, run)
    if cells.sum() > 0 and now.sum() > 0:
        found["ks"] = statistics.ks(cells, now)
        found |= _ends(cells, now, layout, spread)
        found["range"] = _rate(current, BELOW, ABOVE) - _rate(reference, BELOW, ABOVE)
        if layout.decimals is not None:
            found["resolution"] = _rate(current, OFF) - _rate(reference, OFF)
    found["psi"] = statistics.psi(_binned(reference, layout), _binned(current, layout))
    if reference[MOVES] > 0 and current[PAIRS] > 0:
        found["step"] = float(np.log(_step(current, reference) / _step(reference, reference)))
    return found


def category(reference: Floats, current: Floats, run: float) -> dict[str, float]:
    """Return the figures of a column of categories, from the tallies (w,) of its reference and of the window."""
    found = _shared(reference, current, run)
    bins, now = (np.append(tally[len(HEAD) :], tally[MISSING]) for tally in (reference, current))
    found["psi"] = statistics.psi(bins, now)
    found["js"] = statistics.jensen_shannon(bins, now)
    found["unseen"] = _rate(current, OFF) - _rate(reference, OFF)
    return found


def _shared(reference: Floats, current: Floats, run: float) -> dict[str, float]:
    found = {"missing": _rate(current, MISSING) - _rate(reference, MISSING), "run": float(np.log(max(run, 1)))}
    if reference[GAPS] or current[GAPS]:
        found["gaps"] = float(np.log((_rate(current, GAPS) + _LOG_OFFSET) / (_rate(reference, GAPS) + _LOG_OFFSET)))
    return found


def _rate(tally: Floats, *places: int) -> float:
    return float(tally[list(places)].sum() / tally[ROWS]) if tally[ROWS] else 0.0


def _binned(tally: Floats, layout: NumericLayout) -> Floats:
    """Return the counts of the bins and, as the last, of the missing values."""
    return np.append(np.add.reduceat(tally[len(HEAD) :], layout.bins), tally[MISSING])


def _step(tally: Floats, reference: Floats) -> float:
    """Return the mean length of the steps that move; a millionth of the reference's where nothing moves at all."""
    usual = reference[TRAVEL] / reference[MOVES]
    return float(max(tally[TRAVEL] / tally[MOVES] if tally[MOVES] else 0.0, usual * 1e-6))


def _ends(cells: Floats, now: Floats, layout: NumericLayout, spread: float) -> dict[str, float]:
    lower = layout.lower
    top = layout.high if np.isfinite(layout.high) else float(lower[-1])

    def at(counts: Floats, share: float) -> float:
        return statistics.quantile(counts, lower, top, share)

    width = (at(cells, 1 - _TENTH) - at(cells, _TENTH)) / _NORMAL_TENTHS
    # Where nearly all values are one and the same, the season has no spread of its own.
    width = width if width > spread / 10 else spread
    if not width > 0 or not np.isfinite(width):
        return {}
    return {
        "low": (at(now, _TAIL) - at(cells, _TAIL)) / width,
        "high": (at(now, 1 - _TAIL) - at(cells, 1 - _TAIL)) / width,
    }
