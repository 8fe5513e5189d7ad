import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from almanac.drift.counting.histogram import Buckets, fit_grid
from almanac.drift.statistics import jensen_shannon, ks, ks_exact, ndcg, psi, quantile

WIDE = st.floats(allow_nan=False, allow_infinity=False)
TIED = st.sampled_from([-1.0, 0.0, 0.1, 0.2, 3.0, 1e9])
SAMPLES = st.one_of(*(npst.arrays(np.float64, st.integers(1, 120), elements=e) for e in (WIDE, TIED)))
COUNTS = npst.arrays(np.int64, 12, elements=st.integers(0, 1000)).filter(lambda counts: counts.sum() > 0)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The definition: the largest difference of the two empirical distribution functions."""
    values = np.concatenate([a, b])
    shares = (np.searchsorted(np.sort(sample), values, side="right") / sample.size for sample in (a, b))
    return float(np.abs(np.subtract(*shares)).max())


def _scipy(a: np.ndarray, b: np.ndarray) -> float:
    with warnings.catch_warnings():
        # The p-value of a sample of one divides by zero.
        warnings.simplefilter("ignore")
        return float(ks_2samp(a, b, method="asymp").statistic)


@given(SAMPLES, SAMPLES)
@example(np.zeros(1), np.zeros(1))
@example(np.array([0.0, 5e-324]), np.array([-5e-324]))
@settings(max_examples=120, deadline=None)
def test_exact_distance_is_bit_for_bit_its_definition(a: np.ndarray, b: np.ndarray) -> None:
    assert ks_exact(a, b) == _distance(a, b)


@pytest.mark.parametrize(
    "kind", ["normal", "shifted", "cauchy", "lognormal", "integers", "float32", "atoms", "missing"]
)
def test_exact_distance_of_large_samples(kind: str) -> None:
    rng = np.random.default_rng(0)
    n, m = 50_000, 30_011
    draws: dict[str, Callable[[int], np.ndarray]] = {
        "normal": lambda size: rng.normal(size=size),
        "shifted": lambda size: rng.normal(size=size) + (size == m) * 0.1,
        "cauchy": lambda size: rng.standard_cauchy(size),
        "lognormal": lambda size: rng.lognormal(0, 4, size),
        "integers": lambda size: rng.integers(-5, 20, size),
        "float32": lambda size: rng.normal(size=size).astype(np.float32),
        "atoms": lambda size: np.where(rng.random(size) < 0.7, 0.0, rng.normal(size=size)),
        "missing": lambda size: np.where(rng.random(size) < 0.1, np.nan, rng.normal(size=size)),
    }
    a, b = draws[kind](n), draws[kind](m)
    held_a, held_b = (x[~np.isnan(x)] if x.dtype.kind == "f" else x for x in (a, b))
    assert ks_exact(a, b) == _distance(held_a, held_b)
    # Releases of SciPy differ in the last bits, and by the precision of float32 where the samples have that.
    assert ks_exact(a, b) == pytest.approx(_scipy(held_a, held_b), abs=1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.5])
def test_frozen_grid_is_within_a_ten_thousandth_of_the_exact_distance(scale: float, shift: float) -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=1_000_000) * scale, (rng.normal(size=1_000_000) + shift) * scale
    grid = fit_grid(a[::16])
    assert abs(ks(grid.count(a)[0], grid.count(b)[0]) - ks_exact(a, b)) < 1e-4


@given(SAMPLES, SAMPLES)
@settings(max_examples=80, deadline=None)
def test_a_grid_never_overstates_the_distance_and_loses_no_value(a: np.ndarray, b: np.ndarray) -> None:
    grid = fit_grid(a)
    (cells_a, missing_a), (cells_b, missing_b) = grid.count(a), grid.count(b)
    assert cells_a.sum() == len(a)
    assert cells_b.sum() == len(b)
    assert missing_a == missing_b == 0
    assert ks(cells_a, cells_b) <= ks_exact(a, b) + 1e-12


@given(npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True)))
@settings(max_examples=80, deadline=None)
def test_buckets_keep_the_order_of_values_and_set_the_missing_apart(values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    for buckets in (fit_grid(finite).buckets, Buckets("float", 0.0), Buckets("float", 17.3)):
        with np.errstate(all="ignore"):
            numbers = buckets.numbers(values, np.empty(len(values)))
        assert (numbers[np.isnan(values)] == 0).all()
        present = ~np.isnan(values)
        assert (numbers[present] >= 1).all()
        assert (numbers[present] < buckets.size).all()
        order = np.argsort(values[present], kind="stable")
        assert (np.diff(numbers[present][order]) >= 0).all()


@given(COUNTS, COUNTS)
def test_distances_of_counts(a: np.ndarray, b: np.ndarray) -> None:
    assert 0 <= ks(a, b) <= 1 + 1e-12
    assert ks(a, a) == psi(a, a) == 0
    assert psi(a, b) >= 0
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-6)


def test_an_outlier_does_not_hide_a_shift() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20_000), rng.normal(size=20_000) + 0.5
    grid = fit_grid(a)
    without = psi(grid.count(a)[0], grid.count(b)[0])
    b[0] = 1e5
    assert psi(grid.count(a)[0], grid.count(b)[0]) == pytest.approx(without, rel=0.02)


def test_a_distribution_without_values_has_no_distance() -> None:
    with pytest.raises(ValueError, match="without values"):
        ks(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="a value in each"):
        ks_exact(np.array([np.nan]), np.ones(3))


def test_quantiles_are_interpolated_within_their_cell() -> None:
    counts, lower = np.array([0, 10, 10]), np.array([0.0, 0.0, 1.0])
    assert quantile(counts, lower, 2.0, 0.25) == pytest.approx(0.5)
    assert quantile(counts, lower, 2.0, 0.75) == pytest.approx(1.5)


def test_importance_drift_is_the_gain_that_is_kept() -> None:
    reference = np.array([5.0, 3.0, 1.0, 0.0])
    assert ndcg(reference, reference * 7) == pytest.approx(1)
    assert ndcg(reference, reference[::-1].copy()) < 0.9
    by_hand = (3 + 5 / np.log2(3) + 1 / 2) / (5 + 3 / np.log2(3) + 1 / 2)
    assert ndcg(reference, np.array([2.0, 9.0, 1.0, 0.0])) == pytest.approx(by_hand)
    for other in (np.array([1.0, 2.0]), np.array([1.0, 2.0, 3.0, np.nan])):
        with pytest.raises(ValueError, match="importances"):
            ndcg(reference, other)
    with pytest.raises(ValueError, match="above zero"):
        ndcg(np.zeros(4), reference)
