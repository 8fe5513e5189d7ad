"""Categories without a list of levels: learned from training, with a bucket for all others."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import UseCaseError
from almanac.core.grid import Grid
from almanac.core.levels import OTHER, codes_of, some
from almanac.data.validate import run_checks
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.usecase import UseCase
from almanac.usecase.views import reads
from serving.features.raw_schema import read_schema
from tests.support import small


def case(items: list[dict[str, Any]], **kind: Any) -> UseCase:
    columns = {
        "load": {"type": "float", "description": "Load"},
        "kind": {"type": "category", "description": "Kind", "max_missing": 0.5} | kind,
    }
    return small.usecase(columns=columns, features={"items": items}, split={"test_from": "2020-01-03"})


def table() -> pl.DataFrame:
    """Return two days of training, of 30 levels, and one of test with a level that comes up there first."""
    levels = ["often", *(f"level{i % 29:02}" for i in range(46)), None]
    hours = [datetime(2020, 1, 1) + timedelta(hours=i) for i in range(72)]
    kinds = [level if i % 2 else "often" for i, level in enumerate(levels)] + ["new", None, *["often"] * 22]
    return pl.DataFrame(
        {"timestamp": hours, "load": [float(i) for i in range(72)], "kind": kinds},
        schema_overrides={"timestamp": pl.Datetime("us"), "kind": pl.String},
    )


def fitted(usecase: UseCase) -> tuple[FeatureSpec, pl.DataFrame]:
    spec = fit(usecase, table(), train_test(usecase, table()["timestamp"])[0])
    return spec, compute(spec, table())


CODES = [{"kind": "categorical", "group": "kind", "columns": ["kind"]}]


def test_levels_are_learned_from_the_training_span_alone_and_others_have_the_bucket() -> None:
    spec, features = fitted(case(CODES))
    levels = spec.categories["kind"]
    assert levels[-1] == OTHER
    assert levels[:-1] == sorted(set(table()["kind"][:47].drop_nulls()))
    assert "new" not in levels
    assert features["kind"][48] == len(levels) - 1
    # A missing value is missing, and no level.
    assert features["kind"].is_nan()[49]


def test_only_the_most_frequent_levels_are_kept_where_asked_for() -> None:
    spec, features = fitted(case(CODES, max_levels=1))
    assert spec.categories["kind"] == ["often", OTHER]
    assert set(features["kind"][:46].to_list()) == {0.0, 1.0}


def test_a_declared_list_with_the_bucket_is_open() -> None:
    spec, features = fitted(case(CODES, categories=["often", OTHER]))
    assert spec.categories["kind"] == ["often", OTHER]
    assert features["kind"][48] == 1.0


def test_frequencies_are_those_of_the_training_rows() -> None:
    usecase = case([{"kind": "encoded", "group": "kind", "columns": ["kind"]}])
    _, features = fitted(usecase)
    training = table()["kind"][:47]
    often = (training == "often").sum() / 47
    assert features["kind_frequency"][0] == often
    assert features["kind_frequency"][48] == 0.0
    changed = table().with_columns(load=pl.lit(1.0), kind=pl.when(pl.arange(0, 72) < 48).then("kind"))
    again = fit(usecase, changed, train_test(usecase, changed["timestamp"])[0])
    assert again.learned == fit(usecase, table(), train_test(usecase, table()["timestamp"])[0]).learned


def test_a_level_that_comes_up_in_the_test_span_is_a_finding_and_no_stop() -> None:
    findings = [
        one
        for one in run_checks(table(), reads(case(CODES), "validation"), None).findings
        if one.rule == "unseen_levels"
    ]
    assert [(one.severity, one.column, one.count) for one in findings] == [("warning", "kind", 1)]
    assert "of the test span (4.3%) unknown to the training, which counts them as (other): new" in findings[0].text


def test_a_server_takes_any_text_of_an_open_category_and_refuses_one_of_a_closed_one() -> None:
    def column(levels: list[str]) -> Any:
        inputs: list[dict[str, Any]] = [
            {"name": "time", "type": "timestamp"},
            {"name": "kind", "type": "category", "categories": levels},
        ]
        return read_schema(inputs, Grid(3_600_000_000)).columns[0]

    assert column(["a", "b", OTHER]).value("new", "here") == 2.0
    assert column(["a", "b", OTHER]).value("b", "here") == 1.0
    with pytest.raises(Exception, match="'new' is not a known category; one of a, b"):
        column(["a", "b"]).value("new", "here")


def test_a_message_shows_ten_levels() -> None:
    assert some(f"l{i}" for i in range(6000)).endswith("l8, l9 and 5,990 more")
    assert codes_of(["a", OTHER])["x"] == 1.0


def test_the_bucket_is_the_last_level(tmp_path: Path) -> None:
    with pytest.raises(UseCaseError, match="is the bucket of all other levels; write it last"):
        case(CODES, categories=[OTHER, "a"])
    with pytest.raises(UseCaseError, match="'max_levels' belongs to a category whose levels are learned"):
        case(CODES, categories=["a"], max_levels=3)
