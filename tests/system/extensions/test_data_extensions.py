"""A source and a check of a package of its own go through ingestion and validation without a change to Almanac."""

import json
from pathlib import Path

import pytest

from tests.support import extension, small

PACKAGE = '''
from typing import Literal

import polars as pl

from almanac.data.checks import Check, CheckBase, Finding, Stage, first_rows
from almanac.data.sources import SourceBase, SourceKind
from almanac.usecase import UseCase


class Ramp(SourceBase):
    """A made-up series that rises by one an hour."""

    type: Literal["ramp"]
    hours: int
    """Length."""


def attempts(source, context):
    hours = range(source.hours)
    rows = [f"2020-01-{1 + hour // 24:02}T{hour % 24:02}:00,{hour},a" for hour in hours]
    data = "\\n".join(["time,load,kind", *rows]).encode()
    return [lambda: context.cache.see(data, f"a ramp of {source.hours} hours")]


class Ceiling(CheckBase):
    """A column must stay below a value."""

    rule: Literal["ceiling"]
    column: str
    """Column."""
    value: float
    """Ceiling."""


def find(subject):
    assert isinstance(subject.usecase, UseCase)
    options = subject.options
    rows = subject.table.filter(pl.col(options.column) >= options.value)
    if rows.height:
        text = f"{rows.height} values reach {options.value:g}"
        yield Finding(options.severity, "ceiling", options.column, rows.height, text, first_rows(rows, subject.usecase))


RAMP = SourceKind("ramp", Ramp, attempts, format="csv")
CEILING = Check("ceiling", Stage.ROWS, find, declaration=Ceiling)
'''
ENTRY_POINTS = """
[almanac.sources]
ramp = plant:RAMP

[almanac.checks]
ceiling = plant:CEILING
"""
RUN = """
import json, sys
from pathlib import Path
from components.ingestion.task import run as ingest
from components.validation.task import run as validate
usecase, here = sys.argv[1], Path.cwd()
ingest(usecase, here, here / "table.parquet", here / "lineage.json")
print(json.dumps(validate(usecase, here / "table.parquet", here / "valid.parquet", here / "report.html")))
"""
LOAD = """
import sys
from almanac.core.errors import AlmanacError
from almanac.usecase import load_text, schema
try:
    load_text(sys.argv[1], "case")
except AlmanacError as error:
    print(error)
print("ramp" in str(schema()) if len(sys.argv) > 2 else "")
"""
CASE = json.dumps(
    small.data()
    | {
        "sources": [small.source(type="ramp", hours=30)],
        "validation": {"checks": [{"rule": "ceiling", "column": "load", "value": 28}]},
    }
)


def test_a_source_and_a_check_from_outside_go_through_ingestion_and_validation(tmp_path: Path) -> None:
    extension.install(tmp_path, "plant", PACKAGE, ENTRY_POINTS)
    done = extension.run(tmp_path, RUN, CASE)
    assert done.returncode == 0, done.stderr
    lineage = json.loads((tmp_path / "lineage.json").read_text())
    assert [(s["kind"], s["location"], s["rows"]) for s in lineage["sources"]] == [("ramp", "a ramp of 30 hours", 30)]
    assert "warning: load: ceiling: 2 values reach 28" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["warnings"] == 1
    assert "2 values reach 28" in (tmp_path / "report.html").read_text()


def test_the_schema_and_the_errors_of_a_use_case_follow_from_the_installed_kinds(tmp_path: Path) -> None:
    extension.install(tmp_path, "plant", PACKAGE, ENTRY_POINTS)
    wrong = json.dumps(json.loads(CASE) | {"sources": [small.source(type="ramp", hour=30)]})
    done = extension.run(tmp_path, LOAD, wrong, "schema")
    assert "case: sources.0.hour: unknown field; did you mean 'hours'?" in done.stdout
    assert done.stdout.endswith("True\n")


def test_a_kind_that_only_an_extension_has_is_named_with_its_group(tmp_path: Path) -> None:
    done = extension.run(tmp_path, LOAD, CASE)
    assert "there is no source 'ramp'; known are file, http, package, sql" in done.stdout
    assert "if an extension brings it, install that package here (almanac.sources)" in done.stdout
    assert "there is no check 'ceiling'" in done.stdout
    assert "(almanac.checks)" in done.stdout


@pytest.mark.parametrize(
    ("code", "entry_points", "message"),
    [
        (
            "import absent_library\n",
            ENTRY_POINTS,
            "source 'ramp' of the package plant (plant:RAMP) cannot be loaded",
        ),
        (
            PACKAGE.replace('SourceKind("ramp"', 'SourceKind("file"'),
            ENTRY_POINTS,
            "source 'file' is registered twice: by almanac.data.sources.file and by the package plant (plant:RAMP)",
        ),
        (
            PACKAGE,
            "[almanac.sources]\nramp = plant:attempts\n",
            "source 'ramp' of the package plant (plant:attempts) is no kind: expected a constant with a name",
        ),
        (
            PACKAGE.replace('Literal["ramp"]', 'Literal["slope"]'),
            ENTRY_POINTS,
            "source 'ramp': expected the field 'type' of Ramp to be Literal['ramp']",
        ),
    ],
)
def test_a_broken_extension_is_named(tmp_path: Path, code: str, entry_points: str, message: str) -> None:
    extension.install(tmp_path, "plant", code, entry_points)
    done = extension.run(tmp_path, "from almanac.usecase import load_text; load_text('{}', 'case')")
    assert done.returncode == 1
    assert message in done.stderr
