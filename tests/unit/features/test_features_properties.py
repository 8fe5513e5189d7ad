"""Both engines on odd tables: gaps, runs of missing values, several entities, every kind of feature."""

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac.core.errors import FeatureError
from almanac.features.batch import compute
from almanac.features.compiler.batch_codegen import BatchCode
from almanac.features.compiler.formula import Feature, Inputs, Node, traced
from almanac.features.compiler.row_codegen import RowCode
from almanac.features.compiler.tracing import Value, ago, since
from almanac.features.events.kind import EventKind
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.features.table import numbers, times
from almanac.usecase import UseCase, load
from almanac.usecase.features_section import FEATURE_KINDS, Features

ROOT = Path(__file__).resolve().parents[3]
BASE = load(ROOT / "usecases" / "traffic.yaml")
Array = npt.NDArray[np.float64]

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)

STATISTICS = ["mean", "std", "min", "max", "sum", "range", "slope", "count"]
ITEMS: list[dict[str, Any]] = [
    {"kind": "value", "columns": ["volume", "temp"]},
    {"kind": "lag", "columns": ["volume"], "lags": ["1h", "5h"]},
    {"kind": "difference", "columns": ["volume"], "lags": ["1h", "7h"]},
    {"kind": "rolling", "columns": ["volume"], "windows": ["1h", "5h", "13h"], "statistics": STATISTICS},
    {"kind": "rolling", "columns": ["temp"], "windows": ["7h"], "statistics": STATISTICS, "min_share": 0.9},
    {"kind": "ewm", "columns": ["volume", "temp"], "half_lives": ["1h", "3h"]},
    {
        "kind": "seasonal",
        "columns": ["volume"],
        "period": "4h",
        "counts": [1, 3, 9],
        "statistics": ["mean", "std", "min", "max"],
        "ahead": "2h",
    },
    {"kind": "calendar", "ahead": "3h", "fields": ["hour", "weekday", "weekend", "month", "quarter"]},
    {"kind": "calendar", "fields": ["day_of_month", "day_of_year", "week", "year"]},
    {"kind": "cyclic", "periods": ["day", "week", "year"], "harmonics": 3, "ahead": "1h"},
    {"kind": "categorical", "columns": ["weather"], "encoding": "code"},
    {"kind": "categorical", "columns": ["weather"], "encoding": "one_hot"},
    {
        "kind": "vector",
        "name": "way",
        "direction": "weather",
        "magnitude": "temp",
        "degrees": {"Clear": 0, "Clouds": 90.5, "Fog": 270, "Mist": None},
    },
    {"kind": "elapsed", "name": "since", "column": "volume", "above": 0.5, "limit": "11h"},
    {"kind": "age", "columns": ["volume", "temp"], "limit": "6h"},
    {"kind": "interaction", "name": "ratio", "operation": "ratio", "left": "volume", "right": "volume_mean_5h"},
    {"kind": "interaction", "name": "product", "operation": "product", "left": "ratio", "right": "temp"},
    {"kind": "interaction", "name": "sum", "operation": "sum", "left": "volume", "right": "temp"},
    *(
        {"kind": "transform", "name": f"volume_{name}", "function": name, "feature": "volume"}
        for name in ("log", "log1p", "log_odds", "sqrt", "square", "abs", "exp")
    ),
]
WEATHER = ["Clear", "Clouds", "Fog", "Mist"]


def make_spec(cutoff: str = "0h", limit: str = "0h", items: list[dict[str, Any]] | None = None) -> FeatureSpec:
    items = [{"group": "any", **item} for item in (ITEMS if items is None else items)]
    features = Features.model_validate({"cutoff": cutoff, "impute": {"limit": limit}, "items": items})
    usecase: UseCase = BASE.model_copy(update={"entity": "road", "features": features})
    return FeatureSpec.of(usecase, {"weather": WEATHER}, {"volume": 0.5})


def values(column: str) -> st.SearchStrategy[Any]:
    odd = st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 1e-300, 1e300])
    plain = st.integers(-3, 9).map(float) | st.floats(-1e4, 1e4)
    return st.none() | odd | plain | plain


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Several entities, each sorted, with missing rows and runs of missing values."""
    frames = []
    for road in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(sorted)):
        steps = np.cumsum(draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 40]), min_size=1, max_size=60))).tolist()
        start = datetime(2019, 12, 30) + timedelta(hours=draw(st.integers(0, 9000)))
        n = len(steps)
        volume = draw(st.lists(values("volume"), min_size=n, max_size=n))
        hole = draw(st.integers(0, n))
        volume[hole : hole + draw(st.integers(0, 20))] = [None] * len(volume[hole : hole + 20][: n - hole])
        frames.append(
            pl.DataFrame(
                {
                    "road": [road] * n,
                    "timestamp": [start + timedelta(hours=step) for step in steps],
                    "volume": volume[:n] + [None] * (n - len(volume)),
                    "temp": draw(st.lists(values("temp"), min_size=n, max_size=n)),
                    "weather": draw(st.lists(st.sampled_from([*WEATHER, "Squall", None]), min_size=n, max_size=n)),
                },
                schema={
                    "road": pl.String,
                    "timestamp": pl.Datetime("us"),
                    "volume": pl.Float64,
                    "temp": pl.Float64,
                    "weather": pl.String,
                },
                strict=False,
            )
        )
    return pl.concat(frames)


def online(spec: FeatureSpec, table: pl.DataFrame, compiled: bool) -> Array:
    """Features of every row by the online engine, each entity's rows set on its grid."""
    engine, rows = OnlineEngine(spec, compiled), []
    for _, part in table.group_by("road", maintain_order=True):
        time = times(part, spec.time)
        places = ((time - time[0]) // spec.step).astype(int) + spec.history - 1
        block = np.full((len(spec.columns), int(places[-1]) + 1), np.nan)
        for k, name in enumerate(spec.columns):
            block[k, places] = numbers(spec, part, name)
        for place, moment in zip(places, time, strict=True):
            window = block[:, place - spec.history + 1 : place + 1].copy()
            window[:, spec.history - spec.cutoff_steps :] = np.nan
            rows.append(engine.row(dict(zip(spec.columns, window, strict=True)), int(moment)))
    return np.stack(rows)


def same_bits(left: Array, right: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((np.isnan(left) & np.isnan(right)) | (left.view(np.int64) == right.view(np.int64)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(table=tables(), cutoff=st.sampled_from(["0h", "1h", "5h"]), limit=st.sampled_from(["0h", "2h", "30h"]))
def test_both_engines_are_equal_on_odd_tables(table: pl.DataFrame, cutoff: str, limit: str) -> None:
    spec = make_spec(cutoff, limit)
    batch = np.ascontiguousarray(compute(spec, table).select(spec.names).to_numpy())
    for compiled in (True, False):
        found = online(spec, table, compiled)
        equal = same_bits(batch, found)
        differ = [(spec.names[k], batch[i, k], found[i, k]) for i, k in np.argwhere(~equal)[:3]]
        assert not differ, compiled


# Kinds of events have a test of their own, on a table of games.
@pytest.mark.parametrize("kind", [name for name, kind in FEATURE_KINDS.items() if not isinstance(kind, EventKind)])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(table=tables(), cutoff=st.sampled_from(["0h", "5h"]), limit=st.sampled_from(["0h", "2h"]), data=st.data())
def test_the_example_of_each_kind_agrees_in_both_engines_and_never_looks_ahead(
    kind: str, table: pl.DataFrame, cutoff: str, limit: str, data: st.DataObject
) -> None:
    spec = make_spec(cutoff, limit, [dict(item) for item in FEATURE_KINDS[kind].example])
    batch = np.ascontiguousarray(compute(spec, table).select(spec.names).to_numpy())
    assert batch.shape[1]
    for compiled in (True, False):
        assert same_bits(batch, online(spec, table, compiled)).all(), compiled
    row = data.draw(st.integers(0, table.height - 1))
    later = pl.int_range(table.height) > row
    other = {"volume": pl.lit(99.5), "temp": pl.lit(99.5), "weather": pl.lit("Mist")}
    changed = table.with_columns(pl.when(later).then(new).otherwise(name).alias(name) for name, new in other.items())
    perturbed = np.ascontiguousarray(compute(spec, changed).select(spec.names).to_numpy())
    assert same_bits(batch[: row + 1], perturbed[: row + 1]).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(table=tables(), data=st.data())
def test_an_entity_does_not_see_the_others(table: pl.DataFrame, data: st.DataObject) -> None:
    spec = make_spec(limit="3h")
    road = data.draw(st.sampled_from(table["road"].unique(maintain_order=True).to_list()))
    together = compute(spec, table).filter(pl.col("road") == road)
    assert together.equals(compute(spec, table.filter(pl.col("road") == road)))


def test_a_subset_of_features_is_computed_with_what_it_needs() -> None:
    table = small()
    spec = make_spec()
    every = compute(spec, table)
    some = compute(spec, table, ["product", "volume_lag_5h"])
    assert some.columns == ["road", "timestamp", "product", "volume_lag_5h"]
    assert some.equals(every.select(some.columns))
    with pytest.raises(FeatureError, match="no feature named nothing"):
        compute(spec, table, ["nothing"])


def small() -> pl.DataFrame:
    hours = pl.Series([datetime(2020, 1, 1) + timedelta(hours=k) for k in range(30)], dtype=pl.Datetime("us"))
    return pl.DataFrame(
        {"road": ["a"] * 30, "timestamp": hours, "volume": np.arange(30.0), "temp": 1.0, "weather": "Fog"}
    )


def test_imputation_carries_a_value_forward_to_its_limit() -> None:
    spec = make_spec(limit="2h", items=[{"kind": "value", "columns": ["volume"]}])
    table = small().with_columns(pl.when(pl.int_range(30).is_in([4, 5, 6, 7])).then(None).otherwise("volume"))
    table = table.with_columns(pl.Series("volume", [None if k in (0, 4, 5, 6, 7) else float(k) for k in range(30)]))
    found = compute(spec, table)["volume"].to_list()
    np.testing.assert_array_equal(found[:9], [np.nan, 1, 2, 3, 3, 3, np.nan, np.nan, 8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("temp"), "no column temp"),
        (lambda t: t.reverse(), r"row 2 \(road a, timestamp 2020-01-02 04:00:00\) does not come after"),
        (lambda t: pl.concat([t.head(3), t.slice(2)]), r"row 4 .* without doubles"),
        (
            lambda t: t.with_columns(pl.col("timestamp").dt.offset_by("20m").alias("x")).with_columns(
                pl.when(pl.int_range(30) == 7).then("x").otherwise("timestamp").alias("timestamp")
            ),
            r"row 8 .* off the grid",
        ),
        (lambda t: t.with_columns(pl.Series("road", ["a", "b"] * 15)), "column road: the rows of an entity are apart"),
        (lambda t: t.with_columns(volume=pl.lit("7")), "column volume: is String; it must be a number"),
        (lambda t: t.with_columns(weather=pl.lit(7)), "column weather: is Int32; a category must be text"),
        (lambda t: t.with_columns(pl.col("timestamp").cast(pl.String)), "column timestamp: is String"),
    ],
)
def test_batch_engine_names_what_is_wrong_with_a_table(change: Any, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        compute(make_spec(), change(small()))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"kind": "lag", "columns": ["volume"], "lags": ["90min"]}], "90min is not a whole number of steps of 1h"),
        ([{"kind": "value", "columns": ["nothing"]}], "no column named nothing"),
        ([{"kind": "value", "columns": ["weather"]}], "weather is a category; this kind needs numbers"),
        ([{"kind": "categorical", "columns": ["volume"]}], "volume is not a category column"),
        ([{"kind": "value", "columns": ["volume"]}] * 2, "the feature volume is declared twice"),
        ([{"kind": "transform", "name": "a", "function": "abs", "feature": "b"}], "no feature named b"),
    ],
)
def test_a_specification_that_cannot_be_computed_is_refused(items: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        make_spec(items=items)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"kind": "seasonal", "columns": ["volume"], "period": "4h", "counts": [2], "statistics": ["mean"]},
         "volume_season_mean_4h_2"),
        ({"kind": "calendar", "fields": ["hour"]}, "hour"),
        ({"kind": "cyclic", "periods": ["day"]}, "day_sin_1"),
        ({"kind": "holiday", "country": "DE"}, "de_holiday"),
    ],
)  # fmt: skip
def test_features_of_several_later_times_have_names_of_their_own(item: dict[str, Any], name: str) -> None:
    near, far = item | {"ahead": "1h"}, item | {"ahead": "3h"}
    with pytest.raises(FeatureError, match=rf"the feature {name} is declared twice; name_ahead: true"):
        make_spec(items=[near, far])
    named = [near | {"name_ahead": True}, far | {"name_ahead": True}]
    spec = make_spec(items=[item, *named])
    assert [each for each in spec.names if each.startswith(name)] == [name, f"{name}_ahead_1h", f"{name}_ahead_3h"]
    values = compute(spec, small())
    for other in (near, far):
        own = compute(make_spec(items=[other]), small())[name]
        assert values[f"{name}_ahead_{other['ahead']}"].equals(own, check_names=False)


@pytest.mark.parametrize("cutoff", ["0h", "1h"])
def test_an_age_counts_from_the_last_reading_whatever_is_imputed(cutoff: str) -> None:
    value = {"kind": "value", "columns": ["volume"]}
    spec = make_spec(cutoff, "2h", [value, {"kind": "age", "columns": ["volume"], "limit": "4h"}])
    volume = [None, 5.0, 6.0, None, None, None, float("inf"), None, 7.0, None]
    hours = pl.datetime_range(datetime(2019, 1, 1), datetime(2019, 1, 1, 9), "1h", eager=True)
    table = pl.DataFrame({"road": ["a"] * 10, "timestamp": hours, "volume": volume})
    late, nan = spec.cutoff_steps, np.nan
    held, ages = [nan, 5, 6, 6, 6, nan, nan, nan, 7, 7], [4, 0, 0, 1, 2, 3, 4, 4, 0, 1]
    wanted = np.column_stack([[nan] * late + held[: 10 - late], [4.0] * late + ages[: 10 - late]])
    np.testing.assert_array_equal(compute(spec, table).select(spec.names).to_numpy(), wanted)
    for compiled in (True, False):
        np.testing.assert_array_equal(online(spec, table, compiled)[late:], wanted[late:])


def test_an_empty_table_gives_an_empty_result() -> None:
    spec = make_spec()
    assert compute(spec, small().head(0)).shape == (0, 2 + len(spec.names))


def test_a_specification_whose_columns_are_not_all_computed_is_refused() -> None:
    spec = make_spec()
    wanted = spec.wanted(list(enumerate(spec.nodes)), ["temp", "weather"])
    for compile_features in (lambda: BatchCode(wanted, True), lambda: RowCode(wanted, spec.reach, False)):
        with pytest.raises(FeatureError, match="feature volume_diff_1h: is computed 0 times; expected exactly once"):
            compile_features()


def _nothing(inputs: Inputs) -> Value:
    match inputs.column("volume"):
        case str():
            return 1.0


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (_nothing, "feature new: its formula gives None; expected an expression or a number"),
        (lambda inputs: ago(inputs.column("volume").values, -1), "looks 1 rows ahead"),
        (lambda inputs: ago(inputs.feature("old") * 2.0, 1), "feature new: looks back on .*; expected a column"),
        (lambda inputs: since(inputs.column("volume").values * 2.0, 1.0, 3), "`since` reads a column"),
        (lambda inputs: inputs.column("nothing").values, "no column named nothing; known: volume, weather"),
        (lambda inputs: inputs.column("weather").values, "weather is a category; this kind needs numbers"),
        (lambda inputs: inputs.codes("volume"), "volume is not a category column; known: weather"),
        (lambda inputs: inputs.feature("later"), "no feature named later is declared before"),
    ],
)
def test_a_formula_that_the_engines_cannot_compute_is_refused(formula: Any, message: str) -> None:
    def trace(name: str, formula: Any, before: dict[str, tuple[int, Node]]) -> Node:
        return traced(Feature(name, formula), "any", before, ["volume", "weather"], ["weather"])

    old = trace("old", lambda inputs: inputs.column("volume").values + 1.0, {})
    with pytest.raises(FeatureError, match=message):
        trace("new", formula, {"old": (0, old)})
