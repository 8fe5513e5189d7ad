"""Submitting and scheduling by the command line, against the Kubeflow Pipelines HTTP API on loopback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from almanac.core.errors import PipelineError
from almanac.core.image import VERSION
from almanac.usecase import load
from almanac.usecase.override import override
from almanac.usecase.packed import label, parse_label
from governance.registry.carried import read_use_case
from governance.registry.stores import open_store
from orchestration.submission import fetch, publish
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.object_store import serving_s3, use_endpoint
from tests.support.small import larger

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = "usecases/air_quality.yaml"


@pytest.fixture
def server() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


def call(
    command: str, host: str, *arguments: str, token: str = TOKEN, revision: str = "0123456789abcdef"
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KFP_TOKEN": token, "ALMANAC_REVISION": revision, "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "pipeline.py", command, REFERENCE, "--host", host, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_pipeline_is_uploaded_once_run_waited_for_and_its_outputs_fetched(
    server: KubeflowApi, tmp_path: Path
) -> None:
    server.run_states = [
        ("RUNNING", {"ingestion": "RUNNING"}),
        ("SUCCEEDED", {"ingestion": "SUCCEEDED", "gate": "SUCCEEDED"}),
    ]
    root = tmp_path / "root"
    # The API numbers what it is given by its requests, so that the first run's id is known: upload, version, run.
    first = call("submit", server.host, "--registry", "s3://models", "--interval", "0.05", "--no-wait")
    assert first.returncode == 0, first.stderr
    assert f"air-quality-training {VERSION}-0123456789ab: uploaded" in first.stdout
    (run,) = server.runs.values()
    assert run["runtime_config"]["parameters"] == {"registry": "s3://models"}
    made = root / "air-quality-training"
    for identity in range(100):
        task = made / f"{identity}-run" / "gate" / "5f0c" / "decision"
        task.parent.mkdir(parents=True)
        task.write_text(json.dumps({"passed": True}))
    where = ["--pipeline-root", str(root), "--fetch", str(tmp_path / "fetched"), "--interval", "0.05"]
    second = call("submit", server.host, *where, "--push", "http://gateway:9091")
    assert second.returncode == 0, second.stderr
    assert "already there" in second.stdout
    assert "succeeded" in second.stdout
    assert len(server.versions) == 1
    assert len(server.runs) == 2
    newest = list(server.runs)[-1]
    assert server.runs[newest]["runtime_config"]["pipeline_root"] == str(root)
    assert server.runs[newest]["runtime_config"]["parameters"]["push"] == "http://gateway:9091"
    assert json.loads((tmp_path / "fetched" / newest / "gate.json").read_text()) == {"passed": True}


def test_a_run_that_ended_early_is_told_and_has_nothing_to_fetch(server: KubeflowApi, tmp_path: Path) -> None:
    server.run_states = [("SUCCEEDED", {"preflight": "SUCCEEDED"})]
    where = ["--pipeline-root", str(tmp_path), "--fetch", str(tmp_path / "fetched"), "--interval", "0.05"]
    done = call("submit", server.host, *where)
    assert done.returncode == 0, done.stderr
    assert "succeeded: nothing has changed since the version that the registry has" in done.stdout
    assert not (tmp_path / "fetched").exists()


def test_a_schedule_is_that_of_the_use_case_and_replaces_the_one_before(server: KubeflowApi) -> None:
    for revision in ("a" * 40, "b" * 40):
        done = call("schedule", server.host, revision=revision)
        assert done.returncode == 0, done.stderr
    (recurring,) = server.recurring.values()
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 3 1 * *"
    assert recurring["no_catchup"] is True
    assert int(recurring["max_concurrency"]) == 1
    newest = list(server.versions.values())[-1]
    assert newest["display_name"] == f"{VERSION}-bbbbbbbbbbbb"
    assert recurring["pipeline_version_reference"]["pipeline_version_id"] == newest["pipeline_version_id"]
    # Each run resolves the spans against its own data: no date is part of the schedule.
    split = override(load(ROOT / REFERENCE), recurring["runtime_config"]["parameters"]["overrides"]).split
    assert (split.test, split.train, split.test_from, split.test_to) == ("last 30d", "expanding", None, None)


def test_monitoring_has_a_schedule_of_its_own_beside_the_training_s(server: KubeflowApi) -> None:
    assert call("schedule", server.host).returncode == 0
    for revision in ("a" * 40, "b" * 40):
        done = call("schedule", server.host, "--pipeline", "monitoring", "--registry", "s3://models", revision=revision)
        assert done.returncode == 0, done.stderr
    assert "air-quality-monitoring: scheduled at '0 15 * * * *'" in done.stdout
    made = {one["display_name"]: one for one in server.recurring.values()}
    assert len(server.recurring) == 2
    assert made["air-quality-training"]["trigger"]["cron_schedule"]["cron"] == "0 0 3 1 * *"
    monitoring = made["air-quality-monitoring"]
    assert monitoring["trigger"]["cron_schedule"]["cron"] == "0 15 * * * *"
    assert monitoring["no_catchup"] is True
    assert int(monitoring["max_concurrency"]) == 1
    assert monitoring["runtime_config"]["parameters"] == {"registry": "s3://models"}
    newest = server.versions[monitoring["pipeline_version_reference"]["pipeline_version_id"]]
    assert newest["display_name"] == f"{VERSION}-bbbbbbbbbbbb"
    assert newest["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "air-quality-monitoring"
    log = ["--log", "s3://almanac/predictions"]
    assert call("schedule", server.host, "--pipeline", "monitoring", *log).returncode == 0
    (monitoring,) = (one for one in server.recurring.values() if one["display_name"] == "air-quality-monitoring")
    assert monitoring["runtime_config"]["parameters"] == {"registry": "registry", "log": "s3://almanac/predictions"}
    training = call("schedule", server.host, *log)
    assert (training.returncode, "--pipeline monitoring" in training.stderr) == (1, True)
    refused = call("schedule", server.host, "--pipeline", "batch")
    assert refused.returncode == 2
    assert "'batch' is not one of 'training', 'monitoring'" in refused.stderr


def test_a_pod_schedules_with_the_token_that_is_mounted(
    server: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    for auth in ("in-cluster", "service-account"):
        done = call("schedule", server.host, "--auth", auth, token="not this one")
        assert done.returncode == 0, done.stderr
    assert len(server.recurring) == 1


def test_each_failure_has_its_own_exit_code_and_one_line(server: KubeflowApi) -> None:
    server.run_states = [("FAILED", {"validation": "FAILED"})]
    failed = call("submit", server.host, "--interval", "0.05")
    assert (failed.returncode, failed.stdout.count("uploaded")) == (7, 1)
    assert "ended as FAILED; failed: validation" in failed.stderr
    server.run_states = [("SUCCEEDED", {"ingestion": "SUCCEEDED"})]
    for version in server.versions.values():
        version["pipeline_spec"]["pipeline_spec"]["root"] = {}
    clash = call("submit", server.host)
    assert clash.returncode == 6
    assert "exists and is another file" in clash.stderr
    refused = call("submit", server.host, token="another")
    assert refused.returncode == 5
    assert "the token was refused (401)" in refused.stderr
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = call("submit", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert gone.returncode == 4
    assert "no Kubeflow Pipelines API answers" in gone.stderr
    for done in (failed, clash, refused, gone):
        assert "Traceback" not in done.stderr
        assert TOKEN not in done.stderr + done.stdout


def test_settings_are_a_parameter_of_the_run_and_no_other_version(server: KubeflowApi) -> None:
    quick = ["--interval", "0.05"]
    assert call("submit", server.host, *quick).returncode == 0
    changed = call("submit", server.host, *quick, "--set", "training.budget.trials=2", "--set", "drift.window=20d")
    assert changed.returncode == 0, changed.stderr
    assert "already there" in changed.stdout and len(server.versions) == 1
    parameters = list(server.runs.values())[-1]["runtime_config"]["parameters"]
    assert parameters == {"registry": "registry", "overrides": "{drift.window: 20d, training.budget.trials: 2}"}
    wrong = call("submit", server.host, "--set", "training.budget.trails=2")
    assert (wrong.returncode, len(server.runs)) == (1, 2)
    assert "did you mean 'trials'?" in wrong.stderr


def test_outputs_that_cannot_be_read_are_found_out_before_the_run(server: KubeflowApi, tmp_path: Path) -> None:
    done = call("submit", server.host, "--pipeline-root", "s4://bucket/runs", "--fetch", str(tmp_path))
    assert done.returncode == 1
    assert "cannot be read from here, so that --fetch would fail after the run" in done.stderr
    assert server.requests == []
    assert "Traceback" not in done.stderr


def test_fetching_without_a_place_is_refused_before_anything_is_uploaded(server: KubeflowApi, tmp_path: Path) -> None:
    done = call("submit", server.host, "--fetch", str(tmp_path))
    assert done.returncode == 1
    assert "--pipeline-root" in done.stderr
    assert server.requests == []


def test_a_use_case_that_no_pipeline_carries_goes_to_the_registry_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = load(ROOT / REFERENCE)
    assert publish(case, "registry") is None
    large = larger(case, 4)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="give --registry, the address of the cluster's, such as s3://"):
        publish(large, "registry")
    assert not list(tmp_path.iterdir())
    with serving_s3() as url:
        use_endpoint(monkeypatch, url)
        fsspec.filesystem("s3").mkdir("models")
        key = publish(large, "s3://models/registry")
        assert key == publish(large, "s3://models/registry")
        assert read_use_case(open_store("s3://models/registry"), *parse_label(label(large))) == large


def test_outputs_of_an_object_store_are_named_as_a_local_run_names_them(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    base = "/runs/toy/run-1"
    files = {
        "training/0a1b/model/pm25_1h/model.bst": b"tree",
        "evaluation/0a1c/figures": b"{}",
        "gate/decision": b"{}",
        "training/0a1b/executor-logs": b"a log, no output",
    }
    for name, data in files.items():
        memory.pipe(f"{base}/{name}", data)
    assert fetch("memory://runs", "toy", "run-1", tmp_path / "out") == [
        "gate.json",
        "metrics.json",
        "model/pm25_1h/model.bst",
    ]
    assert (tmp_path / "out" / "model" / "pm25_1h" / "model.bst").read_bytes() == b"tree"
    with pytest.raises(PipelineError, match="no outputs of run run-2"):
        fetch("memory://runs", "toy", "run-2", tmp_path / "other")
