"""Two tables that do not fit together: each difference is a finding or an error that names it."""

import gzip
import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac import drift
from almanac.core.errors import DriftError
from almanac.drift import Comparison
from monitoring.__main__ import main

START, LATER = datetime(2024, 1, 1), datetime(2024, 3, 25)


def table(rows: int = 2000, start: datetime = START, zone: str | None = None) -> pl.DataFrame:
    """An hourly table of a number and a category."""
    rng = np.random.default_rng(rows)
    times = pl.Series([start + timedelta(hours=hour) for hour in range(rows)]).cast(pl.Datetime("us"))
    return pl.DataFrame(
        {
            "t": times.dt.replace_time_zone(zone) if zone else times,
            "x": rng.normal(size=rows),
            "c": rng.choice(list("abc"), rows),
        }
    )


def judged(before: pl.DataFrame, after: pl.DataFrame, time: str | None = "t") -> Comparison:
    return drift.compare(drift.profile(before, time=time), after)


def findings(comparison: Comparison) -> dict[str | None, str]:
    """Severity and message of each finding, by column."""
    return {each.column: f"{each.severity}: {each.message}" for each in comparison.findings}


def test_two_tables_that_fit_have_no_finding() -> None:
    comparison = judged(table(), table(800, LATER))
    assert findings(comparison) == {}
    assert not comparison.drifted


def test_a_column_that_only_one_table_has_is_named() -> None:
    gone = judged(table().with_columns(y=pl.lit(1.0)), table(800, LATER))
    assert findings(gone) == {"y": "broken: column 'y' is absent; the reference has it"}
    assert gone.drifted
    new = judged(table(), table(800, LATER).with_columns(z=pl.lit(1.0)))
    assert findings(new) == {"z": "warning: not compared: the reference does not have it"}
    assert not new.drifted
    profile = drift.profile(table(), time="t")
    assert drift.compare(profile, table(800, LATER).with_columns(z=pl.lit(1.0)), whole=False).findings == ()


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pl.concat_list("x", "x"), "List; numbers and text are compared"),
        (pl.struct("x", "c"), "Struct; numbers and text are compared"),
        (pl.lit(b"bytes"), "Binary; numbers and text are compared"),
        (pl.col("t") + timedelta(days=1), "Datetime; of times, the time column alone is used"),
        (pl.col("t").dt.date(), "Date; of times, the time column alone is used"),
        (pl.duration(hours=1), "Duration; of times, the time column alone is used"),
    ],
)
def test_a_column_of_another_type_is_named(column: pl.Expr, kind: str) -> None:
    before, after = table(), table(800, LATER)
    both = judged(before.with_columns(u=column), after.with_columns(u=column))
    assert findings(both) == {"u": f"warning: not compared: in the reference it is {kind}"}
    only_before = judged(before.with_columns(u=column), after)
    assert (
        findings(only_before)["u"]
        == f"warning: not compared: in the reference it is {kind}; the window does not have it"
    )
    only_after = judged(before, after.with_columns(u=column))
    assert findings(only_after)["u"] == f"warning: not compared: the reference does not have it, and it is {kind}"


def test_a_column_without_a_type_is_named() -> None:
    comparison = judged(table().with_columns(n=pl.lit(None)), table(800, LATER).with_columns(n=pl.lit(1.0)))
    assert findings(comparison) == {"n": "warning: not compared: in the reference it has no value"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pl.int_range(pl.len()), "counter: 2000 whole numbers that only go up"),
        (-1.0 * pl.int_range(pl.len()), "counter: 2000 whole numbers that only go down"),
        (pl.int_range(pl.len()).shuffle(seed=1), "identifier: 2000 whole numbers of which no two are the same"),
        (pl.format("user-{}", pl.int_range(pl.len())), "identifier: 2000 of 2000 values differ"),
        (pl.format("user-{}", pl.int_range(pl.len()) // 1.5), "identifier: 1333 of 2000 values differ"),
        (pl.col("t").dt.strftime("%Y-%m-%d %H:%M"), "times as text; name it as the time column, or leave it out"),
        (pl.col("t").dt.strftime("%d/%m/%Y"), "dates as text that are not in ISO 8601, such as '01/01/2024'"),
    ],
)
def test_an_identifier_is_said_to_be_one(values: pl.Expr, reason: str) -> None:
    comparison = judged(table().with_columns(id=values), table(800, LATER).with_columns(id=values.reverse()))
    assert reason in findings(comparison)["id"]
    assert [feature.name for feature in comparison.features] == ["x", "c"]
    assert not comparison.drifted


@pytest.mark.parametrize(
    "values",
    [
        pl.int_range(pl.len()) % 500,
        (pl.int_range(pl.len()) / 7),
        pl.format("place {}", pl.int_range(pl.len()) % 300),
        pl.col("x").round(0),
        pl.int_range(pl.len()) > 1000,
    ],
)
def test_what_is_measured_is_no_identifier(values: pl.Expr) -> None:
    assert drift.profile(table().with_columns(m=values), time="t").unwatched == {}


def test_an_identifier_that_is_asked_for_is_watched() -> None:
    before = table().with_columns(id=pl.int_range(pl.len()))
    assert list(drift.profile(before, columns=["id"], time="t").features) == ["id"]
    with pytest.raises(DriftError, match="has no column to watch: 'id' looks like an identifier"):
        drift.profile(before.select("id"))


def test_what_is_left_out_is_kept_in_the_profile(tmp_path: Path) -> None:
    before = table(zone="Asia/Shanghai").with_columns(id=pl.int_range(pl.len()))
    profile = drift.profile(before, time="t")
    profile.write(tmp_path / "profile.json")
    again = drift.read(tmp_path / "profile.json")
    assert (again.unwatched, again.zone) == (profile.unwatched, "Asia/Shanghai")
    plain = drift.profile(table(), time="t").to_json()
    assert not {"zone", "unwatched"} & set(plain)


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ((None, "UTC"), "without a zone in the reference and UTC in the window"),
        (("Asia/Shanghai", None), "Asia/Shanghai in the reference and without a zone"),
        (("Asia/Shanghai", "UTC"), None),
        ((None, None), None),
    ],
)
def test_naive_times_beside_aware_ones_are_named(zones: tuple[str | None, str | None], said: str | None) -> None:
    comparison = judged(table(zone=zones[0]), table(800, LATER, zones[1]))
    assert (said in findings(comparison)["t"]) if said else findings(comparison) == {}
    # Whatever the zone: as one moment.
    assert comparison.profile.span == tuple(
        int(moment.timestamp() * 1e6) for moment in table(zone=zones[0] or "UTC")["t"].gather([0, -1])
    )


def test_a_reference_with_infinities_is_named_and_no_drift_by_itself() -> None:
    tenth = pl.when(pl.int_range(pl.len()) % 10 == 0)
    infinite = tenth.then(float("inf")).otherwise(pl.col("x"))
    before, after = table().with_columns(x=infinite), table(800, LATER).with_columns(x=infinite)
    comparison = judged(before, after)
    assert findings(comparison) == {
        "x": "warning: 200 of 2000 values of the reference are infinite, beyond every range"
    }
    assert comparison.features[0].judgements["range"].value < 0.01
    assert not comparison.drifted
    clean = judged(before, table(800, LATER))
    assert "200 of 2000 values of the reference are infinite" in findings(clean)["x"]
    broken = judged(table(), after)
    assert "broken: 80 values are infinite; the reference has none" in findings(broken)["x"]


def test_a_reference_without_a_value_is_named() -> None:
    nothing = pl.lit(None, dtype=pl.Float64)
    comparison = judged(table().with_columns(x=nothing), table(800, LATER))
    assert findings(comparison)["x"] == "warning: all 2000 values of the reference are missing"


def test_a_window_before_the_reference_is_named() -> None:
    assert "is before the reference" in findings(judged(table(), table(800, datetime(2023, 1, 1))))[None]
    assert "overlaps the reference" in findings(judged(table(), table()))[None]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["drift", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out + told.err


def test_two_time_columns_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    table().with_columns(u=pl.col("t")).write_parquet(before)
    table(800, LATER).write_parquet(after)
    assert run(capsys, before, after) == (1, f"error: {before} has 2 columns of times: t, u; name one with --time\n")
    code, told = run(capsys, before, after, "--time", "t")
    assert code == 0
    assert "u: not compared: in the reference it is Datetime" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,x,x\n2024-01-01,1,2\n", "columns 2 and 3 have the same name 'x'; names must differ"),
        ("t;x\n2024-01-01;1\n", "the header 't;x' has no comma; separate the columns by commas"),
        (
            "t,x\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00,2\n",
            "a time with a zone in row 0 ('2024-01-01T00:00:00Z')",
        ),
        ("t,x\n", "has no rows"),
        ("", "cannot be read as CSV"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_csv_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, message: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"before.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    code, told = run(capsys, path, path)
    assert code == 1
    assert message in told
    assert str(path) in told


def test_a_parquet_file_with_a_name_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "twice.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1.0] * 200)] * 2, names=["x", "x"]), path)
    assert run(capsys, path, path) == (1, f"error: {path} has two columns named 'x'; names must differ\n")


def test_times_of_another_form_are_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.csv", tmp_path / "after.csv"
    table().write_csv(before)
    table(800, LATER).with_columns(pl.col("t").dt.strftime("%d/%m/%Y %H:%M")).write_csv(after)
    code, told = run(capsys, before, after)
    assert (code, "after.csv: column 't' holds '25/03/2024 00:00' in row 0" in told) == (1, True)


def test_an_index_without_a_name_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As pandas writes it."""
    files = [tmp_path / "before.csv", tmp_path / "after.csv"]
    for path, rows in zip(files, (table(), table(800, LATER)), strict=True):
        rows.with_row_index("").write_csv(path)
    code, told = run(capsys, *files)
    assert code == 0
    assert "(no name): not compared: in the reference it looks like an identifier or a counter" in told


def test_an_error_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    table().write_parquet(before)
    table(800, LATER).drop("t").write_parquet(after)
    assert run(capsys, before, after) == (1, f"error: {after} has no time column 't'; it has x, c\n")
    code, told = run(capsys, before, before)
    assert code == 0
    assert re.search(r"warning: the window .* overlaps the reference", told)


def test_the_report_says_what_was_not_compared(tmp_path: Path) -> None:
    from almanac.drift.report import drift_page
    from almanac.reports import render

    page = render(drift_page(judged(table().with_columns(id=pl.int_range(pl.len())), table(800, LATER))))
    assert "looks like an identifier or a counter" in page


def test_the_report_counts_the_days_of_times_without_a_calendar() -> None:
    from almanac.drift.report import drift_page
    from almanac.reports import Times, render

    comparison = judged(table(), table(800, LATER))
    dated, counted = (render(drift_page(comparison, times=Times(origin=origin))) for origin in (None, START.date()))
    assert "Window 2024-03-25T00:00:00 to 2024-04-27T07:00:00. Times are in UTC." in dated
    assert "2024-01-" in dated
    assert "Window day 84, 00:00 to day 117, 07:00. Times are days since the start of the count" in counted
    # Neither in the lead nor below a histogram.
    assert "2024-" not in counted
