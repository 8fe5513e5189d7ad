"""What `almanac check --data` knows before training: classes, changes and lengths that the table must have."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from almanac.usecase import load_text
from orchestration.review import Review, review, review_table

CASE = """name: d
time: {{column: at, frequency: 1h}}
sources: [{{name: t, type: file, path: t.csv, read: {{time: {{column: at}}}}}}]
columns: {{load: {{type: float, max_missing: 1.0}}}}
targets: [{target}]
features: {{items: [{{kind: lag, group: lagged, columns: [load], lags: [{lag}]}}]}}
split: {{test: last 10d}}
training: {{folds: {{count: 2, length: 10d}}}}
evaluation: {{block: 1d}}
drift: {{window: {window}, season: none}}
"""


def reviewed(folder: Path, load: pl.Expr, target: str, lag: str = "1h", window: str = "5d") -> Review:
    times = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(1440)]
    table = pl.DataFrame({"at": times}).with_columns(load=load).with_columns(pl.col("at").dt.to_string("iso:strict"))
    table.write_csv(folder / "t.csv")
    case = load_text(CASE.format(target=target, lag=lag, window=window), str(folder / "d.yaml"))
    result = review(case)
    review_table(case, folder, folder / "cache", result)
    return result


NUMBER = pl.int_range(1440).mod(31).cast(pl.Float64)
OLD = pl.int_range(1440) < 1100


@pytest.mark.parametrize(
    ("load", "target", "message"),
    [
        (NUMBER, "{column: load, task: classification, above: 99}", "every load of the training span is not above 99"),
        (
            pl.when(OLD).then(NUMBER).otherwise(7.0),
            "{column: load, task: classification, above: 15}",
            "every load of the test span is not above 15 (they go from 7.0 to 7.0); a classification needs",
        ),
        (
            pl.when(OLD).then(NUMBER).otherwise(7.0),
            "{column: load}",
            "targets.load_1h: load is 7 in all of the test span",
        ),
        (pl.when(OLD).then(NUMBER), "{column: load}", "targets.load_1h: load has no value in the test span"),
    ],
)
def test_a_target_that_nothing_can_be_learned_from(tmp_path: Path, load: pl.Expr, target: str, message: str) -> None:
    assert any(message in error for error in reviewed(tmp_path, load, target).errors)


def test_windows_that_are_longer_than_the_data(tmp_path: Path) -> None:
    result = reviewed(tmp_path, NUMBER, "{column: load}", lag="70d", window="80d")
    assert not result.errors
    features, window = (text for text in result.warnings if "longest" in text or "longer" in text)
    assert features.startswith("features: they look back 70 days, and the data have 59 days")
    assert window == "drift.window: 80d is longer than the data, which have 59 days"


def test_a_table_that_has_what_is_asked(tmp_path: Path) -> None:
    result = reviewed(tmp_path, NUMBER, "{column: load, task: classification, above: 15}")
    assert not result.errors
    assert [text for text in result.warnings if not text.startswith("governance")] == []
