"""What the API server and KServe's webhooks take: every overlay, the Helm chart, and nothing that they would drop."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.core.errors import DeploymentError
from orchestration.client_key import make_client_key
from serving.deploy.apply import apply_and_wait, connect
from serving.deploy.helm import CHART, ENVIRONMENTS, values_of
from serving.deploy.kube import Kube
from serving.deploy.kustomize.layout import BASE
from serving.deploy.manifests import Deployment, render, to_yaml
from serving.deploy.requirements import has_field
from tests.cluster.kubectl import command, get, kubectl
from tests.system.deploy.test_helm import HELM, needs_helm

KINDS = "inferenceservices,servingruntimes,poddisruptionbudgets,networkpolicies,servicemonitors,ingresses"
VERSION = Deployment("air_quality", 1, "ab" * 32, "s3://models/1", "example.org/serving:1", "almanac", 2, 4)


def strictly(text: str, namespace: str) -> str:
    """Return what the API server has against objects; empty if it takes them as they are."""
    done = command(
        "kubectl",
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-n",
        namespace,
        "-f",
        "-",
        text=text,
    )
    return done.stderr.replace("Warning: unrecognized format", "")


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_every_overlay_is_taken_strictly(overlay: str, namespace: str) -> None:
    built = list(yaml.safe_load_all(kubectl("kustomize", str(BASE.parent / "overlays" / overlay))))
    for item in built:
        item["metadata"]["namespace"] = namespace
    assert strictly(to_yaml(built), namespace) == ""


@pytest.mark.parametrize(
    ("address", "loading"),
    [
        ("s3://models/1", "server"),
        ("s3://models/1", "initializer"),
        ("pvc://almanac-registry/1", "server"),
        ("oci://ghcr.io/acme/models/air-quality:1", "oci://ghcr.io/acme/models"),
    ],
)
def test_every_way_of_loading_is_taken_strictly(address: str, loading: str, namespace: str) -> None:
    objects = render(replace(VERSION, storage_uri=address, loading=loading, namespace=namespace))
    # The service is refused without its runtime.
    kubectl("apply", "--server-side", "-f", "-", text=to_yaml(objects[:1]))
    assert strictly(to_yaml(objects), namespace) == ""


def test_a_field_that_would_be_dropped_is_named_and_nothing_is_applied(namespace: str) -> None:
    make_client_key(Kube(connect()), namespace)
    objects = render(replace(VERSION, namespace=namespace))
    objects[2]["spec"]["maxUnavailabel"] = 1
    with pytest.raises(DeploymentError, match=r"(?s)PodDisruptionBudget .*maxUnavailabel.*; nothing was changed"):
        apply_and_wait(objects, connect(), timeout=5)
    assert get(KINDS, "-n", namespace)["items"] == []


def test_a_namespace_without_keys_is_named_and_nothing_is_applied(namespace: str) -> None:
    with pytest.raises(DeploymentError, match="secret almanac-api-keys: almanac deploy keys --namespace"):
        apply_and_wait(render(replace(VERSION, namespace=namespace)), connect(), timeout=5)
    assert get(KINDS, "-n", namespace)["items"] == []


def test_the_cluster_tells_which_kserve_it_has(cluster: str) -> None:
    assert has_field(Kube(connect()), "spec", "predictor", "storageUris") is True
    assert has_field(Kube(connect()), "spec", "predictor", "no_such_field") is False


@needs_helm
class TestHelm:
    """The chart on the real API server, with its admission."""

    @pytest.fixture
    def values(self, tmp_path: Path, namespace: str) -> Iterator[Any]:
        def write(version: Deployment) -> str:
            path = tmp_path / f"{version.version}.yaml"
            path.write_text(yaml.safe_dump(values_of(replace(version, namespace=namespace))))
            return str(path)

        return write  # type: ignore[return-value]

    def helm(self, *arguments: str) -> str:
        done = command(HELM, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_every_environment_is_taken_strictly(self, environment: str, values: Any, namespace: str) -> None:
        chosen = ("-f", str(CHART / f"values-{environment}.yaml"), "-f", values(VERSION))
        options = ("--set", "ingress.enabled=true,registryClaim.create=true,priorityClassName=system-cluster-critical")
        text = self.helm("template", "x", str(CHART), "-n", namespace, "--kube-version", "1.34", *chosen, *options)
        assert strictly(text, namespace) == ""

    def test_it_is_installed_upgraded_and_removed_without_leftovers(self, values: Any, namespace: str) -> None:
        chosen = ("-n", namespace, "-f", str(CHART / "values-dev.yaml"))
        self.helm("install", "air-quality", str(CHART), *chosen, "-f", values(VERSION))
        assert len(get(KINDS, "-n", namespace)["items"]) == 5
        second = replace(VERSION, version=2, storage_uri="s3://models/2", image="example.org/serving:2")
        self.helm("upgrade", "air-quality", str(CHART), *chosen, "-f", values(second), "--set", "ingress.enabled=true")
        items = {item["kind"]: item for item in get(KINDS, "-n", namespace)["items"]}
        assert items["InferenceService"]["metadata"]["annotations"]["almanac.io/version"] == "2"
        assert items["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == (
            "air-quality-predictor"
        )
        runtimes = get("servingruntimes", "-n", namespace)["items"]
        assert [one["spec"]["containers"][0]["image"] for one in runtimes] == ["example.org/serving:2"]
        self.helm("uninstall", "air-quality", "-n", namespace, "--wait")
        assert get(KINDS, "-n", namespace)["items"] == []
