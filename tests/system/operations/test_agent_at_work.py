"""Actions from the alarm to their end on what they change: a registry with its server, stores, exporters, clusters."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
import yaml
from kubernetes import client
from prometheus_client.parser import text_string_to_metric_families

from governance.registry import Registry
from monitoring.metrics import ROLLING_RMSE_LIMIT
from operations.agent.actions import ACTIONS
from serving.deploy.kube import Kube
from serving.deploy.manifests import Deployment, render
from tests.support.agent_at_work import KEY, begun, helped, not_helped, site_of, the_step
from tests.support.kubernetes_api import KubernetesApi, kubeconfig
from tests.support.server import ROOT, Start, as_row, free_port, wait_for, write_model
from tests.system.operations.test_agent_actions import CANARY
from tests.system.serving.test_operation import register
from tests.system.serving.test_store import Redis, needs_redis


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    return write_model(tmp_path_factory.mktemp("second") / "model", beijing, trees=15)


@pytest.mark.parametrize("helps", [True, False])
def test_a_rollback_is_approved_and_served_and_taken_back_where_it_does_not_help(
    helps: bool, start: Start, tmp_path: Path, model_dir: Path, second_model: Path, feature_rows: np.ndarray
) -> None:
    registry = Registry(tmp_path / "registry")
    for model, name in ((model_dir, "one"), (second_model, "two")):
        register(registry, model, tmp_path / name)
    environment = {"ALMANAC_REGISTRY": str(tmp_path / "registry"), "ALMANAC_CACHE": str(tmp_path / "cache")}
    server = start("--poll-seconds", "0.2", model="registry:air/production", environment=environment)
    body = {"instances": [as_row(feature_rows[5])]}

    def answers(version: str) -> bool:
        return bool(server.post("/v1/models/pm25_1h:predict", body).json["model_version"] == version)

    assert answers("2")
    work = begun(tmp_path, "rollback", server={"url": server.url})
    wait_for(lambda: answers("1"))
    if helps:
        helped(work)
        assert answers("1")
    else:
        not_helped(work)
        wait_for(lambda: answers("2"))
    events = Registry(tmp_path / "registry").log("air")
    assert [(event.kind, event.who) for event in events[-2:]] == [
        ("promoted", "ann") if helps else ("rolled_back", "almanac-agent"),
        ("rolled_back", "almanac-agent") if helps else ("promoted", "almanac-agent"),
    ]


def test_a_canary_that_was_ended_in_vain_has_its_share_again(
    start: Start, tmp_path: Path, model_dir: Path, second_model: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    for model, name in ((second_model, "one"), (model_dir, "two")):
        register(registry, model, tmp_path / name)
    environment = {"ALMANAC_REGISTRY": str(tmp_path / "registry"), "ALMANAC_CACHE": str(tmp_path / "cache")}
    server = start("--canary", "1=50", model="registry:air/production", environment=environment)
    action, site = ACTIONS["end_canary"], site_of(tmp_path, server={"url": server.url})
    # Within its bound, so that the agent would not plan it.
    assert action.plan(site, "bad_release") is None
    parameters = {"version": "1", "percent": 50}
    before = action.observe(site, parameters)
    action.do(site, parameters, before, KEY)
    assert action.done(site, parameters, before, KEY)
    for _ in range(2):
        action.undo(site, parameters, before, KEY)
        assert (server.get(CANARY).json["state"], server.get(CANARY).json["percent"]) == ("running", 50)
    assert not action.done(site, parameters, before, KEY)


@needs_redis
def test_a_redis_that_came_back_empty_is_filled(start: Start, beijing: pl.DataFrame, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    try:
        server = start("--feature-store", redis.url)
        newest = beijing["timestamp"].dt.to_string("%Y-%m-%dT%H:%M:%S").max()
        body = {"instances": [{"entity": "default", "time": newest}]}
        path = tmp_path / "table.parquet"
        beijing.tail(5_000).write_parquet(path)
        redis.stop()
        redis.start()
        # Away at first, then there and without the entity.
        wait_for(lambda: server.post("/v1/models/pm25_1h:predict", body).status not in (200, 503))
        work = begun(tmp_path, "seed_history", server={"url": server.url}, history=str(path))
        assert the_step(work).result == {"kept": 4_000}
        assert server.post("/v1/models/pm25_1h:predict", body).status == 200
    finally:
        redis.stop()


def test_raised_limits_are_what_is_scraped(tmp_path: Path) -> None:
    name, port = ROLLING_RMSE_LIMIT.name, free_port()
    (tmp_path / "air-model.prom").write_text(f'# TYPE {name} gauge\n{name}{{target="pm25_1h"}} 20.0\n')
    command = [sys.executable, "-m", "monitoring", "exporter", str(tmp_path), "--port", str(port)]
    exporter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def limit() -> float | None:
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx.HTTPError:
            return None
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return next(each.value for each in samples if each.name == name)

    try:
        wait_for(lambda: limit() == 20.0)
        work = begun(tmp_path, "change_thresholds", figures=str(tmp_path))
        assert limit() == 25.0
        not_helped(work)
        assert limit() == 20.0
    finally:
        exporter.terminate()
        exporter.wait()


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    with KubernetesApi() as api:
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(api.host)))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield api


def test_replicas_are_raised_to_what_object_and_policy_allow_and_set_back(
    kubernetes: KubernetesApi, tmp_path: Path
) -> None:
    deployment = Deployment("air", 1, "ab" * 32, "s3://models/one", "almanac-server", "almanac", 2, 3)
    kube = Kube(client.ApiClient(client.Configuration(host=kubernetes.host)))
    for item in render(deployment):
        kube.apply(item)

    def least() -> int:
        (service,) = (one for one in kubernetes.objects.values() if one["kind"] == "InferenceService")
        return int(service["spec"]["predictor"]["minReplicas"])

    bounds = {"lowest": 3, "highest": 8}
    work = begun(tmp_path, "scale_service", service={"namespace": "almanac", "name": deployment.name, **bounds})
    assert (least(), the_step(work).result) == (3, {"replicas": 3})
    not_helped(work)
    assert least() == 2
