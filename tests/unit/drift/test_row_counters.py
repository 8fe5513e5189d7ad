"""The compiled counters count as NumPy does, whatever the values."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from almanac.core.errors import NoCompilerError
from almanac.drift.counting.accumulators import NumericLayout, layout_of
from almanac.drift.counting.row_counters import CompiledRowCounters, RowCounters, row_counters
from almanac.native.libraries import DRIFT

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)
ODD = [
    0.1 + 0.2, np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1e-300, 5e-324, 0.5, 1.5, 2.5, -0.5, 16382.0, 1e16,
]  # fmt: skip


def layouts(rng: np.random.Generator) -> list[NumericLayout]:
    samples = (
        rng.normal(10.0, 3.0, 5000).round(1),  # even cuts, one decimal
        rng.lognormal(0.0, 4.0, 5000),  # a heavy tail
        np.full(500, 7.0),  # constant
        rng.integers(0, 24, 3000).astype(np.float64),
        np.where(rng.random(3000) < 0.99, rng.random(3000), 1e9),  # outliers
        np.full(10, np.nan),
    )
    made = [layout_of(sample, integer=False, groups=20, bins=10) for sample in samples]
    return [
        replace(one, low=float(np.nanmin(sample)), high=float(np.nanmax(sample))) if np.isfinite(sample).any() else one
        for one, sample in zip(made, samples, strict=True)
    ]


def blocks(rng: np.random.Generator) -> list[np.ndarray]:
    random = rng.normal(5.0, 10.0, (300, 8)).round(rng.integers(0, 3))
    odd = rng.choice(ODD, (400, 8))
    runs = np.repeat(rng.choice([*ODD, 1.0, 2.0], (40, 8)), 9, axis=0)
    return [random, odd, odd[-1:], runs, runs[-3:], random[:0], np.exp(rng.normal(0.0, 30.0, (200, 8)))]


@needs_compiler
@pytest.mark.parametrize("positions", [(0, 1, 2, 3, 4, 5), (7, 0, 3, 1, 6, 2)])
def test_both_count_the_same(positions: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    known = layouts(rng)
    compiled, plain = row_counters(known, positions, 8), RowCounters(known, positions, 8)
    assert isinstance(compiled, CompiledRowCounters)
    for block in blocks(rng):
        for counters in (compiled, plain):
            if len(block):
                counters.count(block)
        for name in ("rows", "counts", "longest", "beyond", "off"):
            np.testing.assert_array_equal(getattr(compiled, name), getattr(plain, name), name)
    for column in range(len(known)):
        for ours, theirs in zip(compiled.tally(column), plain.tally(column), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert plain.counts.sum() == len(known) * plain.rows
    compiled.reset()
    assert (compiled.rows, compiled.counts.sum(), compiled.longest.max()) == (0, 0, 0)


@needs_compiler
def test_rows_of_another_width_are_refused() -> None:
    counters = row_counters(layouts(np.random.default_rng(0)), range(6), 8)
    for rows in (np.zeros((3, 7)), np.zeros(8)):
        with pytest.raises(ValueError, match="rows have shape"):
            counters.count(rows)


def test_without_a_compiler_numpy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NoCompilerError("there is no C compiler")

    monkeypatch.setattr(type(DRIFT), "load", lambda kernels: refuse())
    assert type(row_counters(layouts(np.random.default_rng(0)), range(6), 8)) is RowCounters
