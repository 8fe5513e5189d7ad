"""The Helm chart: made from the manifests, and equal to what kustomize builds of them."""

import subprocess
import warnings
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.deploy.helm import CHART, ENVIRONMENTS, values_of
from serving.deploy.kustomize.layout import BASE, PLACEHOLDER, objects, write
from serving.deploy.manifests import Deployment, render, render_edges
from tests.support.kserve_objects import check
from tests.support.live import needs, program

ROOT = Path(__file__).resolve().parents[3]
OVERLAYS = BASE.parent / "overlays"
NAMESPACES = {"dev": "almanac-dev", "staging": "almanac-staging", "prod": "almanac"}
OPTIONS = {
    "ingress": "Ingress",
    "gateway": "HTTPRoute",
    "externalSecrets": "ExternalSecret",
    "registryClaim": "PersistentVolumeClaim",
}


HELM, KUSTOMIZE = program("helm"), program("kustomize")
needs_helm, needs_both = needs("helm"), needs("helm", "kustomize")


def _run(*arguments: str) -> str:
    done = subprocess.run(list(arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def template(place: Path, version: Deployment, namespace: str, *more: str) -> list[dict[str, Any]]:
    """Return the objects that Helm makes of the chart for a version."""
    path = place / "version.yaml"
    path.write_text(yaml.safe_dump(values_of(version)))
    command = (HELM, "template", "x", str(CHART), "--kube-version", "1.34", "-n", namespace, "-f", str(path))
    return [item for item in yaml.safe_load_all(_run(*command, *more)) if item]


@needs_helm
def test_the_chart_is_linted_without_a_warning() -> None:
    told = _run(HELM, "lint", "--strict", str(CHART), "--kube-version", "1.34")
    assert "0 chart(s) failed" in told
    assert "WARNING" not in told


@needs_helm
@pytest.mark.parametrize(
    "version",
    [
        PLACEHOLDER,
        Deployment("a_b", 7, "ab" * 32, "s3://models/7", "example.org/serving:1", "n", 2, 4),
        Deployment("a_b", 7, "ab" * 32, "s3://models/7", "example.org/serving:1", "n", 2, 4, loading="initializer"),
        Deployment("a_b", 7, "ab" * 32, "oci://x.io/a-b:7", "example.org/serving:1", "n", 2, 4, loading="oci://x.io"),
    ],
    ids=["volume", "server", "initializer", "image"],
)
def test_without_an_environment_it_makes_the_rendered_objects(version: Deployment, tmp_path: Path) -> None:
    made = {item["kind"]: item for item in template(tmp_path, version, version.namespace)}
    assert made == {item["kind"]: item for item in render(version)}


@needs_both
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_is_the_same_as_its_overlay(environment: str, tmp_path: Path) -> None:
    values = str(CHART / f"values-{environment}.yaml")
    made = template(tmp_path, PLACEHOLDER, NAMESPACES[environment], "-f", values)
    built = yaml.safe_load_all(_run(KUSTOMIZE, "build", str(OVERLAYS / environment)))
    assert {item["kind"]: item for item in made} == {item["kind"]: item for item in built}


@needs_both
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_the_same_as_the_component(option: str, tmp_path: Path) -> None:
    kind = OPTIONS[option]
    switch = "create" if option == "registryClaim" else "enabled"
    made = template(tmp_path, PLACEHOLDER, "almanac", "--set", f"{option}.{switch}=true")
    (edge,) = (item for item in render_edges(PLACEHOLDER) if item["kind"] == kind)
    assert edge in made
    write(objects(), tmp_path / "base")
    (tmp_path / "overlay").mkdir()
    overlay = {"resources": ["../base"], "components": [f"../components/{kind.lower()}"]}
    (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    assert edge in list(yaml.safe_load_all(_run(KUSTOMIZE, "build", str(tmp_path / "overlay"))))


@needs_helm
def test_what_a_cluster_may_have_keeps_the_schemas(tmp_path: Path) -> None:
    settings = ["ingress.enabled=true", "registryClaim.create=true", "keda.enabled=true", "priorityClassName=high"]
    settings += ["serviceMonitor.labels.release=kube-prometheus-stack", "labels.team=forecasts"]
    made = template(tmp_path, PLACEHOLDER, "almanac", *(f"--set={one}" for one in settings))
    kinds = {item["kind"]: item for item in made}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for kind in ("Ingress", "PersistentVolumeClaim", "NetworkPolicy", "PodDisruptionBudget"):
            kubernetes_validate.validate(kinds[kind], "1.31", strict=True)
    check(kinds["ServingRuntime"])
    predictor = kinds["InferenceService"]["spec"]["predictor"]
    assert predictor["priorityClassName"] == "high"
    assert "scaleMetric" not in predictor
    assert predictor["autoScaling"]["metrics"][0]["type"] == "External"
    assert kinds["InferenceService"]["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    assert kinds["ServiceMonitor"]["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert {item["metadata"]["labels"]["team"] for item in made} == {"forecasts"}
    assert kinds["Ingress"]["spec"]["tls"] == [{"hosts": ["forecasts.example.org"], "secretName": "almanac-tls"}]


@needs_helm
def test_the_autoscaler_asks_for_a_metric_that_the_server_exports(tmp_path: Path) -> None:
    made = template(tmp_path, PLACEHOLDER, "almanac", "--set", "keda.enabled=true")
    predictor = next(item for item in made if item["kind"] == "InferenceService")["spec"]["predictor"]
    query = predictor["autoScaling"]["metrics"][0]["external"]["metric"]["query"]
    from monitoring import metrics

    assert "almanac_requests_total" in query
    assert "almanac_requests" in Path(str(metrics.__file__)).read_text()
