"""Deployments of a registry on a disk by `make deploy`, as KServe's real controllers and a kubelet carry them out."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.core.image import SERVING_IMAGE
from governance.registry import Registry, resolve
from serving.deploy.smoke import examples, forecasters
from tests.cluster.conftest import readable
from tests.cluster.kubectl import ROOT, Load, almanac, command, get, kubectl, make, wait_for
from tests.cluster.slow_registry import SlowRegistry

# Pods have to start, which takes seconds each.
pytestmark = pytest.mark.slow
NAMESPACE = "almanac-dev"
NAME = "air-quality"
MISSING_IMAGE = "ghcr.io/almanac/serving:no-such-version"
VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: almanac-dev-registry}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: REGISTRY}
  claimRef: {namespace: almanac-dev, name: almanac-registry}
"""


@dataclass
class World:
    """A namespace that was set up, with the first version deployed from a registry of its own."""

    usecase: str
    registry: Path

    def deploy(self, options: str = "", **variables: str) -> Any:
        return make(
            "deploy", ENVIRONMENT="dev", USECASE=self.usecase, REGISTRY=str(self.registry), DEPLOY=options, **variables
        )

    def apply(self, change: Any, *options: str) -> Any:
        """Apply the objects of the last `make deploy` with a change."""
        path = self.registry.parent / "objects.yaml"
        objects = list(yaml.safe_load_all((ROOT / "build" / "deploy" / "objects.yaml").read_text()))
        change({item["kind"]: item for item in objects})
        path.write_text(yaml.safe_dump_all(objects))
        return almanac("deploy", "apply", self.usecase, str(self.registry), str(path), *options)

    def promote(self, number: int) -> None:
        Registry(str(self.registry)).promote("air_quality", number, who="ann", why="asked for")

    def load(self) -> Load:
        (model,) = forecasters(resolve("registry:air_quality/1", str(self.registry)))
        return Load(NAMESPACE, NAME, f"/v1/models/{model.name}:predict", {"instances": examples(model)[0]})


@pytest.fixture(scope="module")
def world(node: str, versions: Path, usecase: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for gone in (f"namespace/{NAMESPACE}", "persistentvolume/almanac-dev-registry"):
        kubectl("wait", "--for=delete", gone, "--timeout=90s")
    registry = tmp_path_factory.mktemp("world") / "registry"
    shutil.copytree(versions, registry)
    readable(registry)
    kubectl("apply", "-f", "-", text=VOLUME.replace("REGISTRY", str(registry)))
    made = make("cluster-setup", NAMESPACE=NAMESPACE, REGISTRY=str(registry))
    assert made.returncode == 0, made.stdout + made.stderr
    world = World(usecase, registry)
    done = world.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"version 1 is ready in {NAMESPACE} and answers as its models do" in done.stdout
    yield world
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    kubectl("delete", "persistentvolume", "almanac-dev-registry", "--wait=false")


def replica_sets() -> set[str]:
    selector = f"serving.kserve.io/inferenceservice={NAME}"
    return {one["metadata"]["name"] for one in get("replicasets", "-n", NAMESPACE, "-l", selector)["items"]}


def pods() -> list[dict[str, Any]]:
    selector = f"serving.kserve.io/inferenceservice={NAME}"
    found = get("pods", "-n", NAMESPACE, "-l", selector)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def replicas(fewest: int, most: int) -> Any:
    """Return a change of the objects to other bounds."""

    def change(kinds: dict[str, Any]) -> None:
        kinds["InferenceService"]["spec"]["predictor"].update(minReplicas=fewest, maxReplicas=most)

    return change


def other_image(kinds: dict[str, Any], image: str) -> None:
    """Let the service run another image, by a runtime of its own as a deployment gives it."""
    service, runtime = kinds["InferenceService"], kinds["ServingRuntime"]
    runtime["spec"]["containers"][0]["image"] = image
    runtime["metadata"]["name"] = service["spec"]["predictor"]["model"]["runtime"] = f"almanac-{NAME}-other"


def logs_are_readable() -> bool:
    """Return whether the API server reads the node's logs, for which it has to resolve the node's name."""
    return command("kubectl", "logs", "--tail=1", "images", "-c", "serving", "-n", "default").returncode == 0


def current_version() -> str:
    service = get("inferenceservice", NAME, "-n", NAMESPACE)
    return str(service["metadata"]["annotations"]["almanac.io/version"])


def test_the_deployed_service_answers_by_the_commands_of_the_readme(world: World) -> None:
    done = almanac("deploy", "predict", world.usecase, str(world.registry), "--namespace", NAMESPACE)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    (model,) = forecasters(resolve("registry:air_quality/1", str(world.registry)))
    assert answer["predictions"] == pytest.approx(model.predict(examples(model)[1]).prediction.tolist(), rel=1e-9)
    assert answer["model_version"] == current_version()


def test_a_deployment_is_tested_and_asked_through_a_forwarded_port(world: World) -> None:
    done = world.deploy(ALMANAC_URL="port-forward")
    assert done.returncode == 0, done.stderr
    asked = ("deploy", "predict", world.usecase, str(world.registry), "--namespace", NAMESPACE)
    done = almanac(*asked, "--url", "port-forward")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model_version"] == current_version()


def test_a_second_version_takes_over_without_a_failed_request(world: World) -> None:
    before = replica_sets()
    world.promote(2)
    with world.load() as load:
        done = world.deploy()
    assert done.returncode == 0, done.stderr
    assert load.failed == []
    assert load.answered > 50
    assert load.versions == {"1", "2"}
    assert len(replica_sets() - before) == 1
    assert current_version() == "2"


@pytest.mark.parametrize("broken", ["image", "directory"])
def test_a_version_that_cannot_start_is_named_and_rolled_back_under_load(world: World, broken: str) -> None:
    world.promote(2)
    assert world.deploy().returncode == 0

    def change(kinds: dict[str, Any]) -> None:
        service = kinds["InferenceService"]
        service["metadata"]["annotations"]["almanac.io/version"] = "1"
        if broken == "image":
            other_image(kinds, MISSING_IMAGE)
        else:
            service["spec"]["predictor"]["model"]["storageUri"] = "pvc://almanac-registry/no/such/directory"

    timeout = 25
    with world.load() as load:
        begun = time.monotonic()
        done = world.apply(change, "--timeout", str(timeout))
        taken = time.monotonic() - begun
    assert done.returncode == 1
    named = {
        "image": r"(ErrImagePull|ImagePullBackOff): .*no-such-version",
        "directory": r"Error, exit code 1" + (r"\n.*manifest\.json: cannot be read" if logs_are_readable() else ""),
    }[broken]
    told = rf"(?s)did not get ready within 25 s: .*pod \S+, container kserve-container: {named}"
    assert re.search(told, done.stderr), done.stderr
    assert "version 2 was applied again and is ready" in done.stderr
    assert load.failed == []
    assert load.versions == {"2"}
    print(f"{broken}: named and rolled back after {taken:.1f} s, {load.answered} requests answered")
    assert current_version() == "2"
    wait_for("the broken pod's end", lambda: len(pods()) == 1)


def test_a_version_whose_image_takes_long_to_arrive_is_waited_for_under_load(world: World, tmp_path: Path) -> None:
    seconds = float(os.environ.get("ALMANAC_PULL_SECONDS", "30"))
    world.promote(2)
    assert world.deploy().returncode == 0
    archive = tmp_path / "image.tar"
    saved = command("docker", "save", "--output", str(archive), SERVING_IMAGE)
    if saved.returncode != 0:
        pytest.skip(f"no Docker engine has {SERVING_IMAGE}, which a slow registry would serve: {saved.stderr}")
    with SlowRegistry(archive, seconds) as registry, world.load() as load:
        done = world.apply(lambda kinds: other_image(kinds, registry.image))
    assert done.returncode == 0, done.stderr
    assert registry.transfer is not None
    assert registry.transfer >= seconds
    assert load.failed == []
    print(f"an image that arrived in {registry.transfer:.0f} s: {load.answered} requests answered meanwhile")
    wait_for("the end of the earlier pods", lambda: len(pods()) == 1)
    (container,) = (one for one in pods()[0]["spec"]["containers"] if one["name"] == "kserve-container")
    assert container["image"] == registry.image


def test_a_change_of_replicas_alone_rolls_nothing(world: World) -> None:
    assert world.deploy().returncode == 0
    before = replica_sets()
    done = world.apply(lambda kinds: kinds["InferenceService"]["spec"]["predictor"].update(maxReplicas=3))
    assert done.returncode == 0, done.stderr
    done = world.apply(
        lambda kinds: kinds["InferenceService"]["spec"]["predictor"].update(minReplicas=2, maxReplicas=3)
    )
    assert done.returncode == 0, done.stderr
    assert replica_sets() == before
    assert len(pods()) == 2


def test_an_eviction_leaves_the_pods_that_the_budget_asks_for(world: World) -> None:
    done = world.apply(
        lambda kinds: kinds["InferenceService"]["spec"]["predictor"].update(minReplicas=2, maxReplicas=2)
    )
    assert done.returncode == 0, done.stderr
    budget = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/{NAME}"
    wait_for("the budget", lambda: json.loads(kubectl("get", "--raw", budget))["status"]["disruptionsAllowed"] == 1)
    first, second = (pod["metadata"]["name"] for pod in pods())
    assert _evict(first) == ""
    assert "Cannot evict pod as it would violate the pod's disruption budget" in _evict(second)


def _evict(pod: str) -> str:
    """Ask for the eviction of a pod, as draining a node does; return why it was refused."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    done = command("kubectl", "create", "--raw", path, "-f", "-", text=json.dumps(body))
    return done.stderr if done.returncode else ""


def test_what_selects_pods_selects_those_that_kserve_made_and_ports_that_they_have(world: World) -> None:
    standing = {pod["metadata"]["name"] for pod in pods()}
    assert standing
    policy = get("networkpolicy", NAME, "-n", NAMESPACE)["spec"]
    budget = get("poddisruptionbudget", NAME, "-n", NAMESPACE)["spec"]
    for labels in (policy["podSelector"]["matchLabels"], budget["selector"]["matchLabels"]):
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        chosen = {pod["metadata"]["name"] for pod in get("pods", "-n", NAMESPACE, "-l", selector)["items"]}
        assert standing <= chosen
    (container,) = (one for one in pods()[0]["spec"]["containers"] if one["name"] == "kserve-container")
    ports = {port["containerPort"] for port in container["ports"]}
    assert {one["port"] for rule in policy["ingress"] for one in rule["ports"]} == ports
    monitor = get("servicemonitor", NAME, "-n", NAMESPACE)["spec"]
    selector = ",".join(f"{name}={value}" for name, value in monitor["selector"]["matchLabels"].items())
    assert f"{NAME}-predictor" in {
        one["metadata"]["name"] for one in get("services", "-n", NAMESPACE, "-l", selector)["items"]
    }
    assert {one["targetPort"] for one in monitor["endpoints"]} <= ports


def test_deleting_leaves_nothing_behind(world: World) -> None:
    assert world.deploy().returncode == 0
    done = almanac("deploy", "delete", world.usecase, "--namespace", NAMESPACE)
    assert done.returncode == 0, done.stderr
    kinds = "inferenceservices,servingruntimes,poddisruptionbudgets,networkpolicies,servicemonitors"
    assert get(kinds, "-n", NAMESPACE)["items"] == []
    rest = "deployments,replicasets,services,horizontalpodautoscalers,ingresses"
    wait_for("the end of what KServe made", lambda: get(rest, "-n", NAMESPACE)["items"] == [])
