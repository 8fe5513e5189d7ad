"""The rendered objects, against Kubernetes' schemas and KServe's own models."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from almanac.core.errors import DeploymentError
from serving.deploy.manifests import Deployment, render, to_yaml
from tests.support.kserve_objects import check
from tests.support.packages import documents

ROOT = Path(__file__).resolve().parents[3]
DEPLOYMENT = Deployment(
    use_case="air_quality",
    version=3,
    digest="ab" * 32,
    storage_uri="s3://models/served/air_quality/v3",
    image="ghcr.io/almanac/serving:0.1.0",
    namespace="almanac",
    min_replicas=2,
    max_replicas=4,
)


def _by_kind() -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in render(DEPLOYMENT)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy"])
def test_native_objects_keep_kubernetes_schemas(kind: str) -> None:
    kubernetes_validate.validate(_by_kind()[kind], "1.31", strict=True)


@pytest.mark.parametrize("kind", ["ServingRuntime", "InferenceService"])
def test_kserve_objects_keep_kserves_models(kind: str) -> None:
    check(_by_kind()[kind])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["spec", "predictor", "minReplica"], 1, "InferenceService.spec.predictor.minReplica: .* has no such field"),
        (["spec", "predictor", "minReplicas"], "2", "minReplicas: '2' is no int"),
        (["spec", "predictor", "model", "storageURI"], "s3://x", "storageURI: V1beta1ModelSpec has no such field"),
        (["spec", "predictor", "securityContext", "runAsRoot"], False, "runAsRoot: V1PodSecurityContext has no such"),
    ],
)
def test_a_wrong_field_is_named(path: list[str], value: Any, message: str) -> None:
    manifest = _by_kind()["InferenceService"]
    place = manifest
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(DeploymentError, match=message):
        check(manifest)


def test_a_missing_field_is_named() -> None:
    manifest = _by_kind()["InferenceService"]
    del manifest["spec"]["predictor"]["model"]["modelFormat"]["name"]
    del manifest["spec"]["predictor"]
    with pytest.raises(DeploymentError, match=r"InferenceService\.spec\.predictor: is missing"):
        check(manifest)


#: What may not be absent from the rendered objects, `*` for every item of a list, written out by hand.
REQUIRED = {
    "ServingRuntime": """
        apiVersion kind metadata metadata.name metadata.namespace spec
        spec.supportedModelFormats.*.name
        spec.containers spec.containers.*.name spec.containers.*.envFrom.*.secretRef
        spec.containers.*.env.*.name spec.containers.*.env.*.valueFrom.configMapKeyRef.key
        spec.containers.*.env.*.valueFrom.secretKeyRef.key
        spec.containers.*.envFrom.*.secretRef.name spec.containers.*.ports.*.containerPort
        spec.containers.*.startupProbe.httpGet spec.containers.*.startupProbe.httpGet.port
        spec.containers.*.readinessProbe.httpGet spec.containers.*.readinessProbe.httpGet.port
        spec.containers.*.livenessProbe.httpGet spec.containers.*.livenessProbe.httpGet.port
        spec.containers.*.lifecycle.preStop.sleep spec.containers.*.lifecycle.preStop.sleep.seconds
        spec.containers.*.volumeMounts.*.name spec.containers.*.volumeMounts.*.mountPath
        spec.volumes.*.name spec.volumes.*.secret.secretName
    """,
    "InferenceService": """
        apiVersion kind metadata metadata.name metadata.namespace spec
        spec.predictor
        spec.predictor.securityContext.seccompProfile.type
        spec.predictor.initContainers.*.name
        spec.predictor.topologySpreadConstraints.*.maxSkew spec.predictor.topologySpreadConstraints.*.topologyKey
        spec.predictor.topologySpreadConstraints.*.whenUnsatisfiable
        spec.predictor.model spec.predictor.model.modelFormat spec.predictor.model.modelFormat.name
        spec.predictor.model.runtime spec.predictor.model.env.*.name
    """,
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every field, however deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict):
            yield (*path, key)
        yield from _places(item, (*path, key))


def _without(manifest: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    left = copy.deepcopy(manifest)
    place: Any = left
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return left


@pytest.mark.parametrize("kind", ["ServingRuntime", "InferenceService"])
def test_every_required_field_is_missed_and_no_other(kind: str) -> None:
    manifest = _by_kind()[kind]
    places = list(_places(manifest))
    assert len(places) > 40
    missed = set()
    for path in places:
        try:
            check(_without(manifest, path))
        except DeploymentError as error:
            told = str(error)
            assert path == ("kind",) or ".".join([kind, *map(str, path[:-1])]) in told
            assert path == ("kind",) or f"is missing one of {path[-1]}" in told or str(path[-1]) in told.split(";")[0]
            missed.add(".".join("*" if isinstance(key, int) else key for key in path))
    assert missed == set(REQUIRED[kind].split())


def test_pods_are_locked_down_and_spread() -> None:
    container = _by_kind()["ServingRuntime"]["spec"]["containers"][0]
    predictor = _by_kind()["InferenceService"]["spec"]["predictor"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert predictor["securityContext"]["runAsNonRoot"] is True
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["maxReplicas"] > predictor["minReplicas"]
    assert predictor["topologySpreadConstraints"]
    assert {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle"} <= container.keys()


def test_pods_keep_predictions_where_the_monitoring_task_reads_them() -> None:
    """Both sides take address and credentials from the same keys of the same objects."""
    (container,) = _by_kind()["ServingRuntime"]["spec"]["containers"]
    served = {
        (one["name"], next(iter(one["valueFrom"])), *map(next(iter(one["valueFrom"].values())).get, ("name", "key")))
        for one in container["env"]
    }
    assert all(next(iter(one["valueFrom"].values()))["optional"] for one in container["env"])
    _, platform = documents((ROOT / "compiled/air_quality_monitoring.yaml").read_bytes())
    task = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-monitoring"]
    read = {
        (pair["envVar"], kind, one[name], pair[key])
        for kind, field, name, key in (
            ("configMapKeyRef", "configMapAsEnv", "configMapName", "configMapKey"),
            ("secretKeyRef", "secretAsEnv", "secretName", "secretKey"),
        )
        for one in task[field]
        for pair in one["keyToEnv"]
    }
    assert ("ALMANAC_PREDICTION_LOG", "configMapKeyRef", "almanac", "predictions") in served
    assert read - served == {("ALMANAC_REGISTRY", "configMapKeyRef", "almanac", "registry")}
    assert served <= read


def test_every_selector_is_that_of_kserves_pods() -> None:
    kinds = _by_kind()
    wanted = {"matchLabels": {"serving.kserve.io/inferenceservice": "air-quality"}}
    assert kinds["PodDisruptionBudget"]["spec"]["selector"] == wanted
    assert kinds["NetworkPolicy"]["spec"]["podSelector"] == wanted
    assert kinds["ServiceMonitor"]["spec"]["selector"] == wanted


def test_the_same_version_gives_the_same_bytes() -> None:
    assert to_yaml(render(DEPLOYMENT)) == to_yaml(render(DEPLOYMENT))


@pytest.mark.parametrize(
    ("address", "loading", "model", "own", "secret"),
    [
        ("s3://models/a/3", "server", "s3://models/a/3", True, None),
        ("gs://models/a/3", "server", "gs://models/a/3", True, None),
        ("s3://models/a/3", "initializer", "/mnt/models", False, "almanac-store"),
        ("pvc://almanac-registry/a/3", "server", "/mnt/models", False, None),
        ("pvc://almanac-registry/a/3", "initializer", "/mnt/models", False, None),
        ("oci://ghcr.io/acme/models/air-quality:3", "oci://ghcr.io/acme/models", "/mnt/models", False, None),
    ],
)
def test_each_way_of_loading_has_its_credentials(
    address: str, loading: Any, model: str, own: bool, secret: str | None
) -> None:
    """The initializer reads a secret that the service names, the server its own environment."""
    objects = {one["kind"]: one for one in render(replace(DEPLOYMENT, storage_uri=address, loading=loading))}
    service, runtime = objects["InferenceService"], objects["ServingRuntime"]
    env = {one["name"]: one["value"] for one in service["spec"]["predictor"]["model"]["env"]}
    assert env == {"ALMANAC_MODEL": model, "ALMANAC_MODEL_VERSION": "3"}
    # Without an address KServe adds the agent of its servers of many models, and an initializer unless there is one.
    assert service["spec"]["predictor"]["model"]["storageUri"] == address
    names = [one["name"] for one in service["spec"]["predictor"].get("initContainers", [])]
    assert names == (["storage-initializer"] if own else [])
    assert service["metadata"]["annotations"].get("serving.kserve.io/storageSecretName") == secret
    container = runtime["spec"]["containers"][0]
    assert not [argument for argument in container["args"] if argument.startswith("--model_dir")]
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"} <= {
        one["name"] for one in container["env"]
    }
