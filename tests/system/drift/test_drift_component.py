import json
import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from kfp import compiler, dsl

from almanac import drift
from almanac.core.errors import DriftError
from almanac.usecase import UseCase, load
from components.drift.component import drift as component
from governance.registry import Registry
from monitoring.windows.detect import detect
from tests.support.bundles import document_files, version_files
from tests.support.use_case_artifact import use_case_artifact

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def case() -> UseCase:
    return load(ROOT / "usecases" / "air_quality.yaml")


@pytest.fixture(scope="module")
def table(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "valid.parquet"
    beijing.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def warm(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "warm.parquet"
    late = pl.col("timestamp") > datetime(2014, 11, 1)
    beijing.with_columns(temp=pl.when(late).then(pl.col("temp") + 15).otherwise("temp")).write_parquet(path)
    return path


def _run(case: UseCase, table: Path, registry: str, out: Path) -> tuple[bool, dsl.Artifact, dsl.HTML]:
    found, report = dsl.Artifact(uri=str(out / "drift.json")), dsl.HTML(uri=str(out / "drift.html"))
    drifted = component.python_func(use_case_artifact(case, out), dsl.Dataset(uri=str(table)), registry, found, report)
    return drifted, found, report


def test_the_component_with_real_artifacts(case: UseCase, table: Path, warm: Path, tmp_path: Path) -> None:
    drifted, found, report = _run(case, table, "", tmp_path)
    document = json.loads(Path(found.path).read_text())
    assert drifted is document["drifted"] is found.metadata["drifted"] is False
    assert document["against"] == "training span"
    assert document["window"]["span"] == ["2014-12-02T00:00:00", "2014-12-31T23:00:00"]
    assert document["reference"]["span"][1] == "2013-12-31T23:00:00"
    assert Path(report.path).read_text().startswith("<!doctype html>")
    assert _run(case, warm, "", tmp_path)[0] is True
    assert "temp" in json.loads(Path(found.path).read_text())["drifted_features"]


def test_the_model_in_production_is_the_reference(
    case: UseCase, table: Path, beijing: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    address = str(tmp_path / "registry")
    frozen = beijing.filter(pl.col("timestamp").dt.year() <= 2012).with_columns(lag_1=pl.col("pm25").shift(1))
    reference = tmp_path / "reference.json"
    drift.profile(frozen, time="timestamp", target="pm25", prediction="lag_1").write(reference)
    registry = Registry(address)
    files = {**version_files(tmp_path, "a"), f"model/{case.targets[0].name}/reference.json": reference}
    registry.register(case.name, files, who="ann", why="first", approval="none")
    assert detect(case, table, address).reference == "training span"
    registry.attach_documents(case.name, 1, document_files(tmp_path / "a", files), who="ann", why="documented")
    registry.promote(case.name, 1, who="ann", why="better")
    outcome = detect(case, table, address)
    assert (outcome.reference, outcome.version) == (f"registry:{case.name}/1", 1)
    # Features and predictions are in other tables than the raw one, and not missed in it.
    assert {feature.name for feature in outcome.comparison.features} == set(case.columns)
    gone = tmp_path / "gone.parquet"
    beijing.drop("pres").write_parquet(gone)
    findings = detect(case, gone, address).comparison.findings
    assert any(finding.column == "pres" and finding.severity == "broken" for finding in findings)


def test_all_watched_columns_are_judged(case: UseCase, table: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    outcome = detect(case, table, now=now)
    assert {feature.name for feature in outcome.comparison.features} == set(case.columns)
    assert outcome.comparison.generated_at == now


@pytest.mark.parametrize(("change", "message"), [("drop", "has no time column"), ("clear", "has no rows")])
def test_a_table_that_cannot_be_judged(
    case: UseCase, beijing: pl.DataFrame, tmp_path: Path, change: str, message: str
) -> None:
    path = tmp_path / "table.parquet"
    (beijing.drop("timestamp") if change == "drop" else beijing.clear()).write_parquet(path)
    with pytest.raises(DriftError, match=message):
        detect(case, path)


def test_the_component_compiles_without_installing_anything(tmp_path: Path) -> None:
    compiler.Compiler().compile(component, str(tmp_path / "drift.yaml"))
    text = (tmp_path / "drift.yaml").read_text()
    assert "pip install" not in text
    for parameter in ("usecase", "table", "registry", "drift", "report"):
        assert re.search(rf"\b{parameter}:\s+(?:.*\n)*?.*description:", text), parameter
