"""The periods of a span: of how many rows, of which length, and what stays together."""

import numpy as np
import pytest

from almanac.evaluation.periods import periods_of, sums_by_period

HOUR = 3_600_000_000


def hours(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * HOUR


@pytest.mark.parametrize(
    ("rows", "lead", "periods"),
    [(720, 1, 15), (720, 24, 15), (240, 24, 5), (72, 24, 4), (30, 1, 4), (100, 1, 12), (8760, 24, 15)],
)
def test_a_span_has_as_many_periods_as_its_rows_and_leads_allow(rows: int, lead: int, periods: int) -> None:
    code = periods_of(hours(rows), HOUR, lead)
    sizes = np.bincount(code)
    assert sizes.size == periods
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(code) >= 0).all()


def test_periods_hold_as_many_rows_whatever_gaps_there_are_and_in_any_order() -> None:
    time = np.r_[hours(300), 10_000 * HOUR + hours(300)]
    order = np.random.default_rng(1).permutation(time.size)
    code = periods_of(time, HOUR, 1)
    assert np.bincount(code).tolist() == [40] * 15
    assert np.array_equal(periods_of(time[order], HOUR, 1), code[order])


def test_rows_of_one_moment_are_of_one_period() -> None:
    time = np.repeat(hours(50), 7)
    code = periods_of(time, HOUR, 1)
    assert (code.reshape(50, 7) == code.reshape(50, 7)[:, :1]).all()
    assert sums_by_period(code, np.ones(350)).sum() == 350
    # A moment with most of the rows is a period by itself, and no number is left out.
    crowded = periods_of(np.r_[np.zeros(500, dtype=np.int64), hours(40)], HOUR, 1)
    assert np.array_equal(np.unique(crowded), np.arange(crowded.max() + 1))
