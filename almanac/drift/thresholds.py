"""Thresholds from the reference alone: how far its own blocks lie from the same season of its other years."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from almanac.drift.measures import FIGURES

#: Fewer blocks than this say nothing of a spread; the defaults below are used and reported as such.
LEAST_BLOCKS = 5
# Mean and standard deviation, on the figure's scale, of a reference too short to be cut into blocks.
_DEFAULT = {"ks": (0.2, 0.08), "psi": (0.2, 0.1), "js": (0.1, 0.06), "run": (0.7, 0.5), "importance": (0.1, 0.05)}
_DEFAULT_PLAIN = (0.0, 0.1)
#: Degrees of freedom for a default: its tails are kept heavy, because nothing is known.
_DEFAULT_FREEDOM = 4.0
#: Blocks that count as independent: each one is also part of what its season's other years are compared with.
_INDEPENDENT = 0.5
_LEAST_FREEDOM = 3.0


class Null(NamedTuple):
    """How a figure was distributed over the blocks of the reference.

    Attributes:
        mean: mean on the figure's scale.
        deviation: standard deviation on that scale.
        blocks: number of blocks; 0 for a default.
    """

    mean: float
    deviation: float
    blocks: int


def scaled(name: str, value: float) -> float:
    """Return a figure on the scale on which it is judged: the root of a distance, anything else as it is."""
    return float(np.sqrt(value)) if FIGURES[name].shrinks is not None else value


def calibrate(observed: Sequence[dict[str, float]]) -> dict[str, Null]:
    """Return the null distribution of each figure from its values on the blocks of the reference."""
    nulls = {}
    for name in FIGURES:
        values = np.array([scaled(name, figures[name]) for figures in observed if name in figures])
        if len(values) >= LEAST_BLOCKS:
            nulls[name] = Null(float(values.mean()), float(values.std(ddof=1)), len(values))
    return nulls


def pooled(nulls: Sequence[Null]) -> Null:
    """Return the null distribution of several references together, from the moments of each."""
    known = [null for null in nulls if null.blocks]
    if not known:
        return nulls[0]
    total = sum(null.blocks for null in known)
    mean = sum(null.mean * null.blocks for null in known) / total
    squares = sum((null.blocks - 1) * null.deviation**2 + null.blocks * (null.mean - mean) ** 2 for null in known)
    return Null(mean, float(np.sqrt(squares / max(total - 1, 1))), total)


@dataclass(frozen=True)
class Judgement:
    """A figure, judged.

    Attributes:
        value: the figure.
        p_value: chance of one at least as extreme while nothing drifts; 1 for an effect too small to matter.
        threshold: the value from which on this figure alone raises the alarm.
        calibrated: whether the threshold comes from the reference's own blocks.
    """

    value: float
    p_value: float
    threshold: float
    calibrated: bool


def judge(name: str, value: float, null: Null | None, shortage: float, level: float) -> Judgement:
    """Judge one figure.

    Args:
        name: which figure.
        value: its value.
        null: its distribution over the reference's blocks, None where it is not known.
        shortage: rows of a block over rows of the window, at least 1; smaller windows are given more room.
        level: chance of a false alarm that is given to this figure.
    """
    figure = FIGURES[name]
    mean, deviation, freedom, calibrated = _moments(name, null)
    if figure.shrinks is not None:
        mean, deviation = mean * shortage ** (figure.shrinks / 2), deviation * shortage ** (figure.shrinks / 2)
    else:
        deviation *= float(np.sqrt(shortage))
    sides = 2 if figure.both else 1
    distance = (scaled(name, value) - mean) / deviation
    tail = sides * float(stdtr(freedom, -abs(distance) if figure.both else -distance))
    reach = mean + float(-stdtrit(freedom, level / sides)) * deviation
    if figure.shrinks is not None:
        return Judgement(value, _p(tail, value, figure.minimum), max(reach**2, figure.minimum), calibrated)
    effect = abs(value - mean) if figure.both else value - mean
    return Judgement(value, _p(tail, effect, figure.minimum), max(reach, mean + figure.minimum), calibrated)


def _p(tail: float, effect: float, minimum: float) -> float:
    return min(1.0, tail) if effect >= minimum else 1.0


def _moments(name: str, null: Null | None) -> tuple[float, float, float, bool]:
    """Return mean, standard deviation of a new value, degrees of freedom, and whether they were measured."""
    if null is None or not null.blocks:
        mean, deviation = _DEFAULT.get(name, _DEFAULT_PLAIN)
        return mean, deviation, _DEFAULT_FREEDOM, False
    deviation = max(null.deviation, FIGURES[name].floor) * float(np.sqrt(1 + 1 / null.blocks))
    return null.mean, deviation, max(_LEAST_FREEDOM, null.blocks * _INDEPENDENT - 1), True


def weights(names: Sequence[str]) -> dict[str, float]:
    """Return the parts of the false-alarm chance that these figures of a column are given; they add up to one."""
    total = sum(FIGURES[name].weight for name in names)
    return {name: FIGURES[name].weight / total for name in names}


def strength(figures: Iterable[tuple[str, float, float]]) -> float:
    """Return the largest of some figures over its threshold, given as (name, value, threshold); 0 where there is none.

    Where a fall counts as much as a rise, it does so here.
    """
    ratios = ((abs(value) if FIGURES[name].both else value) / limit for name, value, limit in figures if limit > 0)
    return max(ratios, default=0.0)


def step_up(p_values: Sequence[float], rate: float) -> list[bool]:
    """Return which of the features are discoveries at a false discovery `rate` (Benjamini and Hochberg, 1995).

    While nothing drifts, the chance that any is one is at most `rate`.
    """
    order = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values)[order]
    below = np.flatnonzero(ranked <= rate * np.arange(1, len(ranked) + 1) / len(ranked))
    flagged = np.zeros(len(ranked), bool)
    if len(below):
        flagged[order[: below[-1] + 1]] = True
    return [bool(flag) for flag in flagged]
