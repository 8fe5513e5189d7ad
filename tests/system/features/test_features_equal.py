"""Both engines on the whole real series: equal to the bit, and blind to what comes after the prediction time."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from almanac.core.errors import FeatureError
from almanac.features.batch import compute
from almanac.features.compiler.execute import library
from almanac.features.fit import fit
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.features.table import numbers, times
from almanac.usecase import UseCase, load
from tests.unit.features.test_features_properties import needs_compiler

ROOT = Path(__file__).resolve().parents[3]
Array = npt.NDArray[np.float64]
engines = pytest.mark.parametrize(
    "compiled", [pytest.param(True, marks=needs_compiler, id="compiled"), pytest.param(False, id="numpy")]
)


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    return load(ROOT / "usecases" / "air_quality.yaml")


@pytest.fixture(scope="module")
def spec(usecase: UseCase, beijing: pl.DataFrame) -> FeatureSpec:
    return fit(usecase, beijing, train_test(usecase, beijing["timestamp"])[0])


@pytest.fixture(scope="module")
def features(spec: FeatureSpec, beijing: pl.DataFrame) -> Array:
    return matrix(spec, beijing)


def matrix(spec: FeatureSpec, table: pl.DataFrame) -> Array:
    return compute(spec, table).select(spec.names).to_numpy()


def raw_block(spec: FeatureSpec, table: pl.DataFrame) -> Array:
    """Raw columns after `history - 1` missing rows, so that the window of row i starts at i."""
    missing = np.full(spec.history - 1, np.nan)
    return np.stack([np.concatenate([missing, numbers(spec, table, name)]) for name in spec.columns])


def same_bits(left: Array, right: Array) -> npt.NDArray[np.bool_]:
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    both = (np.isnan(left) & np.isnan(right)) | (left.view(np.int64) == right.view(np.int64))
    return np.asarray(both)


@engines
def test_online_engine_equals_batch_engine_on_every_row(
    spec: FeatureSpec, features: Array, beijing: pl.DataFrame, compiled: bool
) -> None:
    assert library() is not None or not compiled
    engine, time = OnlineEngine(spec, compiled), times(beijing, spec.time)
    block, width = raw_block(spec, beijing), spec.history
    online = np.empty_like(features)
    for row in range(beijing.height):
        online[row] = engine.row(block[:, row : row + width], int(time[row]))
    differ = [(spec.names[k], int(i)) for i, k in np.argwhere(~same_bits(features, online))[:5]]
    assert not differ
    assert beijing.height == 43_824


@pytest.mark.parametrize("row", [700, 20_000, 40_001])
def test_what_comes_after_the_prediction_time_changes_no_feature(
    spec: FeatureSpec, features: Array, beijing: pl.DataFrame, row: int
) -> None:
    later = pl.int_range(pl.len()) > row
    noise = pl.Series(np.random.default_rng(3).normal(500, 300, beijing.height))
    changed = beijing.with_columns(
        *(pl.when(later).then(noise).otherwise(pl.col(name)).alias(name) for name in spec.columns if name != "cbwd"),
        pl.when(later).then(pl.lit("SE")).otherwise(pl.col("cbwd")).alias("cbwd"),
    )
    perturbed = matrix(spec, changed)
    assert same_bits(features[: row + 1], perturbed[: row + 1]).all()
    assert not same_bits(features[row + 1 :], perturbed[row + 1 :]).all()


@pytest.mark.parametrize("row", [700, 20_000])
def test_what_is_newer_than_the_cutoff_changes_no_feature(usecase: UseCase, beijing: pl.DataFrame, row: int) -> None:
    spec = FeatureSpec.of(with_cutoff(usecase, "6h"))
    table = beijing.slice(row - 600, 700)
    newer = pl.int_range(pl.len()) > 600 - 6
    changed = table.with_columns(pl.when(newer).then(999.0).otherwise(pl.col("pm25")).alias("pm25"))
    original, perturbed = matrix(spec, table), matrix(spec, changed)
    assert same_bits(original[:601], perturbed[:601]).all()
    assert not same_bits(original[601], perturbed[601]).all()


@engines
def test_online_engine_refuses_values_newer_than_the_cutoff(
    usecase: UseCase, beijing: pl.DataFrame, compiled: bool
) -> None:
    spec = FeatureSpec.of(with_cutoff(usecase, "2h"))
    engine, time = OnlineEngine(spec, compiled), times(beijing, spec.time)
    block = raw_block(spec, beijing)[:, 5000 : 5000 + spec.history].copy()
    with pytest.raises(FeatureError, match=r"column pm25: holds values newer than the cutoff of 2h"):
        engine.row(block, int(time[5000]))
    block[:, -2:] = np.nan
    expected = matrix(spec, beijing.slice(0, 5001))[5000]
    assert same_bits(engine.row(block, int(time[5000])), expected).all()


def test_online_engine_names_what_is_wrong_with_its_input(spec: FeatureSpec) -> None:
    engine = OnlineEngine(spec)
    columns: dict[str, Array] = {name: np.zeros(spec.history) for name in spec.columns}
    with pytest.raises(FeatureError, match="no column temp"):
        engine.row({name: values for name, values in columns.items() if name != "temp"}, 0)
    with pytest.raises(FeatureError, match=f"column dewp: 5 values; {spec.history} are needed"):
        engine.row({**columns, "dewp": np.zeros(5)}, 0)
    with pytest.raises(FeatureError, match="the block has shape"):
        engine.row(np.zeros((3, spec.history)), 0)


def test_specification_survives_json(spec: FeatureSpec) -> None:
    assert FeatureSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec
    altered: dict[str, Any] = spec.model_dump(mode="json")
    altered["features"][0]["name"] = "other"
    with pytest.raises(ValueError, match="the names are not those that the items give"):
        FeatureSpec.model_validate(altered)
    with pytest.raises(ValueError, match="learned: has 1 entries; expected one for each of"):
        FeatureSpec.model_validate(spec.model_dump(mode="json") | {"learned": [1.0]})


def test_reference_specification_has_the_declared_categories(spec: FeatureSpec) -> None:
    assert len(spec.names) >= 90
    assert set(spec.groups.values()) == {"temporal", "lagged", "rolling", "weather", "interactions"}


def test_features_agree_with_their_definitions(spec: FeatureSpec, features: Array, beijing: pl.DataFrame) -> None:
    row = 30_000
    pm = numbers(spec, beijing, "pm25")[: row + 1]
    last = pd_ffill(pm, 24)
    value = dict(zip(spec.names, features[row].tolist(), strict=True))
    day = last[-24:]
    assert value["pm25"] == last[-1]
    assert value["pm25_lag_24h"] == last[-25]
    assert value["pm25_mean_24h"] == pytest.approx(np.nanmean(day), rel=1e-12)
    assert value["pm25_std_24h"] == pytest.approx(np.nanstd(day, ddof=1), rel=1e-12)
    assert value["pm25_max_24h"] == np.nanmax(day)
    assert value["pm25_slope_12h"] == pytest.approx(np.polyfit(np.arange(12), last[-12:], 1)[0], rel=1e-9)
    weights = 0.5 ** (np.arange(24) / 3)
    assert value["pm25_ewm_3h"] == pytest.approx(np.average(last[::-1][:24], weights=weights), rel=1e-12)
    moment = beijing["timestamp"][row]
    assert value["hour"] == moment.hour
    assert value["day_sin_1"] == pytest.approx(np.sin(2 * np.pi * moment.hour / 24), abs=1e-12)


def pd_ffill(values: Array, limit: int) -> Array:
    return np.asarray(pl.Series(values).fill_nan(None).fill_null(strategy="forward", limit=limit).to_numpy())


def with_cutoff(usecase: UseCase, cutoff: str) -> UseCase:
    return usecase.model_copy(update={"features": usecase.features.model_copy(update={"cutoff": cutoff})})
