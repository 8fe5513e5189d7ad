import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from almanac import drift
from almanac.core.errors import DriftError
from almanac.core.files import canonical_json
from almanac.drift.profiles.seasons import parse_duration

YEAR = pl.col("timestamp").dt.year()
SENSORS = ["pm25", "dewp", "temp", "pres", "iws"]


@pytest.fixture(scope="module")
def reference(beijing: pl.DataFrame) -> pl.DataFrame:
    return beijing.filter(YEAR <= 2012)


@pytest.fixture(scope="module")
def profile(reference: pl.DataFrame) -> drift.Profile:
    return drift.profile(reference, time="timestamp")


def test_a_profile_survives_json(profile: drift.Profile, tmp_path: Path, beijing: pl.DataFrame) -> None:
    path = tmp_path / "reference.json"
    profile.write(path)
    again = drift.read(path)
    assert canonical_json(again.to_json()) == canonical_json(profile.to_json())
    window = beijing.filter(YEAR == 2013, pl.col("timestamp").dt.month() == 5)
    assert drift.compare(again, window).to_json()["features"] == drift.compare(profile, window).to_json()["features"]


def test_the_same_reference_gives_the_same_bytes(
    profile: drift.Profile, reference: pl.DataFrame, tmp_path: Path
) -> None:
    profile.write(tmp_path / "a.json")
    drift.profile(reference.sample(fraction=1, shuffle=True, seed=1), time="timestamp").write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_a_profile_tells(profile: drift.Profile, reference: pl.DataFrame) -> None:
    assert profile.rows == reference.height
    assert profile.calendar.season == "month"
    assert len(profile.blocks) == 36
    assert profile.blocks[0] == "2010-01"
    assert profile.blocks[-1] == "2012-12"
    temp = profile.features["temp"]
    assert temp.layout is not None
    assert (temp.layout.low, temp.layout.high) == (reference["temp"].min(), reference["temp"].max())
    assert temp.layout.decimals == 0
    assert temp.spread == pytest.approx(reference["temp"].std(), rel=0.01)
    assert temp.nulls["ks"].blocks == 36
    assert set(profile.features["cbwd"].labels) == {"NW", "NE", "SE", "cv"}


def test_two_hundred_features_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hours = pl.datetime_range(pl.datetime(2010, 1, 1), pl.datetime(2012, 12, 31), "6h", eager=True)
    table = pl.DataFrame({"time": hours, **{f"c{i}": rng.normal(size=len(hours)) for i in range(200)}})
    drift.profile(table, time="time").write(tmp_path / "reference.json")
    assert (tmp_path / "reference.json").stat().st_size <= 2_000_000


def test_partitions_merge_to_the_whole(reference: pl.DataFrame) -> None:
    columns = ["timestamp", *SENSORS, "cbwd"]
    parts = [reference.filter(year == YEAR).select(columns) for year in (2010, 2011, 2012)]
    whole = drift.profile(reference.select(columns), time="timestamp")
    merged = drift.merge([drift.profile(part, like=whole) for part in parts])
    assert merged.rows == whole.rows
    assert merged.span == whole.span
    assert merged.blocks == whole.blocks
    for name, feature in whole.features.items():
        other = merged.features[name]
        np.testing.assert_array_equal(other.fine, feature.fine)
        np.testing.assert_allclose(other.seasons, feature.seasons)
        assert repr(other.layout) == repr(feature.layout)
        assert other.longest <= feature.longest


def test_profiles_of_other_cells_do_not_merge(reference: pl.DataFrame) -> None:
    first = drift.profile(reference.select("temp"))
    with pytest.raises(DriftError, match="'temp' was counted in other cells"):
        drift.merge([first, drift.profile(reference.select(pl.col("temp") * 2))])
    with pytest.raises(DriftError, match="the same columns"):
        drift.merge([first, drift.profile(reference.select("pres"))])
    with pytest.raises(DriftError, match="no profile"):
        drift.merge([])


def test_a_parquet_file_is_profiled_as_the_frame_in_it(reference: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reference.parquet"
    pq.write_table(reference.to_arrow(), path, row_group_size=4000)
    frame, file = drift.profile(reference, time="timestamp"), drift.profile(path, time="timestamp")
    assert file.rows == frame.rows
    for name, feature in frame.features.items():
        np.testing.assert_array_equal(file.features[name].fine, feature.fine)
        assert file.features[name].longest == feature.longest


def test_residuals_targets_and_predictions_are_watched(reference: pl.DataFrame) -> None:
    table = reference.select("timestamp", "pm25", "temp", guess=pl.col("pm25").shift(1))
    profile = drift.profile(table, time="timestamp", target="pm25", prediction="guess")
    roles = {name: feature.role for name, feature in profile.features.items()}
    assert roles == {"pm25": "target", "temp": "feature", "guess": "prediction", "residual": "residual"}
    residual = (table["pm25"] - table["guess"]).drop_nulls()
    assert profile.features["residual"].fine.sum() == len(residual)


def test_a_short_reference_has_no_seasons(reference: pl.DataFrame) -> None:
    profile = drift.profile(reference.filter(YEAR == 2010), time="timestamp")
    assert profile.calendar.season == "none"
    assert profile.features["temp"].nulls["ks"].blocks >= 10


def test_the_series_of_a_panel_are_kept_apart(reference: pl.DataFrame) -> None:
    one = reference.select("timestamp", "temp").with_columns(station=pl.lit("a"))
    two = one.with_columns(pl.col("temp") + 100, station=pl.lit("b"))
    mixed = pl.concat([one, two]).sort("timestamp")
    profile = drift.profile(mixed, time="timestamp", entity="station")
    alone = drift.profile(one.drop("station"), time="timestamp")
    assert profile.features["temp"].nulls["step"].deviation == pytest.approx(
        alone.features["temp"].nulls["step"].deviation, rel=0.01
    )
    assert profile.features["temp"].longest == alone.features["temp"].longest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "has format 99"),
        ({"kind": "menu"}, "is no drift profile"),
        ({"features": [{"name": "temp"}]}, "incomplete or damaged"),
    ],
)
def test_a_profile_of_another_kind_is_refused(
    profile: drift.Profile, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({**profile.to_json(), **change}))
    with pytest.raises(DriftError, match=message):
        drift.read(path)


def test_a_damaged_profile_is_refused(profile: drift.Profile, tmp_path: Path) -> None:
    document = profile.to_json()
    document["features"][0]["data"] = document["features"][0]["data"][:-40]
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DriftError, match="damaged"):
        drift.read(path)
    path.write_text("{")
    with pytest.raises(DriftError, match="is no JSON"):
        drift.read(path)
    with pytest.raises(DriftError, match="does not exist"):
        drift.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (pl.DataFrame({"x": [1.0] * 99}), {}, "has 99 rows; a reference needs at least 100"),
        (pl.DataFrame({"x": [1.0] * 200}), {"columns": ["y"]}, "no column 'y'; it has x"),
        (pl.DataFrame({"x": [1.0] * 200}), {"time": "when"}, "no time column 'when'"),
        (pl.DataFrame({"x": [1.0] * 200}), {"time": "x"}, "the time column must hold dates"),
        (pl.DataFrame({"x": [[1.0]] * 200}), {"columns": ["x"]}, "numbers or strings can be watched"),
        (pl.DataFrame({"x": [[1.0]] * 200}), {}, "no column of numbers or strings"),
        (pl.DataFrame({"x": [1.0] * 200}), {"false_alarm_rate": 0.9}, "must be between 0 and 0.5"),
        (pl.DataFrame(), {}, "has no columns"),
        (pl.DataFrame({"x": []}), {}, "has no rows"),
        ("nowhere.parquet", {}, "nowhere.parquet does not exist"),
        ([1, 2], {}, "polars or pandas frame or a file"),
    ],
)
def test_what_cannot_be_a_reference(table: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(DriftError, match=message):
        drift.profile(table, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", ["a month", "30", "0d", "-3h", "1mo"])
def test_a_window_length_that_is_none_is_refused(reference: pl.DataFrame, window: str) -> None:
    with pytest.raises(DriftError, match="is no duration"):
        drift.profile(reference, time="timestamp", window=window)


def test_window_lengths() -> None:
    assert parse_duration("90min") == 5_400_000_000
    assert parse_duration("2w") == parse_duration("14d") == 14 * parse_duration("24h")
