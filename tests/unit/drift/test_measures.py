"""The registry of measures: closed, complete, in one order, and none that nobody computes."""

import numpy as np
import pytest

from almanac.drift.counting.accumulators import HEAD, MISSING, ROWS, layout_of
from almanac.drift.measures import MEASURES, Pair, measure_categories, measure_numbers, ordered_measures


def test_the_names_are_those_of_stored_profiles() -> None:
    assert [measure.name for measure in ordered_measures()] == [
        "missing", "run", "gaps", "ks", "low", "high", "range", "resolution", "psi", "step", "js", "unseen",
        "importance",
    ]  # fmt: skip
    assert MEASURES.group == ""


def test_no_two_measures_have_one_order() -> None:
    assert len({measure.order for measure in MEASURES.values()}) == len(MEASURES)


def test_each_measure_is_computed_of_numbers_or_categories_but_for_importances() -> None:
    idle = [m.name for m in ordered_measures() if m.numbers is None and m.categories is None]
    assert idle == ["importance"]


@pytest.mark.parametrize("counts", [(80.0, 20.0), (50.0, 50.0)])
def test_categories_without_a_change_have_no_distance(counts: tuple[float, float]) -> None:
    tally = np.zeros(len(HEAD) + 2)
    tally[ROWS], tally[MISSING], tally[len(HEAD) :] = 110, 10, counts
    values = measure_categories(Pair(tally, tally * 3, run=1.0))
    assert list(values) == ["missing", "run", "psi", "js", "unseen"]
    assert values["psi"] == pytest.approx(0, abs=1e-4)
    assert {name: value for name, value in values.items() if name != "psi"} == dict.fromkeys(values.keys() - {"psi"}, 0)


def test_measures_of_a_sequence_are_left_out_where_rows_do_not_follow_each_other() -> None:
    layout = layout_of(np.arange(200.0), False, 16, 4)
    tally = np.zeros(layout.width)
    tally[ROWS], tally[HEAD.index("gaps")] = 10, 2
    pair = Pair(tally, tally, run=1.0, layout=layout)
    assert "gaps" in measure_numbers(pair)
    assert {"gaps", "step"}.isdisjoint(measure_numbers(pair, sequential=False))
