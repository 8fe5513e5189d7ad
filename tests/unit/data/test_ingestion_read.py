import gzip
import io
import lzma
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import SourceError, TableError
from tests.support import small
from tests.support.small import CSV, take, take_csv

TABLE = pl.DataFrame(
    {
        "timestamp": [datetime(2020, 1, 1, hour) for hour in range(4)],
        "load": [1.5, 2.0, None, 4.0],
        "kind": ["a", "b", "a", None],
    },
    schema_overrides={"timestamp": pl.Datetime("us")},
)
JSONL = "".join(
    f'{{"time": "2020-01-01T0{i}:00:00", "load": {load}, "kind": {kind}}}\n'
    for i, (load, kind) in enumerate([("1.5", '"a"'), ("2", '"b"'), ("null", '"a"'), ("4", "null")])
)


def parquet(table: pl.DataFrame = TABLE) -> bytes:
    stream = io.BytesIO()
    table.rename({"timestamp": "time"}).write_parquet(stream)
    return stream.getvalue()


def zipped(data: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return stream.getvalue()


def take_bytes(data: bytes, base: Path, **read: Any) -> pl.DataFrame:
    (base / "meters.csv").write_bytes(data)
    return take(small.usecase(sources=[small.source(read={"time": {"column": "time"}} | read)]), base)


def packed(data: bytes, compression: str) -> bytes:
    match compression:
        case "gzip":
            return gzip.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zip":
            return zipped(data, "only")
    return data


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zip"])
def test_every_format_in_every_compression_gives_the_same_table(tmp_path: Path, kind: str, compression: str) -> None:
    data = {"csv": CSV.encode(), "parquet": parquet(), "jsonl": JSONL.encode()}[kind]
    table = take_bytes(packed(data, compression), tmp_path, format=kind, compression=compression)
    assert table.schema == TABLE.schema
    assert table.equals(TABLE)


def test_an_archive_of_several_members_needs_a_name(tmp_path: Path) -> None:
    data = zipped(CSV.encode(), "a.csv", "b.csv")
    with pytest.raises(SourceError, match=r"sources.meters.read.member: name one of .*a.csv, b.csv"):
        take_bytes(data, tmp_path, compression="zip")
    assert take_bytes(data, tmp_path, compression="zip", member="b.csv").equals(TABLE)


@pytest.mark.parametrize("compression", ["gzip", "xz", "zip"])
@pytest.mark.parametrize("damage", ["absent", "cut"])
def test_damaged_compression(tmp_path: Path, compression: str, damage: str) -> None:
    data = CSV.encode() if damage == "absent" else packed(CSV.encode(), compression)[:-12]
    with pytest.raises(SourceError, match=rf"read.compression: cannot be read as {compression}"):
        take_bytes(data, tmp_path, compression=compression)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(TableError, match=r"sources.meters: is empty"):
        take_csv(text, tmp_path)


def test_a_file_with_a_header_alone(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"sources.meters: has no rows"):
        take_csv("time,load,kind\n", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace(",load", ",lod"), r"column 'lod' is not declared; declare it under 'columns', rename it"),
        (CSV.replace("time,load,kind", "time,load,kind,more").replace(",a\n", ",a,1\n"), r"column 'more' is not decl"),
        ("time,load\n2020-01-01T00:00,1\n", r"column 'kind' is declared, and missing from every source \(meters\)"),
        ("tim,load,kind\n2020-01-01T00:00,1,a\n", r"read.time: column 'time' is missing; there is tim, load, kind"),
        (CSV.replace("1.5", "one"), r"column 'load': 1 value not a number: row 1 \(2020-01-01 00:00:00\) 'one'"),
        (CSV.replace("4,\n", "4;0,a\n"), r"'load': 1 value not a number: row 4 \(2020-01-01 03:00:00\) '4;0'"),
        (CSV.replace("01T02", "32T02"), r"read.time: 1 value no time: row 3 '2020-01-32T02:00'"),
        (CSV.replace("2020-01-01T01:00", ""), r"read.time: 1 value no time: row 2 None"),
        ("time,load,kind\nnoon,1,a\n", r"row 1 'noon' is no ISO 8601 time, such as 2020-01-31T05:00; give its form"),
        (
            "time,load,kind\n2020-01-01,1,a\n2020-01-02,1,a,9\n",
            r"cannot be read as csv: row 2 has 4 fields, and the header has 3",
        ),
        ("time,load,kind,load\n2020-01-01,1,a,9\n", r"column 'load_duplicated_0' is not declared"),
    ],
)
def test_a_table_that_is_not_what_was_declared(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        take_csv(text, tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"cannot be read as csv"):
        take_bytes(b"time,load,kind\n2020-01-01,1,\xff\xfe\n", tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_bytes_of_another_format(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TableError, match=rf"cannot be read as {kind}"):
        take_bytes(CSV.encode(), tmp_path, format=kind)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.Series("load", ["1", "2", "3", "4"]), r"'load': has type String, and should hold numbers \(float\)"),
        (pl.Series("load", [[1.0]] * 4), r"'load': has type List\(Float64\)"),
        (pl.Series("kind", [0.5, 1, 2, 3]), r"'kind': has type Float64, and should hold texts"),
    ],
)
def test_a_retyped_column(tmp_path: Path, column: pl.Series, message: str) -> None:
    with pytest.raises(TableError, match=message):
        take_bytes(parquet(TABLE.with_columns(column)), tmp_path, format="parquet")


def test_a_text_among_the_numbers_of_json_lines(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"'load': 1 value not a number: row 2 .* 'two'"):
        take_bytes(JSONL.replace(": 2,", ': "two",').encode(), tmp_path, format="jsonl")


def test_parquet_types_of_other_widths(tmp_path: Path) -> None:
    other = TABLE.with_columns(
        pl.col("load").cast(pl.Float32),
        pl.col("kind").cast(pl.Categorical),
        pl.col("timestamp").cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
    )
    assert take_bytes(parquet(other), tmp_path, format="parquet").equals(TABLE)


def test_delimiter_null_values_rename_and_drop(tmp_path: Path) -> None:
    text = "No;time;LOAD;kind\n1;2020-01-01T00:00;1.5;a\n2;2020-01-01T01:00; 2 ;b\n3;2020-01-01T02:00;NA;a\n"
    table = take_bytes(
        f"{text}4;2020-01-01T03:00;4;?\n".encode(),
        tmp_path,
        delimiter=";",
        null_values=["NA", "?"],
        rename={"LOAD": "load"},
        drop=["No"],
    )
    assert table.equals(TABLE)


def test_nan_is_missing(tmp_path: Path) -> None:
    assert take_csv(CSV.replace("1.5", "NaN"), tmp_path)["load"].to_list() == [None, 2.0, None, 4.0]


def test_texts_that_stand_for_numbers(tmp_path: Path) -> None:
    text = CSV.replace("1.5", "low").replace(",2,", ",high,").replace(",4,", ",low,")
    values = {"load": {"low": 1, "high": 9.5}}
    assert take_bytes(text.encode(), tmp_path, values=values)["load"].to_list() == [1.0, 9.5, None, 1.0]
    with pytest.raises(
        TableError, match=r"'load': 2 values none of those in 'read.values': high: row 1 .* 'low', row 4"
    ):
        take_bytes(text.encode(), tmp_path, values={"load": {"high": 9.5}})


@pytest.mark.parametrize(
    ("texts", "time"),
    [
        (["2020-01-01 00:00", "2020-01-01 01:00"], {}),
        (["2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"], {}),
        (["2020-01-01T01:00:00+01:00", "2020-01-01T02:00:00+01:00"], {}),
        (["01.01.2020 00h", "01.01.2020 01h"], {"format": "%d.%m.%Y %Hh"}),
        (["1577836800", "1577840400"], {"format": "epoch_s"}),
        (["1577836800000", "1577840400000"], {"format": "epoch_ms"}),
        (["2020-01-01 08:00", "2020-01-01 09:00"], {"zone": "Asia/Shanghai"}),
    ],
)
def test_ways_to_write_a_time(tmp_path: Path, texts: list[str], time: dict[str, Any]) -> None:
    text = f"time,load,kind\n{texts[0]},1,a\n{texts[1]},2,a\n"
    table = take_bytes(text.encode(), tmp_path, time={"column": "time"} | time)
    assert table["timestamp"].to_list() == [datetime(2020, 1, 1, 0), datetime(2020, 1, 1, 1)]


def test_the_hour_that_a_clock_skips_is_no_time(tmp_path: Path) -> None:
    text = "time,load,kind\n2020-03-29 01:30,1,a\n2020-03-29 02:30,2,a\n"
    with pytest.raises(TableError, match=r"1 value no time: row 2 '2020-03-29 02:30'"):
        take_bytes(text.encode(), tmp_path, time={"column": "time", "zone": "Europe/Berlin"})


def test_time_in_parts(tmp_path: Path) -> None:
    parts = {"year": "y", "month": "m", "day": "d", "hour": "h"}
    text = "y,m,d,h,load,kind\n2020,1,1,0,1,a\n2020,1,1,1,2,a\n"
    table = take_bytes(text.encode(), tmp_path, time={"parts": parts})
    assert table["timestamp"].to_list() == [datetime(2020, 1, 1, 0), datetime(2020, 1, 1, 1)]
    with pytest.raises(TableError, match=r"2 values no time: row 1 '2020-13-01 00:00', row 2 '2020-13-01 01:00'"):
        take_bytes(text.replace("2020,1,1", "2020,13,1").encode(), tmp_path, time={"parts": parts})


def test_a_name_given_twice(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gives a name that another column of the source has"):
        take_bytes(CSV.replace("kind", "LOAD").encode(), tmp_path, rename={"LOAD": "load"})
    with pytest.raises(TableError, match=r"column 'power' is missing; there is time, load, kind"):
        take_bytes(CSV.encode(), tmp_path, rename={"power": "load"})
