"""The measures by which a window is compared with its reference: one module a measure."""

from functools import cache

from almanac.core.kinds import Kinds
from almanac.drift.measures._measure import Measure, Pair

__all__ = ["MEASURES", "Measure", "Pair", "measure_categories", "measure_numbers", "ordered_measures"]

#: Every measure by name.
MEASURES: Kinds[Measure] = Kinds("drift measure", "almanac.drift.measures")


@cache
def ordered_measures() -> tuple[Measure, ...]:
    """Return every measure in the order in which they are computed and reported."""
    return tuple(sorted(MEASURES.values(), key=lambda measure: measure.order))


def measure_numbers(pair: Pair, sequential: bool = True) -> dict[str, float]:
    """Return the measures of a numeric column.

    Args:
        pair: tallies of the window and of its reference.
        sequential: whether the window's rows follow each other in time.
    """
    measures = (m for m in ordered_measures() if sequential or not m.sequential)
    return {m.name: value for m in measures if m.numbers and (value := m.numbers(pair)) is not None}


def measure_categories(pair: Pair) -> dict[str, float]:
    """Return the measures of a column of categories."""
    return {m.name: v for m in ordered_measures() if m.categories and (v := m.categories(pair)) is not None}
