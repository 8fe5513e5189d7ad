import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac.drift.counting.accumulators import (
    ABOVE,
    BELOW,
    GAPS,
    HEAD,
    INFINITE,
    MISSING,
    MOVES,
    OFF,
    PAIRS,
    ROWS,
    TRAVEL,
    NumericLayout,
    count_numeric,
    decimals_of,
    layout_of,
    set_out,
)
from almanac.drift.counting.categories import count_categories
from almanac.drift.counting.histogram import fit_grid
from almanac.drift.counting.runs import Runs

VALUES = st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), max_size=30)


def _longest(values: list[float]) -> int:
    best = run = 0
    for before, value in zip([np.nan, *values], values, strict=False):
        run = run + 1 if value == before else int(value == value)
        best = max(best, run)
    return best


@given(VALUES)
def test_longest_run(values: list[float]) -> None:
    assert Runs.of(np.array(values)).longest == _longest(values)


@given(VALUES, VALUES, VALUES)
@settings(max_examples=100)
def test_runs_join_as_if_counted_together(a: list[float], b: list[float], c: list[float]) -> None:
    parts = [Runs.of(np.array(part)) for part in (a, b, c)]
    whole = Runs.of(np.array(a + b + c))
    for joined in (parts[0].join(parts[1]).join(parts[2]), parts[0].join(parts[1].join(parts[2]))):
        assert (joined.rows, joined.longest, joined.prefix, joined.suffix) == (
            whole.rows,
            whole.longest,
            whole.prefix,
            whole.suffix,
        )


def _layout(values: np.ndarray) -> NumericLayout:
    return layout_of(values, integer=False, groups=64, bins=8)


def test_what_is_counted_of_numbers() -> None:
    reference = np.round(np.random.default_rng(0).normal(size=5000), 1)
    layout = _layout(reference)
    assert layout.decimals == 1
    layout = NumericLayout(layout.grid, layout.groups, layout.bins, 1, -1.0, 1.0)
    values = np.array([np.nan, 0.1, 0.1, 0.25, np.nan, np.nan, 9.0, -9.0, np.inf])
    tally = count_numeric(values, layout, ordered=True).tally
    assert tally[[ROWS, MISSING, GAPS]].tolist() == [9, 3, 2]
    assert tally[len(HEAD) :].sum() == 6
    assert tally[[BELOW, ABOVE, INFINITE, OFF]].tolist() == [1, 2, 1, 1]
    assert tally[[PAIRS, MOVES]].tolist() == [4, 2]
    assert tally[TRAVEL] == pytest.approx(0.15 + 18)


def test_what_is_counted_of_categories() -> None:
    found = count_categories(pl.Series("c", ["a", "a", None, "b", "b", "b", "x"]), ordered=True)
    assert found.labels == {"a": 2, "b": 3, "x": 1}
    assert found.runs.longest == 3
    tally = set_out(found, ("b", "a"))
    assert tally[len(HEAD) :].tolist() == [3, 2, 1]
    assert tally[[ROWS, MISSING, GAPS, OFF]].tolist() == [7, 1, 1, 1]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.integers(0, 60))
def test_stretches_add_up(values: list[float], cut: int) -> None:
    array = np.array(values)
    layout = _layout(array)
    whole = count_numeric(array, layout, ordered=False)
    first = count_numeric(array[:cut], layout, ordered=False)
    first.add(count_numeric(array[cut:], layout, ordered=False), contiguous=True)
    np.testing.assert_array_equal(first.tally, whole.tally)
    np.testing.assert_array_equal(first.fine, whole.fine)
    assert (first.minimum, first.maximum, first.runs.longest) == (whole.minimum, whole.maximum, whole.runs.longest)


@pytest.mark.parametrize(("decimals", "step"), [(0, 1.0), (1, 0.1), (2, 0.25), (None, np.pi)])
def test_the_resolution_is_found(decimals: int | None, step: float) -> None:
    values = np.random.default_rng(0).integers(-1000, 1000, 500) * step
    assert decimals_of(np.asarray(values, np.float64)) == decimals


def test_heavy_tails_get_cells_of_equal_shares_too() -> None:
    values = np.random.default_rng(0).standard_cauchy(50_000)
    grid = fit_grid(values)
    counts, _ = grid.count(values)
    assert grid.cells > 900
    assert counts.max() < len(values) / 200
