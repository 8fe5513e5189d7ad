"""Local time, holidays and business days; quantiles and shapes of windows against other libraries."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from scipy import stats

from almanac.core.errors import FeatureError, TableError
from almanac.evaluation.groups import group_of
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.kinds.quantile import _needed
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.usecase import UseCase
from almanac.usecase.evaluation_section import Group
from tests.support import small


def case(items: list[dict[str, Any]], zone: str | None = None, **changes: Any) -> UseCase:
    time = {"column": "timestamp", "frequency": "1h", **({"zone": zone} if zone else {})}
    columns = {"load": {"type": "float", "description": "Load", "max_missing": 1.0}}
    items = [{"group": "calendar", **item} for item in items]
    return small.usecase(**{"time": time, "columns": columns, "features": {"items": items}} | changes)


def table(start: datetime, hours: int) -> pl.DataFrame:
    times = [start + timedelta(hours=hour) for hour in range(hours)]
    load = np.random.default_rng(7).poisson(1.0, hours).astype(float)
    return pl.DataFrame({"timestamp": times, "load": load}, schema_overrides={"timestamp": pl.Datetime("us")})


def computed(usecase: UseCase, rows: pl.DataFrame) -> tuple[FeatureSpec, pl.DataFrame]:
    spec = fit(usecase, rows, train_test(usecase, rows["timestamp"])[0])
    return spec, compute(spec, rows)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"])
def test_the_calendar_is_of_local_time_in_both_engines(zone: str) -> None:
    items = [
        {"kind": "calendar", "fields": ["hour", "weekday", "day_of_month"], "ahead": "3h"},
        {"kind": "cyclic", "periods": ["day", "week"], "ahead": "3h"},
    ]
    rows = table(datetime(2019, 3, 1), 24 * 260)
    spec, features = computed(case(items, zone, split={"test_from": "2019-10-01"}), rows)
    local = [(time.replace(tzinfo=UTC) + timedelta(hours=3)).astimezone(ZoneInfo(zone)) for time in rows["timestamp"]]
    assert features["hour"].to_list() == [float(time.hour) for time in local]
    assert features["weekday"].to_list() == [float(time.weekday()) for time in local]
    assert features["day_of_month"].to_list() == [float(time.day) for time in local]
    phase = np.array([(time.hour * 60 + time.minute) / 1440 for time in local])
    assert np.allclose(features["day_sin_1"].to_numpy(), np.sin(2 * np.pi * phase), atol=1e-12)
    again = FeatureSpec.model_validate(spec.model_dump(mode="json"))
    engine = OnlineEngine(again)
    for at in range(0, rows.height, 17):
        second = int(rows["timestamp"][at].replace(tzinfo=UTC).timestamp()) * 1_000_000
        row = engine.row({name: np.full(spec.history, np.nan) for name in spec.columns}, second)
        assert row.tobytes() == features.select(spec.names).to_numpy()[at].tobytes()


def test_holidays_are_those_of_the_local_day_and_travel_in_the_model() -> None:
    items = [
        {"kind": "holiday", "country": "DE", "subdivision": "BY", "fields": ["holiday", "business_day", "days_until"]},
        {"kind": "holiday", "exchange": "NYSE", "fields": ["business_day"]},
    ]
    rows = table(datetime(2019, 12, 20), 24 * 20)
    spec, features = computed(case(items, "Europe/Berlin", split={"test_from": "2020-01-02"}), rows)
    by_time = dict(zip(rows["timestamp"], features.select(spec.names).iter_rows(), strict=True))
    # 25 December begins at 23:00 UTC the day before; 26 is a holiday in Bavaria and a business day in New York.
    assert by_time[datetime(2019, 12, 24, 22)][:3] == (0.0, 1.0, 1.0)
    assert by_time[datetime(2019, 12, 24, 23)] == (1.0, 0.0, 0.0, 0.0)
    assert by_time[datetime(2019, 12, 26, 12)] == (1.0, 0.0, 0.0, 1.0)
    assert by_time[datetime(2019, 12, 28, 12)][1] == 0.0
    assert spec.learned[0]
    with pytest.raises(FeatureError, match="the library holidays knows no such calendar"):
        computed(case([{"kind": "holiday", "country": "XX"}], split={"test_from": "2020-01-02"}), rows)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 24, 37, 64])
def test_the_network_sorts(length: int) -> None:
    values = np.random.default_rng(length).integers(0, 20, (50, length)).astype(float)
    for rank in range(length):
        ordered = values.copy()
        for i, j in _needed(length, {rank}):
            low, high = np.minimum(ordered[:, i], ordered[:, j]), np.maximum(ordered[:, i], ordered[:, j])
            ordered[:, i], ordered[:, j] = low, high
        assert (ordered[:, rank] == np.sort(values, axis=1)[:, rank]).all()


def test_quantiles_skewness_and_zeros_are_those_of_other_libraries() -> None:
    items: list[dict[str, Any]] = [
        {"kind": "quantile", "columns": ["load"], "windows": ["24h"], "quantiles": [0.5, 0.9]},
        {"kind": "distribution", "columns": ["load"], "windows": ["24h"], "statistics": ["skew", "zero_share"]},
        {"kind": "rolling_lag", "columns": ["load"], "windows": ["6h"], "lags": ["24h"], "statistics": ["mean"]},
    ]
    rows = table(datetime(2020, 1, 1), 200)
    _, features = computed(case(items, split={"test_from": "2020-01-07"}), rows)
    windows = np.lib.stride_tricks.sliding_window_view(rows["load"].to_numpy(), 24)
    for name, expected in {
        "load_median_24h": np.median(windows, axis=1),
        "load_q90_24h": np.quantile(windows, 0.9, axis=1),
        "load_skew_24h": stats.skew(windows, axis=1),
        "load_zero_share_24h": (windows == 0).mean(axis=1),
    }.items():
        assert np.allclose(features[name].to_numpy()[23:], expected, rtol=1e-9, atol=1e-9), name
    mean = np.lib.stride_tricks.sliding_window_view(rows["load"].to_numpy(), 6).mean(axis=1)
    assert np.allclose(features["load_mean_6h_lag_24h"].to_numpy()[29:], mean[:-24])


def test_a_window_of_quantiles_that_is_too_long_is_refused() -> None:
    with pytest.raises(FeatureError, match="7d has 168 steps; a window of quantiles has at most 64"):
        FeatureSpec.of(case([{"kind": "quantile", "columns": ["load"], "windows": ["7d"]}]))


class TestLocalClock:
    def taken(self, base: Path, text: str, **changes: Any) -> pl.DataFrame:
        (base / "meters.csv").write_text(text)
        return small.take(case([{"kind": "calendar", "fields": ["hour"]}], "Europe/Berlin", **changes), base)

    def test_the_repeated_hour_comes_up_twice(self, tmp_path: Path) -> None:
        times = ["2020-10-25T01:00", "2020-10-25T02:00", "2020-10-25T02:00", "2020-10-25T03:00"]
        rows = self.taken(tmp_path, "time,load\n" + "".join(f"{time},{k}\n" for k, time in enumerate(times)))
        assert rows["timestamp"].to_list() == [datetime(2020, 10, 24, 23) + timedelta(hours=k) for k in range(4)]

    def test_entities_each_have_their_own(self, tmp_path: Path) -> None:
        text = "time,meter,load\n2020-10-25T02:00,a,1\n2020-10-25T02:00,b,2\n2020-10-25T02:00,a,3\n"
        rows = self.taken(tmp_path, text, entity="meter")
        assert rows["timestamp"].dt.hour().to_list() == [0, 0, 1]

    def test_a_skipped_hour_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TableError, match="row 1 '2020-03-29T02:30'"):
            self.taken(tmp_path, "time,load\n2020-03-29T02:30,1\n")


class TestAhead:
    def test_a_row_that_is_known_ahead_is_that_of_the_later_time(self, tmp_path: Path) -> None:
        hours = "".join(f"2020-01-01T{hour:02}:00,{hour}\n" for hour in range(6))
        (tmp_path / "meters.csv").write_text(f"time,load\n{hours}")
        (tmp_path / "plan.csv").write_text(f"time,price\n{hours}")
        plan = small.source(name="plan", path="plan.csv", join={"tolerance": "0h", "ahead": "2h"})
        columns = {name: {"type": "float", "description": name, "max_missing": 1.0} for name in ("load", "price")}
        rows = small.take(small.usecase(sources=[small.source(), plan], columns=columns), tmp_path)
        assert rows["price"].to_list() == [2.0, 3.0, 4.0, 5.0, None, None]

    def test_others_are_all_entities_but_the_own(self, tmp_path: Path) -> None:
        rows_of = ["00:00,a,1", "01:00,a,2", "00:00,b,3", "01:00,b,", "00:00,c,8", "01:00,c,4"]
        text = "time,meter,load\n" + "".join(f"2020-01-01T{row}\n" for row in rows_of)
        (tmp_path / "meters.csv").write_text(text)
        number = {"type": "float", "description": "Load", "max_missing": 1.0}
        columns = {"load": number, "rest": number | {"others": {"column": "load"}}}
        rows = small.take(small.usecase(entity="meter", columns=columns), tmp_path)
        assert rows["rest"].to_list() == [5.5, 4.0, 4.5, 3.0, 2.0, 2.0]


def test_groups_are_of_local_hours() -> None:
    group = Group(name="hour", calendar="hour")
    rows = pl.DataFrame({"timestamp": [datetime(2020, 7, 1, 22), datetime(2020, 12, 1, 22)]})
    slices = group_of(case([{"kind": "calendar", "fields": ["hour"]}], "Europe/Berlin"), rows, group, None)  # type: ignore[arg-type]
    assert slices.labels.tolist() == ["00", "23"]
