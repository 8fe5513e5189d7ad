"""Rendering the production version's manifest, and applying it to a Kubernetes API on loopback."""

import base64
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from almanac.core.errors import DeploymentError
from almanac.core.files import read_json
from almanac.usecase import dump
from components.deployment.task import run
from governance.registry import resolve
from orchestration.client_key import RING_SECRET, make_client_key
from serving.deploy.apply import apply_and_wait
from serving.deploy.canary import render_canary
from serving.deploy.delete import delete_all
from serving.deploy.forward import forwarded
from serving.deploy.kube import Kube
from serving.deploy.manifests import Deployment, render, render_edges
from serving.deploy.model_image import write_model_image
from serving.deploy.prerequisites import look
from serving.deploy.production import storage_uri, write_manifest
from serving.deploy.reach import client_key, require_way
from serving.deploy.smoke import smoke
from serving.prediction.source import Source
from serving.security.keys import KeyRing, load_keys, save_keys
from tests.support.kubernetes_api import RELEASES, KubernetesApi
from tests.support.production import Production
from tests.support.server import free_port, wait_for

FIRST = Deployment(
    use_case="air_quality",
    version=1,
    digest="ab" * 32,
    storage_uri="s3://models/one",
    image="ghcr.io/almanac/serving:0.1.0",
    namespace="almanac",
    min_replicas=2,
    max_replicas=4,
)
SECOND = replace(FIRST, version=2, storage_uri="s3://models/two")


def _client(server: KubernetesApi) -> client.ApiClient:
    return client.ApiClient(client.Configuration(host=server.host))


def _address(service: dict[str, Any]) -> str:
    env = {one["name"]: one["value"] for one in service["spec"]["predictor"]["model"]["env"]}
    return str(env["ALMANAC_MODEL"])


def _only_the_first_starts(service: dict[str, Any]) -> dict[str, Any] | None:
    if _address(service) == FIRST.storage_uri:
        return None
    return {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}


def test_every_object_is_applied_and_the_service_waited_for() -> None:
    with KubernetesApi() as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        apply_and_wait(render(SECOND), _client(server), timeout=5, interval=0.01)
        assert len(server.objects) == 5
        assert [item["kind"] for item in server.applied[:5]] == [item["kind"] for item in render(FIRST)]


@pytest.mark.parametrize("release", RELEASES)
def test_a_version_that_does_not_start_is_named_and_rolled_back(release: str) -> None:
    """Even where Ready stays true, because the pods of the version before still answer."""
    with KubernetesApi(_only_the_first_starts, release) as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        message = (
            r"did not get ready within 0\.1 s: 1 of 2 pods are of this version; 2 of all 3 pods are available\n"
            r"  pod pod-1, container kserve-container: ImagePullBackOff: no such image; "
            r"version 1 was applied again and is ready$"
        )
        with pytest.raises(DeploymentError, match=message):
            apply_and_wait(render(SECOND), _client(server), timeout=0.1, interval=0.01)
        service = next(item for item in server.objects.values() if item["kind"] == "InferenceService")
        assert _address(service) == FIRST.storage_uri


def test_a_first_version_that_does_not_start_leaves_nothing_behind() -> None:
    with KubernetesApi(_only_the_first_starts) as server:
        with pytest.raises(
            DeploymentError, match="there is no earlier version to go back to, and what was applied was"
        ):
            apply_and_wait(render(SECOND), _client(server), timeout=0.1, interval=0.01)
        assert server.objects == {}
        assert [path.split("/")[-2] for path in server.deleted][-1] == "servingruntimes"


@pytest.mark.parametrize("release", RELEASES)
def test_a_version_that_starts_slowly_is_waited_for(release: str) -> None:
    with KubernetesApi(release=release, seconds=0.5) as server:
        begun = time.monotonic()
        apply_and_wait(render(FIRST), _client(server), timeout=30, interval=0.01)
        assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize("release", RELEASES)
def test_a_change_of_replicas_alone_is_ready_at_once_and_rolls_nothing(release: str) -> None:
    with KubernetesApi(release=release) as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        apply_and_wait(render(replace(FIRST, max_replicas=9)), _client(server), timeout=5, interval=0.01)
        apply_and_wait(render(replace(FIRST, min_replicas=3)), _client(server), timeout=5, interval=0.01)
        assert len(server.templates) == 1


@pytest.mark.parametrize("release", RELEASES)
def test_a_new_image_and_a_new_version_are_one_rollout(release: str) -> None:
    with KubernetesApi(release=release) as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        newer = replace(SECOND, image="ghcr.io/almanac/serving:0.2.0")
        apply_and_wait(render(newer), _client(server), timeout=5, interval=0.01)
        assert len(server.templates) == 2
        runtimes = [item for item in server.objects.values() if item["kind"] == "ServingRuntime"]
        assert [item["spec"]["containers"][0]["image"] for item in runtimes] == [newer.image]


def test_a_container_that_ended_shows_the_end_of_its_log() -> None:
    def crashes(service: dict[str, Any]) -> dict[str, Any]:
        last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        return {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last, "restartCount": 2}

    with KubernetesApi(crashes) as server:
        server.logs["pod-1"] = "loading\nerror: no space is left"
        with pytest.raises(
            DeploymentError, match=r"OOMKilled, exit code 137\n    loading\n    error: no space is left"
        ):
            apply_and_wait(render(FIRST), _client(server), timeout=0.1, interval=0.01)


@pytest.mark.parametrize("kept", ["pod-1", "pod-1/previous"])
@pytest.mark.parametrize("state", ["running", "terminated"])
def test_the_log_is_that_of_a_container_that_ended_wherever_the_node_still_has_it(state: str, kept: str) -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 1}}

    def fails(service: dict[str, Any]) -> dict[str, Any]:
        now = ended if state == "terminated" else {"running": {}}
        return {"state": now, "lastState": ended, "restartCount": 1}

    with KubernetesApi(fails) as server:
        server.logs[kept] = "error: the manifest cannot be read"
        with pytest.raises(DeploymentError, match=r"Error, exit code 1\n    error: the manifest cannot be read"):
            apply_and_wait(render(FIRST), _client(server), timeout=0.1, interval=0.01)


def test_a_container_before_the_server_that_does_not_end_is_named_with_its_log() -> None:
    def waits(service: dict[str, Any]) -> dict[str, Any]:
        return {"name": "modelcar-init", "state": {"running": {"startedAt": "2026-11-27T06:00:00Z"}}}

    with KubernetesApi(waits) as server:
        server.logs["pod-1"] = "Pre-fetching"
        with pytest.raises(DeploymentError, match=r"container modelcar-init: has not ended\n    Pre-fetching"):
            apply_and_wait(render(FIRST), _client(server), timeout=0.1, interval=0.01)


def test_a_pod_that_waits_for_its_volume_is_named_with_the_warning() -> None:
    def waits(service: dict[str, Any]) -> dict[str, Any]:
        return {"state": {"waiting": {"reason": "ContainerCreating"}}}

    event = {"reason": "FailedMount", "message": "hostPath type check failed", "lastTimestamp": "2026-11-27T06:00:00Z"}
    with KubernetesApi(waits) as server:
        server.there["/api/v1/namespaces/events"] = {
            "items": [{**event, "lastTimestamp": None, "reason": "Old"}, event]
        }
        told = r"container kserve-container: ContainerCreating\n  pod pod-1, last warning: FailedMount: hostPath type"
        with pytest.raises(DeploymentError, match=told):
            apply_and_wait(render(FIRST), _client(server), timeout=0.1, interval=0.01)


def test_a_rollback_sends_nothing_that_belongs_to_the_cluster() -> None:
    with KubernetesApi(_only_the_first_starts) as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        _service(server)["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
        with pytest.raises(DeploymentError, match="version 1 was applied again"):
            apply_and_wait(render(SECOND), _client(server), timeout=0.1, interval=0.01)
        back = [item for item in server.applied if item["kind"] == "InferenceService"][-1]
        assert set(back["metadata"]) == {"name", "namespace", "labels", "annotations"}


def test_a_refused_object_is_named() -> None:
    objects = render(FIRST)
    objects[1]["spec"]["predictor"]["minReplica"] = 1
    with (
        KubernetesApi() as server,
        pytest.raises(DeploymentError, match=r"InferenceService almanac/air-quality: the cluster answered 400"),
    ):
        apply_and_wait(objects, _client(server), timeout=1, interval=0.01)


def _standing(server: KubernetesApi) -> set[str]:
    """Return the versions of everything that stands on the cluster."""
    return {item["metadata"]["labels"]["app.kubernetes.io/version"] for item in server.objects.values()}


def _service(server: KubernetesApi) -> dict[str, Any]:
    return next(item for item in server.objects.values() if item["kind"] == "InferenceService")


class TestGoingBack:
    """A deployment that fails halfway leaves the earlier version."""

    @pytest.mark.parametrize("kind", ["inferenceservices", "poddisruptionbudgets", "servicemonitors"])
    @pytest.mark.parametrize("status", [403, 500])
    def test_where_a_later_object_is_refused(self, kind: str, status: int) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            refusals = iter([status])
            server.fault = lambda method, path: next(refusals, None) if method == "PATCH" and kind in path else None
            message = (
                rf"almanac/air-quality: the cluster answered {status} .*; version 1 was applied again and is ready$"
            )
            with pytest.raises(DeploymentError, match=message):
                apply_and_wait(render(SECOND), _client(server), timeout=5, interval=0.01)
            assert _standing(server) == {"1"}
            assert _address(_service(server)) == FIRST.storage_uri

    def test_where_an_object_is_refused_again_the_others_still_are_applied(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            broken = iter([None, 500, 500])  # the second version's runtime is taken; the first version's is not
            server.fault = lambda method, path: (
                next(broken, None)
                if method == "PATCH" and "servingruntimes" in path
                else 500 if method == "PATCH" and "servicemonitors" in path else None
            )  # fmt: skip
            with pytest.raises(DeploymentError) as raised:
                apply_and_wait(render(SECOND), _client(server), timeout=5, interval=0.01)
            told = str(raised.value)
            assert "version 1 was applied again and is ready; not everything could be undone: " in told
            assert re.search(r"ServingRuntime almanac/almanac-air-quality-\w{8}: the cluster answered 500", told)
            assert _address(_service(server)) == FIRST.storage_uri

    def test_is_not_needed_where_the_first_object_is_refused(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            server.fault = lambda method, path: 403 if method == "PATCH" else None
            with pytest.raises(DeploymentError, match=r"ServingRuntime .* answered 403 .*; nothing was changed$"):
                apply_and_wait(render(SECOND), _client(server), timeout=5, interval=0.01)
            assert len(server.applied) == 5

    def test_has_nothing_to_go_back_to_at_first(self) -> None:
        with KubernetesApi() as server:
            server.fault = lambda method, path: 404 if method == "PATCH" and "servicemonitors" in path else None
            with pytest.raises(
                DeploymentError, match=r"ServiceMonitor .* answered 404 .*; there is no earlier version"
            ):
                apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)

    def test_where_the_cluster_does_not_tell_how_the_new_version_fares(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            server.fault = lambda method, path: (
                503 if method == "GET" and _service(server)["metadata"]["generation"] == 2 else None
            )
            message = r"(?s)did not get ready within 0\.2 s: .* answered 503 .*; version 1 was applied again and is"
            with pytest.raises(DeploymentError, match=message):
                apply_and_wait(render(SECOND), _client(server), timeout=0.2, interval=0.01)
            assert _standing(server) == {"1"}

    def test_is_not_the_answer_to_an_api_server_that_is_away_for_a_moment(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            failures = iter([503, 503])
            server.fault = lambda method, path: (
                next(failures, None) if method == "GET" and _service(server)["metadata"]["generation"] == 2 else None
            )
            apply_and_wait(render(SECOND), _client(server), timeout=5, interval=0.01)
            assert next(failures, None) is None
            assert _standing(server) == {"2"}

    def test_where_the_test_of_the_new_version_refuses_its_address(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            with pytest.raises(
                DeploymentError, match=r"is ready, but http://a:b: no address .*; version 1 was applied"
            ):
                apply_and_wait(
                    render(SECOND),
                    _client(server),
                    timeout=5,
                    interval=0.01,
                    check=lambda found: smoke("http://a:b", [], None),
                )
            assert _standing(server) == {"1"}


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("s3://models/registry/use_cases/a/models/1", "s3://models/registry/use_cases/a/models/1"),
        ("gs://models/use_cases/a/models/1", "gs://models/use_cases/a/models/1"),
        ("/home/somebody/registry/use_cases/a/models/1", "pvc://almanac-registry/use_cases/a/models/1"),
        ("file:///registry/use_cases/a/models/1", "pvc://almanac-registry/use_cases/a/models/1"),
    ],
)
def test_the_storage_address_is_one_that_kserve_knows(published: str, expected: str) -> None:
    assert storage_uri(published) == expected


def test_an_image_of_a_version_holds_its_model_for_any_user(production: Production, tmp_path: Path) -> None:
    serving = production.case.serving.model_copy(update={"loading": "oci://ghcr.io/acme/models"})
    case = production.case.model_copy(update={"serving": serving})
    before = os.umask(0o077)
    try:
        assert write_model_image(case, production.registry, tmp_path / "image") == "ghcr.io/acme/models/air-quality:1"
    finally:
        os.umask(before)
    model, models = resolve("registry:air_quality/1", production.registry), tmp_path / "image" / "models"
    assert (tmp_path / "image" / "Dockerfile").read_text().splitlines()[-1] == "COPY models /models"
    assert {path.stat().st_mode & 0o777 for path in models.rglob("*") if path.is_file()} == {0o644}
    assert Source(str(models), number="1").load().digest == Source(str(model), number="1").load().digest
    objects = write_manifest(case, production.registry, tmp_path / "manifest.yaml")
    (service,) = (one for one in objects if one["kind"] == "InferenceService")
    assert service["spec"]["predictor"]["model"]["storageUri"] == "oci://ghcr.io/acme/models/air-quality:1"


def test_an_image_needs_the_name_of_a_repository(production: Production, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"air_quality: serving\.loading is server, which needs no image"):
        write_model_image(production.case, production.registry, tmp_path / "image")
    assert not (tmp_path / "image").exists()


def test_a_server_waits_for_a_model_that_arrives_beside_it(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell of its image makes the link while the server starts."""
    monkeypatch.setenv("MODEL_INIT_MODE", "async")
    model, link = resolve("registry:air_quality/1", production.registry), tmp_path / "models"
    later = threading.Timer(0.5, lambda: link.symlink_to(model))
    later.start()
    assert Source(str(link), number="1").load().targets
    later.join()


def test_what_the_version_promises_is_pushed_where_a_place_is_named(production: Production, tmp_path: Path) -> None:
    out, figures = tmp_path / "manifest.yaml", tmp_path / "figures"
    plain = run(dump(production.case), production.registry, "local", out)
    assert not figures.exists()
    assert run(dump(production.case), production.registry, "local", out, str(figures)) == plain
    (written,) = figures.iterdir()
    assert written.name == "air_quality-model.prom"
    promised = read_json(Path(production.registry).parent / "metrics.json")["targets"]["pm25_6h"]["rmse"]
    line = f'almanac_model_test_rmse{{model="pm25_6h",use_case="air_quality",version="1"}} {promised}'
    assert line in written.read_text().splitlines()


def test_the_limits_that_are_pushed_are_of_the_season_that_the_use_case_calls_the_present(
    production: Production, tmp_path: Path
) -> None:
    """The series is an archive: the day on which somebody deploys says nothing of its seasons."""

    def limit(as_of: str) -> str:
        staleness = production.case.validation.staleness
        assert staleness is not None
        rules = {"staleness": staleness.model_copy(update={"as_of": as_of})}
        validation = production.case.validation.model_copy(update=rules)
        case = production.case.model_copy(update={"validation": validation})
        run(dump(case), production.registry, "local", tmp_path / "manifest.yaml", str(tmp_path / as_of))
        (written,) = (tmp_path / as_of).iterdir()
        found = [
            line for line in written.read_text().splitlines() if line.startswith("almanac_model_rolling_rmse_limit{")
        ]
        assert found
        return found[0]

    assert limit("2015-01-15") != limit("2015-07-15")


def test_a_gateway_that_is_away_does_not_undo_the_deployment(
    production: Production, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "manifest.yaml"
    made = run(dump(production.case), production.registry, "local", out, f"http://127.0.0.1:{free_port()}")
    assert made["version"] == "1"
    assert out.exists()
    assert "warning: the metrics of version 1 were not pushed: http://127.0.0.1" in capsys.readouterr().out


def test_what_a_namespace_lacks_is_named_with_its_remedy() -> None:
    with KubernetesApi() as server:
        kube = Kube(_client(server))
        server.there = {}
        (namespace,) = look(kube, "demo")
        assert (namespace.state, namespace.remedy) == ("missing", "kubectl create namespace demo")
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        there = ["/api/v1/namespaces/demo", "/api/v1/namespaces/demo/configmaps/almanac"]
        there += [f"{crds}/{name}.serving.kserve.io" for name in ("inferenceservices", "servingruntimes")]
        server.objects |= {path: {"kind": "Any", "metadata": {"name": "x"}} for path in there}
        found = {finding.name: finding for finding in look(kube, "demo")}
        assert {name for name, one in found.items() if one.state == "there"} == {
            "config map almanac",
            "inferenceservices.serving.kserve.io",
            "servingruntimes.serving.kserve.io",
        }
        assert found["secret almanac-api-keys"].state == "missing"
        assert found["secret almanac-api-keys"].remedy == "almanac deploy keys --namespace demo"
        assert found["role almanac-deployer"].remedy == "make cluster-setup NAMESPACE=demo"
        assert found["servicemonitors.monitoring.coreos.com"].state == "optional"
        assert found["secret almanac-signing"].state == "optional"


class TestBeforeAnythingIsApplied:
    """What would fail is named first, and nothing is left behind."""

    @pytest.mark.parametrize(
        ("path", "named"),
        [
            ("/api/v1/namespaces", r"namespace almanac: kubectl create namespace almanac$"),
            ("/apis/serving.kserve.io/v1beta1", r"KServe: it is not installed; 0\.16 or newer is needed$"),
            (
                "/api/v1/namespaces/secrets/almanac-api-keys",
                r"secret almanac-api-keys: almanac deploy keys --namespace",
            ),
        ],
    )
    def test_what_is_missing_is_named_with_its_step(self, path: str, named: str) -> None:
        with KubernetesApi() as server:
            del server.there[path]
            with pytest.raises(DeploymentError, match=rf"(?s)is not ready .*; nothing was changed:.*{named}"):
                apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            assert server.applied == []

    def test_an_account_that_may_not_see_namespaces_deploys_into_one(self) -> None:
        """Kubeflow's pipelines run in a namespace of their own."""
        with KubernetesApi() as server:
            del server.there["/api/v1/namespaces"]
            server.forbidden.add("get namespaces")
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            assert server.applied

    def test_an_old_kserve_and_an_old_kubernetes_are_named(self) -> None:
        schema: dict[str, Any] = {"properties": {"spec": {"properties": {"predictor": {"properties": {"model": {}}}}}}}
        name = "io.kserve.serving.v1beta1.InferenceService"
        with KubernetesApi() as server:
            server.there["/openapi/v3/apis/serving.kserve.io/v1beta1"] = {"components": {"schemas": {name: schema}}}
            server.there["/version"] = {"major": "1", "minor": "29+"}
            with pytest.raises(DeploymentError, match=r"(?s)Kubernetes 1\.29: 1\.30 or newer .* older than 0\.16"):
                apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)

    def test_a_missing_volume_claim_is_named(self) -> None:
        with KubernetesApi() as server:
            del server.there["/api/v1/namespaces/persistentvolumeclaims/almanac-registry"]
            mounted = replace(FIRST, storage_uri="pvc://almanac-registry/use_cases/air_quality/models/1")
            with pytest.raises(DeploymentError, match="volume claim almanac-registry: make cluster-setup"):
                apply_and_wait(render(mounted), _client(server), timeout=5, interval=0.01)
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)

    def test_a_missing_right_is_named(self) -> None:
        with KubernetesApi() as server:
            server.forbidden = {"get deployments"}
            with pytest.raises(DeploymentError, match="the right to get deployments: make cluster-setup"):
                apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)

    @pytest.mark.parametrize("status", [403, 422, 500])
    def test_an_object_that_would_be_refused_stops_all(self, status: int) -> None:
        with KubernetesApi() as server:
            server.fault = lambda method, path: status if method == "DRY" and "networkpolicies" in path else None
            with pytest.raises(DeploymentError, match=rf"NetworkPolicy .* answered {status} .*; nothing was changed$"):
                apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            assert server.applied == []

    def test_a_cluster_that_knows_no_service_monitor_gets_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        with KubernetesApi() as server:
            del server.there["/apis/monitoring.coreos.com/v1"]
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            assert "ServiceMonitor" not in {item["kind"] for item in server.objects.values()}
            assert "warning: the cluster knows no ServiceMonitor" in capsys.readouterr().out

    def test_the_order_is_that_of_the_objects_need_whatever_the_file_says(self) -> None:
        with KubernetesApi() as server:
            apply_and_wait(sorted(render(FIRST), key=str), _client(server), timeout=5, interval=0.01)
            assert [item["kind"] for item in server.applied] == [item["kind"] for item in render(FIRST)]


class TestKeys:
    """The secrets of API keys."""

    def test_are_made_once_and_the_key_is_one_that_the_servers_know(self, tmp_path: Path) -> None:
        with KubernetesApi() as server:
            kube = Kube(_client(server))
            server.there = {}
            assert make_client_key(kube, "demo")
            assert not make_client_key(kube, "demo")
            key = client_key(kube, "demo")
            (ring,) = (item for path, item in server.objects.items() if path.endswith(f"/{RING_SECRET}"))
            (tmp_path / "keys.json").write_bytes(base64.b64decode(ring["data"]["keys.json"]))
            known = load_keys(tmp_path / "keys.json").find(str(key), time.time())
            assert known is not None
            assert (known.name, known.scopes) == ("deployment", ("predict",))
            assert str(key).encode() not in base64.b64decode(ring["data"]["keys.json"])

    def test_that_are_there_stay_valid(self, tmp_path: Path) -> None:
        ring = KeyRing()
        _, text = ring.create("dashboard", ("explain",))
        save_keys(ring, tmp_path / "keys.json")
        data = {"keys.json": base64.b64encode((tmp_path / "keys.json").read_bytes()).decode()}
        with KubernetesApi() as server:
            server.there = {"/api/v1/namespaces/secrets/almanac-api-keys": {"data": data}}
            make_client_key(Kube(_client(server)), "demo")
            (made,) = (item for path, item in server.objects.items() if path.endswith(f"/{RING_SECRET}"))
            (tmp_path / "keys.json").write_bytes(base64.b64decode(made["data"]["keys.json"]))
            names = {key.name for key in load_keys(tmp_path / "keys.json").keys.values()}
            assert names == {"dashboard", "deployment"}
            assert load_keys(tmp_path / "keys.json").find(text, time.time()) is not None

    def test_without_one_nothing_is_asked(self) -> None:
        with KubernetesApi() as server:
            kube = Kube(_client(server))
            del server.there["/api/v1/namespaces/secrets/almanac-client-key"]
            with pytest.raises(DeploymentError, match=r"no API key .*: almanac deploy keys --namespace demo"):
                require_way(kube, "demo", "")
            assert require_way(kube, "demo", "http://somewhere") is None

    def test_a_missing_right_to_the_proxy_is_named(self) -> None:
        with KubernetesApi() as server:
            server.forbidden = {"create services/proxy"}
            with pytest.raises(DeploymentError, match=r"create on services/proxy\); give the service's address"):
                require_way(Kube(_client(server)), "demo", "")


class TestPortForward:
    """What a kubectl says and does; a port is forwarded in tests/cluster, where a kubelet does it."""

    def test_without_kubectl_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with KubernetesApi() as server, pytest.raises(DeploymentError, match="demo: kubectl is not installed; nothing"):
            require_way(Kube(_client(server)), "demo", "port-forward")

    @pytest.fixture
    def kubectl(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """A kubectl, by default one that cannot forward."""
        script = getattr(request, "param", "echo error: lost connection to pod >&2; exit 1")
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        (tmp_path / "kubectl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    def test_a_missing_right_is_named(self, kubectl: Path) -> None:
        with KubernetesApi() as server:
            server.forbidden = {"create pods/portforward"}
            with pytest.raises(DeploymentError, match=r"may not forward ports \(create on pods/portforward\)"):
                require_way(Kube(_client(server)), "demo", "port-forward")
            server.forbidden = {"create services/proxy"}
            assert require_way(Kube(_client(server)), "demo", "port-forward") == "almanac"

    def test_what_kubectl_says_is_said(self, kubectl: Path) -> None:
        service = next(item for item in render(FIRST) if item["kind"] == "InferenceService")
        with KubernetesApi() as server:
            kube = Kube(_client(server))
            with pytest.raises(DeploymentError, match="air-quality: has no ready pod"), forwarded(kube, service):
                pass
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            told = r"port-forward pod/air-quality-0 .*: error: lost connection"
            with pytest.raises(DeploymentError, match=told), forwarded(kube, service):
                pass

    @pytest.mark.parametrize(
        ("kubectl", "told"),
        [
            ("exec sleep 60", "opened no port within 0.5 s; it said nothing"),
            ("yes | head -10000 | tr -d '\\n'; exec sleep 60", "y{4096}$"),
        ],
        indirect=["kubectl"],
    )
    def test_one_that_opens_nothing_is_not_waited_for(
        self, kubectl: Path, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("serving.deploy.forward._SECONDS", 0.5)
        service = next(item for item in render(FIRST) if item["kind"] == "InferenceService")
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            with pytest.raises(DeploymentError, match=told), forwarded(Kube(_client(server)), service):
                pass

    @pytest.mark.parametrize(
        "kubectl",
        [
            "echo 'Forwarding from 127.0.0.1:4242 -> 8080'; sleep 0.2\n"
            "yes Handling connection for 4242 | head -20000; touch handled; exec sleep 60",
            "echo WARNING: the plugin is deprecated >&2; echo 'Forwarding from 127.0.0.1:4242 -> 8080'; touch handled\n"
            "exec sleep 60",
        ],
        indirect=True,
    )
    def test_one_that_tells_of_more_than_its_port_goes_on(self, kubectl: Path) -> None:
        service = next(item for item in render(FIRST) if item["kind"] == "InferenceService")
        with KubernetesApi() as server:
            apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
            with forwarded(Kube(_client(server)), service) as address:
                assert address == "http://127.0.0.1:4242"
                wait_for((kubectl / "handled").exists)


def test_deleting_leaves_nothing_of_the_use_case_and_everything_else() -> None:
    other = replace(FIRST, use_case="traffic")
    with KubernetesApi() as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        apply_and_wait(render(other), _client(server), timeout=5, interval=0.01)
        deleted = list(delete_all(Kube(_client(server)), "air_quality", "almanac"))
        assert deleted[0] == "InferenceService air-quality"
        assert len(deleted) == 5
        assert {item["metadata"]["labels"]["app.kubernetes.io/name"] for item in server.objects.values()} == {"traffic"}


def test_what_surrounds_a_version_is_applied_and_deleted_with_it() -> None:
    mounted = replace(FIRST, storage_uri="pvc://almanac-registry/use_cases/air_quality/models/1")
    with KubernetesApi() as server:
        # The claim that the pods wait for is among the objects.
        del server.there["/api/v1/namespaces/persistentvolumeclaims/almanac-registry"]
        apply_and_wait(render(mounted) + render_edges(mounted), _client(server), timeout=5, interval=0.01)
        kinds = [item["kind"] for item in server.applied]
        assert kinds[:3] == ["ExternalSecret", "PersistentVolumeClaim", "ServingRuntime"]
        assert kinds[-2:] == ["HTTPRoute", "Ingress"]
        assert len(list(delete_all(Kube(_client(server)), "air_quality", "almanac"))) == 7
        # They belong to the namespace: other use cases read the same registry.
        assert {item["kind"] for item in server.objects.values()} == {"ExternalSecret", "PersistentVolumeClaim"}


def test_an_object_that_a_deployment_does_not_know_stops_all() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "almanac"}}
    with KubernetesApi() as server:
        with pytest.raises(DeploymentError, match=r"Pod almanac/one: is of no kind .*; nothing was changed$"):
            apply_and_wait([*render(FIRST), pod], _client(server), timeout=5, interval=0.01)
        assert server.applied == []


def test_a_canary_of_another_image_leaves_the_running_version_ready() -> None:
    with KubernetesApi() as server:
        apply_and_wait(render(FIRST), _client(server), timeout=5, interval=0.01)
        newer = replace(SECOND, image="ghcr.io/almanac/serving:0.2.0")
        apply_and_wait(render_canary(FIRST, newer, 5), _client(server), timeout=5, interval=0.01)
        assert len(server.templates) == 1
        assert sum(item["kind"] == "ServingRuntime" for item in server.objects.values()) == 2
