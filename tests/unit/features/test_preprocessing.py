"""Splits, targets, fitted transforms, and the component with real artifacts."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from kfp import dsl

from almanac.core.errors import FeatureError, TableError
from almanac.core.files import sha256_file
from almanac.core.grid import Grid
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.preprocess import preprocess
from almanac.features.spec import FeatureSpec
from almanac.features.split import Span, folds, train_test
from almanac.features.target import targets
from almanac.usecase import UseCase, load
from almanac.usecase.split_section import Split
from components.preprocessing.component import preprocessing
from tests.support.use_case_artifact import use_case_artifact

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    return load(ROOT / "usecases" / "air_quality.yaml")


@pytest.fixture(scope="module")
def table_path(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preprocessing") / "table.parquet"
    beijing.write_parquet(path)
    return path


def micros(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1)) / timedelta(microseconds=1))


def test_training_ends_the_longest_horizon_before_the_test_span(usecase: UseCase, beijing: pl.DataFrame) -> None:
    train, test = train_test(usecase, beijing["timestamp"])
    assert usecase.longest_horizon == "24h"
    assert train == Span(None, micros(datetime(2013, 12, 31)))
    assert test == Span(micros(datetime(2014, 1, 1)), micros(datetime(2015, 1, 1)))


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"train_from": date(2011, 1, 1)}, datetime(2011, 1, 1)),
        ({"train_window": "365d"}, datetime(2012, 12, 31)),
        ({"train_from": date(2013, 6, 1), "train_window": "365d"}, datetime(2013, 6, 1)),
    ],
)
def test_training_starts_where_the_use_case_says(
    usecase: UseCase, beijing: pl.DataFrame, change: dict[str, object], start: datetime
) -> None:
    changed = usecase.model_copy(update={"split": Split.model_validate({"test_from": date(2014, 1, 1), **change})})
    assert train_test(changed, beijing["timestamp"])[0].start == micros(start)


def test_folds_expand_and_keep_the_gap(usecase: UseCase, beijing: pl.DataFrame) -> None:
    train, _ = train_test(usecase, beijing["timestamp"])
    made = folds(train, 3, 120 * 24 * HOUR, 24 * HOUR, Grid(HOUR))
    assert [valid.stop for _, valid in made][-1] == train.stop
    for learn, valid in made:
        assert valid.start is not None
        assert learn.stop == valid.start - 24 * HOUR
    assert [learn.stop for learn, _ in made] == sorted(learn.stop or 0 for learn, _ in made)
    with pytest.raises(FeatureError, match="span with an end"):
        folds(Span(None, None), 3, 120 * 24 * HOUR, HOUR, Grid(HOUR))


def test_targets_are_the_values_ahead_and_never_imputed(usecase: UseCase, beijing: pl.DataFrame) -> None:
    spec = FeatureSpec.of(usecase)
    assert spec.limit_steps > 0
    made = targets(usecase, spec, beijing)
    raw = beijing["pm25"].fill_null(float("nan")).to_numpy()
    for hours in (1, 6, 24):
        ahead = np.concatenate([raw[hours:], np.full(hours, np.nan)])
        np.testing.assert_array_equal(made[f"y_pm25_{hours}h"].to_numpy(), ahead)
    np.testing.assert_array_equal(made["last_pm25_1h"].to_numpy(), raw)
    assert made.null_count().sum_horizontal().item() == 0


def test_last_known_value_keeps_the_cutoff(usecase: UseCase, beijing: pl.DataFrame) -> None:
    late = usecase.model_copy(update={"features": usecase.features.model_copy(update={"cutoff": "3h"})})
    made = targets(late, FeatureSpec.of(late), beijing)
    raw = beijing["pm25"].fill_null(float("nan")).to_numpy()
    np.testing.assert_array_equal(made["last_pm25_1h"].to_numpy()[3:], raw[:-3])


def test_a_missing_row_shifts_no_target(usecase: UseCase, beijing: pl.DataFrame) -> None:
    gap = beijing.slice(1000, 100).filter(~pl.int_range(pl.len()).is_between(50, 52))
    made = gap.hstack(targets(usecase, FeatureSpec.of(usecase), gap))
    before = made.row(49, named=True)
    assert before["timestamp"] == beijing["timestamp"][1049]
    assert np.isnan(before["y_pm25_1h"])
    assert before["y_pm25_6h"] == beijing["pm25"][1055]


def test_transforms_are_fitted_on_training_rows_alone(usecase: UseCase, beijing: pl.DataFrame) -> None:
    train, _ = train_test(usecase, beijing["timestamp"])
    spec = fit(usecase, beijing, train)
    later = pl.col("timestamp") >= datetime(2013, 12, 31)
    changed = beijing.with_columns(
        pl.when(later).then(-9999.0).otherwise("pm25").alias("pm25"),
        pl.when(later).then(pl.lit("cv")).otherwise("cbwd").alias("cbwd"),
    )
    assert fit(usecase, changed, train) == spec
    unseen = beijing.with_columns(pl.when(later).then(pl.col("cbwd")).otherwise(pl.lit("SE")).alias("cbwd"))
    assert fit(usecase, unseen, train).categories == {"cbwd": ["SE"]}
    with pytest.raises(FeatureError, match="no row of the"):
        fit(usecase, beijing, Span(0, 1))


def test_a_centre_changes_a_feature_by_rounding_alone(usecase: UseCase, beijing: pl.DataFrame) -> None:
    table = beijing.head(3000)
    plain = compute(FeatureSpec.of(usecase), table)
    centred = compute(FeatureSpec.of(usecase, centres={"pm25": 128.0}), table)
    for name in ("pm25_std_24h", "pm25_mean_168h"):
        np.testing.assert_allclose(plain[name].to_numpy(), centred[name].to_numpy(), rtol=1e-9, atol=1e-9)


def test_preprocess_writes_the_same_bytes_twice(usecase: UseCase, table_path: Path, tmp_path: Path) -> None:
    made = [preprocess(usecase, table_path, tmp_path / f"{k}.parquet", tmp_path / f"{k}.json") for k in range(2)]
    assert made[0] == made[1]
    for suffix in ("parquet", "json"):
        assert sha256_file(tmp_path / f"0.{suffix}") == sha256_file(tmp_path / f"1.{suffix}")
    document = json.loads((tmp_path / "0.json").read_text())
    spec = FeatureSpec.model_validate(document["spec"])
    table = pl.read_parquet(tmp_path / "0.parquet")
    assert document["names"] == spec.names
    assert document["fitted"]["categories"] == spec.categories
    ahead = [f"{kind}_{target.name}" for target in usecase.targets for kind in ("y", "last")]
    assert table.columns == ["timestamp", *spec.names, *ahead]
    training = table.filter(pl.col("timestamp") < datetime(2013, 12, 31))
    mean = training["pm25_mean_24h"].fill_nan(None).mean()
    assert document["fitted"]["means"]["pm25_mean_24h"] == pytest.approx(mean)


def test_preprocess_names_a_file_that_is_no_table(usecase: UseCase, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(TableError, match=r"broken\.parquet: not a Parquet table"):
        preprocess(usecase, tmp_path / "broken.parquet", tmp_path / "f.parquet", tmp_path / "s.json")
    assert not (tmp_path / "f.parquet").exists()


def test_a_split_outside_of_the_data_is_named(usecase: UseCase, table_path: Path, tmp_path: Path) -> None:
    split = Split(test_from=date(2030, 1, 1), test_to=date(2031, 1, 1))
    case = usecase.model_copy(update={"split": split})
    with pytest.raises(
        FeatureError, match=r"split\.test_from: 2030-01-01 leaves no rows to judge by; the table has 20"
    ):
        preprocess(case, table_path, tmp_path / "features.parquet", tmp_path / "features.json")
    assert not list(tmp_path.iterdir())


def test_component_fills_its_artifacts(usecase: UseCase, table_path: Path, tmp_path: Path) -> None:
    table = dsl.Dataset(uri=str(table_path))
    features = dsl.Dataset(uri=str(tmp_path / "features"))
    specification = dsl.Artifact(uri=str(tmp_path / "specification"))
    preprocessing.python_func(
        usecase=use_case_artifact(usecase, tmp_path), table=table, features=features, specification=specification
    )
    assert features.metadata["rows"] == 43_824
    assert features.metadata["features_digest"] == sha256_file(tmp_path / "features")
    assert features.metadata["data_digest"] == sha256_file(table_path)
    assert specification.metadata["features"] == len(json.loads((tmp_path / "specification").read_text())["names"])


def test_a_second_use_case_needs_no_code() -> None:
    usecase = load(ROOT / "usecases" / "traffic.yaml")
    spec = FeatureSpec.of(usecase)
    rows = 2000
    times = [datetime(2016, 1, 1) + timedelta(hours=k) for k in range(rows)]
    rng = np.random.default_rng(5)
    columns = {name: rng.normal(size=rows) for name, column in usecase.columns.items() if column.type != "category"}
    table = pl.DataFrame({"timestamp": pl.Series(times, dtype=pl.Datetime("us")), **columns, "weather": "Clear"})
    made = compute(spec, table)
    assert made.columns == ["timestamp", *spec.names]
    assert np.isfinite(made.select(spec.names).to_numpy()[-1]).all()
