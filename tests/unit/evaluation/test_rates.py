"""Baselines of a classification as probabilities."""

import numpy as np

from almanac.evaluation.scored_rows import _as_rates


def test_a_class_that_a_baseline_never_gave_before_gets_the_overall_rate() -> None:
    y = np.array([0.0, 9.0, 0.0, 9.0, 9.0, 0.0])
    before = np.array([True, True, True, True, False, False])
    low, both = np.array([1.0, 1.0, 1.0, 1.0, 9.0, 1.0]), np.array([1.0, 9.0, 1.0, 1.0, 9.0, 1.0])
    rates = _as_rates(5.0, y, {"low": low, "both": both}, before)
    np.testing.assert_allclose(rates["low"], 0.5)
    np.testing.assert_allclose(rates["both"], [1 / 3, 1.0, 1 / 3, 1 / 3, 1.0, 1 / 3])
