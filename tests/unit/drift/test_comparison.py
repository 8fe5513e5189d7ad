from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac import drift
from almanac.core.errors import DriftError
from almanac.core.files import refuse_non_finite
from almanac.drift.thresholds import step_up

YEAR, MONTH = pl.col("timestamp").dt.year(), pl.col("timestamp").dt.month()


@pytest.fixture(scope="module")
def profile(beijing: pl.DataFrame) -> drift.Profile:
    return drift.profile(beijing.filter(YEAR <= 2012), time="timestamp")


@pytest.fixture(scope="module")
def window(beijing: pl.DataFrame) -> pl.DataFrame:
    return beijing.filter(YEAR == 2013, MONTH == 4)


def _feature(comparison: drift.Comparison, name: str) -> drift.FeatureDrift:
    return next(feature for feature in comparison.features if feature.name == name)


def _messages(comparison: drift.Comparison) -> str:
    return "\n".join(f"{f.severity} {f.column}: {f.message}" for f in comparison.findings)


def test_a_quiet_month_is_quiet(profile: drift.Profile, window: pl.DataFrame) -> None:
    comparison = drift.compare(profile, window)
    assert not comparison.drifted
    assert not comparison.findings


def test_a_season_is_no_drift_but_out_of_season_is(profile: drift.Profile, beijing: pl.DataFrame) -> None:
    july = beijing.filter(YEAR == 2013, MONTH == 7)
    assert not _feature(drift.compare(profile, july), "temp").drifted
    as_january = july.with_columns(pl.col("timestamp").dt.offset_by("-6mo"))
    found = _feature(drift.compare(profile, as_january), "temp")
    assert found.drifted
    assert found.p_value < 1e-6


def test_significance_alone_raises_no_alarm() -> None:
    rng = np.random.default_rng(0)
    profile = drift.profile(pl.DataFrame({"x": rng.normal(size=500_000)}))
    comparison = drift.compare(profile, pl.DataFrame({"x": rng.normal(size=500_000) + 0.01}))
    assert not comparison.drifted
    assert drift.compare(profile, pl.DataFrame({"x": rng.normal(size=500_000) + 0.3})).drifted


def test_the_discoveries_of_benjamini_and_hochberg() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert step_up(p_values, 0.05) == [True, True, True, True, False]
    assert step_up([0.02, 0.6], 0.03) == [False, False]
    assert step_up([], 0.05) == []


def test_pandas_and_polars_agree(profile: drift.Profile, window: pl.DataFrame, beijing: pl.DataFrame) -> None:
    from_pandas = drift.compare(profile, window.to_pandas()).to_json()["features"]
    assert from_pandas == drift.compare(profile, window).to_json()["features"]
    other = drift.profile(beijing.filter(YEAR <= 2012).to_pandas(), time="timestamp")
    assert other.to_json() == profile.to_json()


def test_a_stream_is_compared_as_the_frame(profile: drift.Profile, beijing: pl.DataFrame, tmp_path: Path) -> None:
    window = beijing.filter(YEAR == 2013)
    whole, halves = tmp_path / "whole.parquet", [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    pq.write_table(window.to_arrow(), whole, row_group_size=1000)
    window[:4000].write_parquet(halves[0])
    window[4000:].write_parquet(halves[1])
    frame = drift.compare(profile, window)
    for table in (whole, halves, tmp_path):
        if table == tmp_path:
            whole.unlink()
        stream = drift.compare(profile, table)
        assert stream.rows == frame.rows
        for feature in frame.features:
            assert _feature(stream, feature.name).facts == feature.facts
            values = {
                n: j.value for n, j in _feature(stream, feature.name).judgements.items() if n not in ("step", "gaps")
            }
            assert values == {n: j.value for n, j in feature.judgements.items() if n not in ("step", "gaps")}
    with pytest.raises(DriftError, match="runs backwards"):
        drift.compare(profile, halves[::-1])


def test_exact_distances(beijing: pl.DataFrame) -> None:
    reference, current = beijing.filter(YEAR <= 2012), beijing.filter(YEAR == 2013)
    kept = drift.profile(reference, time="timestamp", keep=True)
    comparison = drift.compare(kept, current, exact=True)
    for name in ("pm25", "temp", "iws"):
        exact = drift.ks_exact(reference[name].drop_nulls().to_numpy(), current[name].drop_nulls().to_numpy())
        facts = _feature(comparison, name).facts
        assert facts["ks_exact"] == exact
        assert facts["ks_overall"] <= exact + 1e-12
    with pytest.raises(DriftError, match="keep=True"):
        drift.compare(drift.profile(reference, time="timestamp"), current, exact=True)


def test_the_json_document(profile: drift.Profile, window: pl.DataFrame) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    document = drift.compare(profile, window.with_columns(pl.lit(1e9).alias("temp")), now=now).to_json()
    refuse_non_finite(document)
    assert document["generated_at"] == "2026-01-02T03:04:05+00:00"
    assert document["drifted"] is True
    assert document["drifted_features"] == ["temp"]
    assert document["window"] == {"rows": 720, "span": ["2013-04-01T00:00:00", "2013-04-30T23:00:00"]}
    temp = next(feature for feature in document["features"] if feature["name"] == "temp")
    assert temp["statistics"]["ks"]["value"] > temp["statistics"]["ks"]["threshold"]


BROKEN: list[tuple[str, Any, str]] = [
    ("a missing column", lambda w: w.drop("temp"), "broken temp: column 'temp' is absent"),
    ("text in a number", lambda w: w.with_columns(temp=pl.lit("warm")), "broken temp: column 'temp' holds String"),
    ("a number in categories", lambda w: w.with_columns(cbwd=pl.lit(1.0)), "broken cbwd: column 'cbwd' holds Float64"),
    ("all missing", lambda w: w.with_columns(temp=pl.lit(None, pl.Float64)), "broken temp: all 720 values are missing"),
    ("all missing, untyped", lambda w: w.with_columns(temp=pl.lit(None)), "broken temp: all 720 values are missing"),
    ("no category", lambda w: w.with_columns(cbwd=pl.lit(None, pl.String)), "broken cbwd: all 720 values are missing"),
    ("infinities", lambda w: w.with_columns(temp=pl.lit(np.inf)), "broken temp: 720 values are infinite"),
]


@pytest.mark.parametrize(("what", "breaks", "message"), BROKEN, ids=[what for what, _, _ in BROKEN])
def test_what_is_broken_is_said_and_counts(
    profile: drift.Profile, window: pl.DataFrame, what: str, breaks: Any, message: str
) -> None:
    comparison = drift.compare(profile, breaks(window))
    assert message in _messages(comparison)
    assert comparison.drifted
    refuse_non_finite(comparison.to_json())


def test_a_constant_window(profile: drift.Profile, window: pl.DataFrame) -> None:
    comparison = drift.compare(profile, window.with_columns(temp=pl.lit(14.0)))
    assert "warning temp: every value is 14" in _messages(comparison)
    assert _feature(comparison, "temp").drifted


def test_a_constant_reference() -> None:
    profile = drift.profile(
        pl.DataFrame({"x": [3.0] * 500, "n": [None] * 500}, schema={"x": pl.Float64, "n": pl.Float64})
    )
    same = pl.DataFrame({"x": [3.0] * 100, "n": [None] * 100}, schema={"x": pl.Float64, "n": pl.Float64})
    assert not drift.compare(profile, same).drifted
    changed = drift.compare(profile, same.with_columns(pl.lit(4.0).alias("x")))
    assert _feature(changed, "x").drifted
    appeared = drift.compare(profile, same.with_columns(pl.lit(4.0).alias("n")))
    assert appeared.drifted


def test_a_category_never_seen(profile: drift.Profile, window: pl.DataFrame) -> None:
    comparison = drift.compare(profile, window.with_columns(cbwd=pl.col("cbwd").replace("cv", "calm")))
    assert "categories never seen: 'calm'" in _messages(comparison)
    assert _feature(comparison, "cbwd").drifted


def test_a_window_that_overlaps_the_reference(profile: drift.Profile, beijing: pl.DataFrame) -> None:
    comparison = drift.compare(profile, beijing.filter(YEAR == 2012, MONTH == 4))
    assert "overlaps the reference" in _messages(comparison)
    assert not comparison.drifted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.clear(), "has no rows"),
        (lambda w: w[:1], "has 1 rows; a window needs at least 30"),
        (lambda w: w.drop("timestamp"), "no time column 'timestamp'"),
        (lambda w: w.with_columns(timestamp=pl.lit(None, pl.Datetime("us"))), "has no time in row 0"),
        (lambda w: w.with_columns(timestamp=pl.lit("soon")), "holds .soon. in row 0; write times in ISO 8601"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    profile: drift.Profile, window: pl.DataFrame, change: Any, message: str
) -> None:
    with pytest.raises(DriftError, match=message):
        drift.compare(profile, change(window))


def test_some_columns_of_a_profile(profile: drift.Profile, window: pl.DataFrame) -> None:
    few = drift.restrict(profile, ["temp", "cbwd"])
    assert [feature.name for feature in drift.compare(few, window.select("timestamp", "temp", "cbwd")).features] == [
        "temp",
        "cbwd",
    ]
    with pytest.raises(DriftError, match="no column 'humidity'"):
        drift.restrict(profile, ["humidity"])
    with pytest.raises(DriftError, match="in common"):
        drift.restrict(profile, [])


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0]))


FEW = st.lists(NUMBERS, min_size=1, max_size=12)


def _column(values: list[float | None], rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": (values * rows)[:rows]}, schema={"x": pl.Float64})


@given(FEW, FEW)
@settings(max_examples=25, deadline=None)
def test_any_numbers_give_finite_documents(reference: list[float | None], current: list[float | None]) -> None:
    table = _column(reference, 120)
    profile = drift.profile(table)
    refuse_non_finite(profile.to_json())
    refuse_non_finite(drift.compare(profile, _column(current, 40)).to_json())
    itself = drift.compare(profile, table)
    assert itself.features[0].facts.get("ks_overall", 0.0) == 0
