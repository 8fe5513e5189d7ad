"""The distance of counts in cells against the exact one, within its bound; and no distance of a table to itself."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from almanac import drift
from almanac.drift.counting.accumulators import HEAD, count_numeric, layout_of
from almanac.drift.counting.histogram import fit_grid
from almanac.drift.counting.resolution import single_valued
from almanac.drift.statistics import ks, ks_error_bound, ks_exact, quantile

VALUES = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 0.1]))
SAMPLES = arrays.arrays(np.float64, st.integers(1, 400), elements=VALUES)
#: Sums of shares in another order.
ROUNDING = 1e-12


@given(SAMPLES, SAMPLES, SAMPLES)
@settings(max_examples=300, deadline=None)
def test_the_exact_distance_is_within_the_bound(fitted: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Of any cells, even of those that were cut for other values."""
    grid = fit_grid(fitted)
    before, after = grid.count(a)[0], grid.count(b)[0]
    found, bound, exact = ks(before, after), ks_error_bound(before, after), ks_exact(a.copy(), b.copy())
    assert found - ROUNDING <= exact <= found + bound + ROUNDING


def test_the_bound_is_reached() -> None:
    """All of one sample below all of the other, in one cell: nothing is counted, and everything is missed."""
    assert ks(np.array([5]), np.array([7])) == 0
    assert ks_error_bound(np.array([5]), np.array([7])) == 1
    # Two cells, of which the first holds a third of both: the exact distance is a third.
    assert ks_error_bound(np.array([1, 2]), np.array([2, 4])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["normal", "lognormal", "uniform", "standard_cauchy"])
def test_the_bound_of_a_comparison_is_small_where_no_value_is_frequent(name: str) -> None:
    rng = np.random.default_rng(3)
    draw = getattr(rng, name)
    before, after = draw(size=20_000), draw(size=5_000) * 1.1
    profile = drift.profile(pl.DataFrame({"x": before}), keep=True)
    (feature,) = drift.compare(profile, pl.DataFrame({"x": after}), exact=True).features
    found, bound = feature.judgements["ks"].value, feature.facts["ks_error_bound"]
    assert found - ROUNDING <= feature.facts["ks_exact"] <= found + bound + ROUNDING
    # 256 groups of equal shares, and a little more where buckets are coarse.
    assert bound < 2 / 256
    assert feature.to_json()["ks_error_bound"] == bound


@given(
    arrays.arrays(np.int64, st.integers(100, 600), elements=st.integers(-300, 300)),
    arrays.arrays(np.int64, st.integers(30, 400), elements=st.integers(-400, 400)),
    st.sampled_from([0, 1, 2]),
)
@settings(max_examples=100, deadline=None)
def test_cells_of_one_value_add_no_error(before: np.ndarray, after: np.ndarray, decimals: int) -> None:
    """Values of a resolution, as text has them; a value by itself is often frequent."""
    a, b = (np.round(side / 10**decimals, decimals) for side in (before, np.where(after % 3, after, 0)))
    layout = layout_of(a, False, 256, 16)
    before_, after_ = (count_numeric(side, layout, True) for side in (a, b))
    groups = before_.tally[len(HEAD) :], after_.tally[len(HEAD) :]
    single = single_valued(layout, min(a.min(), b.min()), max(a.max(), b.max()))
    found, bound = ks(*groups), ks_error_bound(*groups, single)
    assert found - ROUNDING <= ks_exact(a.copy(), b.copy()) <= found + bound + ROUNDING
    assert bound <= ks_error_bound(*groups)


def test_a_frequent_value_of_a_real_column_adds_no_error(beijing: pl.DataFrame) -> None:
    """It rains in four hours of a hundred."""
    year = pl.col("timestamp").dt.year()
    profile = drift.profile(beijing.filter(year <= 2013).drop("timestamp"), keep=True)
    comparison = drift.compare(profile, beijing.filter(year == 2014).drop("timestamp"), exact=True)
    numbers = {feature.name: feature for feature in comparison.features if feature.kind == "number"}
    for feature in numbers.values():
        found = feature.judgements["ks"].value
        bound = feature.facts["ks_error_bound"]
        assert found - ROUNDING <= feature.facts["ks_exact"] <= found + bound + ROUNDING
    for name in ("rain_hours", "snow_hours"):
        assert beijing.filter(pl.col(name) == 0).height > 0.95 * beijing.height
        assert numbers[name].facts["ks_error_bound"] < 0.005


@given(SAMPLES, st.sampled_from([0.02, 0.1, 0.5, 0.9, 0.98]))
@settings(max_examples=200, deadline=None)
def test_a_quantile_is_in_the_cell_of_the_exact_one(a: np.ndarray, share: float) -> None:
    grid = fit_grid(a)
    counts, _ = grid.count(a)
    found = quantile(counts, grid.lower, float(a.max()), share)
    exact = float(np.quantile(a, share, method="inverted_cdf"))
    edges = [-np.inf, *grid.lower[1:].tolist(), np.inf]
    (cell,) = np.flatnonzero(grid.count(np.array([exact]))[0])
    width = 1e-9 * max(1.0, abs(found))
    assert edges[cell] - width <= found <= edges[cell + 1] + width


@pytest.mark.parametrize("time", ["timestamp", None])
def test_a_table_has_no_distance_to_itself(beijing: pl.DataFrame, time: str | None) -> None:
    """Five years with missing values, compared month by month, and as rows without a time."""
    rows = beijing if time else beijing.drop("timestamp")
    comparison = drift.compare(drift.profile(rows, time=time), rows)
    assert len(comparison.features) == 8
    for feature in comparison.features:
        for measure in {"psi", "ks", "js", "missing", "range", "unseen", "low", "high"} & set(feature.judgements):
            assert feature.judgements[measure].value == 0, f"{feature.name} {measure}"


def test_shares_of_seasons_that_differ_are_mixed_as_before(beijing: pl.DataFrame) -> None:
    """A window of half a January and all of a February, by hand."""
    profile = drift.profile(beijing, columns=["temp"], time="timestamp")
    window = beijing.filter(pl.col("timestamp").dt.year() == 2014).slice(360, 384 + 672)
    (feature,) = drift.compare(profile, window).features
    month = beijing["timestamp"].dt.month().to_numpy()
    weights = np.where(month == 1, 384 / (month == 1).sum(), np.where(month == 2, 672 / (month == 2).sum(), 0.0))
    order = np.argsort(beijing["temp"].to_numpy(), kind="stable")
    shares = np.cumsum(weights[order]) / weights.sum()
    values = beijing["temp"].to_numpy()[order]
    ends = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
    own = np.sort(window["temp"].to_numpy())
    exact = np.abs(np.searchsorted(own, values[ends], side="right") / len(own) - shares[ends]).max()
    found, bound = feature.judgements["ks"].value, feature.facts["ks_error_bound"]
    assert found - 1e-9 <= exact <= found + bound + 1e-9
