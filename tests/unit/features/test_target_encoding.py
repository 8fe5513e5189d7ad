"""Means of a target by level: no row sees its own target or a later one, and levels of noise give no skill."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import FeatureError, UseCaseError
from almanac.core.files import read_json
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.preprocess import preprocess
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.features.target_encoding import block_starts, ordered_means
from almanac.training.backends import open_problems
from almanac.training.folds import make_folds
from almanac.usecase import UseCase
from tests.support import small

ITEM = {"kind": "encoded", "group": "kind", "columns": ["kind"], "encoding": "target", "target": "load_1h"}
HOURS = 2000


def case(**changes: Any) -> UseCase:
    columns = {
        "load": {"type": "float", "description": "Load"},
        "kind": {"type": "category", "description": "Kind"},
    }
    return small.usecase(
        columns=columns,
        features={"items": [{**ITEM, **changes}]},
        split={"test_from": "2020-03-10"},
        training={"candidates": [{"name": "ridge", "kind": "linear"}], "folds": {"count": 3, "length": "10d"}},
    )


def noise(levels: int = 600) -> pl.DataFrame:
    random = np.random.default_rng(5)
    kinds = [f"level{number}" for number in random.integers(0, levels, HOURS)]
    return pl.DataFrame(
        {
            "timestamp": [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(HOURS)],
            "load": random.normal(50, 10, HOURS),
            "kind": kinds,
        },
        schema_overrides={"timestamp": pl.Datetime("us")},
    )


def spec_of(usecase: UseCase, table: pl.DataFrame) -> FeatureSpec:
    return fit(usecase, table, train_test(usecase, table["timestamp"])[0])


def test_a_served_row_has_the_mean_of_all_training_rows_with_its_level_and_an_unseen_level_that_of_all() -> None:
    table = noise(9).with_columns(kind=pl.when(pl.arange(0, HOURS) < 1900).then("kind").otherwise(pl.lit("new")))
    usecase = case(smoothing=4)
    served = compute(spec_of(usecase, table), table)["kind_load_1h"]
    rows = train_test(usecase, table["timestamp"])[0].rows(table["timestamp"].to_physical().to_numpy())
    training = table.with_columns(ahead=pl.col("load").shift(-1)).filter(pl.Series(rows))
    own = training.filter(pl.col("kind") == table["kind"][1800])["ahead"]
    overall = float(training["ahead"].mean())  # type: ignore[arg-type]
    assert served[1800] == pytest.approx((float(own.sum()) + 4 * overall) / (own.len() + 4))
    assert served[1950] == pytest.approx(overall)


def test_a_training_row_has_the_mean_of_rows_whose_target_was_known_when_its_block_began() -> None:
    codes, y = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 2.0, np.nan]), np.array([1.0, 3.0, 5.0, 9.0, 9.0, 9.0, 9.0])
    time = np.arange(7) * 10
    found = ordered_means(codes, y, time, 10, [40, 60], 1e-9)
    # Of the three rows before 40 the target was known by then; the fourth's is known only at 40 itself.
    assert np.isnan(found[:4]).all()
    assert found[4:6] == pytest.approx([5.0, 3.0])
    assert np.isnan(found[6])


def test_nothing_before_a_block_depends_on_what_comes_after_it() -> None:
    random = np.random.default_rng(1)
    codes, y, time = random.integers(0, 5, 200).astype(float), random.normal(size=200), np.arange(200)
    starts = block_starts(0, [100, 150])
    assert starts == [25, 50, 75, 100, 150]
    before = ordered_means(codes, y, time, 3, starts, 2.0)
    later = np.where(time >= 98, 1e6, y)
    assert np.array_equal(before[:150], ordered_means(codes, later, time, 3, starts, 2.0)[:150], equal_nan=True)
    assert not np.array_equal(before[150:], ordered_means(codes, later, time, 3, starts, 2.0)[150:], equal_nan=True)


def correlations(folder: Path, table: pl.DataFrame) -> tuple[float, float, float]:
    """Return how the means follow the target among the rows to learn from, in the folds, and as all rows have them."""
    usecase = case()
    table.write_parquet(folder / "table.parquet")
    preprocess(usecase, folder / "table.parquet", folder / "features.parquet", folder / "features.json")
    names = read_json(folder / "features.json")["names"]
    with open_problems(usecase, folder / "features.parquet", names) as (features, [problem]):
        place = names.index("kind_load_1h")
        [*_, last] = make_folds(usecase, problem)

        def follows(values: Any, rows: Any) -> float:
            both = np.isfinite(values[rows]) & np.isfinite(problem.y[rows])
            return float(np.corrcoef(values[rows][both], problem.y[rows][both])[0, 1])

        whole = features["kind_load_1h"].to_numpy()
        return (
            follows(problem.X[:, place], last.train),
            follows(problem.X[:, place], last.valid),
            follows(whole, last.valid),
        )


def test_levels_of_noise_say_nothing_of_the_target(tmp_path: Path) -> None:
    learned, judged, whole = correlations(tmp_path, noise())
    # Four standard errors of a correlation of 240 rows are 0.26; a mean that had seen its row would be far above.
    assert abs(learned) < 0.12
    assert abs(judged) < 0.26
    assert whole > 0.4


def test_levels_that_matter_are_found(tmp_path: Path) -> None:
    table = noise(60)
    levels = table["kind"].cast(pl.Categorical).to_physical().cast(pl.Int64)
    follows = table.with_columns(load=pl.col("load") + pl.Series((levels % 7) * 30).shift(1).fill_null(0))
    _, judged, _ = correlations(tmp_path, follows)
    assert judged > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "load_2h"}, "features.items.0.target: no target named load_2h; known: load_1h"),
        ({"columns": ["load"]}, "load is not a category column; known: kind"),
    ],
)
def test_what_cannot_be_learned_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        FeatureSpec.of(case(**changes))


@pytest.mark.parametrize("changes", [{"target": None}, {"encoding": "frequency"}, {"smoothing": 0}])
def test_fields_that_do_not_belong_together_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UseCaseError, match=r"features.items.0"):
        case(**changes)


def test_workers_that_hold_a_part_of_the_rows_are_refused() -> None:
    usecase = case()
    dask = usecase.model_copy(update={"training": usecase.training.model_copy(update={"engine": "dask"})})
    with pytest.raises(FeatureError, match=r"features.items.0.encoding: kind_load_1h is learned from a target"):
        FeatureSpec.of(dask)
