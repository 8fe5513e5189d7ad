"""No figure of the archive's clock is compared with the wall clock, in artifacts, rules and dashboards."""

import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from almanac.core.clocks import clock_of
from almanac.core.errors import MetricError
from almanac.core.files import read_json
from almanac.usecase import dump
from components.drift.task import run as run_drift
from components.monitoring.task import run as run_monitoring
from components.prediction.task import predict
from monitoring import metrics
from monitoring.operations.window_samples import drift_samples
from monitoring.windows.join import read_log
from monitoring.windows.monitor import Sources
from orchestration import recurring
from orchestration.console import Screen
from orchestration.run import Request
from tests.support.live import (
    ROOT,
    RULES,
    alerts,
    get_json,
    needs,
    prometheus_command,
    query,
    running,
    wait_for,
)
from tests.support.production import Production
from tests.support.server import free_port
from tests.system.monitoring.test_rules import expressions

#: Keys of times of the wall clock, in every artifact.
WALL = {"generated_at", "started_at", "finished_at", "fetched_at", "registered_at", "when", "created", "expires"}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")


def times(document: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every time in a document, with its key."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from times(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from times(value, key)
    elif isinstance(document, str) and _TIME.fullmatch(document):
        yield key, document


@pytest.fixture(scope="module")
def folder(production: Production, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of a drift comparison and of a monitoring, what they pushed, and a run of the monitoring pipeline."""
    from pipelines import monitoring_pipeline

    folder, case = tmp_path_factory.mktemp("clocks"), production.case
    made = predict(case, production.table, production.registry, "windows:3")
    made.table.write_parquet(folder / "predictions.parquet")
    sources = Sources(production.table, folder / "predictions.parquet", production.registry)
    pushed = str(folder / "figures")
    run_monitoring(dump(case), sources, pushed, folder / "monitoring.json", folder / "monitoring.html")
    run_drift(dump(case), production.table, production.registry, folder / "drift.json", folder / "drift.html")
    request = Request(case, ROOT / "usecases" / "air_quality.yaml", folder / "runs", production.registry)
    recurring.monitor(request, monitoring_pipeline(case), {"log": "", "as_of": ""}, Screen(io.StringIO()))
    return folder


def test_every_time_in_an_artifact_says_which_clock_it_is_of(folder: Path, production: Production) -> None:
    """A zone means the wall clock; its times are of today, while the series ends in 2014."""
    events = Path(production.registry).rglob("events/*.json")
    documents = [*folder.rglob("*.json"), *events, *Path(production.registry).parent.joinpath("model").rglob("*.json")]
    seen: dict[str, set[str]] = {"wall": set(), "data": set()}
    now = datetime.now(UTC)
    for path in documents:
        for key, text in times(json.loads(path.read_text())):
            clock = clock_of(text)
            seen[clock].add(key)
            assert (clock == "wall") == (key in WALL), f"{path.name}: {key} is {text}"
            # The cache of sources remembers when the bytes were first seen.
            if clock == "wall" and key != "fetched_at":
                assert abs(now - datetime.fromisoformat(text)) < timedelta(days=4), f"{path.name}: {key} is {text}"
            elif clock == "data" and key not in ("date", "text"):
                assert "2009" < text[:4] < "2016", f"{path.name}: {key} is {text}"
    assert {"generated_at", "started_at", "finished_at", "when"} <= seen["wall"]
    assert {"data_present", "newest", "start", "stop", "span"} <= seen["data"]


def test_the_monitoring_has_the_present_of_the_data(folder: Path) -> None:
    document = read_json(folder / "monitoring.json")
    assert document["data_present"] == "2015-01-01T00:00:00"
    assert "as of 2015-01-01 00:00:00 by the data" in (folder / "monitoring.html").read_text()
    assert document["format"] == 2


def test_a_time_of_the_data_is_not_taken_for_one_of_the_wall(folder: Path) -> None:
    document = read_json(folder / "drift.json")
    with pytest.raises(MetricError, match="'2015-01-01T00:00:00' is not a time of the wall clock"):
        drift_samples({**document, "generated_at": "2015-01-01T00:00:00"})
    span = ["2014-12-02T00:00:00+00:00", "2014-12-31T23:00:00+00:00"]
    with pytest.raises(MetricError, match="is not a time of the data clock"):
        drift_samples({**document, "window": {**document["window"], "span": span}})


def test_each_moment_has_a_clock() -> None:
    moments = {metric.name for metric in metrics.ALL if metric.name.endswith("_timestamp_seconds")}
    assert moments == {metric.name for metric in metrics.ALL if metric.clock is not None}
    for metric in metrics.ALL:
        assert ("_data_" in metric.name and metric.name in moments) == (metric.clock == "data"), metric.name


def test_only_moments_of_the_wall_clock_have_an_age() -> None:
    """`time()` is the wall clock's."""
    data = {metric.name for metric in metrics.ALL if metric.clock == "data"}
    aged = {place: text for place, text in expressions().items() if "time()" in text.replace("_over_time()", "")}
    assert len(aged) >= 5
    assert {place: text for place, text in aged.items() if any(name in text for name in data)} == {}
    for place, text in aged.items():
        assert any(m.name in text for m in metrics.ALL if m.clock == "wall"), place


def test_what_a_server_wrote_about_an_archive_is_read_whenever_it_was_written(
    production: Production, folder: Path, tmp_path: Path
) -> None:
    """The name of a server's file is of the wall clock: it bounds the times of the lines only where the data go on."""
    case = production.case
    rows = pl.read_parquet(folder / "predictions.parquet")
    lines = rows.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    log = tmp_path / case.name
    log.mkdir()
    lines.write_ndjson(log / "until-20140101T000000-pod-1-1.jsonl")
    assert read_log(case, str(tmp_path), datetime(2014, 9, 1)).height == rows.height
    staleness = case.validation.staleness
    assert staleness is not None
    live = case.model_copy(
        update={
            "validation": case.validation.model_copy(
                update={"staleness": staleness.model_copy(update={"as_of": "now"})}
            )
        }
    )
    with pytest.raises(Exception, match="no logged predictions"):
        read_log(live, str(tmp_path), datetime(2014, 9, 1))


@needs("prometheus")
def test_a_monitoring_of_a_minute_ago_is_not_overdue(folder: Path, tmp_path: Path) -> None:
    """The rules in a real Prometheus, with the figures that a monitoring of the archive has just pushed."""
    exported, port = free_port(), free_port()
    config = {
        "global": {"scrape_interval": "300ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES / "*.yaml")],
        "scrape_configs": [
            {
                "job_name": "almanac-pipelines",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{exported}"]}],
            }
        ],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    exporter = [sys.executable, "-m", "monitoring", "exporter", str(folder / "figures"), "--port", str(exported)]
    command = prometheus_command(tmp_path / "prometheus.yaml", tmp_path / "data", port)
    age = "time() - max by (use_case) (almanac_monitor_timestamp_seconds)"
    with running(exporter, tmp_path / "exporter.log", ROOT), running(command, tmp_path / "prometheus.log"):
        wait_for(lambda: get_json(f"http://127.0.0.1:{port}/api/v1/targets"), 30)
        found = wait_for(lambda: query(port, age), 30)
        assert 0 <= float(found[0]["value"][1]) < 3600
        for name in ("AlmanacMonitoringOverdue", "AlmanacRetrainOverdue"):
            assert query(port, alerts()[name]["expr"]) == [], name
        for metric in metrics.ALL:
            if metric.clock is not None and metric.origin == "pipeline":
                (moment,) = query(port, f"max({metric.name})")
                year = datetime.fromtimestamp(float(moment["value"][1]), UTC).year
                assert (year == datetime.now(UTC).year) == (metric.clock == "wall"), metric.name
