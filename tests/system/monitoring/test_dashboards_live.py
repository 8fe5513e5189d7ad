"""Every panel's query against a real Prometheus that scrapes real servers under a little load."""

import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from almanac import drift
from almanac.core.files import read_json, write_json
from almanac.drift.outputs import OutputDrift, Window, compare_outputs, freeze
from almanac.drift.outputs.importance_profile import freeze as freeze_importances
from almanac.drift.outputs.importance_profile import pick
from almanac.drift.profiles.seasons import calendar_of, parse_duration
from monitoring.__main__ import main
from monitoring.metrics import ALL, WORKER_STARTS
from monitoring.operations.dashboards import boards
from monitoring.operations.dashboards.variables import VARIABLES, options, scoped
from monitoring.operations.push import push
from monitoring.operations.window_samples import band_samples, prediction_samples
from tests.support.live import ROOT, RULES, get_json, needs, prometheus_command, query, read_yaml, running, wait_for
from tests.support.server import (
    FEATURES,
    ServerProcess,
    _manifest,
    as_row,
    feature_spec,
    free_port,
    simple_features,
    write_model,
)  # fmt: skip

pytestmark = needs("prometheus")


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    """A run with a watched model of two targets, its figures, drift and predictions."""
    run = tmp_path_factory.mktemp("run")
    table = beijing.tail(17_520)
    model = write_model(run / "model", table, trees=10)
    spec = feature_spec()
    frame = pl.DataFrame(simple_features(table, spec), schema=list(FEATURES)).with_columns(time=table["timestamp"])
    profile = drift.profile(frame.fill_nan(None).drop("cbwd"), time="time", season="none", window="30d")
    for name in ("pm25_1h", "pm25_6h"):
        manifest = read_json(model / name / "manifest.json")
        write_json(model / name / "reference.json", profile.to_json())
        write_json(model / name / "manifest.json", {**manifest, **_manifest(model / name)})
    manifest = read_json(model / "manifest.json")
    write_json(model / "manifest.json", {**manifest, **_manifest(model)})
    coverage = {"overall": 0.91, "nominal": 0.9}
    targets = {name: {"rmse": 20.0, "mae": 11.0, "coverage": coverage} for name in ("pm25_1h", "pm25_6h")}
    write_json(run / "metrics.json", {"use_case": "air", "targets": targets})
    write_json(run / "run.json", {"finished_at": "2026-01-01T00:00:00+00:00"})
    comparison = drift.compare(profile, frame.fill_nan(None).tail(720))
    outputs = {name: {"judged": True, **_outputs(table).to_json()} for name in ("pm25_1h", "pm25_6h")}
    write_json(run / "drift.json", {**comparison.to_json(), "use_case": "air", "outputs": outputs})
    _predictions(table).write_parquet(run / "predictions.parquet")
    return run


def _outputs(table: pl.DataFrame) -> OutputDrift:
    """What a linear model of the last value and the temperature gives out in the newest window."""
    names, weights = ("pm25", "temp"), np.array([1.0, 0.1])
    rows = table.select("timestamp", *names, prediction=pl.col("pm25").shift(1), target="pm25").drop_nulls()
    times = rows["timestamp"].to_physical().to_numpy()
    values = rows.select(names).to_numpy() * weights
    calendar = calendar_of((int(times[0]), int(times[-1])), "none", parse_duration("30d"))
    picked = pick(times, calendar, 30)
    reference = freeze(
        rows.select("timestamp", "prediction", "target"),
        time="timestamp",
        season="none",
        importances=freeze_importances(times[picked], values[picked], names, calendar, 30),
    )
    newest = rows.tail(720)
    window = Window(newest, newest, (times[-60:], values[-60:]))
    return compare_outputs(reference, window, 0.01)


def _predictions(table: pl.DataFrame) -> pl.DataFrame:
    """Persistence, as predictions of a target."""
    y, last = pl.col("pm25"), pl.col("pm25").shift(1)
    told = table.select("timestamp", y.alias("y"), last.alias("prediction"), lower=last - 30, upper=last + 30)
    return pl.concat([told.with_columns(target=pl.lit(name)) for name in ("pm25_1h", "pm25_6h")])


@pytest.fixture(scope="module")
def servers(run_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """A server with a shadow, and one that limits and looks at keys."""
    folder = tmp_path_factory.mktemp("servers")
    model = ["--model", str(run_directory / "model"), "--drift-seconds", "0.5"]
    shadow = ["--second", str(run_directory / "model"), "--second-role", "shadow", "--second-share", "1"]
    first = ServerProcess([*model, *shadow, "--feature-store", f"sqlite:///{folder}/store.db"])
    guarded = ServerProcess([*model, "--auth", "optional", "--keys", str(folder / "keys.json"), "--rate-limit", "60/h"])
    try:
        yield [first.wait(), guarded.wait()]
    finally:
        first.stop()
        guarded.stop()


def _load(servers: list[ServerProcess], table: pl.DataFrame) -> None:
    """A little of everything that clients do."""
    first = servers[0]
    rows = [as_row(values) for values in simple_features(table)[-300:] if np.isfinite(values[0])]
    path = "/v1/models/pm25_1h"
    for row in (*rows[:40], *rows[:20], {**rows[0], "pres": 1200.0}):
        assert first.post(f"{path}:predict", {"instances": [row]}).status == 200
    for name in ("pm25_1h", "pm25_6h"):
        answer = first.post(f"/v1/models/{name}:predict", {"instances": rows})
        told = answer.json["predictions"]
        assert len(told) == len(rows), answer.body
        feedback = [{"prediction": 50.0, "actual": 55.0, "lower": 40.0, "upper": 60.0, "target": name}] * 5
        assert first.post(f"/v1/models/{name}:feedback", {"feedback": feedback}).status == 200
    seen = table.tail(300)
    observations = [
        {key: value.isoformat() if key == "timestamp" else value for key, value in row.items()}
        for row in seen.to_dicts()
    ]
    assert first.post("/v1/models/air:ingest", {"observations": observations}).status == 200
    newest = {"entity": "default", "time": seen["timestamp"][-1].isoformat()}
    answer = first.post(f"{path}:predict", {"instances": [newest]})
    assert answer.status == 200, answer.body
    guarded = servers[1]
    assert guarded.post(f"{path}:predict", {"instances": rows[:1]}, {"x-api-key": "wrong"}).status == 401
    for row in rows[:20] * 2:
        assert guarded.post(f"{path}:predict", {"instances": [row]}).status in (200, 429)


@pytest.fixture(scope="module")
def prometheus(
    servers: list[ServerProcess], run_directory: Path, beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The committed configuration with other addresses and shorter intervals; returns the port."""
    folder = tmp_path_factory.mktemp("prometheus")
    figures, exported, port = folder / "figures", free_port(), free_port()
    assert main(["push", str(run_directory), "--to", str(figures)]) == 0
    table = pl.read_parquet(run_directory / "predictions.parquet")
    unknown = {"unknown": {"rows": 30, "rmse": 34.0, "bias": -1.0, "coverage": 0.77}}
    samples = prediction_samples("air", table, estimate=lambda target: 12.0)
    samples += band_samples("air", {"pm25_1h": {"bands": unknown}})
    push(samples, str(figures), "air-window")
    config = read_yaml(ROOT / "monitoring" / "prometheus.yaml")
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES / "*.yaml")]
    del config["alerting"]
    ports = {
        "almanac-server": [server.port for server in servers], "almanac-pipelines": [exported], "prometheus": [port]
    }  # fmt: skip
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in ports]
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{number}" for number in ports[job["job_name"]]]}]
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    exporter = [sys.executable, "-m", "monitoring", "exporter", str(figures), "--port", str(exported)]
    with (
        running(exporter, folder / "exporter.log", ROOT),
        running(prometheus_command(path, folder / "data", port), folder / "prometheus.log"),
    ):
        wait_for(lambda: get_json(f"http://127.0.0.1:{port}/api/v1/targets"), 30)
        _load(servers, beijing)
        wait_for(lambda: len(query(port, "up == 1")) == 4, 30)
        _load(servers, beijing)  # a rate needs a counter that moves between two scrapes
        wait_for(lambda: query(port, "almanac:drift_score:max"), 30)
        yield port


def test_every_panel_shows_data(prometheus: int) -> None:
    queries = {
        (board.name, panel.title, legend): chosen(text, ".*")
        for board in boards()
        for panel in board.panels
        for legend, text in panel.queries.items()
    }

    def empty() -> list[tuple[str, str, str]]:
        return [place for place, text in queries.items() if not _has_number(query(prometheus, text))]

    assert len(queries) > 50
    deadline = time.monotonic() + 25
    while (missing := empty()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert missing == []


def chosen(text: str, model: str) -> str:
    """A panel's query as Grafana sends it, with a model chosen and everything else."""
    return scoped(text).replace("$use_case", ".*").replace("$version", ".*").replace("$model", model)


def test_a_chosen_model_is_shown_alone(prometheus: int) -> None:
    shown = 0
    for panel in (panel for board in boards() for panel in board.panels):
        for text in panel.queries.values():
            models = {row["metric"].get("model") for row in query(prometheus, chosen(text, "pm25_1h"))} - {None}
            assert models <= {"pm25_1h"}, text
            shown += len(models)
    assert shown > 20


def test_the_variables_have_what_there_is(prometheus: int) -> None:
    found = {}
    for name in VARIABLES:
        series = re.fullmatch(r"label_values\((\{.*\}), \w+\)", options(name))
        assert series is not None
        selector = re.sub(r'=~"\$\w+"', '=~".*"', series[1])
        found[name] = {row["metric"].get(name) for row in query(prometheus, selector)}
    assert found["use_case"] == {"air"}
    assert found["model"] == {"pm25_1h", "pm25_6h"}
    assert len(found["version"]) == 1


def _has_number(result: list[dict[str, object]]) -> bool:
    return any(math.isfinite(float(row["value"][1])) for row in result)  # type: ignore[index]


def test_every_rule_is_evaluated(prometheus: int) -> None:
    groups = get_json(f"http://127.0.0.1:{prometheus}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == 57


def test_what_is_scraped_is_what_is_declared(prometheus: int) -> None:
    """Names, kinds and labels; what happens rarely (a failed swap, a dropped line) need not have happened."""
    known = get_json(f"http://127.0.0.1:{prometheus}/api/v1/metadata")["data"]
    families = {name: rows[0]["type"] for name, rows in known.items() if name.startswith("almanac_")}
    families = {name: kind for name, kind in families.items() if not name.endswith("_created")}
    assert families == {metric.name: metric.kind for metric in ALL if metric.name in families}
    # A supervisor counts the workers that it starts, and a single worker has none.
    assert {metric.name for metric in ALL if metric is not WORKER_STARTS} == set(families)
    reserved = {"__name__", "instance", "job", "le"}
    for metric in ALL:
        found = query(prometheus, metric.series[0])  # Prometheus leaves empty labels out, so all series together
        labels = {label for series in found for label in series["metric"]} - reserved
        assert labels == (set(metric.labels) if found else set()), metric.name


def test_the_committed_json_is_what_the_code_builds() -> None:
    assert main(["dashboards", "--check"]) == 0
    for board in boards():
        document = json.loads((ROOT / "monitoring" / "dashboards" / f"{board.name}.json").read_text())
        shown = [panel["title"] for panel in document["panels"] if panel["type"] != "row"]
        assert shown == [panel.title for panel in board.panels]
