"""Figures of pipelines: read from documents, pushed, served, and scraped by a real Prometheus."""

import json
import os
import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from almanac import drift
from almanac.core.errors import MetricError
from almanac.core.files import sha256_file, write_json
from almanac.drift.outputs import Window, compare_outputs, freeze
from governance.registry import Registry, collect
from monitoring import metrics as m
from monitoring.__main__ import main
from monitoring.operations.model_samples import model_samples
from monitoring.operations.push import exporter, push, text
from monitoring.operations.resources import Resources, this_process
from monitoring.operations.samples import Sample
from monitoring.operations.window_samples import band_samples, drift_samples, prediction_samples
from tests.support.background import in_background
from tests.support.live import get_json, needs, prometheus_command, query, running, wait_for
from tests.support.server import free_port

Labels = tuple[str, ...]


def values(samples: list[Sample]) -> dict[tuple[str, Labels], float]:
    """Samples by name and labels."""
    return {(sample.metric.name, sample.labels): sample.value for sample in samples}


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """What a run leaves, as far as figures are read from it."""
    run = tmp_path / "run"
    figures = {"rmse": 20.0, "mae": 11.0, "coverage": {"overall": 0.91, "nominal": 0.9}}
    write_json(run / "metrics.json", {"use_case": "u", "targets": {"t_1h": figures, "class": {"coverage": None}}})
    write_json(run / "run.json", {"finished_at": "2026-01-01T00:00:00+00:00"})
    write_json(run / "model" / "manifest.json", {"format": 1})
    for name in ("t_1h", "class"):
        write_json(run / "model" / name / "features.json", {"spec": {"frequency": "15min"}})
    return run


def test_figures_of_a_run(run_directory: Path) -> None:
    found = values(model_samples(run_directory))
    version = sha256_file(run_directory / "model" / "manifest.json")[:12]
    labels = ("u", "t_1h", version)
    assert found[("almanac_model_test_rmse", labels)] == 20.0
    assert found[("almanac_model_nominal_coverage_ratio", labels)] == 0.9
    assert found[("almanac_model_trained_timestamp_seconds", labels)] == 1767225600.0
    assert found[("almanac_data_interval_seconds", ("u", "t_1h"))] == 900.0
    assert ("almanac_model_test_rmse", ("u", "class", version)) not in found
    # Nothing else was recorded with the model: its limits are those of its test span.
    assert found[("almanac_model_rolling_rmse_limit", labels)] == 40.0
    assert found[("almanac_model_window_rmse_limit", labels)] == 40.0
    assert found[("almanac_model_rolling_coverage_limit_ratio", labels)] == pytest.approx(0.8)
    registered = values(model_samples(run_directory, "7", "2026-02-01T00:00:00+00:00"))
    assert registered[("almanac_model_trained_timestamp_seconds", ("u", "t_1h", "7"))] == 1769904000.0


def test_a_directory_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(tmp_path), "--to", str(tmp_path)]) == 1
    assert "metrics.json" in capsys.readouterr().err


def test_figures_of_drift_on_the_real_series(beijing: pl.DataFrame) -> None:
    table = beijing.select("timestamp", "pm25", "temp")
    profile = drift.profile(table.head(26_280), time="timestamp", season="month", window="30d")
    moved = table.tail(720).with_columns(pl.col("temp") * 1.8 + 32)
    document = {**drift.compare(profile, moved).to_json(), "use_case": "u"}
    found = values(drift_samples(document))
    assert found[("almanac_window_drifted", ("u",))] == 1.0
    assert found[("almanac_window_drift_score", ("u", "temp"))] > 1
    assert found[("almanac_window_drifted_features", ("u",))] == len(document["drifted_features"])
    assert found[("almanac_window_data_newest_timestamp_seconds", ("u",))] == 1420066800.0


def test_a_fall_counts_as_much_as_a_rise(beijing: pl.DataFrame) -> None:
    table = beijing.select("timestamp", "temp")
    profile = drift.profile(table.head(26_280), time="timestamp")
    cold = drift.compare(profile, table.tail(720).with_columns(pl.col("temp") - 30))
    assert cold.features[0].drifted
    judged = cold.features[0].judgements["low"]
    assert judged.value < 0 < judged.threshold
    found = values(drift_samples({**cold.to_json(), "use_case": "u"}))
    assert found[("almanac_window_drift_score", ("u", "temp"))] >= -judged.value / judged.threshold > 1
    document = {**cold.to_json(), "use_case": "u"}
    del document["features"][0]["score"]
    earlier = values(drift_samples(document))[("almanac_window_drift_score", ("u", "temp"))]
    assert earlier == max(j.value / j.threshold for j in cold.features[0].judgements.values())


def test_figures_of_a_models_outputs(beijing: pl.DataFrame) -> None:
    table = beijing.select("timestamp", prediction=pl.col("pm25").shift(6), target="pm25").drop_nulls()
    reference = freeze(table.head(26_280), time="timestamp")
    late = table.tail(700).with_columns(pl.col("prediction") * 3)
    window = Window(late.drop("target"), late, "not asked for")
    outputs = {"t_6h": {"judged": True, **compare_outputs(reference, window, 0.01).to_json()}}
    outputs["new"] = {"judged": False, "why": "no registered model"}
    profile = drift.profile(table.head(26_280), time="timestamp")
    document = {**drift.compare(profile, late).to_json(), "use_case": "u", "outputs": outputs}
    found = values(drift_samples(document))
    assert found[("almanac_window_output_drifted", ("u", "t_6h", "prediction"))] == 1.0
    assert found[("almanac_window_output_drift_score", ("u", "t_6h", "prediction"))] > 1
    assert found[("almanac_window_output_drifted", ("u", "t_6h", "target"))] == 0.0
    names = {labels for name, labels in found if name == "almanac_window_output_drifted"}
    assert names == {("u", "t_6h", output) for output in ("target", "prediction", "residual")}
    assert not any(name == "almanac_window_importance_ndcg_ratio" for name, _ in found)


def test_a_registered_version_is_pushed_with_its_number(
    run_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    files = {**collect(run_directory / "model", "model"), "metrics.json": run_directory / "metrics.json"}
    Registry(tmp_path / "registry").register("u", files, who="ann", why="first", approval="none")
    assert main(["push", "registry:u/1", "--to", str(tmp_path / "figures")]) == 0
    assert "11 samples of u" in capsys.readouterr().out
    text = (tmp_path / "figures" / "u-model.prom").read_text()
    assert 'almanac_model_test_rmse{model="t_1h",use_case="u",version="1"} 20.0' in text
    assert 'almanac_model_trained_timestamp_seconds{model="class",use_case="u",version="1"}' in text
    assert main(["push", "registry:u/2", "--to", str(tmp_path / "figures")]) == 1


def test_realised_error_of_the_newest_window(beijing: pl.DataFrame) -> None:
    told = beijing.select("timestamp", y=pl.col("pm25"), prediction=pl.col("pm25").shift(1)).with_columns(
        lower=pl.col("prediction") - 30, upper=pl.col("prediction") + 30, target=pl.lit("t_1h")
    )
    found = values(prediction_samples("u", told, "30d"))
    newest = told.tail(720).drop_nulls(["y", "prediction"])
    error = (newest["prediction"] - newest["y"]).to_numpy()
    labels = ("u", "t_1h")
    assert found[("almanac_window_rows", labels)] == newest.height
    assert found[("almanac_window_rmse", labels)] == pytest.approx((error**2).mean() ** 0.5)
    assert found[("almanac_window_mae", labels)] == pytest.approx(abs(error).mean())
    assert found[("almanac_window_bias", labels)] == pytest.approx(error.mean())
    assert found[("almanac_window_coverage_ratio", labels)] == pytest.approx((abs(error) <= 30).mean())
    with pytest.raises(MetricError, match="no column 'lower'"):
        prediction_samples("u", told.drop("lower"))


def test_realised_error_by_band() -> None:
    bands = {
        "0-35": {"rows": 600, "rmse": 20.0, "mae": 12.0, "bias": 1.0, "coverage": 0.9},
        "unknown": {"rows": 30, "rmse": 34.0, "mae": 25.0, "bias": -2.0, "coverage": None},
    }
    found = values(band_samples("u", {"t_1h": {"bands": bands}, "t_6h": {"judged": False}}))
    assert found[("almanac_window_band_coverage_ratio", ("u", "t_1h", "0-35"))] == 0.9
    # Without an interval there is no coverage.
    assert {name: value for (name, labels), value in found.items() if labels[2] == "unknown"} == {
        "almanac_window_band_rows": 30.0, "almanac_window_band_rmse": 34.0, "almanac_window_band_bias": -2.0
    }  # fmt: skip
    assert len(found) == 7


def test_a_sample_must_fit_its_metric() -> None:
    with pytest.raises(MetricError, match="has the labels use_case, model"):
        Sample(m.WINDOW_RMSE, ("u",), 1.0)
    with pytest.raises(MetricError, match="is nan"):
        Sample(m.WINDOW_RMSE, ("u", "t"), float("nan"))
    with pytest.raises(MetricError, match="no figures"):
        push([], "anywhere", "u")


@pytest.mark.parametrize("group", ["", "../up", "a/b", ".hidden"])
def test_a_group_is_a_plain_name(group: str, tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="expected a plain name"):
        push([Sample(m.WINDOW_DRIFTED, ("u",), 1.0)], str(tmp_path), group)
    assert list(tmp_path.iterdir()) == []


def test_groups_are_replaced_and_served_together(tmp_path: Path) -> None:
    odd = 'a "quoted" \\ name\nwith a line'
    push([Sample(m.WINDOW_DRIFTED, ("u",), 1.0), Sample(m.MONITORED, ("u",), 5.0)], str(tmp_path), "u-drift")
    push([Sample(m.WINDOW_DRIFTED, ("u",), 0.0)], str(tmp_path), "u-drift")
    push([Sample(m.WINDOW_DRIFTED, (odd,), 1.0)], str(tmp_path), "v-drift")
    with in_background(exporter(tmp_path, "127.0.0.1", 0)) as url:
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            body = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            urllib.request.urlopen(f"{url}/other", timeout=10)
        missing.value.close()
    assert body.count("# TYPE almanac_window_drifted gauge") == 1
    families = list(text_string_to_metric_families(body))
    assert [family.name for family in families] == ["almanac_window_drifted"]
    assert {s.labels["use_case"]: s.value for s in families[0].samples} == {"u": 0.0, odd: 1.0}


def test_a_pushgateway_gets_a_put_of_the_whole_group() -> None:
    got: list[tuple[str, str, bytes]] = []
    answer = {"status": 200}

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append((self.command, self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(answer["status"])
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"text")

        def log_message(self, format: str, *args: object) -> None:
            pass

    samples = [Sample(m.WINDOW_DRIFTED, ("u",), 1.0)]
    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Gateway)) as url:
        push(samples, url + "/", "u-drift")
        assert got == [("PUT", "/metrics/job/almanac-pipelines/group/u-drift", text(samples))]
        answer["status"] = 400
        with pytest.raises(MetricError, match="refused the figures: 400 text"):
            push(samples, url, "u-drift")
    with pytest.raises(MetricError, match="cannot be reached"):
        push(samples, url, "u-drift")


@needs("promtool")
def test_promtool_accepts_the_text(run_directory: Path) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text(model_samples(run_directory)), capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs("prometheus")
def test_a_push_reaches_prometheus(run_directory: Path, tmp_path: Path) -> None:
    figures, port, own = tmp_path / "figures", free_port(), free_port()
    assert main(["push", str(run_directory), "--to", str(figures)]) == 0
    job = {"job_name": "almanac-pipelines", "honor_labels": True}
    config = {
        "global": {"scrape_interval": "300ms"},
        "scrape_configs": [{**job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    start = [sys.executable, "-m", "monitoring", "exporter", str(figures), "--port", str(port)]
    here = Path(__file__).resolve().parents[3]
    with (
        running(start, tmp_path / "exporter.log", here),
        running(prometheus_command(path, tmp_path / "data", own), tmp_path / "prometheus.log"),
    ):
        wait_for(lambda: get_json(f"http://127.0.0.1:{own}/api/v1/targets"), 30)
        found = wait_for(lambda: query(own, 'almanac_model_test_rmse{model="t_1h"}'), 30)
        assert float(found[0]["value"][1]) == 20.0
        document = json.loads((run_directory / "metrics.json").read_text())
        document["targets"]["t_1h"]["rmse"] = 17.0
        write_json(run_directory / "metrics.json", document)
        assert main(["push", str(run_directory), "--to", str(figures)]) == 0
        wait_for(lambda: query(own, 'almanac_model_test_rmse{model="t_1h"} == 17'), 30)


def test_resources_of_this_process() -> None:
    registry = CollectorRegistry()
    registry.register(Resources(this_process))
    found = {f.name: f.samples[0].value for f in text_string_to_metric_families(generate_latest(registry).decode())}
    assert found["almanac_processes"] == 1
    assert 10e6 < found["almanac_resident_memory_bytes"] < 100e9
    assert found["almanac_cpu_seconds"] == pytest.approx(sum(os.times()[:2]), abs=0.5)
    assert 3 <= found["almanac_open_files"] < 5000


def test_a_process_that_ended_is_left_out() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    registry = CollectorRegistry()
    registry.register(Resources(lambda: [done.pid]))
    assert "almanac_processes 0.0" in generate_latest(registry).decode()
