"""Thresholds learnt from the reference: how far its own blocks lie from the same season of its other years."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from almanac.drift.measures import MEASURES, Measure, ordered_measures

#: Fewer blocks have no spread worth the name; the measure's default is used and reported as such.
LEAST_BLOCKS = 5
#: Degrees of freedom of a default: heavy tails, because nothing was measured.
_DEFAULT_FREEDOM = 4.0
#: Share of blocks that count as independent: each is also part of the seasons that the other years are compared with.
_INDEPENDENT = 0.5
_LEAST_FREEDOM = 3.0


class Null(NamedTuple):
    """The distribution of a measure over the blocks of the reference.

    Attributes:
        mean: mean on the measure's scale.
        deviation: standard deviation on that scale.
        blocks: number of blocks; 0 for a default.
    """

    mean: float
    deviation: float
    blocks: int


def calibrate(observed: Sequence[dict[str, float]]) -> dict[str, Null]:
    """Return the null distribution of each measure from its values on the blocks of the reference."""
    nulls = {}
    for measure in ordered_measures():
        values = np.array([measure.scaled(block[measure.name]) for block in observed if measure.name in block])
        if len(values) >= LEAST_BLOCKS:
            nulls[measure.name] = Null(float(values.mean()), float(values.std(ddof=1)), len(values))
    return nulls


def pooled(nulls: Sequence[Null]) -> Null:
    """Return the null distribution of several references together, from the moments of each."""
    learnt = [null for null in nulls if null.blocks]
    if not learnt:
        return nulls[0]
    total = sum(null.blocks for null in learnt)
    mean = sum(null.mean * null.blocks for null in learnt) / total
    squares = sum((null.blocks - 1) * null.deviation**2 + null.blocks * (null.mean - mean) ** 2 for null in learnt)
    return Null(mean, float(np.sqrt(squares / max(total - 1, 1))), total)


@dataclass(frozen=True)
class Judgement:
    """The judgement of one measure.

    Attributes:
        value: the measure's value.
        p_value: chance of one at least as extreme while nothing drifts; 1 for an effect too small to matter.
        threshold: the value at which this measure raises the alarm by itself.
        calibrated: whether the threshold comes from the reference's own blocks.
    """

    value: float
    p_value: float
    threshold: float
    calibrated: bool


def judge(name: str, value: float, null: Null | None, shortage: float, level: float) -> Judgement:
    """Judge one measure.

    Args:
        name: of the measure.
        value: its value.
        null: its distribution over the reference's blocks, None where it was not learnt.
        shortage: rows of a block over rows of the window, at least 1; smaller windows have wider thresholds.
        level: chance of a false alarm of this measure.
    """
    measure = MEASURES[name]
    mean, deviation, freedom, calibrated = _moments(measure, null)
    if measure.shrinks is not None:
        mean, deviation = mean * shortage ** (measure.shrinks / 2), deviation * shortage ** (measure.shrinks / 2)
    else:
        # The mean of few rows strays by the root of their number.
        deviation *= float(np.sqrt(shortage))
    sides = 2 if measure.both else 1
    distance = (measure.scaled(value) - mean) / deviation
    tail = sides * float(stdtr(freedom, -abs(distance) if measure.both else -distance))
    # Student's t rather than the normal distribution: the spread itself was learnt from few blocks.
    reach = mean + float(-stdtrit(freedom, level / sides)) * deviation
    # Distances are judged on the scale of their root, and reported on their own.
    if measure.shrinks is not None:
        return Judgement(value, _p(tail, value, measure.minimum), max(reach**2, measure.minimum), calibrated)
    effect = abs(value - mean) if measure.both else value - mean
    return Judgement(value, _p(tail, effect, measure.minimum), max(reach, mean + measure.minimum), calibrated)


def _p(tail: float, effect: float, minimum: float) -> float:
    return min(1.0, tail) if effect >= minimum else 1.0


def _moments(measure: Measure, null: Null | None) -> tuple[float, float, float, bool]:
    """Return mean, standard deviation of a new value, degrees of freedom, and whether they were measured."""
    if null is None or not null.blocks:
        return *measure.default, _DEFAULT_FREEDOM, False
    # A reference that hardly varies must not make every window an alarm.
    deviation = max(null.deviation, measure.floor) * float(np.sqrt(1 + 1 / null.blocks))
    return null.mean, deviation, max(_LEAST_FREEDOM, null.blocks * _INDEPENDENT - 1), True


def judge_all(
    values: Mapping[str, float], nulls: Mapping[str, Null], shortage: float, level: float
) -> tuple[dict[str, Judgement], dict[str, float]]:
    """Judge the measures of a column.

    Args:
        values: measures by name.
        nulls: their distributions over the reference's blocks, as far as they were learnt.
        shortage: rows of a block over rows of the window.
        level: chance of a false alarm of the column.

    Returns:
        The judgement of each measure, and its p-value over its part of the column's chance.
    """
    parts = weights(list(values))
    judged = {name: judge(name, v, nulls.get(name), shortage, level * parts[name]) for name, v in values.items()}
    return judged, {name: judgement.p_value / parts[name] for name, judgement in judged.items()}


def weights(names: Sequence[str]) -> dict[str, float]:
    """Return the parts of these measures in the false-alarm chance of a column; they add up to one."""
    total = sum(MEASURES[name].weight for name in names)
    return {name: MEASURES[name].weight / total for name in names}


def strength(judgements: Mapping[str, Judgement]) -> float:
    """Return the largest of some measures over its threshold; 0 where there is none."""
    ratios = (
        (abs(judged.value) if MEASURES[name].both else judged.value) / judged.threshold
        for name, judged in judgements.items()
        if judged.threshold > 0
    )
    return max(ratios, default=0.0)


def step_up(p_values: Sequence[float], rate: float) -> list[bool]:
    """Return which of some p-values are discoveries at a false discovery `rate` (Benjamini and Hochberg, 1995).

    While nothing drifts, the chance that any is one is at most `rate`.
    """
    order = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values)[order]
    below = np.flatnonzero(ranked <= rate * np.arange(1, len(ranked) + 1) / len(ranked))
    flagged = np.zeros(len(ranked), bool)
    if len(below):
        flagged[order[: below[-1] + 1]] = True
    return [bool(flag) for flag in flagged]
