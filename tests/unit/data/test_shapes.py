"""Formats and shapes of tables: from files as people have them to a row for each time."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import TableError, UseCaseError
from almanac.usecase.shape_section import SHAPES
from tests.support import small
from tests.support.small import take

_HOURS = [datetime(2020, 1, 1, hour) for hour in range(4)]
_LOAD = {"load": {"type": "float", "description": "Load"}}
_PANEL = {"entity": "machine", "columns": _LOAD}


def taken(
    base: Path, files: Mapping[str, str | bytes], path: Any, read: dict[str, Any], **changes: Any
) -> pl.DataFrame:
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(content.encode() if isinstance(content, str) else content)
    source = small.source(path=path, read={"time": {"column": "time"}} | read)
    return take(small.usecase(**{"sources": [source], "columns": _LOAD} | changes), base)


def sheet(rows: list[list[Any]]) -> bytes:
    """Return a workbook of one sheet, as small as the format allows."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: Any) -> str:
        if value is None:
            return "<c/>"
        text = f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return text if isinstance(value, str) else f"<c><v>{value}</v></c>"

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{office}"><sheets>'
        '<sheet name="Meters" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{lines}</sheetData></worksheet>",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return stream.getvalue()


def frame_of_r(seconds: float) -> bytes:
    """Return a data frame of R with a POSIXct column `time` and a number `load`, in R's text form of .rds."""
    name = "262153"
    lines = ["A", "2", "263168", "131840", "787", "2", "782", "2", seconds, seconds + 3600, "1026", "1", name, "5"]
    lines += ["class", "16", "2", name, "7", "POSIXct", name, "6", "POSIXt", "254", "14", "2", "1.5", "NA"]
    lines += ["1026", "1", name, "5", "names", "16", "2", name, "4", "time", name, "4", "load"]
    lines += ["1026", "511", "16", "1", name, "10", "data.frame", "1026", "1", name, "9", "row.names", "13", "2"]
    return "\n".join(map(str, [*lines, "NA", "-2", "254", ""])).encode()


class TestFiles:
    FILES = {
        "m/b_7.csv": "time,load\n2020-01-01T00:00,3\n2020-01-01T01:00,4\n",
        "m/a_9.csv": "time,load\n2020-01-01T00:00,1\n2020-01-01T01:00,2\n",
    }

    def test_a_pattern_gives_one_table_with_the_columns_of_the_names(self, tmp_path: Path) -> None:
        read = {"from_name": r"(?P<machine>\w)_\d\.csv"}
        table = taken(tmp_path, self.FILES, "m/*.csv", read, **_PANEL)
        assert table["machine"].to_list() == ["a", "a", "b", "b"]
        assert table["load"].to_list() == [1.0, 2.0, 3.0, 4.0]

    def test_a_list_keeps_its_order_and_its_digest_depends_on_names_and_contents_alone(self, tmp_path: Path) -> None:
        read = {"from_name": r"(?P<machine>\w)_\d\.csv"}
        paths = ["m/b_7.csv", "m/a_9.csv"]
        first = taken(tmp_path / "1", self.FILES, paths, read, **_PANEL)
        assert first["machine"].to_list() == ["b", "b", "a", "a"]
        assert taken(tmp_path / "2", self.FILES, paths, read, **_PANEL).equals(first)

    def test_folders_of_a_partitioned_parquet_are_columns(self, tmp_path: Path) -> None:
        def part(load: float) -> bytes:
            stream = io.BytesIO()
            pl.DataFrame({"time": [_HOURS[0]], "load": [load]}).write_parquet(stream)
            return stream.getvalue()

        files = {"machine=x/part-0.parquet": part(1.0), "machine=y/part-0.parquet": part(2.0)}
        table = taken(tmp_path, files, "**/*.parquet", {"format": "parquet"}, **_PANEL)
        assert table.select("machine", "load").rows() == [("x", 1.0), ("y", 2.0)]

    @pytest.mark.parametrize(
        ("files", "path", "read", "message"),
        [
            ({}, "m/*.csv", {}, "no file matches m/*.csv"),
            ({"m/a.csv": "time,load\n"}, "m", {}, "m is a directory; for its files as one table write a pattern"),
            (FILES, "m/*.csv", {"from_name": "(?P<machine>z)"}, "m/a_9.csv: its name does not have the form"),
            (FILES, ["m/b_7.csv", "m/*.csv"], {}, "m/b_7.csv is named twice"),
            ({**FILES, "m/c.csv": "time,lod\n2020-01-01,1\n"}, "m/*.csv", {}, "only one of them has 'load', 'lod'"),
            (FILES, "m/*.csv", {"from_name": "(?P<load>.)_"}, "the column 'load' is in the file and in its name"),
        ],
    )
    def test_what_does_not_fit_together_is_named(
        self, tmp_path: Path, files: Any, path: Any, read: Any, message: str
    ) -> None:
        with pytest.raises(Exception, match=r"sources\.meters") as caught:
            taken(tmp_path, files, path, read)
        assert message in str(caught.value)


class TestFormats:
    def test_a_sheet_with_a_title_and_empty_rows(self, tmp_path: Path) -> None:
        rows: list[list[Any]] = [
            ["Load of our meter", None],
            [None, None],
            ["time", "load"],
            ["2020-01-01T00:00", 1.5],
            [None, None],
        ]
        read = {"format": "excel", "skip_rows": 2}
        table = taken(tmp_path, {"m.xlsx": sheet([*rows, ["2020-01-01T01:00", 2]])}, "m.xlsx", read)
        assert table.rows() == [(_HOURS[0], 1.5), (_HOURS[1], 2.0)]
        with pytest.raises(TableError, match="holds no sheet 'Meter'; there is Meters"):
            taken(tmp_path, {}, "m.xlsx", read | {"table": "Meter"})

    def test_a_data_frame_of_r_keeps_its_times_and_missing_values(self, tmp_path: Path) -> None:
        read = {"format": "rdata", "time": {"column": "time", "format": "epoch_s"}}
        table = taken(tmp_path, {"m.rds": frame_of_r(1577836800)}, "m.rds", read)
        assert table.rows() == [(_HOURS[0], 1.5), (_HOURS[1], None)]

    def test_a_damaged_file_of_r_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TableError, match=r"sources\.meters: cannot be read as rdata: "):
            taken(tmp_path, {"m.rds": b"RDX3 and no more"}, "m.rds", {"format": "rdata"})

    def test_a_european_csv(self, tmp_path: Path) -> None:
        text = '"time";"load";"größe"\n2020-01-01T00:00;"1.234,5";1\n2020-01-01T01:00;-7,25;2\n'
        read = {"delimiter": ";", "decimal": ",", "thousands": ".", "encoding": "windows-1252", "drop": ["größe"]}
        table = taken(tmp_path, {"m.csv": text.encode("windows-1252")}, "m.csv", read)
        assert table["load"].to_list() == [1234.5, -7.25]

    @pytest.mark.parametrize(
        ("text", "read", "message"),
        [
            ("time;load\n2020-01-01;1\n", {}, "set read.delimiter to ';'"),
            ("time;load\n2020-01-01;1,5\n", {"delimiter": ";"}, "not a number: row 1"),
            ("time;load\n2020-01-01;1.5\n", {"delimiter": ";", "decimal": ","}, "not a number with a decimal comma"),
            ("time;load\n2020-01-01;12.34\n", {"delimiter": ";", "decimal": ",", "thousands": "."}, "decimal comma"),
        ],
    )
    def test_another_notation_is_never_guessed(self, tmp_path: Path, text: str, read: Any, message: str) -> None:
        with pytest.raises(TableError) as caught:
            taken(tmp_path, {"m.csv": text}, "m.csv", read)
        assert message in str(caught.value)

    def test_another_encoding_is_refused_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(TableError, match=r"line 2 is not in the encoding utf-8; set read\.encoding"):
            taken(tmp_path, {"m.csv": "time,load\nä,1\n".encode("latin-1")}, "m.csv", {})

    def test_booleans_and_dates_are_numbers_with_missing_values(self, tmp_path: Path) -> None:
        columns = {
            "load": {"type": "integer", "description": "Load", "max_missing": 0.5},
            "open": {"type": "boolean", "description": "Whether open", "max_missing": 0.5},
            "built": {"type": "date", "description": "Day of construction", "max_missing": 0.5},
        }
        text = "time,load,open,built\n2020-01-01T00:00,3,yes,1970-01-11\n2020-01-01T01:00,,FALSE,\n"
        table = taken(tmp_path, {"m.csv": text}, "m.csv", {}, columns=columns)
        assert table.rows() == [(_HOURS[0], 3.0, 1.0, 10.0), (_HOURS[1], None, 0.0, None)]
        with pytest.raises(TableError, match="1 value no ISO 8601 date: row 1"):
            taken(tmp_path, {"m.csv": text.replace("1970-01-11", "11.1.1970")}, "m.csv", {}, columns=columns)


class TestSteps:
    def test_a_matrix_of_numbered_rows_becomes_a_panel(self, tmp_path: Path) -> None:
        shape = [
            {"step": "clock", "start": "2020-01-01T00:00", "every": "1h", "counts": "row"},
            {"step": "melt", "keep": ["row", "time"], "name": "machine", "value": "load"},
            {"step": "filter", "where": "machine <> 'm2'"},
            {"step": "derive", "columns": {"load": "CAST(load AS DOUBLE) * 2"}},
            {"step": "constant", "columns": {"kind": "a"}},
        ]
        read = {"shape": shape, "drop": ["row"]}
        columns = _LOAD | {"kind": {"type": "category", "categories": ["a"], "description": "Kind"}}
        files = {"m.csv": "row,m1,m2,m3\n1,1,2,3\n2,4,5,6\n"}
        table = taken(tmp_path, files, "m.csv", read, entity="machine", columns=columns)
        assert table.select("machine", "load").rows() == [("m1", 2.0), ("m1", 8.0), ("m3", 6.0), ("m3", 12.0)]
        assert table["timestamp"].to_list() == _HOURS[:2] * 2
        assert set(table["kind"]) == {"a"}

    def test_nested_objects_become_rows(self, tmp_path: Path) -> None:
        games = [
            {"game": "g", "quotes": [{"time": "2020-01-01T00:00:00", "load": 1}, {"time": "2020-01-01T01:00:00"}]},
            {"game": "h", "quotes": []},
        ]
        text = "".join(json.dumps(game) + "\n" for game in games)
        read = {"format": "jsonl", "shape": [{"step": "explode", "column": "quotes"}], "drop": ["game"]}
        table = taken(tmp_path, {"m.jsonl": text}, "m.jsonl", read)
        assert table.rows() == [(_HOURS[0], 1.0), (_HOURS[1], None)]

    @pytest.mark.parametrize(
        ("step", "message"),
        [
            ({"step": "filter", "where": "load ="}, "'load =' is no SQL expression"),
            ({"step": "filter", "where": "load > 1"}, "which CAST(name AS DOUBLE) turns into numbers"),
            ({"step": "filter", "where": "CAST(load AS DOUBLE) > 9"}, "holds for none of the 3 rows"),
            ({"step": "filter", "where": "CAST(load AS INT)"}, "should be true or false for each row"),
            ({"step": "derive", "columns": {"x": "cost * 2"}}, "column 'cost' is missing; there is time, load"),
            ({"step": "derive", "columns": {"x": "MAX(load)"}}, "computes a row from other rows"),
            ({"step": "derive", "columns": {"x": "QUANTILE_CONT(CAST(load AS DOUBLE), 0.5)"}}, "from other rows"),
            ({"step": "derive", "columns": {"x": "LAG(load) OVER (ORDER BY time)"}}, "computes a row from other rows"),
            ({"step": "melt", "keep": ["row"]}, "column 'row' is missing"),
            ({"step": "melt", "columns": "m.*"}, "no column to melt"),
            ({"step": "explode", "column": "load"}, "should hold lists or objects"),
            ({"step": "constant", "columns": {"load": 1}}, "there is a column 'load' already"),
            (
                {"step": "clock", "start": "2020-01-01", "every": "1h", "counts": "time", "column": "at"},
                "is no whole number",
            ),
        ],
    )
    def test_a_step_that_does_not_fit_is_named_with_its_number(self, tmp_path: Path, step: Any, message: str) -> None:
        text = "time,load\n2020-01-01T00:00,1\n2020-01-01T01:00,2\n2020-01-01T02:00,5\n"
        with pytest.raises(TableError, match=r"sources\.meters\.read\.shape\.0 \(") as caught:
            taken(tmp_path, {"m.csv": text}, "m.csv", {"shape": [step]})
        assert message in str(caught.value)

    def test_every_step_is_tested(self) -> None:
        assert set(SHAPES) == {"clock", "constant", "derive", "explode", "filter", "melt"}


class TestResample:
    TEXT = "time,load,kind\n2020-01-01T00:40,1,a\n2020-01-01T00:20,2,b\n2020-01-01T02:00,5,\n"

    def test_times_are_floored_and_each_column_has_its_aggregate(self, tmp_path: Path) -> None:
        columns = _LOAD | {
            "kind": {"type": "category", "categories": ["a", "b"], "description": "Kind", "max_missing": 1.0},
            "sales": {"type": "integer", "description": "Rows"},
        }
        read = {"resample": {"every": "1h", "columns": {"load": "sum", "kind": "last"}, "count": "sales"}}
        table = taken(tmp_path, {"m.csv": self.TEXT}, "m.csv", read, columns=columns)
        assert table.rows() == [(_HOURS[0], 3.0, "a", 2.0), (_HOURS[2], 5.0, None, 1.0)]

    def test_empty_steps_have_sums_of_zero_where_asked_for(self, tmp_path: Path) -> None:
        read = {"drop": ["kind"], "resample": {"every": "1h", "columns": {"load": "sum"}, "empty": "zero"}}
        table = taken(tmp_path, {"m.csv": self.TEXT}, "m.csv", read)
        assert table.rows() == [(_HOURS[0], 3.0), (_HOURS[1], 0.0), (_HOURS[2], 5.0)]

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"load": "mean"}, "resample.columns: kind has no aggregate"),
            ({"load": "mean", "kind": "mean"}, "resample.columns.kind: holds texts, which have no mean"),
            ({"load": "mean", "kind": "last", "cost": "sum"}, "resample.columns: column cost is missing"),
        ],
    )
    def test_a_missing_or_wrong_aggregate_is_named(self, tmp_path: Path, columns: Any, message: str) -> None:
        kind = {"kind": {"type": "category", "categories": ["a", "b"], "description": "Kind", "max_missing": 1.0}}
        with pytest.raises(TableError) as caught:
            read = {"resample": {"every": "1h", "columns": columns}}
            taken(tmp_path, {"m.csv": self.TEXT}, "m.csv", read, columns=_LOAD | kind)
        assert message in str(caught.value)


def test_wrong_notations_are_refused_in_the_use_case_file() -> None:
    for read, message in (
        ({"encoding": "utf-9"}, "'utf-9' is no encoding"),
        ({"encoding": "zip"}, "'zip' is no encoding"),
        ({"from_name": "(.+)"}, "has no named group"),
        ({"decimal": ",", "thousands": ","}, "'decimal' and 'thousands' are both ','"),
    ):
        with pytest.raises(UseCaseError) as caught:
            small.usecase(sources=[small.source(read={"time": {"column": "time"}} | read)])
        assert message in str(caught.value)


class TestDates:
    @pytest.mark.parametrize(
        ("times", "message"),
        [
            (
                ["03/04/2020", "05/04/2020"],
                "row 1 '03/04/2020' is ambiguous: 2020-04-03 with the format '%d/%m/%Y', 2020-03-04 with '%m/%d/%Y'; "
                "write the right one in read.time.format",
            ),
            (["03.04.2020", "25.04.2020"], "row 1 '03.04.2020' is no ISO 8601 time; every row fits read.time.format"),
            (["2020-01-01", "2020/01/02"], "row 2 '2020/01/02' is no ISO 8601 time, such as 2020-01-31T05:00"),
            (["20200101", "20200102"], "row 1 '20200101' is no ISO 8601 time"),
        ],
    )
    def test_a_date_without_a_format_is_never_guessed(self, tmp_path: Path, times: list[str], message: str) -> None:
        with pytest.raises(TableError) as caught:
            taken(tmp_path, {"m.csv": "time,load\n" + "".join(f"{time},1\n" for time in times)}, "m.csv", {})
        assert message in str(caught.value)

    def test_the_declared_format_decides(self, tmp_path: Path) -> None:
        for form, time in (("%d/%m/%Y", datetime(2020, 4, 3)), ("%m/%d/%Y", datetime(2020, 3, 4))):
            read = {"time": {"column": "time", "format": form}}
            table = taken(tmp_path, {"m.csv": "time,load\n03/04/2020,1\n"}, "m.csv", read)
            assert table["timestamp"].to_list() == [time]


class TestAvailability:
    FILES = {
        "m.csv": "time,load\n2020-01-01T12:00,1\n2020-01-02T12:00,2\n2020-01-03T12:00,3\n",
        "daily.csv": "time,total\n2020-01-01,10\n2020-01-02,20\n2020-01-03,30\n",
    }

    def joined(self, base: Path, **changes: Any) -> list[float | None]:
        for name, text in self.FILES.items():
            (base / name).write_text(text)
        daily = small.source(name="daily", path="daily.csv", join={"tolerance": "3d"})
        columns = _LOAD | {"total": {"type": "float", "description": "Total", "max_missing": 1.0}}
        case = small.usecase(sources=[small.source(path="m.csv"), daily | changes], columns=columns)
        return take(case, base)["total"].to_list()

    def test_a_daily_total_is_read_only_once_the_day_is_over(self, tmp_path: Path) -> None:
        assert self.joined(tmp_path) == [10.0, 20.0, 30.0]
        assert self.joined(tmp_path, available_after="1d") == [None, 10.0, 20.0]
        assert self.joined(tmp_path, available_after="36h") == [None, 10.0, 20.0]
        assert self.joined(tmp_path, available_after="37h") == [None, None, 10.0]

    def test_an_aggregate_is_known_at_the_end_of_its_step(self, tmp_path: Path) -> None:
        read = {"time": {"column": "time"}, "resample": {"every": "1d", "columns": {"total": "sum"}}}
        assert self.joined(tmp_path, read=read) == [None, 10.0, 20.0]

    def test_the_tolerance_counts_from_the_time_of_the_row(self, tmp_path: Path) -> None:
        assert self.joined(tmp_path, available_after="1d", join={"tolerance": "36h"}) == [None, 10.0, 20.0]
        assert self.joined(tmp_path, available_after="1d", join={"tolerance": "35h"}) == [None, None, None]
        with pytest.raises(TableError, match=r"sources\.daily\.join\.tolerance: .* expected at least 2d"):
            self.joined(tmp_path, available_after="2d", join={"tolerance": "1d"})

    def test_the_first_source_has_none(self) -> None:
        with pytest.raises(UseCaseError, match="available_after: belongs to a joined source"):
            small.usecase(sources=[small.source(available_after="1d")])
