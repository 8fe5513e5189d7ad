import json
import threading

import numpy as np
import polars as pl
import pytest

from almanac import drift
from almanac.core.errors import DriftError
from almanac.drift.online import OnlineDrift

YEAR, MONTH = pl.col("timestamp").dt.year(), pl.col("timestamp").dt.month()
SENSORS = ["pm25", "dewp", "temp", "pres", "iws"]


@pytest.fixture(scope="module")
def profile(beijing: pl.DataFrame) -> drift.Profile:
    return drift.profile(beijing.filter(YEAR <= 2012), time="timestamp")


@pytest.fixture(scope="module")
def window(beijing: pl.DataFrame) -> pl.DataFrame:
    return beijing.filter(YEAR == 2013, MONTH == 4).with_columns(pl.col("temp") + 12)


def _rows(window: pl.DataFrame) -> np.ndarray:
    return window.select(SENSORS).to_numpy()


def _times(window: pl.DataFrame) -> list[int]:
    return window["timestamp"].to_physical().to_list()


def test_rows_one_by_one_give_the_figures_of_the_window(profile: drift.Profile, window: pl.DataFrame) -> None:
    counters = OnlineDrift(profile, SENSORS, buffer=50)
    for row, time_us in zip(_rows(window), _times(window), strict=True):
        counters.add(row, time_us)
    found = counters.metrics()
    assert counters.rows == window.height
    for feature in drift.compare(profile, window).features:
        if feature.name not in SENSORS:
            continue
        online = found[feature.name]
        for name, judged in feature.judgements.items():
            if name not in ("step", "gaps"):
                assert online[name] == pytest.approx(judged.value, abs=1e-12), (feature.name, name)
        for name in ("longest_run", "missing_rate", "out_of_range_rate", "ks_overall"):
            assert online[name] == pytest.approx(feature.facts[name], abs=1e-12)
    assert [name for name in SENSORS if found[name]["drifted"]] == ["temp"]
    assert found["temp"]["score"] > 1 > found["pres"]["score"]


def test_workers_are_merged(profile: drift.Profile, window: pl.DataFrame) -> None:
    whole, parts = OnlineDrift(profile, SENSORS), [OnlineDrift(profile, SENSORS, buffer=7) for _ in range(3)]
    rows, times = _rows(window), _times(window)
    whole.add_rows(rows, times[0])
    for i, part in enumerate(parts):
        part.add_rows(rows[i::3], times[0])
    states = [json.loads(json.dumps(part.state())) for part in parts]
    merged = OnlineDrift.merged(profile, states)
    assert merged.rows == whole.rows
    for name, figures in whole.metrics().items():
        for key in ("ks", "psi", "missing_rate", "out_of_range_rate", "low", "high", "ks_overall"):
            assert merged.metrics()[name][key] == pytest.approx(figures[key])


def test_a_new_window_begins_empty(profile: drift.Profile, window: pl.DataFrame) -> None:
    counters = OnlineDrift(profile, SENSORS)
    assert counters.metrics() == {}
    counters.add_rows(_rows(window))
    assert counters.metrics()["temp"]["rows"] == window.height
    counters.reset()
    assert counters.rows == 0
    assert counters.metrics() == {}


def test_columns_that_the_profile_lacks_are_passed_over(profile: drift.Profile, window: pl.DataFrame) -> None:
    names = ["lag_1", "temp", "cbwd", "pres"]
    counters = OnlineDrift(profile, names)
    rows = np.column_stack([np.zeros(len(window)), window["temp"], np.zeros(len(window)), window["pres"]])
    counters.add_rows(rows)
    assert set(counters.metrics()) == {"temp", "pres"}
    with pytest.raises(DriftError, match="nothing can be watched"):
        OnlineDrift(profile, ["lag_1"])


def test_heavy_tails_and_gaps_are_counted_alike() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_cauchy((3000, 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    profile = drift.profile(pl.DataFrame(values, schema=["a", "b"]))
    counters = OnlineDrift(profile)
    counters.add_rows(values)
    assert all(figures["ks_overall"] == 0 for figures in counters.metrics().values())


def test_states_that_do_not_belong_together_are_refused(profile: drift.Profile) -> None:
    one, other = OnlineDrift(profile, ["temp"]).state(), OnlineDrift(profile, ["pres"]).state()
    with pytest.raises(DriftError, match="all workers must agree"):
        OnlineDrift.merged(profile, [one, other])
    with pytest.raises(DriftError, match="the same model"):
        OnlineDrift.merged(profile, [{**OnlineDrift(profile, ["pm25"]).state(), "names": ["temp"]}])
    with pytest.raises(DriftError, match="no state"):
        OnlineDrift.merged(profile, [])


def test_no_row_is_lost_between_threads(profile: drift.Profile, window: pl.DataFrame) -> None:
    counters, rows = OnlineDrift(profile, SENSORS, buffer=16), _rows(window)

    def work() -> None:
        for row in rows[:500]:
            counters.add(row)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.metrics()["temp"]["rows"] == 2000
