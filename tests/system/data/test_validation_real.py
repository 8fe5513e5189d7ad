import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.files import sha256_file
from almanac.data.cache import Cache
from almanac.data.ingest import ingest
from almanac.data.lineage import read_lineage, table_digest, write_table
from almanac.data.validate import validate
from almanac.usecase import digest, load
from almanac.usecase.views import reads
from components.ingestion.component import ingestion
from components.validation.component import validation
from tests.support import small
from tests.support.use_case_artifact import use_case_artifact

ROOT = Path(__file__).resolve().parents[3]
AIR_QUALITY = ROOT / "usecases" / "air_quality.yaml"


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory, beijing_csv: Path) -> tuple[Path, dict[str, Any]]:
    """The reference use case's validated table with its report, and the result."""
    base = tmp_path_factory.mktemp("valid")
    case = load(AIR_QUALITY)
    Cache(base / "cache").keep(beijing_csv.read_bytes(), "package")
    ingest(case, ROOT, base / "cache", base / "in.parquet")
    return base, validate(case, base / "in.parquet", base / "out.parquet", base / "report.html")


def test_the_reference_table_is_valid(valid: tuple[Path, dict[str, Any]], beijing: pl.DataFrame) -> None:
    base, result = valid
    assert result["passed"] is True
    assert result["findings"] == []
    assert result["completeness"] == {"beijing_pm": 1.0}
    table = pl.read_parquet(base / "out.parquet")
    assert table.equals(beijing)
    assert result["table"]["sha256"] == table_digest(beijing)
    json.dumps(result, allow_nan=False)


def test_its_file_depends_on_content_alone(valid: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    base, _ = valid
    lineage = read_lineage(base / "in.parquet")
    assert lineage is not None
    lineage["sources"][0]["fetched_at"] = "1999-01-01T00:00:00Z"
    write_table(tmp_path / "in.parquet", pl.read_parquet(base / "in.parquet"), lineage)
    validate(load(AIR_QUALITY), tmp_path / "in.parquet", tmp_path / "out.parquet", tmp_path / "report.html")
    for name in ("out.parquet", "report.html"):
        assert sha256_file(tmp_path / name) == sha256_file(base / name)
    carried = read_lineage(base / "out.parquet")
    assert carried is not None
    assert carried["sources"][0]["sha256"] == lineage["sources"][0]["sha256"]
    assert "fetched_at" not in carried["sources"][0]


def test_the_report_tells_what_is_there_and_needs_nothing_else(valid: tuple[Path, dict[str, Any]]) -> None:
    page = (valid[0] / "report.html").read_text()
    case = load(AIR_QUALITY)
    for text in ("43,824", "2010-01-01 – 2014-12-31", "4.72%", "CC BY 4.0", *case.columns):
        assert text in page
    assert page.count("<svg") == 4
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="http', page)
    assert len(page) < 1_500_000


def test_the_report_shows_errors_gaps_and_entities(tmp_path: Path) -> None:
    times = [f"2020-01-{1 + hour // 24:02d}T{hour % 24:02d}:00" for hour in range(100) if hour % 17]
    rows = "".join(f"{time},{site},{index % 120},a\n" for site in "xy" for index, time in enumerate(times))
    (tmp_path / "meters.csv").write_text(f"time,site,load,kind\n{rows}")
    small.take(small.usecase(entity="site"), tmp_path)
    case = small.usecase(entity="site", validation={"out_of_range": "null"})
    validate(case, tmp_path / "out" / "table.parquet", tmp_path / "out.parquet", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "10 gaps in which 10 of 198 times are missing" in page
    assert page.count("<svg") == 5


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None and os.environ.get("CI") != "true", reason="chromium is not installed")
def test_the_report_is_drawn_by_a_browser(valid: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert CHROMIUM is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --hide-scrollbars --user-data-dir={tmp_path / 'profile'}"
    page = tmp_path / "page.html"
    probe = (
        "<script>addEventListener('load',()=>{const wide=[...document.querySelectorAll('svg')]"
        ".every(s=>s.getBoundingClientRect().width>300&&s.getBoundingClientRect().right<=innerWidth);"
        "document.title='drawn '+wide+' '+(document.documentElement.scrollWidth<=innerWidth)})</script>"
    )
    page.write_text((valid[0] / "report.html").read_text() + probe)
    command = [CHROMIUM, *flags.split(), "--window-size=1180,900", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "<title>drawn true true</title>" in done.stdout


def test_the_components_pass_tables_and_tell_what_made_them(
    tmp_path: Path, beijing_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kfp import dsl

    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    Cache(tmp_path / "cache").keep(beijing_csv.read_bytes(), "package")
    usecase = use_case_artifact(load(AIR_QUALITY), tmp_path)
    table = dsl.Dataset(uri=str(tmp_path / "table"))
    lineage = dsl.Artifact(uri=str(tmp_path / "lineage"))
    ingestion.python_func(usecase=usecase, base=str(ROOT / "usecases"), fingerprint="", table=table, lineage=lineage)
    validated, report = dsl.Dataset(uri=str(tmp_path / "validated")), dsl.HTML(uri=str(tmp_path / "report"))
    validation.python_func(usecase=usecase, table=table, validated=validated, report=report)
    assert pl.read_parquet(validated.path).height == table.metadata["rows"] == validated.metadata["rows"] == 43_824
    assert table.metadata["data_digest"] == validated.metadata["data_digest"]
    record = json.loads(Path(lineage.path).read_text())
    assert table.metadata["source_beijing_pm_sha256"] == record["sources"][0]["sha256"]
    case = load(AIR_QUALITY)
    for step, artifact in (("ingestion", table), ("validation", validated)):
        assert artifact.metadata["use_case_digest"] == digest(reads(case, step))
    assert Path(report.path).read_text().startswith("<!doctype html>")
    assert capsys.readouterr().out.splitlines() == [
        "[summary] 43824 rows; 1 source, 2010-01-01 to 2014-12-31",
        "[summary] 43824 rows; no warnings",
    ]
