"""Detection and false alarms of drift on real and autocorrelated series."""

import numpy as np
import polars as pl

from almanac import drift
from benchmarks import drift_detection as detection


def test_detection_on_the_real_series(beijing: pl.DataFrame) -> None:
    sensors = ["pm25", "dewp", "temp", "pres", "iws"]
    series = detection.cut(beijing, "timestamp", sensors)
    assert series.sensors == sensors
    assert len(series.months) == 24
    found = detection.measure(series, detection.ours(series))
    assert found.false_alarms <= 0.05
    assert found.false_windows <= 0.05
    assert found.average >= 0.95
    # Values rounded back to the sensor's resolution: what the decimals give away is gone.
    assert found.average_rounded >= 0.83


def test_false_alarms_keep_to_the_stated_rate() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        # An autocorrelated series, on which a p-value of KS raises the alarm nearly always.
        noise = rng.normal(size=(6000, 4))
        values = np.zeros_like(noise)
        for i in range(1, len(noise)):
            values[i] = 0.95 * values[i - 1] + noise[i]
        profile = drift.profile(pl.DataFrame(values[:5000]))
        alarms += drift.compare(profile, pl.DataFrame(values[5000:])).drifted
    assert alarms <= 7
