"""Monitoring with a real version in production: quiet on the real series, and loud when something broke."""

import io
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from kfp import dsl
from prometheus_client.parser import text_string_to_metric_families

from almanac.core.errors import TableError
from almanac.core.files import read_json
from almanac.drift.outputs import SIGNALS
from almanac.usecase import UseCase, dump
from almanac.usecase.operations_section import SIGNALS as ALL_SIGNALS
from almanac.usecase.override import load_with
from components.monitoring.component import monitoring as component
from components.monitoring.task import run
from components.prediction.task import keep, predict
from governance.registry import Registry, collect
from monitoring.windows.join import read_log, with_truth
from monitoring.windows.judge import breached
from monitoring.windows.monitor import Sources, monitor
from orchestration import recurring
from orchestration.console import Screen
from orchestration.run import Request
from tests.support.bundles import document_files
from tests.support.production import QUICK, ROOT, Production
from tests.support.training_world import SMALL
from tests.support.use_case_artifact import use_case_artifact

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def predictions(production: Production, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    predict(production.case, production.table, production.registry, "windows:3").table.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def clean(production: Production, predictions: Path) -> dict[str, Any]:
    return monitor(production.case, Sources(production.table, predictions, production.registry)).document


def _broken(production: Production, folder: Path, **columns: pl.Expr) -> Path:
    """Return the table with columns changed in its last two windows."""
    late = pl.col("timestamp") >= datetime(2014, 11, 2)
    changed = (pl.when(late).then(value).otherwise(pl.col(name)).alias(name) for name, value in columns.items())
    pl.read_parquet(production.table).with_columns(*changed).write_parquet(folder / "broken.parquet")
    return folder / "broken.parquet"


def test_the_figures_are_those_of_a_plain_join(
    production: Production, predictions: Path, clean: dict[str, Any], beijing: pl.DataFrame
) -> None:
    newest = clean["windows"][-1]
    assert (newest["start"], newest["stop"]) == ("2014-12-02T00:00:00", "2015-01-01T00:00:00")
    made, truth = pl.read_parquet(predictions), dict(beijing.select("timestamp", "pm25").iter_rows())
    errors, inside, persistence = [], [], []
    for at, prediction, low, high in made.select("timestamp", "prediction", "lower", "upper").iter_rows():
        due = at + timedelta(hours=6)
        if datetime(2014, 12, 2) <= due < datetime(2015, 1, 1) and truth[due] is not None:
            errors.append(prediction - truth[due])
            inside.append(low <= truth[due] <= high)
            if truth[at] is not None:
                persistence.append(abs(truth[at] - truth[due]))
    figures = newest["targets"]["pm25_6h"]
    assert figures["rows"] == len(errors)
    assert figures["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-12)
    assert figures["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-12)
    assert figures["bias"] == pytest.approx(np.mean(errors), rel=1e-9)
    assert figures["coverage"] == pytest.approx(np.mean(inside), rel=1e-12)
    assert figures["persistence_mae"] == pytest.approx(np.mean(persistence), rel=1e-12)
    bands = figures["bands"].values()
    assert sum(band["rows"] for band in bands) == len(errors), "every row has a band, that of the unknown among them"
    assert figures["bands"]["unknown"]["rows"] == len(errors) - len(persistence) > 0
    assert sum(band["rows"] * band["mae"] for band in bands) == pytest.approx(np.abs(errors).sum(), rel=1e-12)
    assert sum(band["rows"] * band["coverage"] for band in bands) == pytest.approx(np.sum(inside), rel=1e-12)


def test_the_real_series_is_quiet(clean: dict[str, Any]) -> None:
    assert clean["breached"] is False
    assert [window["judged"] for window in clean["windows"]] == [True, True, True]
    assert clean["staleness"] == {
        "newest": "2014-12-31T23:00:00", "age_seconds": 3600.0, "max_age_seconds": 604800.0, "stale": False
    }  # fmt: skip
    for window in clean["windows"]:
        figures = window["targets"]["pm25_6h"]
        low, high = figures["estimated"]["mae_interval"]
        assert low < figures["mae"] < high


def test_a_drifted_column_breaches(production: Production, tmp_path: Path) -> None:
    table = _broken(production, tmp_path, temp=pl.col("temp") + 20)
    found = tmp_path / "predictions.parquet"
    predict(production.case, table, production.registry, "windows:3").table.write_parquet(found)
    document = monitor(production.case, Sources(table, found, production.registry)).document
    assert [window["breach"] for window in document["windows"]] == [False, True, True]
    assert document["breached"] is True
    assert "temp" in document["windows"][-1]["reasons"][0]


def test_forecasts_that_went_wrong_breach_by_error_and_coverage(
    production: Production, predictions: Path, tmp_path: Path
) -> None:
    """Half of the truth turned around: no column has drifted, but the forecasts are no good."""
    made = pl.read_parquet(predictions)
    late = pl.col("timestamp") >= datetime(2014, 11, 2)
    shifted = (pl.when(late).then(pl.col(c).shift(72)).otherwise(pl.col(c)) for c in ("prediction", "lower", "upper"))
    made.with_columns(*shifted).write_parquet(tmp_path / "wrong.parquet")
    document = monitor(
        production.case, Sources(production.table, tmp_path / "wrong.parquet", production.registry)
    ).document
    assert document["breached"] is True
    kinds = {reason.split(":")[0] for reason in document["windows"][-1]["reasons"]}
    assert {"error", "coverage"} <= kinds


@pytest.mark.parametrize(
    ("breaches", "flags", "expected"),
    [
        (2, [True, True, False], False),
        (2, [True, False, True], True),
        (2, [False, False, True], False),
        (1, [False, False, True], True),
        (3, [True, True, True], True),
    ],
)
def test_so_many_windows_and_the_newest(
    production: Production, breaches: int, flags: list[bool], expected: bool
) -> None:
    policy = production.case.drift.policy.model_copy(update={"breaches": breaches})
    case = production.case.model_copy(update={"drift": production.case.drift.model_copy(update={"policy": policy})})
    assert breached(case, [{"breach": flag} for flag in flags]) is expected


def test_a_log_is_read_whole_and_the_newest_version_holds(production: Production, tmp_path: Path) -> None:
    case = production.case
    for version, span in ((1, ("2014-12-01", "2014-12-03")), (2, ("2014-12-02", "2014-12-04"))):
        made = predict(case, production.table, production.registry, *span)
        table = made.table.with_columns(version=pl.lit(version), prediction=pl.col("prediction") + version)
        table.write_parquet(tmp_path / "part.parquet")
        keep(case, type(made)(table, version, made.digest), tmp_path / "part.parquet", str(tmp_path / "log"))
    logged = read_log(case, str(tmp_path / "log"))
    assert logged.height == 72
    assert logged.filter(pl.col("timestamp").dt.day() == 2)["version"].to_list() == [2] * 24
    with pytest.raises(TableError, match="no logged predictions"):
        read_log(case, str(tmp_path / "nothing"))


def test_monitoring_reads_the_log_that_the_cluster_names_once_there_is_one(
    production: Production, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_PREDICTION_LOG", str(tmp_path / "log"))
    sources = Sources(production.table, predictions, production.registry)
    document = monitor(production.case, sources).document
    assert (document["predictions"], document["log"]) == ("batch", str(tmp_path / "log"))
    with pytest.raises(TableError, match="no logged predictions"):
        monitor(production.case, replace(sources, log=str(tmp_path / "another")))

    # Served predictions are off by a hundred: what is judged then is them, and not what the model says of the past.
    served = pl.read_parquet(predictions).with_columns(pl.col("prediction") + 100.0)
    folder = tmp_path / "log" / production.case.name
    folder.mkdir(parents=True)
    lines = served.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    lines.write_ndjson(folder / "until-20150101T000000-pod-1-1.jsonl")
    # Closed long before the windows: not even read.
    closed = folder / "20131201T000000-20131231T230000-v1.parquet"
    closed.write_bytes(b"no table of predictions")
    logged = monitor(production.case, sources).document
    assert logged["predictions"] == "log"
    for before, after in zip(document["windows"], logged["windows"], strict=True):
        (one,), (other,) = before["targets"].values(), after["targets"].values()
        assert one["rows"] == other["rows"] > 0
        assert other["bias"] == pytest.approx(one["bias"] + 100.0)


def test_predictions_of_other_targets_are_refused_by_name(production: Production, predictions: Path) -> None:
    other = pl.read_parquet(predictions).with_columns(target=pl.lit("load"))
    with pytest.raises(TableError, match="its targets are pm25_6h"):
        with_truth(production.case, pl.read_parquet(production.table), other)


def test_a_missing_column_is_named(production: Production, predictions: Path, tmp_path: Path) -> None:
    pl.read_parquet(predictions).drop("upper").write_parquet(tmp_path / "p.parquet")
    with pytest.raises(TableError, match="no column 'upper'"):
        monitor(production.case, Sources(production.table, tmp_path / "p.parquet", production.registry))


def test_old_data_are_stale(production: Production, predictions: Path) -> None:
    sources = Sources(production.table, predictions, production.registry, as_of="2015-02-01T00:00:00+00:00")
    staleness = monitor(production.case, sources).document["staleness"]
    assert staleness["stale"] is True
    assert staleness["age_seconds"] == 31 * 86400 + 3600


def test_the_component_writes_the_same_bytes_and_pushes(
    production: Production, predictions: Path, tmp_path: Path
) -> None:
    def call() -> tuple[bool, bytes, bytes]:
        found, report = dsl.Artifact(uri=str(tmp_path / "m.json")), dsl.HTML(uri=str(tmp_path / "m.html"))
        table, made = dsl.Dataset(uri=str(production.table)), dsl.Dataset(uri=str(predictions))
        args = (
            use_case_artifact(production.case, tmp_path),
            table,
            made,
            production.registry,
            "local",
            "",
            str(tmp_path / "figures"),
            "",
            found,
            report,
        )
        decision = component.python_func(*args)
        return decision, Path(found.path).read_bytes(), Path(report.path).read_bytes()

    first = call()
    assert call() == first
    assert first[0] is json.loads(first[1])["breached"] is False
    assert not (Path(production.registry) / "runs").exists(), "its run has a directory"
    # Error and coverage, the columns' scores, the outputs' scores, and each output over time.
    assert first[2].count(b"<svg") == 1 + 1 + 1 + len(SIGNALS)
    lines = "".join(path.read_text() for path in sorted((tmp_path / "figures").glob("*.prom")))
    newest = json.loads(first[1])["windows"][-1]["targets"]["pm25_6h"]
    assert 'almanac_window_drifted{use_case="air_quality"} 0.0' in lines
    assert f'almanac_window_coverage_ratio{{model="pm25_6h",use_case="air_quality"}} {newest["coverage"]}' in lines
    assert "almanac_window_estimated_mae" in lines
    for band, figures in newest["bands"].items():
        labels = f'band="{band}",model="pm25_6h",use_case="air_quality"'
        for name, key in (("rows", "rows"), ("rmse", "rmse"), ("bias", "bias"), ("coverage_ratio", "coverage")):
            assert f"almanac_window_band_{name}{{{labels}}} {float(figures[key])}" in lines
    unknown = newest["bands"]["unknown"]
    errors = (f"{unknown[key]:.3f}" for key in ("mae", "rmse", "bias", "coverage"))
    cells = "".join(f"<td>{cell}</td>" for cell in (unknown["rows"], *errors))
    assert f'<td class="text">unknown</td>{cells}' in first[2].decode().replace("−", "-")
    residual = json.loads(first[1])["windows"][-1]["outputs"]["pm25_6h"]["residual"]
    labels = 'model="pm25_6h",output="residual",use_case="air_quality"'
    assert f"almanac_window_output_drift_score{{{labels}}} {residual['score']}" in lines
    assert "almanac_window_importance_ndcg_ratio" in lines


def test_the_baseline_of_the_version_is_pushed_with_the_window(
    production: Production, predictions: Path, tmp_path: Path
) -> None:
    sources = Sources(production.table, predictions, production.registry)
    run(dump(production.case), sources, str(tmp_path), tmp_path / "m.json", tmp_path / "m.html")
    found = {
        (sample.name, sample.labels.get("version")): sample.value
        for family in text_string_to_metric_families((tmp_path / "air_quality-model.prom").read_text())
        for sample in family.samples
    }
    figures = read_json(Path(production.registry).parent / "metrics.json")["targets"]["pm25_6h"]
    assert found["almanac_model_test_rmse", "1"] == figures["rmse"]
    registered = Registry(production.registry).version(production.case.name, 1).registered_at
    moment = datetime.fromisoformat(registered).timestamp()
    assert found["almanac_model_trained_timestamp_seconds", "1"] == moment


def test_a_version_without_figures_is_told_of_and_the_window_is_pushed(
    production: Production, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(production.registry).parent
    bare = tmp_path / "bare"
    bare.mkdir()
    files = {**collect(source / "model", "model"), "gate.json": source / "gate.json"}
    registry = Registry(bare / "registry")
    registry.register(production.case.name, files, who="ann", why="first", approval="none")
    papers = document_files(bare / "papers", files)
    registry.attach_documents(production.case.name, 1, papers, who="ann", why="documented")
    registry.promote(production.case.name, 1, who="ann", why="better")
    sources = Sources(production.table, predictions, str(bare / "registry"))
    run(dump(production.case), sources, str(tmp_path / "figures"), tmp_path / "m.json", tmp_path / "m.html")
    assert "warning: the metrics of version 1 were not pushed" in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "figures").iterdir()}
    assert written == {"air_quality-drift.prom", "air_quality-window.prom"}


def test_outputs_of_each_window_are_judged(clean: dict[str, Any]) -> None:
    assert clean["signals"] == list(ALL_SIGNALS)
    assert clean["notes"] == []
    for window in clean["windows"]:
        found = window["outputs"]["pm25_6h"]
        assert all(found[signal]["judged"] for signal in SIGNALS)
        assert found["drifted"] == []
        assert window["drifted"] is False
        # What the window's error rests on is what its residual rests on.
        assert found["residual"]["rows"] == window["targets"]["pm25_6h"]["rows"]


def _wrong(predictions: Path, folder: Path) -> Path:
    """Forecasts of the last two windows put off by three days: as likely as before, and worthless."""
    late = pl.col("timestamp") >= datetime(2014, 11, 2)
    names = ("prediction", "lower", "upper")
    shifted = (pl.when(late).then(pl.col(c).shift(72)).otherwise(pl.col(c)).alias(c) for c in names)
    pl.read_parquet(predictions).with_columns(*shifted).write_parquet(folder / "wrong.parquet")
    return folder / "wrong.parquet"


def _counting(case: UseCase, *signals: str) -> UseCase:
    return case.model_copy(update={"drift": case.drift.model_copy(update={"signals": list(signals)})})


@pytest.mark.parametrize(("signals", "breached_by"), [(("residual",), True), (("target",), False)])
def test_residuals_that_drifted_breach_where_they_count(
    production: Production, predictions: Path, tmp_path: Path, signals: tuple[str, ...], breached_by: bool
) -> None:
    sources = Sources(production.table, _wrong(predictions, tmp_path), production.registry)
    document = monitor(_counting(production.case, *signals), sources).document
    newest = document["windows"][-1]
    assert "residual" in newest["outputs"]["pm25_6h"]["drifted"]
    assert newest["drift"]["drifted"] is False
    assert document["breached"] is newest["drifted"] is breached_by
    if breached_by:
        assert [window["breach"] for window in document["windows"]] == [False, True, True]
        assert newest["reasons"][0].startswith("residual: pm25_6h ")


def test_an_input_that_says_nothing_any_more_shows_in_the_importances(production: Production, tmp_path: Path) -> None:
    table = _broken(production, tmp_path, pm25=pl.lit(80.0))
    found = tmp_path / "predictions.parquet"
    predict(production.case, table, production.registry, "windows:3").table.write_parquet(found)
    case = _counting(production.case, "importance")
    document = monitor(case, Sources(table, found, production.registry)).document
    assert [window["breach"] for window in document["windows"]] == [False, True, True]
    assert document["windows"][-1]["reasons"][0].startswith("importance: pm25_6h nDCG 0.")


def test_before_the_truth_arrives_the_rest_is_judged(production: Production, predictions: Path, tmp_path: Path) -> None:
    late = pl.col("timestamp") >= datetime(2014, 12, 2)
    table = pl.read_parquet(production.table).with_columns(pm25=pl.when(late).then(None).otherwise("pm25"))
    table.write_parquet(tmp_path / "table.parquet")
    case = _counting(production.case, "target", "prediction", "residual")
    document = monitor(case, Sources(tmp_path / "table.parquet", predictions, production.registry)).document
    newest = document["windows"][-1]
    found = newest["outputs"]["pm25_6h"]
    assert (
        found["residual"]["why"] == "the truth of 0 of 720 predictions that fell due is known; at least 30 are needed"
    )
    assert found["prediction"]["judged"] is True
    assert newest["targets"]["pm25_6h"]["judged"] is False
    assert newest["targets"]["pm25_6h"]["estimated"]["mae"] > 0
    assert document["breached"] is False


def test_a_version_of_an_earlier_release_is_monitored_by_what_it_has(
    earlier: Production, predictions: Path, tmp_path: Path
) -> None:
    sources = Sources(earlier.table, predictions, earlier.registry)
    run(dump(earlier.case), sources, str(tmp_path / "figures"), tmp_path / "m.json", tmp_path / "m.html")
    document = json.loads((tmp_path / "m.json").read_text())
    newest = document["windows"][-1]
    assert document["notes"] == ["pm25_6h has no loss.json: an earlier release, or too few rows to learn its errors"]
    assert newest["targets"]["pm25_6h"]["estimated"] is None
    assert newest["targets"]["pm25_6h"]["coverage_p_value"] is not None
    assert newest["outputs"]["pm25_6h"]["judged"] is False
    assert "earlier release; train again" in newest["outputs"]["pm25_6h"]["why"]
    assert newest["drift"] is not None
    page = (tmp_path / "m.html").read_text()
    assert "The error is not estimated before the truth arrives" in page
    assert "pm25_6h: not judged in the newest window: version 1 froze no reference" in page
    lines = "".join(path.read_text() for path in sorted((tmp_path / "figures").glob("*.prom")))
    assert "almanac_window_estimated_mae" not in lines
    assert "almanac_window_output_drift_score{" not in lines


def test_the_decision_is_that_of_the_document(production: Production, predictions: Path, tmp_path: Path) -> None:
    policy = production.case.drift.policy.model_copy(update={"of": 1, "breaches": 1})
    drift = production.case.drift.model_copy(update={"policy": policy})
    case: UseCase = production.case.model_copy(update={"drift": drift})
    sources = Sources(production.table, predictions, production.registry)
    decision, metadata = run(dump(case), sources, "", tmp_path / "m.json", tmp_path / "m.html")
    assert len(json.loads((tmp_path / "m.json").read_text())["windows"]) == 1
    assert metadata["breached"] is decision is False


def test_the_whole_pipeline_by_the_subprocess_runner(production: Production, tmp_path: Path) -> None:
    """A breach that is made by the sources alone: the pipeline asks for an approval of a retraining."""
    from orchestration.retraining.audit_log import AuditLog
    from pipelines import monitoring_pipeline

    # At this rate nearly any window breaches, which is what is wanted here.
    drift = production.case.drift.model_copy(update={"false_alarm_rate": 0.49})
    policy = drift.policy.model_copy(update={"of": 2, "breaches": 1})
    case = production.case.model_copy(update={"drift": drift.model_copy(update={"policy": policy})})
    request = Request(case, ROOT / "usecases" / "air_quality.yaml", tmp_path, production.registry)
    screen = io.StringIO()
    directory = recurring.monitor(request, monitoring_pipeline(case), {"log": "", "as_of": ""}, Screen(screen))
    assert recurring.breached(directory)
    assert (tmp_path / case.name / "monitoring" / "latest").resolve() == directory
    assert (directory / "report.html").read_text().startswith("<!doctype html>")
    document = json.loads((directory / "monitoring.json").read_text())
    assert document["breached"] is True
    plan = json.loads((directory / "plan.json").read_text())
    recurring.show(directory, Screen(screen))
    assert "monitoring/latest/plan.json" in screen.getvalue()
    assert plan["outcome"]["result"] == "asked"
    entries = AuditLog(production.registry, case.name).entries()
    assert [entry.plan for entry in entries] == [plan["digest"]]


def test_a_breach_retrains_here_while_the_monitoring_still_runs(production: Production, tmp_path: Path) -> None:
    from pipelines import monitoring_pipeline

    often = ["drift.false_alarm_rate=0.49", "drift.policy={breaches: 1, of: 2, action: retrain, retrain_window: 1460d}"]
    case = load_with(ROOT / "usecases" / "air_quality.yaml", [*QUICK, *SMALL, *often])
    shutil.copytree(production.registry, tmp_path / "registry")
    request = Request(case, ROOT / "usecases" / "air_quality.yaml", tmp_path / "runs", str(tmp_path / "registry"))
    directory = recurring.monitor(request, monitoring_pipeline(case), {"log": "", "as_of": ""}, Screen(io.StringIO()))
    plan = json.loads((directory / "plan.json").read_text())
    trained = (tmp_path / "runs" / case.name / "latest").resolve()
    assert plan["outcome"]["run"] == trained.name
    assert (trained / "metrics.json").exists()
